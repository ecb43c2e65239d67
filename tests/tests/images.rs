//! Images as Gaussians: from samples through a file to samples again, whole, in parts, by level, at any scale.

use mcodec_decode::images::{ImageReader, Region, channels_of};
use mcodec_decode::{ReadOptions, Reader, verify};
use mcodec_encode::images::{ImageOptions, Importance, Paging, Picture, Profile, Rate, encode_image};
use mcodec_encode::{EncodeError, EncodeOptions, Output};
use mcodec_format::{ChannelGroup, GroupKind, ImageDescriptor};
use std::path::Path;

fn group(kind: GroupKind) -> ChannelGroup {
    ChannelGroup::of(kind)
}

/// A smooth picture with an edge; channels differ.
fn picture(kind: GroupKind, width: u32, height: u32) -> Picture {
    let group = group(kind);
    let value = |c: usize, x: u32, y: u32| {
        let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
        let wave = (9.0 * x + 3.0 * c as f32).sin() * (7.0 * y - c as f32).cos();
        let edge = if x + 0.4 * y > 0.7 { 0.25 } else { -0.15 };
        (0.5 + 0.25 * wave + edge).clamp(0.0, 1.0)
    };
    let plane =
        |c| (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| value(c, x, y)).collect();
    let channels = (0..group.channel_count()).map(plane).collect();
    Picture { width, height, groups: vec![group], channels, wraps: [false; 2] }
}

fn options(image: ImageOptions) -> EncodeOptions {
    let mut options = EncodeOptions::default();
    (options.effort, options.threads, options.image) = (3, 2, image);
    options
}

fn encode(dir: &Path, picture: &Picture, options: &EncodeOptions) -> Vec<u8> {
    let path = dir.join("picture.mcodec");
    encode_image(picture, "picture", Output::File { path: path.clone(), force: true }, options).unwrap();
    std::fs::read(path).unwrap()
}

fn open(bytes: &[u8], threads: usize) -> Reader<Vec<u8>> {
    Reader::open(bytes.to_vec(), ReadOptions::default().threads(threads)).unwrap()
}

/// Draws a part of the only image of a file.
fn draw(bytes: &[u8], region: Option<Region>, scale: f64, level: Option<usize>) -> Vec<f32> {
    let reader = open(bytes, 1);
    let image = ImageReader::new(&reader, &reader.asset(None).unwrap()).unwrap();
    image.draw(region.unwrap_or_else(|| image.whole()), scale, level).unwrap().0
}

/// PSNR over all channels, in dB.
fn psnr(picture: &Picture, samples: &[f32]) -> f64 {
    let channels = picture.channels.len();
    let error =
        |(i, sample): (usize, &f32)| f64::from(sample - picture.channels[i % channels][i / channels]).powi(2);
    -10.0 * (samples.iter().enumerate().map(error).sum::<f64>() / samples.len() as f64).log10()
}

#[test]
fn pictures_of_each_kind_come_back_nearly() {
    let dir = tempfile::tempdir().unwrap();
    for kind in [GroupKind::Grey, GroupKind::Colour, GroupKind::GreyAlpha, GroupKind::ColourAlpha] {
        let picture = picture(kind, 96, 64);
        let bytes = encode(
            dir.path(),
            &picture,
            &options(ImageOptions { rate: Rate::Gaussians(120), ..ImageOptions::default() }),
        );
        let reader = open(&bytes, 1);
        let report = verify(&reader, true).unwrap();
        assert_eq!((report.damage.len(), report.bytes), (0, bytes.len() as u64));
        let reached = psnr(&picture, &draw(&bytes, None, 1.0, None));
        assert!(reached > 30.0, "{kind:?}: {reached} dB");
    }
}

