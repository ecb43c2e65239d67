//! Latents and tokens: bits and speed beside general compressors. mcodec is measured here, in memory that earlier calls used; the
//! peers, the table and the plot are a Python script's.

use super::measure::time;
use super::spawn::find_python;
use crate::cli::Common;
use crate::cli::bench::BenchLatents;
use crate::console::Console;
use crate::outcome::{Outcome, usage};
use anyhow::{Context, bail};
use mcodec_coding::latents::Element;
use mcodec_decode::latents::{TrackPart, read_track_to};
use mcodec_decode::{ReadOptions, Reader};
use mcodec_encode::latents::{LatentsOptions, Levels, Precision, encode_latents};
use mcodec_encode::{EncodeOptions, Output};
use mcodec_format::registry;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The script.
const SCRIPT: &str = include_str!("../../peers/latents.py");
/// Frames of a group: of all, and of codes of a codebook.
const GROUP: usize = 17;
const CODES_GROUP: usize = 100;
/// Steps of the lossy rows, in deviations of a channel.
const STEPS: [f64; 2] = [0.125, 0.0625];

/// Files of one kind, which make one file of mcodec.
#[derive(Debug, Serialize)]
pub(super) struct Set {
    pub(super) name: String,
    /// `bf16`, `f32`, `fsq`, `vq`, ...
    kind: String,
    pub(super) files: Vec<PathBuf>,
    /// Values or tokens.
    pub(super) count: usize,
    /// Of elements as they are stored.
    bytes: usize,
    rows: Vec<Row>,
    #[serde(skip)]
    pub(super) tokens: Option<Levels>,
    #[serde(skip)]
    pub(super) dtype: Option<String>,
}

impl Set {
    /// Copies the files to a folder within `work`; returns it and where to encode it to.
    pub(super) fn copied_to(&self, work: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
        let clips = work.join("clips");
        fs::create_dir(&clips)?;
        for (at, file) in self.files.iter().enumerate() {
            fs::copy(file, clips.join(format!("clip_{at}.npy")))?;
        }
        Ok((clips, work.join("coded.mcodec")))
    }
}

/// What mcodec makes of a set.
#[derive(Debug, Serialize)]
struct Row {
    effort: u8,
    /// Frames of a group; 0 is the whole clip.
    group: usize,
    /// Of what is rounded.
    step: Option<f64>,
    file_bytes: u64,
    encode_seconds: f64,
    decode_seconds: f64,
    /// Of what is rounded: ratio of signal to noise, and of the square of the range to noise, in dB.
    snr: Option<f64>,
    psnr: Option<f64>,
}

/// Measures the arrays of folders.
pub(crate) fn run(args: &BenchLatents, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let mut sets = sets_of(&args.paths)?;
    if args.reduce {
        return super::reduced::run(&sets, args, common, console);
    }
    if let Some(quantiser) = &args.quantise {
        return super::refined::run(&sets, quantiser, args, common, console);
    }
    let Some(python) = find_python() else {
        bail!(
            "tools/install-peers.sh installs the Python that measures peers; MCODEC_PEERS names its folder"
        );
    };
    for set in &mut sets {
        measure(set, args, common, console)?;
    }
    let work = tempfile::tempdir().context("a folder for the script")?;
    let (script, found) = (work.path().join("latents.py"), work.path().join("found.json"));
    fs::write(&script, SCRIPT).context("writing the script")?;
    fs::write(&found, serde_json::to_vec(&sets)?).context("writing what was measured")?;
    let mut command = Command::new(python);
    command
        .args(["-W", "ignore"])
        .arg(&script)
        .arg(&found)
        .arg(args.svg.clone().unwrap_or_default())
        .arg(args.reps.to_string());
    let output = command.stderr(std::process::Stdio::inherit()).output().context("running the script")?;
    console.cancel().check()?;
    if !output.status.success() {
        bail!("the script that measures peers failed");
    }
    console.print(&String::from_utf8_lossy(&output.stdout))?;
    Ok(Outcome::Done)
}

