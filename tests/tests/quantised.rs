//! Quantised models: their size, what stays lossless, what is read of them, and what statistics do.

use mcodec_decode::built::{AxisLevels, Block, Kept, Levels};
use mcodec_decode::{Entry, ReadOptions, Reader, verify};
use mcodec_encode::quantise::{Method, QuantiseOptions, QuantiseReport, Size, encode_quantised};
use mcodec_encode::recipes::{PassSpec, Recipe};
use mcodec_encode::{EncodeError, Output, encode_path};
use mcodec_format::{Limits, Representation, registry};
use mcodec_tests::counting::{Counting, bytes_of};
use mcodec_tests::files::{open, options};
use mcodec_tests::inputs::{Noise, Tensor, safetensors, tensor};
use std::fs;
use std::path::{Path, PathBuf};

/// About normal, of spread `sigma`.
fn normal(noise: &mut Noise, sigma: f32) -> f32 {
    let sum: f32 = (0..6).map(|_| (noise.word() >> 40) as f32 / (1 << 24) as f32 - 0.5).sum();
    sum * sigma * 1.414
}

fn matrix(noise: &mut Noise, rows: usize, columns: usize, sigma: f32) -> Vec<f32> {
    let rows: Vec<f32> = (0..rows).map(|_| sigma * (1.0 + (noise.word() % 4) as f32)).collect();
    rows.iter().flat_map(|&s| (0..columns).map(|_| normal(noise, s)).collect::<Vec<_>>()).collect()
}

fn bytes(dtype: &str, values: &[f32]) -> Vec<u8> {
    mcodec_coding::codes::Element::by_name(dtype).expect("a float").round(values)
}

/// A model with everything in it that stays as it is.
fn model() -> Vec<Tensor> {
    let mut noise = Noise(3);
    let mut of = |name: &str, dtype: &str, shape: [usize; 2], sigma: f32| {
        let values = matrix(&mut noise, shape[0], shape[1], sigma);
        tensor(name, dtype, &shape.map(|d| d as u64), bytes(dtype, &values))
    };
    let mut broken = of("layers.0.broken.weight", "F32", [40, 64], 1.0);
    broken.bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    vec![
        of("embed_tokens.weight", "F32", [300, 96], 1.0),
        of("layers.0.attn.q_proj.weight", "F32", [96, 96], 0.1),
        of("layers.0.attn.k_proj.weight", "F32", [48, 96], 0.02),
        of("layers.0.mlp.up_proj.weight", "BF16", [1024, 512], 0.5),
        of("layers.0.mlp.down_proj.weight", "F16", [96, 300], 0.05),
        of("layers.0.mlp.gate.weight", "F32", [16, 160], 0.3),
        of("norm.weight", "F32", [1, 96], 1.0),
        broken,
        tensor("layers.0.zero.weight", "F32", &[64, 64], vec![0; 4 * 64 * 64]),
    ]
}

fn encoded(
    dir: &Path,
    tensors: &[Tensor],
    quantise: &QuantiseOptions,
    threads: usize,
) -> Result<(PathBuf, QuantiseReport), EncodeError> {
    let input = dir.join("model.safetensors");
    fs::write(&input, safetensors(None, tensors)).expect("input is written");
    let path = dir.join("model.mcodec");
    let output = Output::File { path: path.clone(), force: true };
    let report = encode_quantised(&input, None, output, quantise, &options(threads))?;
    Ok((path, report.quantised.expect("something was quantised")))
}

fn at(size: Size) -> QuantiseOptions {
    QuantiseOptions { size, statistics: None, keep: Vec::new(), method: Method::default() }
}

fn reader(path: &Path) -> Reader<Vec<u8>> {
    open(&fs::read(path).expect("file is there")).expect("file opens")
}

fn weights(tensors: &[Tensor]) -> u64 {
    tensors.iter().map(|t| t.shape.iter().product::<u64>()).sum()
}

