//! Fits Gaussians to a PNG and refines them: `cargo run --release -p mcodec-encode --example gaussian_fit -- IMAGE.png GAUSSIANS STEPS SWEEPS KEEP`.
//! Of GAUSSIANS fitted KEEP are kept. Prints PSNR (dB) and seconds of each stage.

use std::ops::ControlFlow;
use std::time::Instant;

use mcodec_coding::gaussians::{CHROMA_FACTOR, Constants, PLAIN_FACTOR, Quantiser};
use mcodec_encode::gaussians::{
    Cloud, FitOptions, RefineOptions, Target, fit, opponent_planes, quantise, refine,
};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |i: usize| arguments[i].parse::<usize>().expect("a number");
    let (width, height, rgb) = read(&arguments[1]);
    let target = target_of(width, height, &rgb);
    let start = Instant::now();
    let options = FitOptions { gaussians: number(2), steps: number(3) };
    let fitted = fit(&target, &options, &Cloud::new(3), &mut |_| ControlFlow::Continue(()));
    println!("fit: {:.2} dB, {:.2} s", fitted.psnr, start.elapsed().as_secs_f64());
    let start = Instant::now();
    let quantiser = Quantiser::new(Constants::LOW_RATE, &[PLAIN_FACTOR, CHROMA_FACTOR, CHROMA_FACTOR]);
    let mut set = quantise(&fitted.cloud, &quantiser);
    let options = RefineOptions { sweeps: number(4), frozen: 0, relocations: 0, keep: number(5) };
    let refined = refine(&target, &quantiser, &mut set, &options, &mut |p| {
        println!("  sweep {}: {:.2} dB, {:.2} s", p.done, p.psnr, start.elapsed().as_secs_f64());
        ControlFlow::Continue(())
    });
    let (before, after) = (target.psnr(refined.before), target.psnr(refined.after));
    println!("refine: {before:.2} -> {after:.2} dB, {:.2} s", start.elapsed().as_secs_f64());
}

fn target_of(width: usize, height: usize, rgb: &[f32]) -> Target {
    let planes = opponent_planes(rgb);
    let pixels = width * height;
    let mean = |plane: &[f32]| {
        let mean = plane.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels as f64;
        (mean * 100.0).round() as f32 / 100.0
    };
    let mean = planes.chunks_exact(pixels).map(mean).collect();
    Target { width, height, planes, mean, importance: None }
}

fn read(path: &str) -> (usize, usize, Vec<f32>) {
    let mut decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).expect("opens")));
    decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().expect("a PNG");
    let mut bytes = vec![0; reader.output_buffer_size().expect("fits")];
    let info = reader.next_frame(&mut bytes).expect("a picture");
    let samples = info.color_type.samples();
    let grey = samples < 3;
    let pixels = bytes[..info.buffer_size()].chunks_exact(samples);
    let rgb = pixels.flat_map(|p| if grey { [p[0]; 3] } else { [p[0], p[1], p[2]] });
    (info.width as usize, info.height as usize, rgb.map(|b| f32::from(b) / 255.0).collect())
}