#[test]
fn files_are_within_what_was_asked_for_and_do_not_depend_on_threads() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(GroupKind::Colour, 128, 96);
    for bits in [0.4, 1.2] {
        let mut options = options(ImageOptions { rate: Rate::BitsPerPixel(bits), ..ImageOptions::default() });
        let bytes = encode(dir.path(), &picture, &options);
        let reached = bytes.len() as f64 * 8.0 / (128.0 * 96.0);
        assert!(reached <= bits && reached > 0.9 * bits, "{reached} of {bits}");
        options.threads = 1;
        assert!(encode(dir.path(), &picture, &options) == bytes);
    }
    let small = options(ImageOptions { rate: Rate::BitsPerPixel(0.01), ..ImageOptions::default() });
    let output = Output::File { path: dir.path().join("never.mcodec"), force: true };
    let error = encode_image(&picture, "p", output, &small).unwrap_err();
    assert!(matches!(error, EncodeError::Request(why) if why.contains("too small")));
    assert!(!dir.path().join("never.mcodec").exists());
    let good = options(ImageOptions { rate: Rate::Psnr(34.0), ..ImageOptions::default() });
    let reached = psnr(&picture, &draw(&encode(dir.path(), &picture, &good), None, 1.0, None));
    assert!((33.9..36.0).contains(&reached), "{reached} dB");
}

#[test]
fn a_region_is_what_the_whole_has_there_and_needs_its_pages_only() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(GroupKind::Colour, 256, 192);
    let paged = ImageOptions {
        rate: Rate::Gaussians(500),
        paging: Paging::Side(64),
        levels: Some(2),
        ..ImageOptions::default()
    };
    let bytes = encode(dir.path(), &picture, &options(paged));
    let whole = draw(&bytes, None, 1.0, None);
    let (x, y, width, height) = (130, 70, 40, 25);
    let region = Region { x, y, width, height };
    let part = draw(&bytes, Some(region), 1.0, None);
    for row in 0..height {
        let at = 3 * ((y + row) * 256 + x) as usize;
        let own = 3 * (row * width) as usize;
        for i in 0..3 * width as usize {
            assert!((whole[at + i] - part[own + i]).abs() < 1.0 / 255.0);
        }
    }
    let reader = open(&bytes, 1);
    let image = ImageReader::new(&reader, &reader.asset(None).unwrap()).unwrap();
    let (all, some) = (image.plan(image.whole(), 1.0, None).unwrap(), image.plan(region, 1.0, None).unwrap());
    assert!(some.chunks.len() < all.chunks.len() && some.reads.len() <= all.chunks.len());
    let chunk = |plan: &mcodec_decode::Plan| plan.reads.iter().map(|r| r.end - r.start).sum::<u64>();
    assert!(chunk(&some) < chunk(&all));
    // Twice as large: the same where pixels' centres are, between others.
    let double = draw(&bytes, Some(region), 2.0, None);
    assert_eq!(double.len(), 4 * part.len());
    // A quarter as large: still what the whole has there, though all Gaussians are wider.
    let (quarter, corner) = (draw(&bytes, None, 0.25, None), Region { x: 64, y: 64, width: 64, height: 64 });
    let part = draw(&bytes, Some(corner), 0.25, None);
    for (i, value) in part.iter().enumerate() {
        let (pixel, c) = (i / 3, i % 3);
        let own = quarter[3 * ((16 + pixel / 16) * 64 + 16 + pixel % 16) + c];
        assert!((own - value).abs() < 1.0 / 255.0, "{own} {value}");
    }
    // Half as large: means of four, nearly.
    let half = draw(&bytes, None, 0.5, None);
    let mean = |x: usize, y: usize| {
        (0..4).map(|i| whole[3 * ((2 * y + i / 2) * 256 + 2 * x + i % 2)]).sum::<f32>() / 4.0
    };
    let off: f32 =
        (0..96 * 128).map(|i| (half[3 * i] - mean(i % 128, i / 128)).abs()).sum::<f32>() / (96.0 * 128.0);
    assert!(off < 0.01, "{off}");
}

/// What repeats is at its left edge what it is beyond its right one.
#[test]
fn an_image_that_repeats_has_no_edge() {
    let dir = tempfile::tempdir().unwrap();
    let mut picture = picture(GroupKind::Grey, 96, 64);
    let paged =
        ImageOptions { rate: Rate::Gaussians(60), paging: Paging::Side(32), ..ImageOptions::default() };
    let plain = encode(dir.path(), &picture, &options(paged.clone()));
    picture.wraps = [true, false];
    let bytes = encode(dir.path(), &picture, &options(paged));
    let (whole, cut) = (draw(&bytes, None, 1.0, None), draw(&plain, None, 1.0, None));
    // The same Gaussians: far from the edges nothing changes, at them something does.
    let differs = |x: usize| (0..64).any(|y| (whole[y * 96 + x] - cut[y * 96 + x]).abs() > 1e-4);
    assert!(differs(0) && differs(95));
    // A strip at the left edge needs pages of the right one, and has what the whole has.
    let strip = Region { x: 0, y: 0, width: 4, height: 64 };
    let part = draw(&bytes, Some(strip), 1.0, None);
    assert!((0..64 * 4).all(|i| (part[i] - whole[i / 4 * 96 + i % 4]).abs() < 1.0 / 255.0));
}