#[test]
fn sizes_are_met_and_never_passed() {
    let dir = tempfile::tempdir().unwrap();
    let all = model();
    for bits in [1.2, 3.0, 4.5, 9.0] {
        let (path, report) = encoded(dir.path(), &all, &at(Size::BitsPerWeight(bits)), 2).unwrap();
        let found = 8.0 * fs::metadata(&path).unwrap().len() as f64 / weights(&all) as f64;
        assert!(found <= bits && found >= 0.99 * bits, "{found} bits where {bits} were asked for");
        assert!((report.bits_per_weight - found).abs() < 1e-9);
        assert_eq!(verify(&reader(&path), true).unwrap().damage, []);
    }
    let (path, _) = encoded(dir.path(), &all, &at(Size::Bytes(300_000)), 2).unwrap();
    let len = fs::metadata(&path).unwrap().len();
    assert!((297_000..=300_000).contains(&len), "{len}");
    let before = fs::read(&path).unwrap();
    assert!(matches!(encoded(dir.path(), &all, &at(Size::Bytes(9000)), 2), Err(EncodeError::Request(_))));
    assert!(fs::read(&path).unwrap() == before, "a size that cannot be met leaves the output alone");
    assert!(encoded(dir.path(), &all, &at(Size::BitsPerWeight(0.0)), 2).is_err());
    assert!(encoded(dir.path(), &all, &at(Size::BitsPerWeight(f64::NAN)), 2).is_err());
}

#[test]
fn more_bits_are_nearer() {
    let dir = tempfile::tempdir().unwrap();
    let all = model();
    let mut last = f64::INFINITY;
    for bits in [2.0, 4.0, 8.0] {
        let (path, _) = encoded(dir.path(), &all, &at(Size::BitsPerWeight(bits)), 2).unwrap();
        let reader = reader(&path);
        let entry = reader.tensor("model", "layers.0.attn.q_proj.weight").unwrap();
        let found = reader.read_all(&entry).unwrap();
        let float = |b: &[u8]| f64::from(f32::from_le_bytes(b.try_into().unwrap()));
        let pairs = found.chunks(4).zip(all[1].bytes.chunks(4)).map(|(a, b)| (float(a), float(b)));
        let (error, energy) =
            pairs.fold((0.0, 0.0), |(error, energy), (a, b)| (error + (a - b).powi(2), energy + b * b));
        assert!(error / energy < last / 6.0, "{bits} bits: {}", error / energy);
        last = error / energy;
    }
    assert!(last < 1e-3);
}

#[test]
fn what_is_kept_and_what_is_not_for_it_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let all = model();
    let keep = vec!["*embed_tokens*".into(), "*.k_proj.*".into()];
    let quantise = QuantiseOptions { keep, ..at(Size::BitsPerWeight(3.0)) };
    let (path, report) = encoded(dir.path(), &all, &quantise, 2).unwrap();
    let reader = reader(&path);
    let mut counted = 0;
    for t in &all {
        let entry = reader.tensor("model", &t.name).unwrap();
        let same = reader.read_all(&entry).unwrap() == t.bytes;
        let is_quantised = entry.tensor().unwrap().representation == Representation::Quant;
        let wanted = ["q_proj", "up_proj", "down_proj", "zero"].iter().any(|name| t.name.contains(name));
        assert_eq!(is_quantised, wanted, "{}", t.name);
        assert!(same || wanted, "{} changed", t.name);
        counted += if wanted { t.shape.iter().product() } else { 0 };
    }
    assert_eq!((report.tensors, report.weights), (4, counted));
    assert!(report.bits_per_weight <= 3.0 && report.bits_per_weight >= 2.97, "{}", report.bits_per_weight);
    let asset = reader.asset(None).unwrap();
    let said = asset.fields.get(registry::asset_field::QUANTISED).unwrap();
    assert_eq!(said, br#"{"bits_per_weight":3.0,"keep":["*embed_tokens*","*.k_proj.*"]}"#);
    // It tells how it was made as it would had it been made by a recipe.
    let record = reader.entry("model", registry::entry::RECORD, "recipe").unwrap();
    let recipe = Recipe::parse(&String::from_utf8(reader.read_all(&record).unwrap()).unwrap()).unwrap();
    assert_eq!(recipe.passes, [PassSpec::parse("quant:bits=3").unwrap()]);
}

