//! Models put together from plain arrays: what is read of them, in parts, at levels, and what is fetched for it.

use mcodec_coding::codes::Element;
use mcodec_coding::grouped::Codebook;
use mcodec_decode::built::{AxisLevels, Block, Kept, Levels};
use mcodec_decode::{AssetBase, BaseModel, DecodeError, Entry, ReadOptions, Reader, verify};
use mcodec_encode::build::{Base, Codes, GroupOffsets, LowRank, ModelBuilder, Nest, Role};
use mcodec_encode::{EncodeError, Output, pack};
use mcodec_format::{Bundle, CutAxis, MatrixAxis, Member, NestOrder};
use mcodec_tests::counting::{Counting, bytes_of};
use mcodec_tests::files::options;
use mcodec_tests::inputs::Noise;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut noise = Noise(seed);
    (0..count).map(|_| (noise.word() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

fn f32s(list: &[f32]) -> Vec<u8> {
    Element::F32.round(list)
}

type Source = Counting<File>;

fn written(dir: &tempfile::TempDir, model: ModelBuilder) -> (Reader<Source>, PathBuf) {
    let path = dir.path().join("model.mcodec");
    let output = Output::File { path: path.clone(), force: true };
    let mut options = options(1);
    options.chunk_len = 4096;
    model.write(output, &options).expect("the model is written");
    (opened(&path), path)
}

fn opened(path: &std::path::Path) -> Reader<Source> {
    let file = Counting::new(File::open(path).expect("the file is there"));
    Reader::open(file, ReadOptions::default()).expect("the file opens")
}

fn sound(reader: &Reader<Source>) {
    let report = verify(reader, true).expect("the file is read");
    assert!(report.damage.is_empty() && report.unknown.is_empty(), "{report:?}");
}

/// Bytes of a block of a row-major matrix of bytes.
fn block_of(all: &[u8], columns: usize, size: usize, block: &Block) -> Vec<u8> {
    let row = |r: u64| {
        let at = (r as usize * columns + block.columns.start as usize) * size;
        all[at..at + (block.columns.end - block.columns.start) as usize * size].to_vec()
    };
    block.rows.clone().flat_map(row).collect()
}

/// Every kind of block of an array is the same part of the whole, and its plan has what is then read.
fn parts_agree(reader: &Reader<Source>, entry: &Entry) -> Vec<u8> {
    let whole = reader.read_all(entry).expect("it is read");
    let shape = &entry.tensor().expect("an array").shape;
    let (rows, columns) = mcodec_format::built::matrix(shape).expect("rows and columns");
    let size = whole.len() / (rows * columns) as usize;
    let ends = |n: u64| [0..n, 0..1, n - 1..n, n / 3..n / 2 + 1, n / 2..n / 2];
    for block_rows in ends(rows) {
        for block_columns in ends(columns) {
            let block = Block { rows: block_rows.clone(), columns: block_columns };
            let found = reader.read_block(entry, &block, &Levels::default()).expect("the block is read");
            assert_eq!(
                found,
                block_of(&whole, columns as usize, size, &block),
                "{:?} {block:?}",
                entry.name()
            );
        }
    }
    let len = whole.len() as u64;
    for range in [0..1, 3..len - 1, len / 3..len / 2, len..len] {
        let found = reader.read(entry, range.clone()).expect("bytes are read");
        assert_eq!(found, whole[range.start as usize..range.end as usize]);
    }
    assert!(
        reader.read(entry, 0..len + 1).is_err()
            && reader
                .read_block(entry, &Block { rows: 0..rows + 1, columns: 0..1 }, &Levels::default())
                .is_err()
    );
    whole
}

/// A model with every representation, nested, and what several tensors share.
fn model() -> ModelBuilder {
    let mut m = ModelBuilder::new("model");
    let (rows, rank, columns) = (60u64, 6u64, 48u64);
    let left = m.plain("u", Role::Array, "F32", &[rank, rows], f32s(&numbers(360, 1))).expect("u");
    for expert in 0..3 {
        let codes: Vec<i32> = numbers(288, 10 + expert).iter().map(|v| (v * 20.0) as i32).collect();
        let codes = Codes::Stepped { codes, row_steps: vec![-12; 6], column_steps: Some(vec![1; 48]) };
        let name = format!("expert {expert}");
        let right = m.codes(&format!("v{expert}"), Role::Array, "F16", &[rank, columns], codes).expect("v");
        let of = LowRank { left_by_rank: true, ranks: vec![2, 4], ..LowRank::of(left, right) };
        m.low_rank(&name, Role::Tensor, "BF16", &[rows, columns], of).expect("a product");
    }
    let book = Codebook::new(2, numbers(32, 5)).expect("a codebook");
    let mut tiers = Vec::new();
    for (at, scale) in [1.0, 0.25].into_iter().enumerate() {
        let codes = Codes::Grouped {
            codes: (0..20 * 24).map(|i| ((i * 7 + at) % 16) as u16).collect(),
            bits: 4,
            group: 48,
            scales: vec![scale; 20],
            offsets: GroupOffsets::None,
            codebook: Some(book.clone()),
        };
        let tier = m.codes(&format!("tier {at}"), Role::Array, "F32", &[20, columns], codes).expect("a tier");
        tiers.push((20, Some(tier)));
    }
    tiers.insert(1, (20, None));
    let all = m.tiers("sorted", Role::Array, &[rows, columns], MatrixAxis::Rows, &tiers).expect("tiers");
    let map: Vec<Option<u32>> = (0..60).map(|i| (i % 7 != 3).then_some((i * 23) % 60)).collect();
    m.select("codebook", Role::Tensor, &[3, 20, columns], all, Some(&map), None).expect("a selection");
    let grouped = Codes::Grouped {
        codes: (0..60 * 16).map(|i| (i % 256) as u16).collect(),
        bits: 8,
        group: 5,
        scales: numbers(60 * 4, 8),
        offsets: GroupOffsets::ZeroPoints((0..240).map(|i| i as u8).collect()),
        codebook: None,
    };
    let wide = m.codes("wide", Role::Array, "BF16", &[rows, 16], grouped).expect("grouped codes");
    let gather: Vec<Option<u32>> = (0..24).map(|i| (i % 5 != 0).then_some(15 - i % 16)).collect();
    let half = m.select("half", Role::Array, &[rows, 24], wide, None, Some(&gather)).expect("columns");
    let sides = [(24, Some(half)), (8, None), (16, Some(wide))];
    let sum = m.tiers("sides", Role::Tensor, &[rows, columns], MatrixAxis::Columns, &sides).expect("tiers");
    let thin = m.plain("thin", Role::Array, "F32", &[rows, 1], f32s(&numbers(60, 20))).expect("thin");
    let flat = m.plain("flat", Role::Array, "BF16", &[columns, 1], Element::Bf16.round(&numbers(48, 21)));
    let flat = flat.expect("flat");
    let of = LowRank { right_by_column: true, base: Some(Base::Array(sum)), ..LowRank::of(thin, flat) };
    m.low_rank("corrected", Role::Tensor, "BF16", &[rows, columns], of).expect("a sum");
    m.alias("again", Role::Tensor, sum).expect("an alias");
    m.plain("norm", Role::Tensor, "I32", &[5], vec![1; 20]).expect("a plain tensor");
    m
}

#[test]
fn parts_of_built_arrays_are_parts_of_the_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let (reader, path) = written(&dir, model());
    sound(&reader);
    for row in reader.rows("model").expect("rows") {
        if matches!(row.kind_of(), "tensor" | "array") {
            parts_agree(&reader, &reader.resolve(row).expect("it resolves"));
        }
    }
    let of =
        |name: &str| reader.read_all(&reader.tensor("model", name).expect("it is there")).expect("is read");
    assert_eq!(of("again"), of("sides"));
    // A packed file has the same.
    let packed = dir.path().join("packed.mcodec");
    pack(&path, Output::File { path: packed.clone(), force: false }, &options(1)).expect("it is packed");
    sound(&opened(&packed));
}

trait KindOf {
    fn kind_of(&self) -> &'static str;
}

impl KindOf for mcodec_decode::RowRef {
    fn kind_of(&self) -> &'static str {
        let all = &mcodec_format::registry::entry::ALL;
        mcodec_format::registry::name_of(all, self.get().kind).unwrap_or("unknown")
    }
}

