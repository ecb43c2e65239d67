//! How fast grids decode, coder alone: bf16 latents in `.npy` files of four axes (frames, channels, rows, columns), all in one buffer, warm.
//!
//! `cargo run --release -p mcodec-coding --example grids -- fast|light|dense RUNS FILE...`

use mcodec_coding::latents::{
    Coder, Element, Grid, GridContent, Quantiser, Shape, SharedObjects, Statistics, TokenModel, decode,
    encode,
};
use std::time::Instant;

/// Step of what is rounded, in deviations.
const STEP: f32 = 0.125;

struct Nothing;

impl SharedObjects for Nothing {
    fn statistics(&self, _: u32) -> Option<&Statistics> {
        None
    }

    fn token_model(&self, _: u32) -> Option<&TokenModel> {
        None
    }
}

/// Shape and elements of a `.npy` file.
fn read(path: &str) -> Option<(Shape, Vec<u8>)> {
    let bytes = std::fs::read(path).ok()?;
    let head = 10 + usize::from(u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?));
    let text = String::from_utf8_lossy(bytes.get(10..head)?).into_owned();
    let sizes = text.split_once("'shape': (")?.1.split_once(')')?.0;
    let sizes: Vec<usize> = sizes.split(',').filter_map(|size| size.trim().parse().ok()).collect();
    let &[frames, channels, height, width] = &sizes[..] else { return None };
    let shape = Shape { frames, channels, height, width };
    Some((shape, bytes.get(head..head + 2 * shape.count())?.to_vec()))
}

/// What each channel's values are about, and how far they are from that.
fn statistics(shape: Shape, bytes: &[u8]) -> Result<Statistics, mcodec_coding::CodingError> {
    let plane = shape.height * shape.width;
    let values: Vec<f64> = bytes.as_chunks::<2>().0.iter().map(|b| Element::Bf16.value(b)).collect();
    let of_channel = |c: usize| {
        let planes = values.chunks(plane).skip(c).step_by(shape.channels).flatten();
        let count = (plane * shape.frames) as f64;
        let (sum, squares) = planes.fold((0.0, 0.0), |(sum, squares), v| (sum + v, squares + v * v));
        let mean = sum / count;
        (mean as f32, (squares / count - mean * mean).max(1e-12).sqrt() as f32)
    };
    Statistics::new((0..shape.channels).map(of_channel).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [coder, runs, files @ ..] = &arguments[..] else { return Err("coder, runs and files".into()) };
    let coder = match coder.as_str() {
        "fast" => Coder::Fast,
        "light" => Coder::Light,
        "dense" => Coder::Dense,
        other => return Err(format!("there is no coder {other:?}").into()),
    };
    let runs: u32 = runs.parse()?;
    for rounded in [false, true] {
        let (mut payloads, mut all) = (Vec::new(), 0);
        for file in files {
            let (shape, bytes) = read(file).ok_or_else(|| format!("{file} is no array of four axes"))?;
            let statistics = statistics(shape, &bytes)?;
            let quantiser = Quantiser { step: STEP, statistics: &statistics, dependency: None };
            let plane = shape.height * shape.width;
            let number = |(i, b): (usize, &[u8; 2])| {
                quantiser.number(i / plane % shape.channels, Element::Bf16.value(b)).map(|n| n as i16)
            };
            let numbers: Option<Vec<i16>> = bytes.as_chunks().0.iter().enumerate().map(number).collect();
            let numbers = numbers.ok_or("a value is not finite")?;
            let content = match rounded {
                true => GridContent::Quantised(&numbers, quantiser),
                false => GridContent::Bytes(&bytes),
            };
            let payload = encode(&Grid { shape, element: Element::Bf16, content }, coder)?;
            all += bytes.len();
            payloads.push((payload, bytes));
        }
        let coded: usize = payloads.iter().map(|(payload, _)| payload.len()).sum();
        let mut best = f64::INFINITY;
        for _ in 0..runs {
            let start = Instant::now();
            for (payload, out) in &mut payloads {
                decode(payload, coder, &Nothing, out)?;
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        let what = if rounded { "step 1/8" } else { "lossless" };
        let (bits, speed) = (16.0 * coded as f64 / all as f64, all as f64 / best / 1e6);
        println!("{what}: {bits:.3} bits a value, {speed:.1} MB/s decoded, the best of {runs} runs");
    }
    Ok(())
}