#[test]
fn threads_change_nothing_and_rows_are_read_alone() {
    let dir = tempfile::tempdir().unwrap();
    let all = model();
    let files: Vec<Vec<u8>> = [1, 3]
        .map(|threads| encoded(dir.path(), &all, &at(Size::BitsPerWeight(3.0)), threads).unwrap().0)
        .map(|path| fs::read(path).unwrap())
        .into();
    assert!(files[0] == files[1], "the bytes depend on the number of threads");
    let reader = open(&files[0]).unwrap();
    let entry = reader.tensor("model", "layers.0.mlp.up_proj.weight").unwrap();
    let chunks = entry.chunking().chunk_count();
    assert_eq!(chunks, 4);
    let whole = reader.read_all(&entry).unwrap();
    for rows in [0..1, 255..257, 700..1024, 3..3] {
        let range = entry.row_bytes(rows).unwrap();
        let part = &whole[range.start as usize..range.end as usize];
        assert!(reader.read(&entry, range).unwrap() == part);
    }
    let bytes = |rows| -> u64 {
        let plan = reader.plan(&entry, entry.row_bytes(rows).unwrap()).unwrap();
        plan.reads.iter().map(|r| r.end - r.start).sum()
    };
    let shared = bytes(0..1024) - entry.content().get().lengths.iter().sum::<u64>();
    assert!(bytes(300..310) <= (bytes(0..1024) / 4) * 11 / 10 + shared, "rows are not read alone");
}

type Counted = Reader<Counting<fs::File>>;

fn counted(path: &Path) -> Counted {
    Reader::open(Counting::new(fs::File::open(path).unwrap()), ReadOptions::default()).unwrap()
}

/// Bytes of all chunks of codes, and of all objects that they share.
fn stored(reader: &Counted) -> (u64, u64) {
    let (mut codes, mut shared) = (0, 0);
    for row in reader.rows("model").unwrap() {
        let bytes: u64 = row.get().lengths.iter().sum();
        match row.get().kind {
            registry::entry::TENSOR | registry::entry::ARRAY => codes += bytes,
            registry::entry::RECORD => {}
            _ => shared += bytes,
        }
    }
    (codes, shared)
}

/// Reads a block, which is that part of the whole, and fetches at most 1.1 times its share beside what is shared; what it fetched.
fn fetches_its_share(path: &Path, block: &Block, share: f64) -> u64 {
    let reader = counted(path);
    let name = "layers.0.experts.weight";
    let entry = reader.tensor("model", name).unwrap();
    let whole = reader.read_all(&entry).unwrap();
    let (codes, shared) = stored(&reader);
    let plan = reader.plan_block(&entry, block, &Levels::default()).unwrap();
    let fresh = counted(path);
    let entry = fresh.tensor("model", name).unwrap();
    _ = fresh.source().take();
    let found = fresh.read_block(&entry, block, &Levels::default()).unwrap();
    let fetched = bytes_of(&fresh.source().take());
    assert!(found == block_of(&whole, &entry, block), "{block:?}");
    let most = 1.1 * share * codes as f64 + shared as f64;
    assert!(fetched as f64 <= most, "{block:?}: {fetched} of {codes} and {shared} shared");
    assert!(fetched <= bytes_of(&plan.reads), "{block:?}: {fetched} is more than was planned");
    fetched
}

fn block_of(whole: &[u8], entry: &Entry, block: &Block) -> Vec<u8> {
    let columns = *entry.tensor().unwrap().shape.last().unwrap();
    let rows = block.rows.clone().map(|row| row * columns);
    let ranges =
        rows.map(|at| 4 * (at + block.columns.start) as usize..4 * (at + block.columns.end) as usize);
    ranges.flat_map(|range| whole[range].to_vec()).collect()
}

/// Eight experts in one tensor, each of 96 rows of 512.
fn experts() -> Vec<Tensor> {
    let values = matrix(&mut Noise(8), 8 * 96, 512, 0.1);
    vec![tensor("layers.0.experts.weight", "F32", &[8, 96, 512], bytes("F32", &values))]
}