#[test]
fn what_tensors_share_is_stored_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let (reader, _) = written(&dir, model());
    let rows = reader.rows("model").expect("rows");
    let count = |kind: &str| rows.iter().filter(|row| row.kind_of() == kind).count();
    // Two tiers of one codebook; three factors of equal steps of columns.
    assert_eq!((count("codebook"), count("column-steps"), count("index-map")), (1, 1, 2));
}

#[test]
fn a_rank_or_a_variant_fetches_its_share() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut m = ModelBuilder::new("model");
    let (rows, rank, columns) = (512u64, 32u64, 384u64);
    let (left, right) = (numbers(512 * 32, 1), numbers(32 * 384, 2));
    let mut runs = [Vec::new(), Vec::new()];
    for step in 0..4 {
        for (side, (list, width)) in [(&left, rows), (&right, columns)].into_iter().enumerate() {
            let part = f32s(&list[step * 8 * width as usize..(step + 1) * 8 * width as usize]);
            let name = format!("{side}.{step}");
            runs[side]
                .push((8, Some(m.plain(&name, Role::Array, "F32", &[8, width], part).expect("a part"))));
        }
    }
    let a = m.tiers("left", Role::Array, &[rank, rows], MatrixAxis::Rows, &runs[0]).expect("left");
    let b = m.tiers("right", Role::Array, &[rank, columns], MatrixAxis::Rows, &runs[1]).expect("right");
    let of = LowRank { left_by_rank: true, ranks: vec![8, 16, 24], ..LowRank::of(a, b) };
    let w = m.low_rank("w", Role::Tensor, "F32", &[rows, columns], of).expect("a product");
    let heads = numbers(512 * 384, 3);
    let nest = Nest { axis: MatrixAxis::Rows, order: NestOrder::Prefix, unit: 64, levels: &[16, 48, 64] };
    let (_, v, kept) = m.nested("v", "F32", &[rows, columns], &f32s(&heads), nest).expect("a nest");
    let nest = Nest { axis: MatrixAxis::Columns, order: NestOrder::Paired, unit: 96, levels: &[32, 96] };
    let (_, q, paired) = m.nested("q", "F32", &[rows, columns], &f32s(&heads), nest).expect("a nest");
    m.bundle(bundle("rank", 32, &[8, 16, 24, 32], Member { entry: w.entry(), axis: CutAxis::Rank }));
    m.bundle(bundle("heads", 512, &kept, v));
    m.bundle(bundle("pairs", 384, &paired, q));
    m.variant("quarter", &[0, 0, 0]);
    m.variant("half", &[1, 1, 0]);
    m.variant("all", &[3, 2, 1]);
    let (reader, path) = written(&dir, m);
    sound(&reader);
    let whole = |name: &str| reader.read_all(&reader.tensor("model", name).expect("there")).expect("is read");
    assert_eq!(whole("v"), f32s(&heads));
    assert_eq!(whole("q"), f32s(&heads));
    let stored = bytes_of(&chunk_ranges(&reader));
    for (name, ranks, kept, pairs) in [("quarter", 8, 16, 16), ("half", 16, 48, 16), ("all", 32, 64, 48)] {
        let fresh = opened(&path);
        let (levels, variant) = fresh.variant("model", name).expect("the variant is there");
        let cut = fresh.with_levels(levels);
        _ = cut.source().take();
        let read = |name: &str| {
            let entry = cut.tensor("model", name).expect("it is there");
            let plan = cut.plan(&entry, 0..entry.byte_len()).expect("it is planned");
            let before = bytes_of(&cut.source().take());
            let bytes = cut.read_all(&entry).expect("it is read");
            let fetched = bytes_of(&cut.source().take());
            assert!(fetched <= bytes_of(&plan.reads), "{name}: {fetched} {before}");
            (bytes, fetched)
        };
        let (w, of_w) = read("w");
        let mut sums = vec![0f32; 512 * 384];
        for (at, sum) in sums.iter_mut().enumerate() {
            for k in 0..ranks {
                *sum += left[k * 512 + at / 384] * right[k * 384 + at % 384];
            }
        }
        assert!(w == f32s(&sums), "the product of rank {ranks}");
        let (v, of_v) = read("v");
        let zeroed = |keep: &dyn Fn(usize, usize) -> bool| {
            let at = |i: usize| if keep(i / 384, i % 384) { heads[i] } else { 0.0 };
            f32s(&(0..heads.len()).map(at).collect::<Vec<_>>())
        };
        assert!(v == zeroed(&|row, _| row % 64 < kept), "{kept} of each head");
        let (q, of_q) = read("q");
        assert!(q == zeroed(&|_, column| column % 48 < pairs), "{pairs} of each half");
        let shares = [(of_w, ranks as f64 / 32.0), (of_v, kept as f64 / 64.0), (of_q, pairs as f64 / 48.0)];
        let sizes = [(rows + columns) * rank * 4, rows * columns * 4, rows * columns * 4];
        for ((fetched, share), size) in shares.into_iter().zip(sizes) {
            // Floats of noise take about their size; maps are the shared objects.
            let most = 1.1 * share * size as f64 + 2400.0;
            assert!((fetched as f64) < most, "{name}: {fetched} of {size} for {share}");
        }
        let all = (of_w + of_v + of_q) as f64;
        let said = variant.bytes as f64;
        assert!((said / all - 1.0).abs() < 0.05, "{name}: {said} said, {all} fetched of {stored}");
    }
    let missing = reader.variant("model", "none").expect_err("there is no such variant").to_string();
    assert!(missing.contains("quarter, half, all"), "{missing}");
}