#[test]
fn each_prefix_of_layers_is_a_picture_and_each_is_better() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(GroupKind::Colour, 128, 128);
    let layered = ImageOptions { rate: Rate::Gaussians(400), levels: Some(3), ..ImageOptions::default() };
    let bytes = encode(dir.path(), &picture, &options(layered));
    let reached: Vec<f64> =
        (0..3).map(|level| psnr(&picture, &draw(&bytes, None, 1.0, Some(level)))).collect();
    assert!(reached[0] > 20.0 && reached[0] < reached[1] && reached[1] < reached[2], "{reached:?}");
    let reader = open(&bytes, 1);
    let image = ImageReader::new(&reader, &reader.asset(None).unwrap()).unwrap();
    assert!(image.load(image.whole(), 1.0, Some(3)).is_err());
    let outside = Region { x: 100, y: 0, width: 29, height: 1 };
    assert!(image.load(outside, 1.0, None).is_err());
}

#[test]
fn what_is_important_is_better() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(GroupKind::Colour, 128, 128);
    let inside = |i: usize| i % 128 >= 70 && i / 128 >= 70;
    let mask = Picture {
        groups: vec![group(GroupKind::Grey)],
        channels: vec![(0..128 * 128).map(|i| if inside(i) { 1.0 } else { 0.0 }).collect()],
        ..picture.clone()
    };
    let error = |bytes: &[u8]| {
        let samples = draw(bytes, None, 1.0, None);
        let pixel = |i: usize| {
            (0..3).map(|c| f64::from(samples[3 * i + c] - picture.channels[c][i]).powi(2)).sum::<f64>()
        };
        (0..128 * 128).filter(|&i| inside(i)).map(pixel).sum::<f64>()
    };
    let rate = Rate::Gaussians(120);
    let plain =
        error(&encode(dir.path(), &picture, &options(ImageOptions { rate, ..ImageOptions::default() })));
    let importance = Some(Importance::of_mask(&mask));
    let masked = error(&encode(
        dir.path(),
        &picture,
        &options(ImageOptions { rate, importance, ..ImageOptions::default() }),
    ));
    assert!(masked < 0.75 * plain, "{masked} against {plain}");
}

#[test]
fn a_stack_is_one_image_with_channels_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let named = |name: &str, kind| {
        let mut one = picture(kind, 64, 64);
        one.groups[0].name = name.into();
        one
    };
    let stack = named("base", GroupKind::Colour).stacked(named("height", GroupKind::Grey)).unwrap();
    assert!(named("base", GroupKind::Colour).stacked(named("base", GroupKind::Grey)).is_err());
    assert!(named("base", GroupKind::Colour).stacked(picture(GroupKind::Grey, 63, 64)).is_err());
    let bytes = encode(
        dir.path(),
        &stack,
        &options(ImageOptions { rate: Rate::Gaussians(100), ..ImageOptions::default() }),
    );
    let samples = draw(&bytes, None, 1.0, None);
    assert_eq!(samples.len(), 4 * 64 * 64);
    assert!(psnr(&stack, &samples) > 28.0);
}

#[test]
fn a_stack_in_which_nothing_changes_is_exact() {
    let dir = tempfile::tempdir().unwrap();
    let level = |name: &str, value: f32| Picture {
        width: 40,
        height: 24,
        groups: vec![ChannelGroup { name: name.into(), ..group(GroupKind::Grey) }],
        channels: vec![vec![value; 40 * 24]],
        wraps: [false; 2],
    };
    let stack = level("one", 37.0 / 255.0).stacked(level("other", 1.0)).unwrap();
    let bits = ImageOptions { rate: Rate::BitsPerPixel(4.0), ..ImageOptions::default() };
    let samples = draw(&encode(dir.path(), &stack, &options(bits)), None, 1.0, None);
    let bytes = |value: f32| (value * 255.0).round() as u8;
    assert!(samples.chunks_exact(2).all(|pixel| [37, 255] == [bytes(pixel[0]), bytes(pixel[1])]));
}

