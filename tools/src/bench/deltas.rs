//! `mcodec bench deltas`: fine-tunes against their base, beside what others do with the difference. All in this process.

use super::input::{Numbers, Shape};
use super::measure::{Timing, time};
use super::shuffle::{shuffle, unshuffle};
use super::whole_file::read_source;
use crate::cli::Common;
use crate::cli::bench::BenchDeltas;
use crate::console::Console;
use crate::outcome::Outcome;
use anyhow::{Context, ensure};
use mcodec_decode::{ReadOptions, Reader, source_files};
use mcodec_encode::{EncodeOptions, Output, encode_path, open_bases};
use serde::Serialize;
use std::fs::{self, File};
use std::path::Path;

/// zstd's level for the peers.
const LEVEL: i32 = 19;

/// What was measured of one way to code one file.
#[derive(Debug, Serialize)]
struct Row {
    /// The way.
    name: String,
    /// Bytes of the file.
    input_bytes: u64,
    /// Bytes that it takes, the base not counted.
    output_bytes: u64,
    /// `input_bytes / output_bytes`.
    ratio: f64,
    /// 10^6 bytes of input a second.
    encode_mb_s: f64,
    /// The same for decoding.
    decode_mb_s: f64,
}

/// A fine-tune.
#[derive(Debug, Serialize)]
struct FileRows {
    base: String,
    file: String,
    rows: Vec<Row>,
}

impl Row {
    fn new(name: &str, input: usize, output: u64, encode: &Timing, decode: &Timing) -> Self {
        let speed = |timing: &Timing| input as f64 / timing.seconds.max(1e-9) / 1e6;
        Self {
            name: name.to_owned(),
            input_bytes: input as u64,
            output_bytes: output,
            ratio: input as f64 / output.max(1) as f64,
            encode_mb_s: speed(encode),
            decode_mb_s: speed(decode),
        }
    }
}

/// Measures, and prints a table for each file, or JSON.
pub(crate) fn run(args: &BenchDeltas, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let mut all = Vec::new();
    for file in &args.files {
        let mut rows = Vec::new();
        for effort in [1, 5, 9] {
            console.note(&format!("{}: mcodec-{effort}", file.display()));
            rows.push(delta(&args.base, file, effort, args.reps, common, console)?);
        }
        for (name, difference) in [("xor", Difference::Xor), ("integer", Difference::Integer)] {
            let name = format!("{name}+shuffle+zstd-{LEVEL}");
            console.note(&format!("{}: {name}", file.display()));
            rows.push(peer(&args.base, file, (&name, difference), args.reps, console)?);
        }
        all.push(FileRows { base: args.base.display().to_string(), file: file.display().to_string(), rows });
    }
    if console.json() {
        console.print_json(&all)?;
    } else {
        console.print(&render(&all))?;
    }
    Ok(Outcome::Done)
}

fn render(all: &[FileRows]) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for FileRows { base, file, rows } in all {
        let bytes = rows.first().map_or(0, |row| row.input_bytes);
        // Writing to a string does not fail.
        _ = writeln!(out, "{file} against {base}, {bytes} bytes\n");
        _ = writeln!(out, "| | ratio | bytes | encode MB/s | decode MB/s |\n|---|---|---|---|---|");
        for row in rows {
            let Row { name, output_bytes, ratio, encode_mb_s, decode_mb_s, .. } = row;
            _ = writeln!(
                out,
                "| {name} | {ratio:.4} | {output_bytes} | {encode_mb_s:.1} | {decode_mb_s:.0} |"
            );
        }
        out.push('\n');
    }
    out + "Each row was decoded and compared bit for bit. mcodec: files with checksums, index and random access. Others: the numbers of \
           the commonest dtype, in one piece; the rest of the file is counted as zstd makes it.\n"
}