/// Where the chunks of a file are.
fn chunk_ranges(reader: &Reader<Source>) -> Vec<std::ops::Range<u64>> {
    let rows = reader.rows("model").expect("rows");
    rows.iter().flat_map(|row| row.get().spans(0).map(|span| span.payload).collect::<Vec<_>>()).collect()
}

fn bundle(name: &str, unit: u64, levels: &[u64], member: Member) -> Bundle {
    let levels = levels.to_vec();
    Bundle { name: name.into(), order: NestOrder::Prefix, unit, levels, members: vec![member] }
}

#[test]
fn one_expert_and_one_column_range_fetch_their_share() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut m = ModelBuilder::new("model");
    let (f, d) = (128u64, 512u64);
    let mut experts = Vec::new();
    for expert in 0..8 {
        let mut tiles = Vec::new();
        for tile in 0..2 {
            let bytes = f32s(&numbers((f * d / 2) as usize, 100 + 2 * expert + tile));
            let name = format!("{expert}.{tile}");
            tiles
                .push((d / 2, Some(m.plain(&name, Role::Array, "F32", &[f, d / 2], bytes).expect("a tile"))));
        }
        let name = format!("expert {expert}");
        let of = m.tiers(&name, Role::Array, &[f, d], MatrixAxis::Columns, &tiles).expect("an expert");
        experts.push((f, Some(of)));
    }
    m.tiers("experts", Role::Tensor, &[8, f, d], MatrixAxis::Rows, &experts).expect("all of them");
    let (reader, _) = written(&dir, m);
    let entry = reader.tensor("model", "experts").expect("it is there");
    let whole = reader.read_all(&entry).expect("it is read");
    let all = whole.len() as f64;
    for (block, share) in [
        (Block { rows: 3 * f..4 * f, columns: 0..d }, 1.0 / 8.0),
        (Block { rows: 0..8 * f, columns: 256..512 }, 0.5),
        (Block { rows: 5 * f..6 * f, columns: 0..256 }, 1.0 / 16.0),
    ] {
        let plan = reader.plan_block(&entry, &block, &Levels::default()).expect("it is planned");
        _ = reader.source().take();
        let found = reader.read_block(&entry, &block, &Levels::default()).expect("it is read");
        let fetched = bytes_of(&reader.source().take()) as f64;
        assert!(found == block_of(&whole, d as usize, 4, &block), "{block:?}");
        assert!(
            fetched <= 1.1 * share * all && fetched <= bytes_of(&plan.reads) as f64,
            "{block:?}: {fetched}"
        );
    }
    // Levels of any array can be asked for without a bundle.
    let kept = AxisLevels { rows: Some(Kept { unit: f, width: 1 }), ..AxisLevels::default() };
    let levels = Levels::default().with(0, entry.id(), kept);
    let found = reader.read_block(&entry, &Block::all(&entry).expect("a block"), &levels).expect("is read");
    let row = d as usize * 4;
    for (at, bytes) in found.chunks(row).enumerate() {
        let wanted =
            if at % f as usize == 0 { whole[at * row..(at + 1) * row].to_vec() } else { vec![0; row] };
        assert!(bytes == wanted, "row {at}");
    }
}

