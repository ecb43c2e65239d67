//! Images from samples through a file to samples again, on a GPU.

use crate::devices;
use mcodec_decode::gpu::{Gpu, Options};
use mcodec_decode::images::{ImageReader, Region};
use mcodec_decode::{ReadOptions, Reader};
use mcodec_encode::images::{FitDevice, ImageOptions, Paging, Picture, Rate, UseGpu, encode_image};
use mcodec_encode::{EncodeError, EncodeOptions, Output};
use mcodec_format::{ChannelGroup, GroupKind};
use std::sync::Arc;

/// Waves and an edge, covered in part.
fn picture(width: u32, height: u32) -> Picture {
    let group = ChannelGroup::of(GroupKind::ColourAlpha);
    let value = |c: usize, x: u32, y: u32| {
        let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
        let edge = if x + 0.4 * y > 0.7 { 0.25 } else { -0.15 };
        let wave = (9.0 * x + 3.0 * c as f32).sin() * (7.0 * y - c as f32).cos();
        if c == 3 { (2.2 - 3.0 * x).clamp(0.0, 1.0) } else { (0.5 + 0.25 * wave + edge).clamp(0.0, 1.0) }
    };
    let plane =
        |c| (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| value(c, x, y)).collect();
    Picture { width, height, groups: vec![group], channels: (0..4).map(plane).collect(), wraps: [false; 2] }
}

fn encode(picture: &Picture, device: FitDevice) -> Result<(Vec<u8>, f64), EncodeError> {
    let mut options = EncodeOptions::default();
    (options.effort, options.threads) = (2, 2);
    options.image = ImageOptions {
        rate: Rate::Gaussians(160),
        levels: Some(2),
        paging: Paging::Side(32),
        device,
        ..ImageOptions::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("picture.mcodec");
    let output = Output::File { path: path.clone(), force: true };
    let (_, made) = encode_image(picture, "picture", output, &options)?;
    Ok((std::fs::read(path).unwrap(), made.psnr))
}

#[test]
fn files_are_as_good_and_drawn_as_on_the_cpu() {
    let picture = picture(112, 80);
    for gpu in devices().iter().take(1) {
        let (here, cpu) = encode(&picture, FitDevice::default()).unwrap();
        let device = FitDevice::gpu(Arc::clone(gpu), UseGpu::On);
        let (bytes, psnr) = encode(&picture, device.clone()).unwrap();
        assert!(psnr > cpu - 0.2, "{psnr} {cpu}");
        assert!(bytes.len() < here.len() + here.len() / 10, "{} {}", bytes.len(), here.len());
        assert!(encode(&picture, device).unwrap().0 == bytes, "the same file each time");

        let open = || Reader::open(bytes.clone(), ReadOptions::default().threads(2)).unwrap();
        let (here, there) = (open(), open().drawing_on(Arc::clone(gpu), false));
        let [here, there] =
            [&here, &there].map(|reader| ImageReader::new(reader, &reader.asset(None).unwrap()).unwrap());
        let parts = [here.whole(), Region { x: 30, y: 31, width: 5, height: 34 }];
        for (region, scale, level) in
            parts.into_iter().flat_map(|part| [(part, 1.0, None), (part, 0.3, None), (part, 2.5, Some(0))])
        {
            let (cpu, size) = here.draw(region, scale, level).unwrap();
            let (gpu, same) = there.draw(region, scale, level).unwrap();
            assert_eq!((size, cpu.len()), (same, gpu.len()));
            for (a, b) in cpu.chunks_exact(4).zip(gpu.chunks_exact(4)) {
                // Colours count as far as they are seen: over black, and by themselves unless almost nothing is.
                let apart = |i: usize| (a[i] - b[i]).abs().min(if a[3] < 0.01 { 0.0 } else { f32::MAX });
                let over_black = |i: usize| (a[i] * a[3] - b[i] * b[3]).abs();
                let most = (0..3).map(|i| apart(i).max(over_black(i))).fold((a[3] - b[3]).abs(), f32::max);
                assert!(most < 1.0 / 255.0, "{region:?} {scale} {level:?}: {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn a_device_that_fails_is_an_error_or_leaves_it_to_the_cpu() {
    if devices().is_empty() {
        return;
    }
    let picture = picture(64, 48);
    let (here, _) = encode(&picture, FitDevice::default()).unwrap();
    let gpu = Arc::new(Gpu::open(&Options::default()).unwrap());
    gpu.device().destroy();
    let made = encode(&picture, FitDevice::gpu(Arc::clone(&gpu), UseGpu::On));
    assert!(matches!(made, Err(EncodeError::Gpu(_))), "{made:?}");
    let device = FitDevice::gpu(Arc::clone(&gpu), UseGpu::Auto);
    assert!(encode(&picture, device.clone()).unwrap().0 == here);
    assert!(device.failure().is_some() && device.name().is_none());
    // A driver that is a program on the CPU is not taken unless that is asked for.
    if devices()[0].info().is_cpu {
        let device = FitDevice::new(UseGpu::Auto);
        assert!(encode(&picture, device.clone()).unwrap().0 == here);
        assert!(device.failure().is_none() && device.name().is_none());
    }
    let open = || Reader::open(here.clone(), ReadOptions::default().threads(1)).unwrap();
    let draw = |reader: Reader<Vec<u8>>| {
        let image = ImageReader::new(&reader, &reader.asset(None).unwrap()).unwrap();
        image.draw(image.whole(), 1.0, None)
    };
    let cpu = draw(open()).unwrap();
    assert!(draw(open().drawing_on(Arc::clone(&gpu), false)).is_err());
    assert_eq!(draw(open().drawing_on(gpu, true)).unwrap(), cpu);
}
