//! Pictures fitted on a GPU are as good as those of the CPU, and nothing is read back meanwhile.

use crate::devices;
use mcodec_coding::gaussians::{Constants, GaussianSet, Image, Quantiser, Role};
use mcodec_decode::gpu::{Gpu, Options};
use mcodec_encode::gaussians::{
    Cloud, FitOptions, Paging, Pricing, Progress, RefineOptions, Target, dequantise, fit, fit_on,
    fit_prefixes, fit_prefixes_on, quantise, refine, refine_on,
};
use std::ops::ControlFlow;

/// A picture with edges, shades and texture: three planes whose values span about 1.
fn target(side: usize, weighted: bool) -> Target {
    let value = |c: usize, x: f32, y: f32| {
        let shade = 0.5 + 0.3 * (x * 0.021 + c as f32).sin() * (y * 0.033).cos();
        let disc = |at: (f32, f32), r: f32| (x - at.0).hypot(y - at.1) < r;
        let texture = 0.06 * (x * 0.9 + y * 0.35).sin() * (y * 0.7 - x * 0.2).sin();
        let mut v = if disc((70.0, 90.0), 40.0) { 0.9 - shade * 0.5 } else { shade };
        if disc((180.0, 60.0), 25.0) || (x + 0.6 * y - 260.0).abs() < 6.0 {
            v = 0.2 + 0.1 * c as f32;
        }
        if x > 120.0 && y > 140.0 { v + texture } else { v }
    };
    let pixels = (0..3).flat_map(|c| (0..side * side).map(move |at| (c, at)));
    let planes = pixels.map(|(c, at)| value(c, (at % side) as f32, (at / side) as f32)).collect();
    let importance = (0..side * side).map(|at| if at % side < side / 3 { 2.0 } else { 0.5 }).collect();
    Target::new(side, side, planes, weighted.then_some(importance))
}