#[test]
fn experts_and_columns_of_codes_fetch_their_share() {
    let (experts, f, d) = (8u64, 128u64, 512u64);
    for grouped in [false, true] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut m = ModelBuilder::new("model");
        let mut tiles = Vec::new();
        for tile in 0..4 {
            let count = (experts * f * d / 4) as usize;
            let drawn = numbers(count, 50 + tile);
            let codes = if grouped {
                Codes::Grouped {
                    codes: drawn.iter().map(|v| ((v + 1.0) * 7.99) as u16).collect(),
                    bits: 4,
                    group: 64,
                    scales: vec![0.5; count / 64],
                    offsets: GroupOffsets::None,
                    codebook: None,
                }
            } else {
                let codes = drawn.iter().map(|v| (v * 20.0) as i32).collect();
                Codes::Stepped { codes, row_steps: vec![-12; (experts * f) as usize], column_steps: None }
            };
            let shape = [experts, f, d / 4];
            let tile = m.codes(&format!("tile {tile}"), Role::Array, "F32", &shape, codes).expect("a tile");
            tiles.push((d / 4, Some(tile)));
        }
        let shape = [experts, f, d];
        m.tiers("experts", Role::Tensor, &shape, MatrixAxis::Columns, &tiles).expect("all of them");
        let (reader, path) = written(&dir, m);
        let (mut of_codes, mut shared) = (0, 0);
        for row in reader.rows("model").expect("rows") {
            let bytes: u64 = row.get().lengths.iter().sum();
            *(if row.kind_of() == "array" { &mut of_codes } else { &mut shared }) += bytes;
        }
        for (rows, columns, share) in [
            (3 * f..4 * f, 0..d, 1.0 / 8.0),
            (0..8 * f, 128..256, 1.0 / 4.0),
            (0..8 * f, 256..512, 1.0 / 2.0),
            (7 * f..8 * f, 0..128, 1.0 / 32.0),
        ] {
            let block = Block { rows, columns };
            let fresh = opened(&path);
            let entry = fresh.tensor("model", "experts").expect("it is there");
            _ = fresh.source().take();
            let found = fresh.read_block(&entry, &block, &Levels::default()).expect("it is read");
            let fetched = bytes_of(&fresh.source().take()) as f64;
            let whole = reader.read_all(&entry).expect("it is read");
            assert!(found == block_of(&whole, d as usize, 4, &block), "{block:?}");
            let most = 1.1 * share * of_codes as f64 + shared as f64;
            assert!(fetched <= most, "{grouped} {block:?}: {fetched} of {of_codes} and {shared} shared");
        }
    }
}

