//! What pages of an image cost in bytes; how long one takes once what is around it is loaded, and a single pixel: on one thread.

use crate::console::{Console, printable};
use crate::outcome::{Outcome, usage};
use crate::picture_options::BenchPages;
use anyhow::Context;
use mcodec_coding::gaussians::GaussianSet;
use mcodec_decode::gaussians::{Sampler, View};
use mcodec_decode::images::{ImageReader, Region, page_grid};
use mcodec_decode::{ReadOptions, Reader};
use mcodec_encode::images::{CodedLayer, Profile, code_layer};
use mcodec_format::registry;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The head of the table.
const HEAD: &str = "\
| image | coding | page | coded bytes | as one stream | shared | beside | Gaussians | decode ms | draw ms | both ms | greatest ms | pixel ns |
|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
";
/// What the numbers are.
const METHOD: &str = "\
Coded bytes: all chunks of the image. As one stream: the same Gaussians, each layer as one chunk, and how much more the pages take. Shared: the \
part of the coded bytes in chunks of no page. Beside: index, checksums and all else of the file, in bytes. \
Of each page the best of 7 runs on one thread: its own chunk is decoded, and it is drawn among the Gaussians around it, which are loaded. \
Means over all pages, and the slowest page. A pixel: one of 200000 at random, after the image is loaded.";

/// Times that a page is decoded and drawn; the least counts.
const REPEATS: usize = 7;
/// Pixels that are sampled.
const SAMPLES: usize = 200_000;

/// Measures every image of the files.
pub(crate) fn run(args: &BenchPages, console: &Console) -> anyhow::Result<Outcome> {
    let mut lines = Vec::new();
    for path in &args.files {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let file_len = bytes.len() as u64;
        let reader = Reader::open(bytes, ReadOptions::default().threads(1))?;
        let assets = reader.assets()?;
        let assets = assets.iter().filter(|asset| asset.kind == registry::asset::IMAGE);
        let images = assets.map(|asset| ImageReader::new(&reader, asset)).collect::<Result<Vec<_>, _>>()?;
        let sizes = images.iter().map(sizes).collect::<anyhow::Result<Vec<_>>>()?;
        let beside = file_len.saturating_sub(sizes.iter().map(|sizes| sizes.coded).sum());
        for (image, sizes) in images.iter().zip(&sizes) {
            let cells = [&what(image)[..], &told(sizes, beside), &times(image)?].concat();
            lines.push(format!("| {} |", cells.join(" | ")));
            console.cancel().check()?;
        }
    }
    if lines.is_empty() {
        return Err(usage("there are no images in these files"));
    }
    console.print(&format!("{HEAD}{}\n\n{METHOD}\n", lines.join("\n")))?;
    Ok(Outcome::Done)
}

/// One page's times.
struct Page {
    gaussians: usize,
    decode: Duration,
    draw: Duration,
}

/// Bytes of an image.
struct Sizes {
    /// Its chunks.
    coded: u64,
    /// The same Gaussians, each layer as one chunk.
    one_stream: u64,
    /// Chunks of no page.
    shared: u64,
}

fn sizes(image: &ImageReader<'_, Vec<u8>>) -> anyhow::Result<Sizes> {
    let mut sizes = Sizes { coded: 0, one_stream: 0, shared: 0 };
    let mut below: Vec<CodedLayer> = Vec::new();
    for (at, (entry, layer)) in image.layers().enumerate() {
        let lengths = &entry.row().lengths;
        sizes.coded += lengths.iter().sum::<u64>();
        sizes.shared += layer.page.and(lengths.first().copied()).unwrap_or(0);
        let mut whole = GaussianSet::default();
        for set in image.read_chunks(at, 0..lengths.len() as u64)?.into_iter().flatten() {
            whole.symbols.extend(set.symbols);
            whole.colours.extend(set.colours);
        }
        let coding = (None, Profile::of(layer.chunking.coding));
        let one = code_layer(image.coded(), image.descriptor(), &whole, coding, &below)?;
        sizes.one_stream += one.byte_len();
        below.push(one);
    }
    Ok(sizes)
}

/// Bytes, and those beside all images of the file.
fn told(sizes: &Sizes, beside: u64) -> [String; 4] {
    let of = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    let more = of(sizes.coded, sizes.one_stream) - 100.0;
    let one_stream = format!("{} ({more:+.1}%)", sizes.one_stream);
    let shared = format!("{:.1}%", of(sizes.shared, sizes.coded));
    [sizes.coded.to_string(), one_stream, shared, beside.to_string()]
}