/// mcodec from file to file, and back into memory.
fn delta(
    base: &Path,
    file: &Path,
    effort: u8,
    reps: u32,
    common: &Common,
    console: &Console,
) -> anyhow::Result<Row> {
    let mut options = EncodeOptions::default();
    options.effort = effort;
    options.threads = common.threads().max(1);
    options.bases = open_bases(&[base.to_owned()], None, &options)?;
    let folder = tempfile::tempdir()?;
    let coded = folder.path().join("coded.mcodec");
    let input = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let encode = time(reps, console.cancel(), || {
        let output = Output::File { path: coded.clone(), force: true };
        Ok(encode_path(file, None, output, &options)?)
    })?;
    let mut out = vec![0; input.len()];
    let decode = time(reps, console.cancel(), || {
        let reader = Reader::open(File::open(&coded)?, ReadOptions::default().threads(options.threads))?;
        let reader = reader.with_bases(options.bases.clone());
        let files = source_files(&reader, &reader.asset(None)?)?;
        let [source] = files.as_slice() else {
            anyhow::bail!("the asset is made from {} files", files.len())
        };
        ensure!(read_source(&reader, source, &mut out)? == 0, "bytes of the file are missing");
        Ok(())
    })?;
    ensure!(out == input, "mcodec-{effort}: what it decoded is not what it was given");
    let bytes = fs::metadata(&coded)?.len();
    Ok(Row::new(&format!("mcodec-{effort}"), input.len(), bytes, &encode, &decode))
}

/// What a peer makes of a number and its base.
#[derive(Debug, Clone, Copy)]
enum Difference {
    /// Exclusive or.
    Xor,
    /// Of the bit patterns as integers, in zigzag.
    Integer,
}

impl Difference {
    /// Replaces numbers of `width` bytes by their differences, or the reverse.
    fn apply(self, numbers: &mut [u8], base: &[u8], width: usize, back: bool) {
        for (own, base) in numbers.chunks_exact_mut(width).zip(base.chunks_exact(width)) {
            let (x, y) = (word(own), word(base));
            let up = 64 - 8 * width as u32;
            let value = match (self, back) {
                (Self::Xor, _) => x ^ y,
                (Self::Integer, false) => {
                    let step = (x.wrapping_sub(y) << up) as i64 >> up;
                    ((step << 1) ^ (step >> 63)) as u64
                }
                (Self::Integer, true) => y.wrapping_add((x >> 1) ^ (x & 1).wrapping_neg()),
            };
            own.copy_from_slice(&value.to_le_bytes()[..width]);
        }
    }
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// A difference, a byte shuffle, and zstd.
fn peer(
    base: &Path,
    file: &Path,
    (name, difference): (&str, Difference),
    reps: u32,
    console: &Console,
) -> anyhow::Result<Row> {
    let (input, base) = (fs::read(file)?, fs::read(base)?);
    let (numbers, of_base) = (Numbers::find(&input), Numbers::find(&base));
    let (own, base) = (numbers.payload(&input), of_base.payload(&base));
    ensure!(own.len() == base.len() && numbers.width == of_base.width, "the base has other tensors");
    let (width, rest) = (numbers.width, Shape::of(file)?.rest_coded_bytes);
    let mut coded = Vec::new();
    let encode = time(reps, console.cancel(), || {
        let (mut made, mut shuffled) = (own.clone(), vec![0; own.len()]);
        difference.apply(&mut made, &base, width, false);
        shuffle(&made, width, &mut shuffled);
        coded = zstd::bulk::compress(&shuffled, LEVEL).context("zstd, encoding")?;
        Ok(())
    })?;
    let mut out = vec![0; own.len()];
    let decode = time(reps, console.cancel(), || {
        let shuffled = zstd::bulk::decompress(&coded, own.len()).context("zstd, decoding")?;
        unshuffle(&shuffled, width, &mut out);
        difference.apply(&mut out, &base, width, true);
        Ok(())
    })?;
    ensure!(out == own, "{name}: what it decoded is not what it was given");
    Ok(Row::new(name, input.len(), coded.len() as u64 + rest, &encode, &decode))
}