#[test]
fn what_does_not_fit_together_is_refused_where_it_is_made() {
    let mut m = ModelBuilder::new("model");
    let a = m.plain("a", Role::Array, "F32", &[4, 2], f32s(&numbers(8, 1))).expect("a");
    let b = m.plain("b", Role::Array, "F32", &[3, 6], f32s(&numbers(18, 2))).expect("b");
    let bytes = m.plain("c", Role::Array, "U8", &[2, 6], vec![0; 12]).expect("c");
    let is = |e: Result<_, EncodeError>, text: &str| {
        let e: EncodeError = e.map(|_: mcodec_encode::build::ArrayId| ()).expect_err("it does not fit");
        assert!(e.to_string().contains(text), "{e}");
    };
    is(m.plain("d", Role::Tensor, "F32", &[4], vec![0; 15]), "another number of bytes");
    is(m.plain("d", Role::Tensor, "F64x", &[4], vec![0; 16]), "not whole bytes");
    is(m.low_rank("d", Role::Tensor, "F32", &[4, 6], LowRank::of(a, b)), "one rank");
    is(m.low_rank("d", Role::Tensor, "F32", &[4, 6], LowRank::of(a, bytes)), "F32, F16 or BF16");
    is(m.low_rank("d", Role::Tensor, "I32", &[4, 2], LowRank::of(a, a)), "one rank");
    is(m.select("d", Role::Tensor, &[5, 2], a, None, None), "another number of places");
    is(m.select("d", Role::Tensor, &[2, 2], a, Some(&[Some(4), None]), None), "index map");
    is(m.select("d", Role::Tensor, &[4, 2], a, None, None), "axes of a selection");
    is(m.tiers("d", Role::Tensor, &[8, 2], MatrixAxis::Rows, &[(4, Some(a)), (3, None)]), "not as long");
    is(m.tiers("d", Role::Tensor, &[7, 2], MatrixAxis::Rows, &[(3, Some(a)), (4, None)]), "another size");
    is(m.tiers("d", Role::Tensor, &[7, 2], MatrixAxis::Rows, &[(7, None)]), "none of its tiers");
    let codes = |codes| Codes::Stepped { codes, row_steps: vec![0; 2], column_steps: None };
    is(m.codes("d", Role::Tensor, "F32", &[2, 3], codes(vec![1; 5])), "for all rows and columns");
    is(m.codes("d", Role::Tensor, "F32", &[2, 3], codes(vec![1 << 24; 6])), "below 2^24");
    is(m.codes("d", Role::Tensor, "I32", &[2, 3], codes(vec![1; 6])), "F32, F16 or BF16");
    let nest = |unit, levels| Nest { axis: MatrixAxis::Rows, order: NestOrder::Prefix, unit, levels };
    let floats = f32s(&numbers(8, 1));
    for (unit, levels) in [(3, &[3][..]), (4, &[2]), (4, &[4, 2, 4]), (4, &[])] {
        let found = m.nested("d", "F32", &[4, 2], &floats, nest(unit, levels));
        assert!(found.is_err(), "{unit} {levels:?}");
    }
}

