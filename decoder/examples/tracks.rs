//! How fast tracks are decoded from a file in memory, on one thread: `tracks FILE REPETITIONS ASSET...`, for measurements of what
//! reading adds to the coder alone (`grids`, of the coding crate).

use mcodec_decode::latents::{TrackPart, read_track_to};
use mcodec_decode::{ReadOptions, Reader};
use mcodec_format::registry::entry::TENSOR;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, repetitions, assets @ ..] = &arguments[..] else {
        return Err("tracks FILE REPETITIONS ASSET...".into());
    };
    let file = std::fs::read(file)?;
    let mut out = vec![Vec::new(); assets.len()];
    let mut times = Vec::new();
    for _ in 0..repetitions.parse::<usize>()?.max(1) {
        let before = Instant::now();
        let reader = Reader::open(&file[..], ReadOptions::default().threads(1))?;
        for (name, out) in assets.iter().zip(&mut out) {
            let entry = reader.entry(name, TENSOR, name)?;
            read_track_to(&reader, &entry, &TrackPart::default(), out)?;
        }
        times.push(before.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let megabytes = out.iter().map(Vec::len).sum::<usize>() as f64 / 1e6;
    println!(
        "{:.1} MB/s, the median; {:.1}, the best",
        megabytes / times[times.len() / 2],
        megabytes / times[0]
    );
    Ok(())
}