/// Flips every byte of a small file in turn: an error, a warning or a picture, never a panic.
#[test]
fn damaged_files_are_refused_or_read() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(GroupKind::ColourAlpha, 48, 32);
    let paged =
        ImageOptions { rate: Rate::Gaussians(30), paging: Paging::Side(16), ..ImageOptions::default() };
    let bytes = encode(dir.path(), &picture, &options(paged));
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        let Ok(reader) = Reader::open(damaged, ReadOptions::default().threads(1)) else { continue };
        let Ok(assets) = reader.assets() else { continue };
        for asset in assets {
            let Ok(image) = ImageReader::new(&reader, &asset) else { continue };
            _ = image.draw(image.whole(), 1.0, None);
        }
        assert!(
            !reader.warnings().is_empty() || !verify(&reader, true).unwrap().damage.is_empty(),
            "byte {at}"
        );
    }
}

#[test]
fn planes_of_hostile_pixels_are_channels_within_their_range() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = encode(
        dir.path(),
        &picture(GroupKind::ColourAlpha, 16, 16),
        &options(ImageOptions { rate: Rate::Gaussians(4), ..ImageOptions::default() }),
    );
    let reader = open(&bytes, 1);
    let image = ImageReader::new(&reader, &reader.asset(None).unwrap()).unwrap();
    for value in [-1e9f32, 0.0, 1e-30, 1e9] {
        let mut pixel = [value, -value, value, value * 0.5];
        channels_of(&image.descriptor().groups, &mut pixel);
        assert!(pixel.iter().all(|v| (0.0..=1.0).contains(v)), "{pixel:?}");
    }
}

/// A picture with detail everywhere, that goes on beyond its edges.
fn texture(width: u32, height: u32) -> Picture {
    let turn =
        |at: u32, size: u32, times: f32| (at as f32 + 0.5) / size as f32 * times * std::f32::consts::TAU;
    let value = |c: usize, x: u32, y: u32| {
        let wave = |across: f32, down: f32, phase: f32| {
            (turn(x, width, across) + turn(y, height, down) + phase * (1.0 + c as f32)).sin()
        };
        let lines = if wave(11.0, 4.0, 0.3) > 0.6 { 0.2 } else { 0.0 };
        let dots = if wave(9.0, 0.0, 0.5) * wave(0.0, 7.0, 0.2) > 0.4 { -0.2 } else { 0.0 };
        (0.5 + 0.15 * wave(2.0, -3.0, 0.9) + 0.06 * wave(17.0, 13.0, 0.1) + lines + dots).clamp(0.0, 1.0)
    };
    let plane = |c| (0..height).flat_map(|y| (0..width).map(move |x| value(c, x, y))).collect();
    let channels = (0..3).map(plane).collect();
    Picture { width, height, groups: vec![group(GroupKind::Colour)], channels, wraps: [false; 2] }
}

/// Mean squared error of the pixels that are asked for.
fn error_where(picture: &Picture, samples: &[f32], is_asked: impl Fn(usize, usize) -> bool) -> f64 {
    let (width, channels) = (picture.width as usize, picture.channels.len());
    let pixels = (0..samples.len() / channels).filter(|&i| is_asked(i % width, i / width));
    let (sum, count) = pixels.fold((0.0, 0), |(sum, count), i| {
        let off = |c: usize| f64::from(samples[i * channels + c] - picture.channels[c][i]).powi(2);
        (sum + (0..channels).map(off).sum::<f64>(), count + channels)
    });
    sum / count as f64
}