#[test]
fn a_file_whose_bundles_do_not_fit_is_not_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("model.mcodec");
    let member = |entry, axis| Member { entry, axis };
    let cases: [(&str, Vec<Bundle>); 7] = [
        ("is no array", vec![bundle("b", 4, &[4], member(9, CutAxis::Rows))]),
        ("no whole units", vec![bundle("b", 3, &[3], member(0, CutAxis::Rows))]),
        ("has no rank", vec![bundle("b", 2, &[2], member(0, CutAxis::Rank))]),
        ("do not rise", vec![bundle("b", 4, &[2], member(0, CutAxis::Rows))]),
        (
            "one name",
            vec![
                bundle("b", 4, &[4], member(0, CutAxis::Rows)),
                bundle("b", 2, &[2], member(0, CutAxis::Columns)),
            ],
        ),
        (
            "cut by bundle",
            vec![
                bundle("a", 4, &[4], member(0, CutAxis::Rows)),
                bundle("b", 4, &[4], member(0, CutAxis::Rows)),
            ],
        ),
        (
            "another map",
            vec![Bundle {
                members: vec![member(2, CutAxis::Rows), member(4, CutAxis::Rows)],
                ..bundle("b", 4, &[4], member(0, CutAxis::Rows))
            }],
        ),
    ];
    for (text, bundles) in cases {
        let mut m = ModelBuilder::new("model");
        let a = m.plain("a", Role::Array, "F32", &[4, 2], f32s(&numbers(8, 1))).expect("a");
        let swap = |x, y| [Some(x), Some(y), Some(2), Some(3)];
        m.select("s", Role::Tensor, &[4, 2], a, Some(&swap(1, 0)), None).expect("a selection");
        m.select("t", Role::Tensor, &[4, 2], a, Some(&swap(0, 1)), None).expect("a selection");
        bundles.into_iter().for_each(|bundle| m.bundle(bundle));
        let output = Output::File { path: path.clone(), force: false };
        let e = m.write(output, &options(1)).expect_err("it is not written").to_string();
        assert!(e.contains(text), "{e}");
        assert!(!path.exists(), "{text}");
    }
}

