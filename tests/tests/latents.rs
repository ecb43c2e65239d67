//! Latents from arrays to files and back.

use mcodec_decode::latents::{TrackPart, describe_track, read_track};
use mcodec_decode::{ReadOptions, Reader, verify};
use mcodec_encode::latents::{LatentsOptions, Precision, encode_latents};
use mcodec_encode::{EncodeOptions, Output};
use mcodec_format::registry;
use mcodec_tests::npy;
use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A `.npy` file of `<u2` elements.
fn npy(shape: &[usize], elements: impl Fn(usize) -> u16) -> Vec<u8> {
    let count = shape.iter().product();
    npy::npy("<u2", shape, &(0..count).flat_map(|i| elements(i).to_le_bytes()).collect::<Vec<u8>>())
}

/// The upper half of a smooth, moving f32.
fn bf16(i: usize) -> u16 {
    let (x, y, t) = (i % 7, i / 7 % 5, i / 35);
    let value =
        ((x * 3 + t * 5) % 11) as f32 * 0.31 - ((y * 2 + t) % 7) as f32 * 0.5 + (i * 37 % 64) as f32 / 512.0;
    (value.to_bits() >> 16) as u16
}

const SHAPE: [usize; 4] = [6, 4, 5, 7];

fn encoded(dir: &Path, input: &Path, latents: &LatentsOptions, effort: u8, threads: usize) -> PathBuf {
    let path = dir.join("out.mcodec");
    let mut options = EncodeOptions::default();
    (options.effort, options.threads) = (effort, threads);
    let output = Output::File { path: path.clone(), force: true };
    encode_latents(input, latents, output, &options).expect("latents are encoded");
    path
}

fn open(path: &Path) -> Reader<File> {
    Reader::open(File::open(path).expect("file is there"), ReadOptions::default()).expect("file opens")
}

