//! Models that are quantised on a GPU: the codes, and the files, are those of the CPU.

use crate::devices;
use mcodec_coding::codes::{Element, MAX_CODE, step};
use mcodec_decode::gpu::{Gpu, GpuError, Options};
use mcodec_encode::quantise::{Method, QuantiseOptions, Size, encode_quantised};
use mcodec_encode::{Device, EncodeError, Output, UseGpu};
use mcodec_gpu::rounding::{MAX_EXPONENT, round};
use mcodec_tests::files::options;
use mcodec_tests::inputs::{Noise, safetensors, tensor};
use std::path::Path;
use std::sync::Arc;

/// As the quantiser does it on the CPU.
fn expected(weights: &[f32], rows: &[i16], columns: &[i16]) -> Vec<i32> {
    let most = MAX_CODE as f32;
    let code = |(at, weight): (usize, &f32)| {
        let step = step(rows[at / columns.len()] + columns[at % columns.len()]);
        (weight / step).round_ties_even().clamp(-most, most) as i32
    };
    weights.iter().enumerate().map(code).collect()
}

fn compare(gpu: &Gpu, weights: &[f32], rows: &[i16], columns: &[i16]) {
    let found = round(gpu, weights, rows, columns).unwrap();
    let wanted = expected(weights, rows, columns);
    if let Some(at) = found.iter().zip(&wanted).position(|(a, b)| a != b) {
        let (row, column) = (rows[at / columns.len()], columns[at % columns.len()]);
        let (weight, bits) = (weights[at], weights[at].to_bits());
        let codes = (found[at], wanted[at]);
        panic!("{weight:e} ({bits:08x}) under {row} + {column}: {codes:?} on {}", gpu.info());
    }
}

/// Every kind of float there is, at random.
fn any_floats(noise: &mut Noise, count: usize) -> Vec<f32> {
    let special = [
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        -f32::NAN,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        f32::from_bits(0x807F_FFFF),
        1.0,
    ];
    let one = |_| match noise.word() % 16 {
        0 => special[noise.word() as usize % special.len()],
        1 => f32::from_bits(noise.word() as u32 & 0x807F_FFFF),
        _ => f32::from_bits(noise.word() as u32),
    };
    (0..count).map(one).collect()
}

#[test]
fn codes_of_any_floats_are_those_of_the_cpu() {
    let mut noise = Noise(7);
    for (m, n) in [(1, 1), (3, 1000), (257, 65), (1, 4099), (600, 16)] {
        let weights = any_floats(&mut noise, m * n);
        let mut exponents = |count: usize, most: i16| -> Vec<i16> {
            let range = 2 * most as u64 + 1;
            (0..count).map(|_| (noise.word() % range) as i16 - most).collect()
        };
        for most in [4, 40, MAX_EXPONENT] {
            let (rows, columns) = (exponents(m, most), exponents(n, most));
            for gpu in devices() {
                compare(gpu, &weights, &rows, &columns);
            }
        }
        let ends = [-MAX_EXPONENT, MAX_EXPONENT];
        for (row, column) in ends.into_iter().flat_map(|a| ends.map(|b| (a, b))) {
            for gpu in devices() {
                compare(gpu, &weights, &vec![row; m], &vec![column; n]);
            }
        }
    }
}

/// Weights half-way between two codes, and the floats next to these: there a quotient that is rounded once, or not quite, gives another code.
#[test]
fn ties_go_the_way_they_go_on_the_cpu() {
    let mut noise = Noise(11);
    let columns: Vec<i16> = (-4..4).collect();
    let (mut weights, mut rows) = (Vec::new(), Vec::new());
    for octave in [-60i16, -3, 0, 7, 50] {
        for magnitude in 0..26u32 {
            for _ in 0..6 {
                let row = 4 * octave + (noise.word() % 4) as i16;
                rows.push(row);
                let whole = ((1u64 << magnitude) + noise.word() % (1 << magnitude)) as f64;
                for column in &columns {
                    let tie = (whole - 0.5) * f64::from(step(row + column));
                    let off = (noise.word() % 5) as i32 - 2;
                    let weight = f32::from_bits((tie as f32).to_bits().wrapping_add_signed(off));
                    weights.push(if noise.word().is_multiple_of(2) { weight } else { -weight });
                }
            }
        }
    }
    for gpu in devices() {
        compare(gpu, &weights, &rows, &columns);
    }
}