/// Arrays in files and folders, those of one kind together: what follows the first point of a name, without its extension, is the kind.
fn sets_of(paths: &[PathBuf]) -> anyhow::Result<Vec<Set>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let inside = fs::read_dir(path).with_context(|| path.display().to_string())?;
            files.extend(inside.flatten().map(|file| file.path()));
        } else {
            files.push(path.clone());
        }
    }
    files.retain(|path| path.extension().is_some_and(|e| e == "npy"));
    files.sort();
    let mut sets: BTreeMap<(String, String), Set> = BTreeMap::new();
    for file in files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = stem.split_once('.').map_or(stem.as_str(), |(_, kind)| kind).to_owned();
        let Some(found) = found(&file, &name)? else { continue };
        // Tokens of other levels are a set of their own, whichever files say the levels.
        let levels = match &found.tokens {
            Some(Levels::FsqFile(path)) => fs::read_to_string(path)?.split_whitespace().collect(),
            tokens => format!("{tokens:?}"),
        };
        let key = (name, levels);
        match sets.get_mut(&key) {
            Some(set) => {
                set.files.push(file);
                set.count += found.count;
                set.bytes += found.bytes;
            }
            None => {
                sets.insert(key, found);
            }
        }
    }
    if sets.is_empty() {
        return Err(usage("there are no arrays of latents or tokens to measure: .npy files"));
    }
    Ok(sets.into_values().collect())
}

/// What an array is: tokens if it is of integers with levels beside it or of three axes, latents if it is of floats or called bf16.
fn found(file: &Path, name: &str) -> anyhow::Result<Option<Set>> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let head = bytes.get(10..).and_then(|rest| rest.split(|&b| b == b'\n').next()).unwrap_or_default();
    let text = String::from_utf8_lossy(head).into_owned();
    let between = |from: &str, to: &str| Some(text.split_once(from)?.1.split_once(to)?.0.to_owned());
    let (Some(descr), Some(shape)) = (between("'descr': '", "'"), between("'shape': (", ")")) else {
        return Ok(None);
    };
    let shape: Vec<usize> = shape.split(',').filter_map(|d| d.trim().parse().ok()).collect();
    let data = bytes.get(10 + head.len() + 1..).unwrap_or_default();
    let size = descr.get(2..).and_then(|d| d.parse::<usize>().ok()).unwrap_or(1);
    let count = shape.iter().product::<usize>();
    let set = |kind: &str, tokens, dtype: Option<&str>| {
        let (name, kind) = (name.to_owned(), kind.to_owned());
        let dtype = dtype.map(str::to_owned);
        let (files, rows) = (vec![file.to_owned()], Vec::new());
        Some(Set { name, kind, files, count, bytes: data.len(), rows, tokens, dtype })
    };
    let levels = file.with_file_name(
        file.file_name().unwrap_or_default().to_string_lossy().replace(".tok.npy", ".levels.json"),
    );
    Ok(match descr.get(1..2) {
        Some("f") if shape.len() == 4 => set(&format!("f{}", 8 * size), None, None),
        Some("u") if name.ends_with("bf16") && size == 2 => set("bf16", None, Some("bf16")),
        Some("u" | "i") if levels.extension().is_some_and(|e| e == "json") && levels.is_file() => {
            set("fsq", Some(Levels::FsqFile(levels)), None)
        }
        Some("u" | "i") if shape.len() == 3 && size > 1 && data.len() == count * size => {
            let most = data.chunks_exact(size).map(|b| u16::from_le_bytes([b[0], b[1]])).max().unwrap_or(1);
            set("vq", Some(Levels::Vocabulary((u64::from(most) + 1).next_power_of_two().max(2))), None)
        }
        _ => None,
    })
}