/// Mean square of what the error changes by from one pixel to the next, where that is asked for: by the pixel's place and whether the next is below it.
fn step_where(picture: &Picture, samples: &[f32], is_asked: impl Fn(usize, usize, bool) -> bool) -> f64 {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let channels = picture.channels.len();
    let off = |x: usize, y: usize, c: usize| {
        let at = (y % height) * width + x % width;
        f64::from(samples[at * channels + c] - picture.channels[c][at])
    };
    let (mut sum, mut count) = (0.0, 0);
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        for below in [false, true].into_iter().filter(|&below| is_asked(x, y, below)) {
            let next = if below { (x, y + 1) } else { (x + 1, y) };
            sum += (0..channels).map(|c| (off(next.0, next.1, c) - off(x, y, c)).powi(2)).sum::<f64>();
            count += channels;
        }
    }
    sum / count as f64
}

/// Higher efforts move coded Gaussians too.
#[test]
fn what_is_coded_is_moved_within_the_size() {
    let dir = tempfile::tempdir().unwrap();
    let picture = texture(192, 128);
    let at = |effort: u8, threads: usize| {
        let rate = Rate::BitsPerPixel(0.8);
        let mut options = options(ImageOptions { rate, ..ImageOptions::default() });
        (options.effort, options.threads) = (effort, threads);
        encode(dir.path(), &picture, &options)
    };
    let [six, seven] = [6, 7].map(|effort| at(effort, 2));
    assert!(seven.len() as f64 <= 0.8 * 192.0 * 128.0 / 8.0);
    assert!(seven == at(7, 1), "the same on any number of threads");
    let [six, seven] = [six, seven].map(|bytes| psnr(&picture, &draw(&bytes, None, 1.0, None)));
    eprintln!("effort 6 {six:.2} dB, effort 7 {seven:.2} dB");
    assert!(seven > six, "{six} {seven}");
}

#[test]
fn windows_leave_no_border_in_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let picture = texture(600, 330);
    let rate = Rate::BitsPerPixel(0.35);
    for levels in [1, 2] {
        let mut options = options(ImageOptions {
            rate,
            levels: Some(levels),
            window: Some(256),
            ..ImageOptions::default()
        });
        let bytes = encode(dir.path(), &picture, &options);
        let samples = draw(&bytes, None, 1.0, None);
        // Cores are 208 across, of three, and 176 down, of two.
        let is_near = |at: usize, core: usize, size: usize| {
            (core..size).step_by(core).any(|border| (border - 4..border + 4).contains(&at))
        };
        let border = error_where(&picture, &samples, |x, y| is_near(x, 208, 600) || is_near(y, 176, 330));
        let mean = error_where(&picture, &samples, |_, _| true);
        let is_inner = |x: usize, y: usize, below: bool| if below { y < 329 } else { x < 599 };
        let step = step_where(&picture, &samples, |x, y, below| {
            is_inner(x, y, below) && if below { y % 176 == 175 } else { x % 208 == 207 }
        });
        let steps = step_where(&picture, &samples, is_inner);
        eprintln!("{levels}: border {border:.2e} mean {mean:.2e} step {step:.2e} of {steps:.2e}");
        assert!(border < 1.15 * mean && step < 1.15 * steps, "{border} {mean} {step} {steps}");
        if levels > 1 {
            continue;
        }
        options.image.window = None;
        let whole = draw(&encode(dir.path(), &picture, &options), None, 1.0, None);
        let lost = psnr(&picture, &whole) - psnr(&picture, &samples);
        eprintln!("{levels}: windows cost {lost:.2} dB");
        assert!(lost < 0.6, "{lost} dB");
        options.image.window = Some(256);
        options.threads = 1;
        assert!(encode(dir.path(), &picture, &options) == bytes);
    }
}

