//! Pictures of Gaussians drawn on a GPU are those of the CPU.

use crate::devices;
use mcodec_decode::gaussians::{Scene, Splat, View};
use mcodec_format::Limits;

/// A number from 0 to 1 that depends on nothing but `i`.
pub fn wave(i: usize) -> f32 {
    (i as f32 * 12.9898).sin().abs()
}

fn scene(planes: usize, count: usize) -> Scene {
    let mut scene = Scene::new((0..planes).map(|p| 0.1 * p as f32).collect()).unwrap();
    for i in 0..count {
        let sigma = [0.5 + 40.0 * wave(i).powi(6), 0.5 + 8.0 * wave(i + 1).powi(2)];
        let splat = Splat { x: 150.0 * wave(2 * i), y: 110.0 * wave(3 * i), sigma, angle: i as f32 };
        let colours: Vec<f32> = (0..planes).map(|p| wave(5 * i + p)).collect();
        scene.push(splat, &colours).unwrap();
    }
    scene
}

fn most_apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn views_at_all_scales_are_those_of_the_cpu() {
    let limits = Limits::default();
    for gpu in devices().iter().take(1) {
        for planes in [1, 3, 4, 12] {
            let scene = scene(planes, 700);
            let there = scene.on_gpu(gpu).unwrap();
            for scale in [0.07, 0.25, 0.5, 1.0, 2.0, 3.7] {
                for (x, y, width, height) in
                    [(0, 0, 150, 110), (3, 5, 130, 33), (149, 109, 1, 1), (17, 0, 40, 110)]
                {
                    let view = View::scaled(x, y, width, height, scale);
                    let cpu = scene.render(&view, &limits).unwrap();
                    let apart = most_apart(&cpu, &there.render(&view, &limits).unwrap());
                    assert!(apart < 1e-4, "{planes} planes, {scale}, {x} {y}: {apart}");
                }
            }
        }
    }
}

/// More Gaussians than one pass draws, and none at all.
#[test]
fn any_number_is_drawn() {
    let limits = Limits::default();
    for gpu in devices().iter().take(1) {
        for count in [0, 1, 140_000] {
            let mut scene = Scene::new(vec![0.5, 0.25]).unwrap();
            for i in 0..count {
                let splat =
                    Splat { x: 90.0 * wave(2 * i), y: 70.0 * wave(3 * i), sigma: [0.5, 0.4], angle: 0.0 };
                scene.push(splat, &[wave(i), wave(i + 7)]).unwrap();
            }
            let view = View::of_region(0, 0, 90, 70);
            let cpu = scene.render(&view, &limits).unwrap();
            let apart = most_apart(&cpu, &scene.on_gpu(gpu).unwrap().render(&view, &limits).unwrap());
            assert!(apart < 1e-4, "{count}: {apart}");
        }
    }
}

#[test]
fn hostile_gaussians_are_refused_or_bounded() {
    let limits = Limits::default();
    for gpu in devices().iter().take(1) {
        let mut scene = Scene::new(vec![0.5]).unwrap();
        let one = Splat { x: 1.0, y: 1.0, sigma: [1.0, 1.0], angle: 0.0 };
        // A million on one pixel; and forms at the ends of what is sound.
        for _ in 0..1_000_000 {
            scene.push(one, &[0.25]).unwrap();
        }
        for sigma in [[1e-2, 1e-2], [1e5, 1e-2], [1e5, 1e5]] {
            scene.push(Splat { sigma, angle: 0.7, ..one }, &[0.25]).unwrap();
        }
        let view = View::of_region(0, 0, 8, 8);
        let picture = scene.on_gpu(gpu).unwrap().render(&view, &limits).unwrap();
        assert!(most_apart(&picture, &scene.render(&view, &limits).unwrap()) < 1.0 / 255.0);
        // Too many for a large view: the same error as the CPU's.
        for _ in 0..20_000 {
            scene.push(Splat { sigma: [1e5, 1e5], ..one }, &[0.25]).unwrap();
        }
        let view = View::of_region(0, 0, 2048, 2048);
        let there = scene.on_gpu(gpu).unwrap().render(&view, &limits).unwrap_err();
        assert_eq!(there.to_string(), scene.render(&view, &limits).unwrap_err().to_string());
        for (width, height) in [(0, 64), (1 << 31, 1 << 31)] {
            let view = View::of_region(0, 0, width, height);
            assert!(scene.on_gpu(gpu).unwrap().render(&view, &limits).is_err());
        }
    }
}