#[test]
fn an_expert_and_a_range_of_columns_fetch_their_share() {
    let dir = tempfile::tempdir().unwrap();
    for bits in [2.5, 4.0] {
        let (whole_rows, _) = encoded(dir.path(), &experts(), &at(Size::BitsPerWeight(bits)), 2).unwrap();
        let expert = Block { rows: 3 * 96..4 * 96, columns: 0..512 };
        fetches_its_share(&whole_rows, &expert, 1.0 / 8.0);
        let mut method = Method::default();
        method.column_run = Some(128);
        let quantise = QuantiseOptions { method, ..at(Size::BitsPerWeight(bits)) };
        let (path, report) = encoded(dir.path(), &experts(), &quantise, 2).unwrap();
        assert!(report.bits_per_weight <= bits && report.bits_per_weight >= 0.99 * bits);
        assert_eq!((report.tensors, report.weights), (1, 8 * 96 * 512));
        fetches_its_share(&path, &expert, 1.0 / 8.0);
        for (columns, share) in [(128..256, 0.25), (0..128, 0.25), (256..512, 0.5)] {
            fetches_its_share(&path, &Block { rows: 0..768, columns }, share);
        }
        // A range that ends within runs takes all of these.
        fetches_its_share(&path, &Block { rows: 0..768, columns: 100..130 }, 0.5);
        let some = Block { rows: 5 * 96..6 * 96, columns: 384..512 };
        let of_both = fetches_its_share(&path, &some, 0.5 / 8.0);
        assert!(of_both > 0);
        let sound = verify(&counted(&path), true).unwrap();
        assert!(sound.damage.is_empty() && sound.unknown.is_empty(), "{sound:?}");
    }
}

#[test]
fn a_level_of_columns_fetches_its_share() {
    let dir = tempfile::tempdir().unwrap();
    let mut method = Method::default();
    method.column_run = Some(128);
    let quantise = QuantiseOptions { method, ..at(Size::BitsPerWeight(3.0)) };
    let (path, _) = encoded(dir.path(), &experts(), &quantise, 2).unwrap();
    for width in [128, 256, 384] {
        let reader = counted(&path);
        let entry = reader.tensor("model", "layers.0.experts.weight").unwrap();
        let (codes, shared) = stored(&reader);
        let kept = AxisLevels { columns: Some(Kept { unit: 512, width }), ..AxisLevels::default() };
        let levels = Levels::default().with(0, entry.id(), kept);
        _ = reader.source().take();
        let found = reader.read_block(&entry, &Block::all(&entry).unwrap(), &levels).unwrap();
        let fetched = bytes_of(&reader.source().take()) as f64;
        let most = 1.1 * (width as f64 / 512.0) * codes as f64 + shared as f64;
        assert!(fetched <= most, "{width} columns: {fetched} of {codes} and {shared} shared");
        let whole = reader.read_all(&entry).unwrap();
        for (at, (a, b)) in found.chunks(4).zip(whole.chunks(4)).enumerate() {
            assert!(
                a == if (at as u64) % 512 < width { b } else { &[0; 4] },
                "{width} columns: element {at}"
            );
        }
    }
}

#[test]
fn small_limits_hold() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = encoded(dir.path(), &model(), &at(Size::BitsPerWeight(3.0)), 2).unwrap();
    let mut limits = Limits::default();
    limits.chunk_bytes = 100_000;
    let reader = Reader::open(fs::read(path).unwrap(), ReadOptions::default().limits(limits)).unwrap();
    let error = reader.tensor("model", "layers.0.mlp.up_proj.weight").unwrap_err();
    assert!(error.to_string().contains("chunk length"), "{error}");
}

#[test]
fn codes_are_copied_where_others_are_coded_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = encoded(dir.path(), &model(), &at(Size::BitsPerWeight(3.0)), 2).unwrap();
    let again = dir.path().join("again.mcodec");
    let output = Output::File { path: again.clone(), force: true };
    let report = encode_path(&path, None, output, &options(2)).unwrap();
    assert!(report.notes.iter().any(|note| note.contains("copied as it is")), "{:?}", report.notes);
    let (old, new) = (reader(&path), reader(&again));
    assert_eq!(verify(&new, true).unwrap().damage, []);
    assert_eq!(old.asset(None).unwrap().hash, new.asset(None).unwrap().hash);
    let tensor =
        |of: &Reader<Vec<u8>>| of.read_all(&of.tensor("model", "embed_tokens.weight").unwrap()).unwrap();
    assert!(tensor(&old) == tensor(&new));
    let output = Output::Stream(Box::new(std::io::sink()));
    let error = encode_path(&path, None, output, &options(2)).unwrap_err();
    assert!(error.to_string().contains("into a file only"), "{error}");
}