#[test]
fn what_repeats_has_no_seam() {
    let dir = tempfile::tempdir().unwrap();
    let mut picture = texture(250, 128);
    let seam = |picture: &Picture, window: Option<u32>| {
        let rate = Rate::BitsPerPixel(0.4);
        let bytes =
            encode(dir.path(), picture, &options(ImageOptions { rate, window, ..ImageOptions::default() }));
        let samples = draw(&bytes, None, 1.0, None);
        let edge = error_where(picture, &samples, |x, y| {
            !(4..picture.width as usize - 4).contains(&x) || !(4..picture.height as usize - 4).contains(&y)
        });
        let mean = error_where(picture, &samples, |_, _| true);
        let step = step_where(picture, &samples, |x, y, below| {
            if below { y + 1 == picture.height as usize } else { x + 1 == picture.width as usize }
        });
        // What is there differs from what is elsewhere: beside the seam it is alike.
        let is_beside = |at: usize, size: u32| at < 6 || (1..7).contains(&(size as usize - 1 - at));
        let steps = step_where(picture, &samples, |x, y, below| {
            if below { is_beside(y, picture.height) } else { is_beside(x, picture.width) }
        });
        eprintln!("edge {edge:.2e} mean {mean:.2e} step {step:.2e} of {steps:.2e}");
        (edge / mean, step / steps)
    };
    let cut = seam(&picture, None);
    picture.wraps = [true; 2];
    let (edge, step) = seam(&picture, None);
    assert!(edge < 1.05 && step < 1.5 && step < 0.8 * cut.1, "{edge} {step}, cut: {cut:?}");
    let mut large = texture(600, 300);
    large.wraps = [true; 2];
    let (edge, step) = seam(&large, Some(256));
    assert!(edge < 1.1 && step < 0.8 * cut.1, "{edge} {step} in windows");
}

/// A page takes its own chunk, those that reach it and the coarse one, and next to nothing beside them.
#[test]
fn a_page_is_read_with_little_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let picture = texture(384, 384);
    for profile in [Profile::Dense, Profile::Fast] {
        let paged = ImageOptions {
            rate: Rate::BitsPerPixel(0.6),
            paging: Paging::Side(128),
            profile,
            ..ImageOptions::default()
        };
        let mut options = options(paged);
        options.effort = 1;
        let path = dir.path().join("pages.mcodec");
        let output = Output::File { path: path.clone(), force: true };
        let (_, made) = encode_image(&picture, "picture", output, &options).unwrap();
        let reader = open(&std::fs::read(&path).unwrap(), 1);
        let image = ImageReader::new(&reader, &reader.asset(None).unwrap()).unwrap();
        for at in 0..9 {
            let region = Region { x: at % 3 * 128, y: at / 3 * 128, width: 128, height: 128 };
            let chunks = image.chunks(region, 1.0, None).unwrap();
            let payload = |(layer, run): &(usize, std::ops::Range<u64>)| {
                let payloads = &made.layers[*layer].payloads;
                run.clone().map(|chunk| payloads[chunk as usize].len() as u64).sum::<u64>()
            };
            let needed: u64 = chunks.iter().map(payload).sum();
            let reads = image.plan(region, 1.0, None).unwrap().reads;
            let read: u64 = reads.iter().map(|range| range.end - range.start).sum();
            assert!(read as f64 <= 1.05 * needed as f64, "{profile:?} page {at}: {read} for {needed}");
        }
    }
}

/// Beside the container an image says in at most 16 bytes what it is.
#[test]
fn what_an_image_says_of_itself_is_short() {
    let descriptor = |kind: GroupKind, mean: i32| {
        let group = group(kind);
        let group_planes = group.channel_count();
        let means = vec![mean; group_planes];
        let constants = [80, 42, 80, 60, 75];
        ImageDescriptor {
            width: 16383,
            height: 16383,
            wraps: [true; 2],
            groups: vec![group],
            constants,
            gains: vec![0; group_planes],
            means,
        }
    };
    for kind in [GroupKind::Grey, GroupKind::Colour, GroupKind::GreyAlpha, GroupKind::ColourAlpha] {
        assert!(descriptor(kind, -3000).to_bytes().len() <= 16, "{kind:?}");
    }
}

#[test]
fn both_profiles_hold_the_same_gaussians() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture(GroupKind::ColourAlpha, 128, 96);
    let with = |profile| {
        let image = ImageOptions {
            rate: Rate::Gaussians(300),
            levels: Some(2),
            paging: Paging::Side(64),
            profile,
            ..ImageOptions::default()
        };
        encode(dir.path(), &picture, &options(image))
    };
    let (dense, fast) = (with(Profile::Dense), with(Profile::Fast));
    assert_eq!(draw(&dense, None, 1.0, None), draw(&fast, None, 1.0, None));
    assert!(verify(&open(&fast, 1), true).unwrap().damage.is_empty());
    let part = dense.len() as f64 / fast.len() as f64;
    assert!((0.75..1.0).contains(&part), "dense {} fast {}", dense.len(), fast.len());
}
