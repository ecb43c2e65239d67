//! Images from samples through a file to samples again, on a GPU.

use crate::devices;
use mcodec_decode::gaussians::View;
use mcodec_decode::gpu::{Gpu, Options};
use mcodec_decode::images::{ImageReader, Region};
use mcodec_decode::{ReadOptions, Reader};
use mcodec_encode::images::{ImageOptions, Paging, Picture, Rate, encode_image};
use mcodec_encode::{Device, EncodeError, EncodeOptions, Output, UseGpu};
use mcodec_format::{ChannelGroup, GroupKind, Transfer};
use mcodec_gpu::gaussians::Target;
use mcodec_gpu::wgpu;
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

fn encode(picture: &Picture, device: Device) -> Result<(Vec<u8>, f64), EncodeError> {
    let mut options = EncodeOptions::default();
    (options.effort, options.threads, options.device) = (2, 2, device);
    options.image = ImageOptions {
        rate: Rate::Gaussians(160),
        levels: Some(2),
        paging: Paging::Side(32),
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
        let (here, cpu) = encode(&picture, Device::default()).unwrap();
        let device = Device::gpu(Arc::clone(gpu), UseGpu::On);
        let (bytes, psnr) = encode(&picture, device.clone()).unwrap();
        // A rounding changes a fit by more than 0.2 dB to either side: the mean of four pictures.
        let others = [[96, 80], [112, 72], [120, 88]].map(|[width, height]| {
            let other = self::picture(width, height);
            [&Device::default(), &device].map(|device| encode(&other, device.clone()).unwrap().1)
        });
        let mean = |of: usize, own: f64| others.iter().fold(own, |sum, both| sum + both[of]) / 4.0;
        let (all, all_cpu) = (mean(1, psnr), mean(0, cpu));
        crate::say(&format!("files of the CPU and the GPU: {cpu:.2} {psnr:.2}, {others:.2?} dB"));
        assert!(all > all_cpu - 0.1 && psnr > cpu - 0.6, "{psnr} {cpu} {others:?}");
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

/// Beside a colour a plane of little contrast: its errors count more, and its colours have finer steps.
fn faint_stack(width: u32, height: u32) -> Picture {
    let mut picture = picture(width, height);
    let faint = |i: u32| 0.5 + 0.02 * (0.11 * (i % width) as f32).sin() * (0.09 * (i / width) as f32).cos();
    picture.channels.truncate(3);
    picture.channels.push((0..width * height).map(faint).collect());
    let data = ChannelGroup { transfer: Transfer::Linear, ..ChannelGroup::of(GroupKind::Grey) };
    picture.groups = vec![ChannelGroup::of(GroupKind::Colour), ChannelGroup { name: "faint".into(), ..data }];
    picture
}

#[test]
fn stacks_of_faint_planes_are_fitted_and_drawn_as_on_the_cpu() {
    for gpu in devices().iter().take(1) {
        let device = Device::gpu(Arc::clone(gpu), UseGpu::On);
        // A rounding changes a fit by half a decibel: the mean of four pictures.
        let both = [[96, 64], [96, 80], [112, 72], [120, 88]].map(|[width, height]| {
            let stack = faint_stack(width, height);
            [&Device::default(), &device].map(|device| encode(&stack, device.clone()).unwrap())
        });
        let psnr = both.each_ref().map(|both| both.each_ref().map(|(_, psnr)| *psnr));
        crate::say(&format!("stacks of the CPU and the GPU: {psnr:.2?} dB"));
        let lack = psnr.iter().map(|[cpu, gpu]| cpu - gpu);
        assert!(lack.sum::<f64>() / 4.0 < 0.3, "{psnr:?}");
        let [[_, (bytes, _)], ..] = both;
        let open = || Reader::open(bytes.clone(), ReadOptions::default().threads(2)).unwrap();
        let (here, there) = (open(), open().drawing_on(Arc::clone(gpu), false));
        let [here, there] =
            [&here, &there].map(|reader| ImageReader::new(reader, &reader.asset(None).unwrap()).unwrap());
        assert!(here.descriptor().gains.iter().any(|&gain| gain != 0), "{:?}", here.descriptor().gains);
        for scale in [1.0, 0.4] {
            let (cpu, size) = here.draw(here.whole(), scale, None).unwrap();
            let (gpu, same) = there.draw(here.whole(), scale, None).unwrap();
            assert_eq!((size, cpu.len()), (same, gpu.len()));
            let most = cpu.iter().zip(&gpu).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(most < 1.0 / 255.0, "{scale}: {most}");
        }
    }
}

#[test]
fn a_device_that_fails_is_an_error_or_leaves_it_to_the_cpu() {
    if devices().is_empty() {
        return;
    }
    let picture = picture(64, 48);
    let (here, _) = encode(&picture, Device::default()).unwrap();
    let gpu = Arc::new(Gpu::open(&Options::default()).unwrap());
    gpu.device().destroy();
    let made = encode(&picture, Device::gpu(Arc::clone(&gpu), UseGpu::On));
    assert!(matches!(made, Err(EncodeError::Gpu(_))), "{made:?}");
    let device = Device::gpu(Arc::clone(&gpu), UseGpu::Auto);
    assert!(encode(&picture, device.clone()).unwrap().0 == here);
    assert!(device.failure().is_some() && device.name().is_none());
    // A driver that is a program on the CPU is not taken unless that is asked for.
    if devices()[0].info().is_cpu {
        let device = Device::new(UseGpu::Auto);
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

/// A texture of two mip levels and two layers, that kernels write and tests read.
fn texture(gpu: &Gpu, format: wgpu::TextureFormat, usage: wgpu::TextureUsages) -> wgpu::Texture {
    gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width: 256, height: 192, depth_or_array_layers: 2 },
        mip_level_count: 2,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    })
}

/// Texels of a part of a texture's second mip level and layer, red, green, blue and alpha of each as it is sampled.
fn texels(gpu: &Gpu, texture: &wgpu::Texture, [x, y]: [u32; 2], [width, height]: [u32; 2]) -> Vec<[f32; 4]> {
    let bytes = texture.format().block_copy_size(None).unwrap();
    let row = (width * bytes).next_multiple_of(256);
    let buffer = gpu.buffer(u64::from(row * height)).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    encoder.copy_texture_to_buffer(
        wgpu::TexelCopyTextureInfo {
            texture,
            mip_level: 1,
            origin: wgpu::Origin3d { x, y, z: 1 },
            aspect: wgpu::TextureAspect::All,
        },
        wgpu::TexelCopyBufferInfo {
            buffer: buffer.wgpu(),
            layout: wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None },
        },
        wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
    );
    gpu.queue().submit([encoder.finish()]);
    let all = gpu.download(&buffer, 0..u64::from(row * height)).unwrap();
    let rows = all.chunks_exact(row as usize).map(|row| &row[..(width * bytes) as usize]);
    let texel = |texel: &[u8]| {
        std::array::from_fn(|c| match bytes {
            4 => f32::from(texel[c]) / 255.0,
            8 => half(u16::from_le_bytes([texel[2 * c], texel[2 * c + 1]])),
            _ => f32::from_le_bytes(texel[4 * c..][..4].try_into().unwrap()),
        })
    };
    rows.flat_map(|row| row.chunks_exact(bytes as usize).map(texel).collect::<Vec<_>>()).collect()
}

