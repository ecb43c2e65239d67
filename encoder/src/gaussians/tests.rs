//! The fit and the descent as wholes.

use std::ops::ControlFlow;

use mcodec_coding::gaussians::{CHROMA_FACTOR, Constants, GaussianSet, PLAIN_FACTOR, Quantiser};
use mcodec_decode::gaussians::{Scene, View};
use mcodec_format::Limits;

use super::target::opponent_planes;
use super::{
    Cloud, FitOptions, RefineOptions, Target, dequantise, fit, fit_prefixes, plane_errors, quantise, refine,
};

/// A smooth picture with a few edges.
fn picture(width: usize, height: usize) -> Target {
    let rgb = |i: usize| {
        let (x, y) = ((i % width) as f32 / width as f32, (i / width) as f32 / height as f32);
        let disc = if (x - 0.4).hypot(y - 0.5) < 0.25 { 0.6 } else { 0.0 };
        let bar = if (x + 0.5 * y - 0.9).abs() < 0.03 { 0.4 } else { 0.0 };
        [0.2 + disc, 0.3 * x + 0.5 * disc + bar, 0.5 * y + 0.2 * (9.0 * x).sin().abs()]
    };
    let channel = |c: usize| (0..width * height).map(|i| rgb(i)[c]).collect::<Vec<f32>>();
    let [r, g, b] = [channel(0), channel(1), channel(2)];
    let planes = opponent_planes([&r, &g, &b]);
    Target::new(width, height, planes, None)
}

fn quantiser() -> Quantiser {
    Quantiser::new(Constants::LOW_RATE, &[PLAIN_FACTOR, CHROMA_FACTOR, CHROMA_FACTOR])
}

fn made(target: &Target, gaussians: usize, steps: usize, sweeps: usize) -> (Cloud, GaussianSet, f64) {
    let go_on = &mut |_| ControlFlow::Continue(());
    let fitted = fit(target, &FitOptions { gaussians, steps }, &Cloud::new(3), go_on);
    let mut set = quantise(&fitted.cloud, &quantiser());
    let refined = refine(
        target,
        &quantiser(),
        &mut set,
        &RefineOptions { sweeps, frozen: 0, keep: usize::MAX, prefixes: &[], beneath: &[], pricing: None },
        go_on,
    );
    assert!(refined.after <= refined.before);
    (fitted.cloud, set, refined.after)
}

#[test]
fn any_number_of_threads_gives_the_same() {
    let target = picture(100, 75);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| made(&target, 80, 60, 2))
    };
    let one = with(1);
    assert!(one == with(2) && one == with(8));
}

#[test]
fn descent_knows_the_error_that_the_decoder_makes() {
    // An odd size too: the grids of positions do not fit into it.
    for (size, wraps) in [((100, 75), [false; 2]), ((100, 75), [true; 2]), ((64, 40), [false, true])] {
        check_error(&picture(size.0, size.1).repeating(wraps));
    }
}

fn check_error(target: &Target) {
    let (_, set, error) = made(target, 120, 100, 3);
    assert!(target.psnr(error) > 25.0, "{} dB", target.psnr(error));
    let mut scene = Scene::new(target.mean.clone()).unwrap();
    scene.add(&quantiser(), &set).unwrap();
    let size = [target.width as u32, target.height as u32];
    scene.repeat(size, target.wraps, 0.0).unwrap();
    let drawn = scene.render(&View::of_region(0, 0, size[0], size[1]), &Limits::default()).unwrap();
    let off = |(i, &value): (usize, &f32)| f64::from(value - target.plane(i % 3)[i / 3]).powi(2);
    let real: f64 = drawn.iter().enumerate().map(off).sum();
    assert!((real / error - 1.0).abs() < 1e-3, "{real} {error}");
}

#[test]
fn frozen_gaussians_stay_and_the_rest_builds_on_them() {
    let target = picture(100, 75);
    let (_, first, alone) = made(&target, 60, 60, 2);
    let go_on = &mut |_| ControlFlow::Continue(());
    let frozen = dequantise(&first, &quantiser());
    let fitted = fit(&target, &FitOptions { gaussians: 120, steps: 60 }, &frozen, go_on);
    assert_eq!(fitted.cloud.values[..frozen.values.len()], frozen.values);
    let mut set = quantise(&fitted.cloud, &quantiser());
    assert_eq!(set.symbols[..60], first.symbols);
    let refined = refine(
        &target,
        &quantiser(),
        &mut set,
        &RefineOptions {
            sweeps: 2,
            frozen: 60,
            keep: usize::MAX,
            prefixes: &[],
            beneath: &[],
            pricing: None,
        },
        go_on,
    );
    assert_eq!((&set.symbols[..60], &set.colours[..180]), (&first.symbols[..], &first.colours[..]));
    assert!(target.psnr(refined.after) > target.psnr(alone) + 1.0);
}

#[test]
fn a_fit_can_be_stopped_and_gives_what_it_has() {
    let target = picture(64, 48);
    let mut seen = 0;
    let options = FitOptions { gaussians: 40, steps: 100 };
    let fitted = fit(&target, &options, &Cloud::new(3), &mut |p| {
        seen = p.done;
        if p.done == 50 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((seen, fitted.cloud.len()), (50, 40));
}

#[test]
fn levels_that_are_fitted_together_are_better_and_the_same_on_any_threads() {
    let target = picture(100, 75);
    let go_on = &mut |_| ControlFlow::Continue(());
    let first = fit(&target, &FitOptions { gaussians: 50, steps: 100 }, &Cloud::new(3), go_on).cloud;
    let apart = fit(&target, &FitOptions { gaussians: 120, steps: 100 }, &first, go_on).cloud;
    let together = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let prefixes = [(50, 0.5), (120, 1.0)];
        let go_on = &mut |_| ControlFlow::Continue(());
        pool.install(|| fit_prefixes(&target, apart.clone(), (&prefixes, &[]), 100, go_on))
    };
    let one = together(1);
    assert!(one == together(3));
    let psnr = |cloud: Cloud| target.psnr(plane_errors(&target, &cloud).iter().sum());
    let [before, after] = [&apart, &one].map(|cloud| [psnr(cloud.first(50)), psnr(cloud.first(120))]);
    assert!(after[0] > before[0] - 0.1 && after[1] > before[1] + 0.3, "{before:?} {after:?}");
    // Prefixes that have nothing to move.
    for prefixes in [&[(120, 1.0)][..], &[(0, 0.5), (120, 1.0)], &[(120, 0.5), (120, 1.0)]] {
        assert_eq!(fit_prefixes(&target, apart.clone(), (prefixes, &[]), 5, go_on).len(), 120);
    }
}
