//! The kernels on whatever adapter there is; without one nothing is tested here.

use super::{Fit, Form, Moves, Picture, Plan, Scene, View};
use crate::{Gpu, GpuError, Options};

fn device() -> Option<Gpu> {
    match Gpu::open(&Options::default()) {
        Ok(gpu) => Some(gpu),
        Err(e) => {
            assert!(std::env::var_os("MCODEC_REQUIRE_GPU").is_none(), "MCODEC_REQUIRE_GPU is set: {e}");
            None
        }
    }
}

/// A picture of a few soft shapes.
fn planes(width: usize, height: usize, channels: usize) -> Vec<f32> {
    let value = |c: usize, x: f32, y: f32| {
        let wave = (x * 0.13 + c as f32).sin() * (y * 0.09).cos() * 0.3 + 0.5;
        if (x - 30.0).hypot(y - 40.0) < 15.0 { 1.0 - wave } else { wave }
    };
    let pixels = (0..channels).flat_map(|c| (0..width * height).map(move |at| (c, at)));
    pixels.map(|(c, at)| value(c, (at % width) as f32, (at / width) as f32)).collect()
}

#[test]
fn a_picture_is_fitted_without_reading_back() {
    let Some(gpu) = device() else { return };
    for (channels, is_weighted) in [(3, false), (1, true)] {
        let (width, height) = (100, 75);
        let planes = planes(width, height, channels);
        let importance: Vec<f32> = (0..width * height).map(|at| 0.5 + (at % 3) as f32).collect();
        let mean = vec![0.5; channels];
        let importance = is_weighted.then_some(&importance[..]);
        let picture = Picture { width, height, planes: &planes, mean: &mean, importance };
        let steps = 60;
        let rates = vec![1.0; steps];
        let fitted = || {
            let plan = Plan {
                values: &[],
                frozen: 0,
                room: 60,
                most_moved: 30,
                rates: &rates,
                gains: &[],
                prefixes: &[],
            };
            let fit = Fit::new(&gpu, &picture, &plan).unwrap();
            let before = gpu.maps();
            for step in 0..steps {
                if step < 20 && step % 5 == 0 {
                    fit.grow(15 * (1 + step / 5)).unwrap();
                }
                if step == 30 {
                    fit.relocate(Moves { part: 0.05, trust: 0.5 }).unwrap();
                }
                fit.step().unwrap();
            }
            let out = fit.finish().unwrap();
            assert_eq!(gpu.maps(), before + 1);
            out
        };
        let (values, error) = fitted();
        let psnr = 10.0 * ((width * height * channels) as f64 / error).log10();
        assert_eq!(values.len(), 60 * (5 + channels));
        assert!(values.iter().all(|v| v.is_finite()));
        assert!(psnr > 24.0, "{channels}: {psnr}");
        assert_eq!(fitted(), (values, error), "the same again");
    }
}

/// Prints how long growth, steps and relocation of a fit take, and each kernel of them. `MCODEC_TIMES`: side of the picture, and Gaussians.
#[test]
#[ignore = "prints times"]
fn times() {
    let Some(gpu) = device() else { return };
    let wanted = std::env::var("MCODEC_TIMES").unwrap_or_else(|_| "256,500".into());
    let (side, room) = wanted.split_once(',').expect("a side and a number of Gaussians");
    let (side, room): (usize, usize) = (side.parse().unwrap(), room.parse().unwrap());
    let planes = planes(side, side, 3);
    let picture = Picture { width: side, height: side, planes: &planes, mean: &[0.5; 3], importance: None };
    let rates = vec![1.0; 1000];
    let (most_moved, gains, prefixes) = (room, &[], &[]);
    let plan = Plan { values: &[], frozen: 0, room, most_moved, rates: &rates, gains, prefixes };
    let fit = Fit::new(&gpu, &picture, &plan).unwrap();
    let time = |what: &str, runs: usize, run: &dyn Fn(usize)| {
        let start = std::time::Instant::now();
        (0..runs).for_each(run);
        gpu.wait().unwrap();
        println!("{what:24} {:9.1} us", 1e6 * start.elapsed().as_secs_f64() / runs as f64);
    };
    println!("{}: {side} x {side}, {room} Gaussians", gpu.info().name);
    time("first growth", 1, &|_| fit.grow(room / 8).unwrap());
    time("growth", 8, &|i| fit.grow(room * (i + 1) / 8).unwrap());
    time("steps", 50, &|_| fit.step().unwrap());
    time("steps", 50, &|_| fit.step().unwrap());
    time("relocation", 4, &|_| fit.relocate(Moves { part: 0.05, trust: 0.5 }).unwrap());
    for (name, seconds) in fit.times(20) {
        println!("  {name:22} {:9.1} us", 1e6 * seconds);
    }
}

#[test]
fn unsound_input_is_refused() {
    let Some(gpu) = device() else { return };
    let form = Form { centre: [1.0, 1.0], covariance: [1.0, 0.0, 1.0], determinant: 1.0, padding: [0.0; 2] };
    for bad in [
        Form { centre: [f32::NAN, 1.0], ..form },
        Form { covariance: [0.0, 0.0, 1.0], ..form },
        Form { covariance: [1.0, 0.0, f32::INFINITY], ..form },
        Form { determinant: 0.0, ..form },
    ] {
        let result = Scene::new(&gpu, &[0.5], &[bad], &[0.5]).map(drop);
        assert!(matches!(result, Err(GpuError::Input(_))), "{bad:?}");
    }
    assert!(Scene::new(&gpu, &[], &[], &[]).is_err() && Scene::new(&gpu, &[0.5], &[form], &[]).is_err());
    let scene = Scene::new(&gpu, &[0.5], &[form], &[1.0]).unwrap();
    let view = View { across: vec![0.5, 1.5], down: vec![0.5], widening: [0.0; 2] };
    assert!(scene.draw(&view, &gpu.buffer(4).unwrap()).is_err());
    assert!(scene.draw(&View { down: Vec::new(), ..view.clone() }, &gpu.buffer(8).unwrap()).is_err());
    let out = gpu.buffer(8).unwrap();
    scene.draw(&view, &out).unwrap();
    assert_ne!(gpu.download(&out, 0..8).unwrap(), [0; 8]);
}
