//! dev only: `dev_rates LEVELS RATES IMAGE...`
use mcodec_encode::images::import::read_picture;
use mcodec_encode::images::{EncodedImage, ImageOptions, Rate, encode_picture};
use mcodec_encode::EncodeOptions;
use std::path::Path;
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [levels, rates, images @ ..] = &arguments[..] else { panic!() };
    let levels: usize = levels.parse().unwrap();
    let effort = std::env::var("EFFORT").map_or(5, |e| e.parse().unwrap());
    let mut sums = vec![];
    for path in images {
        let picture = read_picture(Path::new(path)).unwrap().picture;
        for (r, rate) in rates.split(',').enumerate() {
            let (image, rate) = if let Some(n) = rate.strip_prefix('n') {
                (Rate::Gaussians(n.parse().unwrap()), 0.0)
            } else {
                (Rate::BitsPerPixel(rate.parse().unwrap()), rate.parse::<f64>().unwrap())
            };
            let image = ImageOptions { rate: image, levels: Some(levels), ..ImageOptions::default() };
            let mut options = EncodeOptions::default(); options.effort = effort;
            let start = std::time::Instant::now();
            let made: EncodedImage = encode_picture(&picture, &image, &options, &|_, layers| {
                Ok(layers.iter().map(|l| l.byte_len()).sum::<u64>() + 330 + 90 * (layers.len() as u64 - 1))
            })
            .unwrap();
            let bytes: Vec<u64> = made.layers.iter().map(|l| l.byte_len()).collect();
            let counts: Vec<usize> =
                made.layers.iter().map(|l| l.sets.iter().flatten().map(|s| s.symbols.len()).sum()).collect();
            let each: Vec<String> =
                bytes.iter().zip(&counts).map(|(&b, &n)| format!("{:.2}", b as f64 * 8.0 / n as f64)).collect();
            println!(
                "{} {rate} {:.3} dB bytes {bytes:?} n {counts:?} b/G {each:?} {:.1} s",
                Path::new(path).file_stem().unwrap().to_string_lossy(),
                made.psnr,
                start.elapsed().as_secs_f64()
            );
            if sums.len() <= r { sums.push((0.0, 0)); }
            sums[r].0 += made.psnr;
            sums[r].1 += bytes.iter().sum::<u64>();
        }
    }
    for (psnr, bytes) in sums { println!("mean {:.3} dB {} bytes", psnr / images.len() as f64, bytes as usize / images.len()); }
}