fn taken(
    array: &[u8],
    frames: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> Vec<u8> {
    let [_, channels, height, width] = SHAPE;
    let mut out = Vec::new();
    for t in frames {
        for c in 0..channels {
            for y in rows.clone() {
                for x in columns.clone() {
                    out.extend(&array[(((t * channels + c) * height + y) * width + x) * 2..][..2]);
                }
            }
        }
    }
    out
}

#[test]
fn any_part_comes_back_from_any_groups() {
    let dir = tempfile::tempdir().expect("folder is made");
    let input = dir.path().join("clip.npy");
    let file = npy(&SHAPE, bf16);
    fs::write(&input, &file).expect("input is written");
    let array = &file[file.len() - 2 * SHAPE.iter().product::<usize>()..];
    for effort in [1, 5, 7, 9] {
        for group in [None, Some(0), Some(1), Some(4), Some(100)] {
            let latents = LatentsOptions { dtype: Some("bf16".into()), group, ..LatentsOptions::default() };
            let path = encoded(dir.path(), &input, &latents, effort, 1);
            let bytes = fs::read(&path).expect("file is there");
            assert_eq!(fs::read(encoded(dir.path(), &input, &latents, effort, 4)).expect("file"), bytes);
            let reader = open(&path);
            assert!(verify(&reader, true).expect("file is read").damage.is_empty());
            let entry = reader.entry("clip", registry::entry::TENSOR, "clip").expect("the track is there");
            let (track, shape) = describe_track(&entry).expect("a track");
            assert_eq!((track.axes.map(|a| a.text()).as_deref(), shape), (Some("TCHW"), [6, 4, 5, 7]));
            let whole = read_track(&reader, &entry, &TrackPart::default()).expect("the track is read");
            assert_eq!((&whole.shape[..], &whole.bytes[..]), (&[6, 4, 5, 7][..], array));
            let part = TrackPart {
                frames: Some(2..5),
                rows: Some(1..4),
                columns: Some(3..4),
                ..TrackPart::default()
            };
            let some = read_track(&reader, &entry, &part).expect("the part is read");
            assert_eq!((&some.shape[..], some.bytes), (&[3, 4, 3, 1][..], taken(array, 2..5, 1..4, 3..4)));
            #[allow(clippy::reversed_empty_ranges, reason = "it is one of the bad ones")]
            for bad in [Some(3..3), Some(0..7), Some(9..8)] {
                let part = TrackPart { frames: bad, ..TrackPart::default() };
                assert!(read_track(&reader, &entry, &part).is_err());
            }
        }
    }
}

#[test]
fn axes_come_back_in_their_order() {
    let dir = tempfile::tempdir().expect("folder is made");
    let input = dir.path().join("clip.npy");
    for (axes, shape) in [
        ("CTHW", &[4, 6, 5, 7][..]),
        ("THWC", &[6, 5, 7, 4]),
        ("WH", &[7, 5]),
        ("C", &[9]),
        ("HTC", &[2, 3, 4]),
    ] {
        let file = npy(shape, bf16);
        fs::write(&input, &file).expect("input is written");
        let latents = LatentsOptions {
            axes: Some(axes.into()),
            dtype: Some("bf16".into()),
            group: Some(4),
            ..LatentsOptions::default()
        };
        let reader = open(&encoded(dir.path(), &input, &latents, 5, 1));
        let entry = reader.entry("clip", registry::entry::TENSOR, "clip").expect("the track is there");
        let whole = read_track(&reader, &entry, &TrackPart::default()).expect("the track is read");
        assert!(whole.shape.iter().map(|&d| d as usize).eq(shape.iter().copied()));
        assert_eq!(whole.bytes, file[file.len() - whole.bytes.len()..]);
    }
}

#[test]
fn steps_bound_the_error() {
    let dir = tempfile::tempdir().expect("folder is made");
    let input = dir.path().join("clip.npy");
    let file = npy(&SHAPE, bf16);
    fs::write(&input, &file).expect("input is written");
    let array = &file[file.len() - 2 * SHAPE.iter().product::<usize>()..];
    let value =
        |bytes: &[u8]| f64::from(f32::from_bits(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16));
    let mut last = usize::MAX;
    for precision in [Precision::Step(0.125), Precision::SignalToNoise(20.0), Precision::Bits(2.0)] {
        for effort in [5, 7, 9] {
            let latents =
                LatentsOptions { dtype: Some("bf16".into()), precision, ..LatentsOptions::default() };
            let path = encoded(dir.path(), &input, &latents, effort, 1);
            let reader = open(&path);
            assert!(verify(&reader, true).expect("file is read").damage.is_empty());
            let entry = reader.entry("clip", registry::entry::TENSOR, "clip").expect("the track is there");
            let whole = read_track(&reader, &entry, &TrackPart::default()).expect("the track is read");
            let pairs =
                || array.chunks_exact(2).zip(whole.bytes.chunks_exact(2)).map(|(a, b)| (value(a), value(b)));
            let count = array.len() as f64 / 2.0;
            let mean = pairs().map(|(a, _)| a).sum::<f64>() / count;
            let variance = pairs().map(|(a, _)| (a - mean).powi(2)).sum::<f64>() / count;
            let noise = pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>() / count;
            let worst = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let ratio = 10.0 * (variance / noise).log10();
            match precision {
                // Channels deviate a little more or less than all together; bf16 rounds too.
                Precision::Step(step) => assert!(worst < step * 0.6 * variance.sqrt() * 1.2, "{worst}"),
                Precision::SignalToNoise(db) => assert!((ratio - db).abs() < 1.0, "{ratio}"),
                _ => {
                    let size = fs::metadata(&path).expect("file").len() as usize;
                    assert!(size < last, "{size}");
                    last = usize::MAX;
                }
            }
        }
    }
}

#[test]
fn a_folder_is_one_file_of_many_clips() {
    let dir = tempfile::tempdir().expect("folder is made");
    let clips = dir.path().join("clips");
    fs::create_dir(&clips).expect("folder is made");
    for n in 0..30 {
        fs::write(clips.join(format!("clip_{n}.npy")), npy(&[2, 3, 4, 4], |i| bf16(i + n)))
            .expect("input is written");
    }
    fs::write(clips.join("notes.txt"), "not a clip").expect("input is written");
    let latents = LatentsOptions { dtype: Some("bf16".into()), ..LatentsOptions::default() };
    let reader = open(&encoded(dir.path(), &clips, &latents, 5, 2));
    assert_eq!(reader.assets().expect("assets").len(), 30);
    let entry = reader.entry("clip_17", registry::entry::TENSOR, "clip_17").expect("the track is there");
    let whole = read_track(&reader, &entry, &TrackPart::default()).expect("the track is read");
    let file = fs::read(clips.join("clip_17.npy")).expect("input");
    assert_eq!(whole.bytes, file[file.len() - whole.bytes.len()..]);
}

#[test]
fn what_cannot_be_is_refused_with_its_name() {
    let dir = tempfile::tempdir().expect("folder is made");
    let input = dir.path().join("clip.npy");
    let mut nan = npy(&SHAPE, bf16);
    let at = nan.len() - 2;
    nan[at..].copy_from_slice(&0x7fc0u16.to_le_bytes());
    fs::write(&input, &nan).expect("input is written");
    let bf16s = || LatentsOptions { dtype: Some("bf16".into()), ..LatentsOptions::default() };
    let cases = [
        (LatentsOptions { precision: Precision::Step(0.1), ..bf16s() }, "not finite"),
        (LatentsOptions { axes: Some("TCH".into()), ..bf16s() }, "names 3"),
        (LatentsOptions { axes: Some("TCHX".into()), ..bf16s() }, "letters of TCHW"),
        (LatentsOptions { dtype: Some("f32".into()), ..bf16s() }, "cannot be F32"),
        (LatentsOptions { dtype: Some("q9".into()), ..bf16s() }, "not a type"),
    ];
    for (latents, why) in cases {
        let output = Output::File { path: dir.path().join("no.mcodec"), force: true };
        let error =
            encode_latents(&input, &latents, output, &EncodeOptions::default()).expect_err(why).to_string();
        assert!(error.contains(why) && error.contains("clip.npy"), "{error}");
        assert!(!dir.path().join("no.mcodec").exists());
    }
    // Without loss, what is no number comes back too.
    let reader = open(&encoded(dir.path(), &input, &bf16s(), 9, 1));
    let entry = reader.entry("clip", registry::entry::TENSOR, "clip").expect("the track is there");
    let whole = read_track(&reader, &entry, &TrackPart::default()).expect("the track is read");
    assert_eq!(whole.bytes, nan[nan.len() - whole.bytes.len()..]);
}

#[test]
fn tokens_come_back() {
    use mcodec_encode::latents::Levels;
    let dir = tempfile::tempdir().expect("folder is made");
    let input = dir.path().join("clip.npy");
    let file = npy(&[5, 4, 6, 2], |i| (i * 31 % 64_000) as u16);
    fs::write(&input, &file).expect("input is written");
    for (levels, fine) in [
        (Levels::Fsq(vec![8, 8, 8, 5, 5, 5]), true),
        (Levels::Vocabulary(64_000), true),
        (Levels::Vocabulary(100), false),
        (Levels::Fsq(vec![1, 2]), false),
    ] {
        for effort in [5, 9] {
            let latents =
                LatentsOptions { tokens: Some(levels.clone()), group: Some(2), ..LatentsOptions::default() };
            let path = dir.path().join("tokens.mcodec");
            let output = Output::File { path: path.clone(), force: true };
            let mut options = EncodeOptions::default();
            options.effort = effort;
            let made = encode_latents(&input, &latents, output, &options);
            assert_eq!(made.is_ok(), fine, "{levels:?}");
            if !fine {
                continue;
            }
            let reader = open(&path);
            assert!(verify(&reader, true).expect("file is read").damage.is_empty());
            let entry = reader.entry("clip", registry::entry::TENSOR, "clip").expect("the track is there");
            let whole = read_track(&reader, &entry, &TrackPart::default()).expect("the track is read");
            assert_eq!((&whole.shape[..], &whole.bytes[..]), (&[5, 4, 6, 2][..], &file[file.len() - 480..]));
        }
    }
}

/// Codes below 60 that mostly stay what they were.
fn code(i: usize) -> u16 {
    let (p, t) = (i % 20, i / 20);
    ((p * 7 + usize::from((p + t) % 5 == 0) * t * 13) % 60) as u16
}

#[test]
fn groups_of_tokens_share_a_model() {
    use mcodec_encode::latents::Levels;
    let dir = tempfile::tempdir().expect("folder is made");
    let clips = dir.path().join("clips");
    fs::create_dir(&clips).expect("folder is made");
    let files: Vec<_> = (0..3).map(|n| npy(&[12, 4, 5], |i| code(i + 20 * n))).collect();
    for (n, file) in files.iter().enumerate() {
        fs::write(clips.join(format!("clip_{n}.npy")), file).expect("input is written");
    }
    for tokens in [Levels::Vocabulary(60), Levels::Fsq(vec![8, 8])] {
        for effort in [5, 9] {
            let latents =
                LatentsOptions { tokens: Some(tokens.clone()), group: Some(3), ..LatentsOptions::default() };
            let path = encoded(dir.path(), &clips, &latents, effort, 1);
            let bytes = fs::read(&path).expect("file is there");
            assert_eq!(fs::read(encoded(dir.path(), &clips, &latents, effort, 4)).expect("file"), bytes);
            let reader = open(&path);
            assert!(verify(&reader, true).expect("file is read").damage.is_empty());
            let rows: Vec<_> =
                (0..3).flat_map(|n| reader.rows(&format!("clip_{n}")).expect("rows")).collect();
            let models = rows.iter().filter(|row| row.get().kind == registry::entry::TOKEN_MODEL).count();
            assert_eq!((rows.len(), models), (4, 1));
            for (n, file) in files.iter().enumerate() {
                let name = format!("clip_{n}");
                let entry = reader.entry(&name, registry::entry::TENSOR, &name).expect("the track is there");
                let whole = read_track(&reader, &entry, &TrackPart::default()).expect("the track is read");
                assert_eq!(whole.bytes, file[file.len() - whole.bytes.len()..]);
                let part = TrackPart { frames: Some(7..8), ..TrackPart::default() };
                let some = read_track(&reader, &entry, &part).expect("the part is read");
                assert_eq!(some.bytes, whole.bytes[7 * 40..8 * 40]);
            }
        }
    }
}

#[test]
fn a_prior_serves_other_clips() {
    use mcodec_encode::latents::{Levels, train_prior};
    let dir = tempfile::tempdir().expect("folder is made");
    let [learned, input, prior] = ["learned.npy", "clip.npy", "prior.mcodec"].map(|n| dir.path().join(n));
    fs::write(&learned, npy(&[40, 4, 5], code)).expect("input is written");
    let file = npy(&[8, 4, 5], |i| code(i + 31 * 20));
    fs::write(&input, &file).expect("input is written");
    let latents = || LatentsOptions {
        tokens: Some(Levels::Vocabulary(60)),
        group: Some(4),
        ..LatentsOptions::default()
    };
    let output = || Output::File { path: prior.clone(), force: true };
    let mut options = EncodeOptions::default();
    options.effort = 9;
    train_prior(std::slice::from_ref(&learned), &latents(), Some(2..38), output(), &options)
        .expect("it is learned");
    let trained = open(&prior);
    assert!(verify(&trained, true).expect("file is read").damage.is_empty());
    let example = trained.entry("prior", registry::entry::TENSOR, "example").expect("the example is there");
    assert_eq!(read_track(&trained, &example, &TrackPart::default()).expect("it is read").shape, [36, 4, 5]);
    let length = |path: &Path| -> u64 {
        let reader = open(path);
        assert!(verify(&reader, true).expect("file is read").damage.is_empty());
        let entry = reader.entry("clip", registry::entry::TENSOR, "clip").expect("the track is there");
        let whole = read_track(&reader, &entry, &TrackPart::default()).expect("the track is read");
        assert_eq!(whole.bytes, file[file.len() - whole.bytes.len()..]);
        let rows = reader.rows("clip").expect("rows");
        rows.iter()
            .filter(|r| r.get().kind == registry::entry::TENSOR)
            .flat_map(|r| r.get().lengths.clone())
            .sum()
    };
    let cold = length(&encoded(dir.path(), &input, &latents(), 9, 1));
    let with_prior = LatentsOptions { prior: Some(prior.clone()), ..latents() };
    let warm = length(&encoded(dir.path(), &input, &with_prior, 9, 1));
    assert!(warm < cold, "{warm} {cold}");
    let others = LatentsOptions { tokens: Some(Levels::Vocabulary(61)), ..with_prior.clone() };
    let not_one = LatentsOptions { prior: Some(learned.clone()), ..with_prior };
    for (latents, why) in [(others, "prior is of other tokens"), (not_one, "")] {
        let output = Output::File { path: dir.path().join("no.mcodec"), force: true };
        let error =
            encode_latents(&input, &latents, output, &options).expect_err("it is refused").to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(train_prior(&[learned], &latents(), Some(2..50), output(), &options).is_err());
}

#[test]
fn latents_are_not_coded_anew_as_plain_tensors() {
    let dir = tempfile::tempdir().expect("a folder");
    let input = dir.path().join("clip.npy");
    fs::write(&input, npy(&SHAPE, bf16)).expect("the array is written");
    let path = encoded(dir.path(), &input, &LatentsOptions::default(), 5, 1);
    let output = Output::File { path: dir.path().join("again.mcodec"), force: false };
    let refused = mcodec_encode::encode_path(&path, None, output, &EncodeOptions::default());
    let why = refused.expect_err("it is refused").to_string();
    assert!(why.contains("clip") && why.contains("pack"), "{why}");
    assert!(!dir.path().join("again.mcodec").exists());
}