/// Name, coding and side of pages.
fn what(image: &ImageReader<'_, Vec<u8>>) -> [String; 3] {
    let coding = image.layers().next().map_or(0, |(_, layer)| layer.chunking.coding);
    let coding = registry::name_of(&registry::coding::ALL, coding);
    let side = side_of(image).map_or_else(|| "whole".to_owned(), |side| side.to_string());
    [printable(&image.asset().name), coding.unwrap_or("unknown").to_owned(), side]
}

fn side_of(image: &ImageReader<'_, Vec<u8>>) -> Option<u32> {
    image.layers().last().and_then(|(_, layer)| layer.page)
}

fn times(image: &ImageReader<'_, Vec<u8>>) -> anyhow::Result<[String; 6]> {
    let regions = regions(image, side_of(image));
    let pages = regions.iter().map(|region| page(image, *region)).collect::<anyhow::Result<Vec<Page>>>()?;
    let count = pages.len() as f64;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mean = |of: &dyn Fn(&Page) -> f64| pages.iter().map(of).sum::<f64>() / count;
    let greatest = pages.iter().map(|page| ms(page.decode + page.draw)).fold(0.0, f64::max);
    Ok([
        format!("{:.0}", mean(&|page| page.gaussians as f64)),
        format!("{:.3}", mean(&|page| ms(page.decode))),
        format!("{:.3}", mean(&|page| ms(page.draw))),
        format!("{:.3}", mean(&|page| ms(page.decode + page.draw))),
        format!("{greatest:.3}"),
        format!("{:.0}", pixel(image)?),
    ])
}

fn regions(image: &ImageReader<'_, Vec<u8>>, side: Option<u32>) -> Vec<Region> {
    let Some(side) = side else { return vec![image.whole()] };
    let whole = image.whole();
    let (columns, rows) = page_grid(image.descriptor(), side);
    let pages = (0..rows).flat_map(|y| (0..columns).map(move |x| (x * side, y * side)));
    let cut = |(x, y): (u32, u32)| {
        let (width, height) = (side.min(whole.width - x), side.min(whole.height - y));
        Region { x, y, width, height }
    };
    pages.map(cut).collect()
}

/// The page's own chunk of each layer is decoded; then it is drawn among all that reaches it.
fn page(image: &ImageReader<'_, Vec<u8>>, region: Region) -> anyhow::Result<Page> {
    let mut around = GaussianSet::default();
    let mut own = Vec::new();
    for (layer, chunks) in image.chunks(region, 1.0, None)? {
        let paged = image.layers().nth(layer).and_then(|(_, layer)| layer.page);
        for chunk in chunks {
            let columns = paged.map_or(1, |side| page_grid(image.descriptor(), side).0);
            let is_own =
                paged.is_none_or(|side| chunk == u64::from(region.y / side * columns + region.x / side) + 1);
            if is_own {
                own.push((layer, chunk));
                continue;
            }
            for set in image.read_chunks(layer, chunk..chunk + 1)?.into_iter().flatten() {
                around.symbols.extend(set.symbols);
                around.colours.extend(set.colours);
            }
        }
    }
    let quantiser = &image.coded().quantiser;
    let mut scene = image.empty_scene()?;
    scene.add(quantiser, &around)?;
    let view = View::of_region(region.x, region.y, region.width, region.height);
    let mut best = Page { gaussians: 0, decode: Duration::MAX, draw: Duration::MAX };
    for _ in 0..REPEATS {
        let start = Instant::now();
        let sets = own.iter().map(|&(layer, chunk)| image.read_chunks(layer, chunk..chunk + 1));
        let sets = sets.collect::<Result<Vec<_>, _>>()?;
        best.decode = best.decode.min(start.elapsed());
        let mut scene = scene.clone();
        let start = Instant::now();
        best.gaussians = 0;
        for set in sets.into_iter().flatten().flatten() {
            best.gaussians += set.symbols.len();
            scene.add(quantiser, &set)?;
        }
        black_box(image.draw_sized(&scene, region, [view.width as u32, view.height as u32])?);
        best.draw = best.draw.min(start.elapsed());
    }
    Ok(best)
}

/// Nanoseconds of a pixel, all over the image.
fn pixel(image: &ImageReader<'_, Vec<u8>>) -> anyhow::Result<f64> {
    let whole = image.whole();
    let scene = image.scene(whole, 1.0, None)?;
    let sampler = Sampler::new(scene, whole.width, whole.height)?;
    let mut out = vec![0.0; sampler.scene().planes()];
    let mut best = f64::MAX;
    for _ in 0..REPEATS {
        let mut at = 1u32;
        let start = Instant::now();
        for _ in 0..SAMPLES {
            at = at.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (x, y) = ((at >> 16) % whole.width, (at & 0xffff) % whole.height);
            sampler.sample(x as f32 + 0.5, y as f32 + 0.5, &mut out);
            black_box(&out);
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / SAMPLES as f64);
    }
    Ok(best)
}