/// Noise of all scales as photographs have it, and things with edges before it.
fn natural(side: usize) -> Target {
    let lattice = |x: usize, y: usize, seed: usize| {
        let word = (x * 73_856_093) ^ (y * 19_349_663) ^ (seed * 83_492_791);
        ((word as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1u32 << 24) as f32
    };
    let noise = |x: usize, y: usize, cell: usize, seed: usize| {
        let (i, j) = (x / cell, y / cell);
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let [u, v] = [x % cell, y % cell].map(|at| smooth(at as f32 / cell as f32));
        let row = |j: usize| lattice(i, j, seed) * (1.0 - u) + lattice(i + 1, j, seed) * u;
        row(j) * (1.0 - v) + row(j + 1) * v
    };
    let octaves = |x: usize, y: usize, seed: usize| {
        (0..6).map(|o| 0.45f32.powi(o) * (noise(x, y, 96 >> o, seed + o as usize) - 0.5)).sum::<f32>()
    };
    let value = |c: usize, x: usize, y: usize| {
        let thing = octaves(x, y, 40) > 0.12;
        let shade = octaves(x, y, if thing { 50 } else { 60 });
        0.5 + 0.6 * shade + 0.12 * octaves(x, y, 70 + 10 * c) + if thing { 0.2 } else { 0.0 }
    };
    let pixels = (0..3).flat_map(|c| (0..side * side).map(move |at| (c, at)));
    let planes = pixels.map(|(c, at)| value(c, at % side, at / side)).collect();
    Target::new(side, side, planes, None)
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A device of a test's own, so that nobody else's maps are counted.
fn own_device() -> Option<Gpu> {
    (!devices().is_empty()).then(|| Gpu::open(&Options::default()).expect("it opened before"))
}

/// The bar: 256 x 256 pixels and 500 Gaussians within 0.1 dB. What growth picks first decides what it picks later, so a rounding changes a fit by
/// 0.2 dB to either side, on the CPU too: the mean of three fits is compared.
#[test]
fn fits_are_as_good_as_those_of_the_cpu() {
    if let Some(gpu) = &own_device() {
        let target = natural(256);
        let image = image_of();
        let pricing = Pricing { image: &image, size: [256, 256], paging: Paging::Whole, strength: 1.0 };
        let (mut fitted, mut refined) = ([0.0; 2], [0.0; 2]);
        for gaussians in [490, 500, 510] {
            let options = FitOptions { gaussians, steps: 200 };
            let here = fit(&target, &options, &Cloud::new(3), &mut go_on);
            let maps = gpu.maps();
            let there = fit_on(gpu, &target, &options, &Cloud::new(3), &mut go_on).unwrap();
            let maps = gpu.maps() - maps;
            assert!(maps <= options.steps as u64 / 100, "{maps} maps in {} steps", options.steps);
            assert_eq!((here.cloud.len(), there.cloud.len()), (gaussians, gaussians));
            fitted = [fitted[0] + here.psnr / 3.0, fitted[1] + there.psnr / 3.0];
            // And refined: the one wholly here, the other wholly there.
            let (keep, pricing) = (gaussians - 20, Some(&pricing));
            let options = RefineOptions { sweeps: 3, frozen: 0, keep, prefixes: &[], beneath: &[], pricing };
            let mut sets = [&here.cloud, &there.cloud].map(|cloud| quantise(cloud, &image.quantiser));
            let cpu = refine(&target, &image.quantiser, &mut sets[0], &options, &mut go_on);
            let on_gpu =
                refine_on(gpu, &target, &image.quantiser, &mut sets[1], &options, &mut go_on).unwrap();
            let [cpu, on_gpu] = [cpu.after, on_gpu.after].map(|error| target.psnr(error));
            refined = [refined[0] + cpu / 3.0, refined[1] + on_gpu / 3.0];
        }
        crate::say(&format!(
            "fits on the CPU and on {}: {fitted:.2?} dB, refined {refined:.2?} dB",
            gpu.info()
        ));
        assert!(fitted[1] > fitted[0] - 0.1, "{fitted:?}");
        assert!(refined[1] > refined[0] - 0.1, "{refined:?}");
    }
}

/// How it is coded.
fn image_of() -> Image {
    Image {
        quantiser: Quantiser::new(Constants::LOW_RATE, &[60, 78, 78]),
        roles: vec![Role::Luma, Role::BlueRed, Role::GreenMagenta],
    }
}

/// Frozen Gaussians, importance, prefixes with their relocations, a stop before the end, and the same again.
#[test]
fn layers_are_fitted_too() {
    for gpu in devices().iter().take(1) {
        let target = target(96, true);
        let options = FitOptions { gaussians: 60, steps: 80 };
        let first = fit(&target, &options, &Cloud::new(3), &mut go_on).cloud;
        let options = FitOptions { gaussians: 130, steps: 80 };
        let here = fit(&target, &options, &first, &mut go_on);
        let there = fit_on(gpu, &target, &options, &first, &mut go_on).unwrap();
        assert_eq!(there.cloud.first(60), first, "frozen ones stay");
        assert!(there.psnr > here.psnr - 0.3, "{} {}", there.psnr, here.psnr);
        let again = fit_on(gpu, &target, &options, &first, &mut go_on).unwrap();
        assert_eq!(again.cloud, there.cloud, "the same each time");
        let prefixes = [(60, 0.3), (here.cloud.len(), 1.0)];
        let cpu = fit_prefixes(&target, here.cloud.clone(), (&prefixes, &[]), 30, &mut go_on);
        let gpu_cloud = fit_prefixes_on(gpu, &target, &here.cloud, &prefixes, 30, &mut go_on).unwrap();
        let again = fit_prefixes_on(gpu, &target, &here.cloud, &prefixes, 30, &mut go_on).unwrap();
        assert_eq!(again, gpu_cloud, "the same each time");
        let psnr = |cloud: &Cloud| {
            let one = FitOptions { gaussians: cloud.len(), steps: 1 };
            fit(&target, &one, cloud, &mut go_on).psnr
        };
        for end in [60, cpu.len()] {
            let (cpu, there) = (psnr(&cpu.first(end)), psnr(&gpu_cloud.first(end)));
            assert!((cpu - there).abs() < 0.1, "{end}: {cpu} {there}");
        }
        let mut stop = |progress: Progress| {
            if progress.done == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let stopped = fit_on(gpu, &target, &options, &first, &mut stop).unwrap();
        assert!(stopped.cloud.len() > 60);
    }
}

/// The descent after the fit, with what bits cost, and two pictures at once.
#[test]
fn descents_are_as_good_as_those_of_the_cpu() {
    if let Some(gpu) = &own_device() {
        let target = target(128, true);
        let image = image_of();
        let pricing = Pricing { image: &image, size: [128, 128], paging: Paging::Whole, strength: 1.0 };
        // The CPU tries fewer moves, by the gradient, which only the device has: single descents part, in the mean they do not.
        let mut means = [0.0; 2];
        let cases =
            [(&[][..], Some(&pricing), 0), (&[(100, 0.3)][..], Some(&pricing), 0), (&[][..], None, 50)];
        for ((prefixes, pricing, frozen), gaussians) in cases.into_iter().zip([206, 210, 214]) {
            let cloud = fit(&target, &FitOptions { gaussians, steps: 100 }, &Cloud::new(3), &mut go_on).cloud;
            let start = quantise(&cloud, &image.quantiser);
            let options = RefineOptions { sweeps: 5, frozen, keep: 200, prefixes, beneath: &[], pricing };
            let (mut here, mut there) = (start.clone(), start.clone());
            let cpu = refine(&target, &image.quantiser, &mut here, &options, &mut go_on);
            let maps = gpu.maps();
            let on_gpu = refine_on(gpu, &target, &image.quantiser, &mut there, &options, &mut go_on).unwrap();
            assert_eq!(gpu.maps() - maps, on_gpu.sweeps as u64, "one map in a sweep");
            assert_eq!(there.symbols.len(), 200);
            assert_eq!(there.symbols[..frozen], start.symbols[..frozen]);
            assert_eq!(cpu.ends, on_gpu.ends);
            assert!((cpu.before / on_gpu.before - 1.0).abs() < 1e-3, "{cpu:?} {on_gpu:?}");
            // What it says is what is there.
            let psnr = |set: &GaussianSet| {
                let cloud = dequantise(set, &image.quantiser);
                let options = FitOptions { gaussians: cloud.len(), steps: 1 };
                fit(&target, &options, &cloud, &mut go_on).psnr
            };
            let both = [psnr(&here), psnr(&there)];
            eprintln!("{gaussians} Gaussians: {both:?} dB");
            assert!((both[1] - target.psnr(on_gpu.after)).abs() < 0.01);
            assert!(both[1] > both[0] - 0.4, "{both:?}");
            means = [means[0] + both[0] / 3.0, means[1] + both[1] / 3.0];
            let mut again = start.clone();
            refine_on(gpu, &target, &image.quantiser, &mut again, &options, &mut go_on).unwrap();
            assert_eq!(again, there, "the same each time");
        }
        assert!(means[1] > means[0] - 0.1, "{means:?}");
    }
}