/// Statistics in which the first of 96 inputs matter most, for the layers that read them.
fn statistics(dir: &Path, wrong: bool) -> PathBuf {
    let n = 96usize;
    let gram: Vec<f32> = (0..n * n)
        .map(|i| {
            let (a, b) = (i / n, i % n);
            let scale = |j: usize| if j < 24 { 10.0f32 } else { 1.0 };
            scale(a) * scale(b) * if a == b { 1.0 } else { 0.8 }
        })
        .collect();
    let fisher: Vec<f32> = (0..96).map(|i| if i < 48 { 1e-2 } else { 1e-6 }).collect();
    let rows = if wrong { 95 } else { 96 };
    let tensors = [
        tensor("layers.0.attn.q_proj.weight.gram", "F32", &[96, 96], bytes("F32", &gram)),
        tensor("layers.0.attn.q_proj.weight.fisher", "F32", &[rows], bytes("F32", &fisher[..rows as usize])),
        tensor("layers.0.attn.k_proj.weight.fisher", "F32", &[48], bytes("F32", &fisher[..48])),
    ];
    let metadata = r#"{"layers.0.attn.k_proj.weight":"layers.0.attn.q_proj.weight"}"#;
    let path = dir.join("stats.safetensors");
    fs::write(&path, safetensors(Some(metadata), &tensors)).unwrap();
    path
}

#[test]
fn statistics_say_where_errors_count() {
    let dir = tempfile::tempdir().unwrap();
    let all = model();
    let statistics_file = statistics(dir.path(), false);
    let quantise = QuantiseOptions { statistics: Some(statistics_file), ..at(Size::BitsPerWeight(3.0)) };
    let (path, _) = encoded(dir.path(), &all, &quantise, 2).unwrap();
    let reader = reader(&path);
    assert_eq!(verify(&reader, true).unwrap().damage, []);
    let entry = reader.tensor("model", "layers.0.attn.q_proj.weight").unwrap();
    let found = reader.read_all(&entry).unwrap();
    let float = |b: &[u8]| f64::from(f32::from_le_bytes(b.try_into().unwrap()));
    let (mut of_rows, mut of_columns) = ([0.0; 2], [0.0; 2]);
    for (i, (a, b)) in found.chunks(4).zip(all[1].bytes.chunks(4)).enumerate() {
        let error = (float(a) - float(b)).powi(2);
        of_rows[usize::from(i / 96 >= 48)] += error / 48.0;
        of_columns[usize::from(i % 96 >= 24)] += error / if i % 96 < 24 { 24.0 } else { 72.0 };
    }
    assert!(of_rows[0] < of_rows[1] / 10.0, "rows that matter have small steps: {of_rows:?}");
    assert!(of_columns[0] < of_columns[1] / 4.0, "and columns: {of_columns:?}");
    // Layers that read the same share the steps of their columns.
    let kinds: Vec<u64> = reader.rows("model").unwrap().iter().map(|row| row.get().kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == registry::entry::COLUMN_STEPS).count(), 1);
    // Errors that are fed back do not stop where an array of columns does; and the diagonal alone may be asked for.
    let error_of = |method: Method| {
        let (path, _) =
            encoded(dir.path(), &all, &QuantiseOptions { method, ..quantise.clone() }, 2).unwrap();
        let file = counted(&path);
        let entry = file.tensor("model", "layers.0.attn.q_proj.weight").unwrap();
        let found = file.read_all(&entry).unwrap();
        let off: Vec<f64> =
            found.chunks(4).zip(all[1].bytes.chunks(4)).map(|(a, b)| float(a) - float(b)).collect();
        // What the outputs are off by, of the rows that matter; inputs of the Gram matrix above are 0.8 alike.
        let scale = |j: usize| if j < 24 { 10.0 } else { 1.0 };
        let row = |row: &[f64]| {
            let sum: f64 = row.iter().enumerate().map(|(j, e)| e * scale(j)).sum();
            let squares: f64 = row.iter().enumerate().map(|(j, e)| (e * scale(j)).powi(2)).sum();
            0.8 * sum * sum + 0.2 * squares
        };
        off.chunks(96).take(48).map(row).sum::<f64>()
    };
    let (whole, mut method) = (error_of(Method::default()), Method::default());
    method.column_run = Some(32);
    let in_runs = error_of(method);
    method = Method::default();
    method.feedback = false;
    let diagonal = error_of(method);
    assert!(in_runs < 1.5 * whole && whole < 0.7 * diagonal, "{whole} {in_runs} {diagonal}");
    let wrong = QuantiseOptions { statistics: Some(statistics(dir.path(), true)), ..quantise };
    let error = encoded(dir.path(), &all, &wrong, 2).unwrap_err();
    assert!(error.to_string().contains("has shape [95] where the model needs [96]"), "{error}");
}