#[test]
fn a_product_is_added_to_a_tensor_of_another_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let weights = numbers(24 * 16, 7);
    let mut m = ModelBuilder::new("base");
    m.plain("w", Role::Tensor, "F32", &[24, 16], f32s(&weights)).expect("w");
    let path = dir.path().join("base.mcodec");
    m.write(Output::File { path: path.clone(), force: false }, &options(1)).expect("the base is written");
    let base =
        Arc::new(Reader::open(File::open(&path).expect("a file"), ReadOptions::default()).expect("opens"));
    let base = AssetBase::new(base, None).expect("it has one asset");
    let mut m = ModelBuilder::new("model");
    let (a, b) = (numbers(24 * 2, 8), numbers(2 * 16, 9));
    let left = m.plain("a", Role::Array, "F32", &[24, 2], f32s(&a)).expect("a");
    let right = m.plain("b", Role::Array, "F32", &[2, 16], f32s(&b)).expect("b");
    let (hash, bytes) = (base.content_hash(), f32s(&weights));
    let external = Base::External { hash, name: "w".into(), bytes: bytes.clone() };
    let of = LowRank { base: Some(external), ..LowRank::of(left, right) };
    m.low_rank("tuned", Role::Tensor, "F32", &[24, 16], of).expect("a sum");
    let short = Base::External { hash, name: "w".into(), bytes: bytes[4..].to_vec() };
    let of = LowRank { base: Some(short), ..LowRank::of(left, right) };
    assert!(m.low_rank("short", Role::Tensor, "F32", &[24, 16], of).is_err());
    let (reader, _) = written(&dir, m);
    let entry = reader.tensor("model", "tuned").expect("it is there");
    assert!(matches!(reader.read_all(&entry), Err(DecodeError::Missing { .. })));
    let plan = reader.plan(&entry, 0..entry.byte_len()).expect("it is planned");
    assert_eq!(plan.external, [(hash, "w".to_owned())]);
    assert!(verify(&reader, true).expect("it is read").undecoded);
    let reader = reader.with_bases(vec![Arc::new(base)]);
    sound(&reader);
    let found = Element::F32.values(&parts_agree(&reader, &entry));
    for (at, (found, mut wanted)) in found.into_iter().zip(weights).enumerate() {
        (0..2).for_each(|k| wanted += a[at / 16 * 2 + k] * b[k * 16 + at % 16]);
        assert_eq!(found.to_bits(), wanted.to_bits());
    }
}
