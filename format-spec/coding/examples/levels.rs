//! How fast labelled floats decode with each level of vector instructions that the target has, on made weights:
//! `cargo run --release -p mcodec-coding --example levels`, or for WebAssembly `.ci/wasm.sh --speed`.

use std::time::{Duration, Instant};

use mcodec_coding::labelled::{
    BlockSpec, Class, Classes, ColumnLabels, Columns, ESCAPE, FloatFormat, Level, SharedObjects, SignCosts,
    ZERO, decode_at, encode,
};
use mcodec_coding::{CodingError, Table};

/// Elements of a chunk, in rows of [`COLUMNS`].
const ELEMENTS: usize = 1 << 17;
const COLUMNS: usize = 512;
/// What each figure is the best of.
const TRIALS: u32 = 15;

struct Shared(Classes, ColumnLabels);

impl SharedObjects for Shared {
    fn classes(&self, _: u32) -> Option<&Classes> {
        Some(&self.0)
    }
    fn labels(&self, _: u32) -> Option<&ColumnLabels> {
        Some(&self.1)
    }
}

/// About normal weights, a unit of a quarter octave wider for each class.
fn weights() -> Vec<f32> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let mut bell = || (0..12).map(|_| uniform()).sum::<f32>() - 6.0;
    (0..ELEMENTS).map(|i| bell() * 2f32.powf((i % COLUMNS % 16) as f32 / 4.0 - 6.0)).collect()
}

fn shared(format: FloatFormat, bytes: &[u8], tables: u8, signs: bool) -> Result<Shared, CodingError> {
    let (top, size) = (2, format.bytes());
    let class = |k: u8| Class { table: k % tables, octaves: 108 + u16::from(k) / 4 };
    let classes: Vec<Class> = (0..16).map(class).collect();
    let mut counts = vec![[1u64; 64]; tables.into()];
    for (i, element) in bytes.chunks_exact(size).enumerate() {
        let bits = u16::from_le_bytes([element[size - 2], element[size - 1]]) & 0x7FFF;
        let class = classes[i % COLUMNS % 16];
        let own = (bits >> (7 - top)).wrapping_sub(class.octaves << top);
        counts[usize::from(class.table)]
            [if own < ZERO.into() { usize::from(own) } else { usize::from(ESCAPE) }] += 9;
    }
    let values: Vec<u16> = (0..64).collect();
    let tables: Result<Vec<Table>, _> = counts.iter().map(|c| Table::from_counts(&values, c, 11)).collect();
    let costs = SignCosts { first_octave: 3, commoner: [[80; 8]; 14] };
    let classes = Classes::new(format, top as u8, classes, tables?, signs.then_some(costs))?;
    let biases = if signs { (0..COLUMNS).map(|c| (c % 3) as i8 - 1).collect() } else { Vec::new() };
    Ok(Shared(classes, ColumnLabels::new(COLUMNS, (0..COLUMNS).map(|c| (c % 16) as u8).collect(), biases)?))
}

/// How symbols are coded.
enum Kind {
    Rans,
    /// Signs too.
    Signs,
    Prefix,
}

fn main() -> Result<(), CodingError> {
    let weights = weights();
    let short: Vec<u8> = weights.iter().flat_map(|w| ((w.to_bits() >> 16) as u16).to_le_bytes()).collect();
    let long: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    println!("MB/s out of chunks of {ELEMENTS} elements, best of {TRIALS}");
    for (name, format, bytes, tables, kind) in [
        ("bf16, 1 table", FloatFormat::Bf16, &short, 1, Kind::Rans),
        ("bf16, 4 tables", FloatFormat::Bf16, &short, 4, Kind::Rans),
        ("bf16, 8 tables, signs", FloatFormat::Bf16, &short, 8, Kind::Signs),
        ("f32, 4 tables", FloatFormat::F32, &long, 4, Kind::Rans),
        ("bf16, 1 prefix code", FloatFormat::Bf16, &short, 1, Kind::Prefix),
        ("bf16, 4 prefix codes", FloatFormat::Bf16, &short, 4, Kind::Prefix),
        ("f32, 4 prefix codes", FloatFormat::F32, &long, 4, Kind::Prefix),
    ] {
        let mut shared = shared(format, bytes, tables, matches!(kind, Kind::Signs))?;
        if matches!(kind, Kind::Prefix) {
            shared.0 = shared.0.with_prefix_codes();
        }
        let spec = BlockSpec {
            classes_dependency: 0,
            classes: &shared.0,
            columns: COLUMNS,
            first_column: 0,
            column_labels: Columns::Shared(1, &shared.1),
            row_classes: &[0; ELEMENTS / COLUMNS],
            row_zeros: &[],
            lanes_log2: if matches!(kind, Kind::Prefix) { 3 } else { 6 },
        };
        let payload = encode(bytes, &spec)?;
        let mut line = format!("{name}: ratio {:.4}", bytes.len() as f64 / payload.len() as f64);
        for level in [Level::Scalar, Level::Vector128, Level::Avx2, Level::Avx512] {
            if level != Level::Scalar && level.available() != level {
                continue;
            }
            let mut back = vec![0; bytes.len()];
            let mut best = Duration::MAX;
            for _ in 0..TRIALS {
                let start = Instant::now();
                decode_at(level, &payload, &shared, &mut back)?;
                best = best.min(start.elapsed());
            }
            assert!(back == *bytes, "what comes back differs");
            line += &format!(", {level:?} {:.0}", bytes.len() as f64 / best.as_secs_f64() / 1e6);
        }
        println!("{line}");
    }
    Ok(())
}