#[test]
fn more_weights_than_are_there_at_once() {
    let Some(gpu) = devices().first() else { return };
    let small = Gpu::open(&Options::default().max_binding(4 << 10)).unwrap();
    let mut noise = Noise(3);
    let weights: Vec<f32> = (0..700 * 96).map(|_| (noise.word() % 4001) as f32 / 50.0 - 40.0).collect();
    let rows: Vec<i16> = (0..700).map(|i| i % 9 - 4).collect();
    let columns: Vec<i16> = (0..96).map(|i| 3 - i % 7).collect();
    for gpu in [gpu, &small] {
        compare(gpu, &weights, &rows, &columns);
    }
    let refused = round(&small, &vec![0.0; 2000], &[0], &vec![0; 2000]);
    assert!(matches!(refused, Err(GpuError::TooLarge { .. })), "{refused:?}");
    assert!(round(gpu, &[], &[], &[1, 2]).unwrap().is_empty());
    for (weights, rows, columns) in
        [(5, vec![0; 2], [0; 3]), (6, vec![0, 241], [0; 3]), (3, vec![0], [-241; 3])]
    {
        let refused = round(gpu, &vec![1.0; weights], &rows, &columns);
        assert!(matches!(refused, Err(GpuError::Input(_))), "{refused:?}");
    }
}

/// Encodes a model of two layers, of which one is told of, at 3 bits.
fn encode(
    dir: &Path,
    statistics: Option<&str>,
    feedback: bool,
    device: Device,
) -> Result<Vec<u8>, EncodeError> {
    let mut noise = Noise(5);
    let mut of = |name: &str, dtype: &str, rows: usize, columns: usize| {
        let sum = |noise: &mut Noise| (0..4).map(|_| (noise.word() >> 40) as f32 / 1e9 - 0.008).sum();
        let values: Vec<f32> = (0..rows * columns).map(|_| sum(&mut noise)).collect();
        let bytes = Element::by_name(dtype).unwrap().round(&values);
        tensor(name, dtype, &[rows as u64, columns as u64], bytes)
    };
    let tensors = [
        of("layers.0.q_proj.weight", "F32", 96, 64),
        of("layers.0.up_proj.weight", "BF16", 512, 96),
        of("layers.1.q_proj.weight", "F16", 65, 33),
    ];
    let input = dir.join("model.safetensors");
    std::fs::write(&input, safetensors(None, &tensors)).unwrap();
    let file = statistics.map(|kind| {
        let values = |count: u64| -> Vec<f32> { (0..count).map(|i| 0.5 + (i * 7 % 23) as f32).collect() };
        let of = |name: &str, shape: &[u64]| {
            let bytes = Element::F32.round(&values(shape.iter().product()));
            tensor(&format!("layers.0.q_proj.weight.{name}"), "F32", shape, bytes)
        };
        let shape: &[u64] = if kind == "gram" { &[64, 64] } else { &[64] };
        let path = dir.join("statistics.safetensors");
        std::fs::write(&path, safetensors(None, &[of(kind, shape), of("fisher", &[96])])).unwrap();
        path
    });
    let mut method = Method::default();
    method.feedback = feedback;
    let quantise =
        QuantiseOptions { size: Size::BitsPerWeight(3.0), statistics: file, keep: Vec::new(), method };
    let mut options = options(2);
    options.device = device;
    let path = dir.join("model.mcodec");
    let output = Output::File { path: path.clone(), force: true };
    encode_quantised(&input, None, output, &quantise, &options)?;
    Ok(std::fs::read(path).unwrap())
}

#[test]
fn files_are_those_of_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    for (statistics, feedback) in [(None, true), (Some("gram"), false), (Some("gram_diagonal"), true)] {
        let here = encode(dir.path(), statistics, feedback, Device::default()).unwrap();
        for gpu in devices() {
            let device = Device::gpu(Arc::clone(gpu), UseGpu::On);
            let before = gpu.maps();
            assert!(encode(dir.path(), statistics, feedback, device).unwrap() == here, "{statistics:?}");
            assert!(gpu.maps() > before, "the GPU had nothing to do");
        }
    }
}

#[test]
fn what_a_gpu_cannot_do_is_an_error_or_left_to_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    let here = encode(dir.path(), None, true, Device::default()).unwrap();
    let with_feedback = |device| encode(dir.path(), Some("gram"), true, device);
    let Some(gpu) = devices().first() else { return };
    let on = |gpu: &Arc<Gpu>| Device::gpu(Arc::clone(gpu), UseGpu::On);
    let refused = with_feedback(on(gpu)).unwrap_err();
    assert!(refused.to_string().contains("errors fed back is done on the CPU only"), "{refused}");
    assert!(with_feedback(Device::gpu(Arc::clone(gpu), UseGpu::Auto)).is_ok());

    let lost = Arc::new(Gpu::open(&Options::default()).unwrap());
    lost.device().destroy();
    let made = encode(dir.path(), None, true, on(&lost));
    assert!(matches!(made, Err(EncodeError::Gpu(_))), "{:?}", made.map(|file| file.len()));
    let device = Device::gpu(lost, UseGpu::Auto);
    assert!(encode(dir.path(), None, true, device.clone()).unwrap() == here);
    assert!(device.failure().is_some() && device.name().is_none());
}