/// A half float that is a number.
fn half(bits: u16) -> f32 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023) / 1024.0);
    let size =
        if exponent == 0 { mantissa * 2f32.powi(-14) } else { (1.0 + mantissa) * 2f32.powi(exponent - 15) };
    if bits >> 15 == 0 { size } else { -size }
}

#[test]
fn textures_hold_what_the_cpu_draws() {
    use wgpu::{TextureFormat as F, TextureUsages as U};
    let picture = picture(112, 80);
    for gpu in devices().iter().take(1) {
        let (bytes, _) = encode(&picture, Device::default()).unwrap();
        let reader = Reader::open(bytes, ReadOptions::default().threads(2)).unwrap();
        let image = ImageReader::new(&reader, &reader.asset(None).unwrap()).unwrap();
        let scene = image.scene(image.whole(), 1.0, None).unwrap().on_gpu(gpu).unwrap();
        let (region, at, of) =
            (Region { x: 9, y: 3, width: 90, height: 70 }, [17, 5], (image.descriptor(), 0));
        let view = View::of_region(region.x, region.y, region.width, region.height);
        let (drawn, size) = image.draw(region, 1.0, None).unwrap();
        assert_eq!(size, [90, 70]);
        for (format, is_light, most) in
            [(F::Rgba8Unorm, false, 1.01 / 255.0), (F::Rgba16Float, true, 2e-3), (F::Rgba32Float, true, 1e-3)]
        {
            let texture = texture(gpu, format, U::STORAGE_BINDING | U::COPY_SRC | U::TEXTURE_BINDING);
            let place = || Target::new(&texture).mip(1).layer(1).at(at[0], at[1]);
            scene.draw_texture(&view, of, reader.limits(), &place()).unwrap();
            for (texel, pixel) in texels(gpu, &texture, at, [90, 70]).iter().zip(drawn.chunks_exact(4)) {
                let light = |v: f32| if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
                let wanted = |c: usize| if is_light && c < 3 { light(pixel[c]) } else { pixel[c] };
                // Where almost nothing is seen colours are not what counts.
                let apart =
                    |c: usize| (texel[c] - wanted(c)).abs() * if c < 3 { pixel[3].min(1.0) } else { 1.0 };
                let worst = (0..4).map(apart).fold(0.0, f32::max);
                assert!(worst < most, "{format:?}: {texel:?} {pixel:?}");
            }
            assert!(texels(gpu, &texture, [0, 0], [17, 96]).iter().all(|t| *t == [0.0; 4]), "beside it");
            // What does not fit, and groups that there are not.
            for place in [place().at(39, 5), place().at(u32::MAX, 0), place().mip(2), place().layer(2)] {
                assert!(scene.draw_texture(&view, of, reader.limits(), &place).is_err(), "{place:?}");
            }
            assert!(scene.draw_texture(&view, (image.descriptor(), 1), reader.limits(), &place()).is_err());
        }
        for (format, usage) in [(F::Rgba8Unorm, U::COPY_DST), (F::Rgba8Snorm, U::STORAGE_BINDING)] {
            let texture = texture(gpu, format, usage);
            assert!(scene.draw_texture(&view, of, reader.limits(), &Target::new(&texture)).is_err());
        }
    }
}