fn measure(set: &mut Set, args: &BenchLatents, common: &Common, console: &Console) -> anyhow::Result<()> {
    let work = tempfile::tempdir().context("a folder for arrays")?;
    let (clips, coded) = set.copied_to(work.path())?;
    let steps: Vec<Option<f64>> = match set.tokens {
        // Rounded is rounded, whatever is left of it: floats of 32 bits say no more of that.
        None if set.kind != "f32" => [None].into_iter().chain(STEPS.map(Some)).collect(),
        _ => vec![None],
    };
    let small = if set.kind == "vq" { CODES_GROUP } else { GROUP };
    let groups = if args.groups.is_empty() { vec![0, small] } else { args.groups.clone() };
    for step in steps {
        for &effort in &args.efforts {
            for &group in &groups {
                console.cancel().check()?;
                console.note(&format!("{}: effort {effort}, group {group}", set.name));
                let latents = LatentsOptions {
                    tokens: set.tokens.clone(),
                    dtype: set.dtype.clone(),
                    precision: step.map_or(Precision::Lossless, Precision::Step),
                    group: Some(group),
                    ..LatentsOptions::default()
                };
                let mut options: EncodeOptions = console.encode_options(common);
                (options.effort, options.threads) = (effort, 1);
                let row = measure_row(set, &latents, &options, (&clips, &coded), args.reps, console)?;
                set.rows.push(Row { step, effort, group, ..row });
            }
        }
    }
    Ok(())
}

fn measure_row(
    set: &Set,
    latents: &LatentsOptions,
    options: &EncodeOptions,
    (clips, coded): (&Path, &Path),
    reps: u32,
    console: &Console,
) -> anyhow::Result<Row> {
    let encode = || {
        let output = Output::File { path: coded.to_owned(), force: true };
        Ok(encode_latents(clips, latents, output, options)?)
    };
    let encode_seconds = time(reps, console.cancel(), encode)?.seconds;
    let file = fs::read(coded)?;
    let mut decoded = vec![Vec::new(); set.files.len()];
    let decode = || -> anyhow::Result<()> {
        let reader = Reader::open(&file, ReadOptions::default().threads(1))?;
        for (at, out) in decoded.iter_mut().enumerate() {
            let name = format!("clip_{at}");
            let entry = reader.entry(&name, registry::entry::TENSOR, &name)?;
            read_track_to(&reader, &entry, &TrackPart::default(), out)?;
        }
        Ok(())
    };
    let decode_seconds = time(reps, console.cancel(), decode)?.seconds;
    let (mut snr, mut psnr) = (None, None);
    let originals: Vec<Vec<u8>> = set.files.iter().map(fs::read).collect::<Result<_, _>>()?;
    let pairs = || {
        originals.iter().zip(&decoded).map(|(all, some)| (&all[all.len().saturating_sub(some.len())..], some))
    };
    if latents.precision == Precision::Lossless {
        if pairs().any(|(original, decoded)| original != &decoded[..]) {
            bail!("{}: what was decoded is not what was encoded", set.name);
        }
    } else if let Some(ratios) = noise(&set.kind, pairs()) {
        (snr, psnr) = (Some(ratios.0), Some(ratios.1));
    }
    let (effort, group, step, file_bytes) = (0, 0, None, file.len() as u64);
    Ok(Row { effort, group, step, file_bytes, encode_seconds, decode_seconds, snr, psnr })
}

/// Ratio of variance to noise, and of the square of the range to noise, in dB.
fn noise<'a>(kind: &str, pairs: impl Iterator<Item = (&'a [u8], &'a Vec<u8>)>) -> Option<(f64, f64)> {
    let element = match kind {
        "bf16" => Element::Bf16,
        "f16" => Element::F16,
        "f32" => Element::F32,
        _ => return None,
    };
    let (mut count, mut sum, mut squares, mut noise) = (0.0, 0.0, 0.0, 0.0);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (original, decoded) in pairs {
        let size = element.bytes();
        for (a, b) in original.chunks_exact(size).zip(decoded.chunks_exact(size)) {
            let (a, b) = (element.value(a), element.value(b));
            count += 1.0;
            sum += a;
            squares += a * a;
            noise += (a - b) * (a - b);
            (low, high) = (low.min(a), high.max(a));
        }
    }
    let variance = squares / count - (sum / count) * (sum / count);
    let decibels = |power: f64| 10.0 * (power / (noise / count)).log10();
    Some((decibels(variance), decibels((high - low) * (high - low))))
}
