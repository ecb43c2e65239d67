//! How fast linear differences decode, on a made fine-tune (a step of rank 16, and noise):
//! `cargo run --release -p mcodec-coding --example differences`.

use std::time::{Duration, Instant};

use mcodec_coding::difference::{
    CONTEXTS, ChunkSpec, Columns, ColumnsAt, Component, SharedObjects, Survey, Tables, decode_at, encode,
    survey,
};
use mcodec_coding::labelled::{FloatFormat, Level};
use mcodec_coding::{CodingError, DecodeTable, Table, fields};

const ROWS: usize = 256;
const COLUMNS: usize = 512;
const RANK: usize = 16;
/// What each figure is the best of.
const TRIALS: u32 = 15;

struct Shared(Tables, Columns);

impl SharedObjects for Shared {
    fn tables(&self, _: u32) -> Option<&Tables> {
        Some(&self.0)
    }
    fn columns(&self, _: u32) -> Option<&Columns> {
        Some(&self.1)
    }
}

impl fields::SharedTables for Shared {
    fn table(&self, _: u32) -> Option<&DecodeTable> {
        None
    }
}

fn main() -> Result<(), CodingError> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut bell = || {
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 24) as f32
        };
        (0..12).map(|_| uniform()).sum::<f32>() - 6.0
    };
    let factors = |count: usize, bell: &mut dyn FnMut() -> f32| -> Vec<i16> {
        (0..count).map(|_| (bell() * 8.0) as i16).collect()
    };
    let row_factors = factors(ROWS * RANK, &mut bell);
    let column_factors = factors(RANK * COLUMNS, &mut bell);
    // A scale of 2^-11, and products of factors that are about that.
    let (label, scale) = (-44, -28);
    let (mut base, mut bytes) = (Vec::new(), Vec::new());
    for i in 0..ROWS {
        for j in 0..COLUMNS {
            let term =
                |k: usize| i32::from(row_factors[i * RANK + k]) * i32::from(column_factors[k * COLUMNS + j]);
            let step = (0..RANK).map(term).sum::<i32>() as f32 * 2f32.powi((label + scale) / 4);
            let weight = bell() * 0.04;
            let tuned = weight + step + bell() * 2f32.powi(-12);
            base.extend(((weight.to_bits() >> 16) as u16).to_le_bytes());
            bytes.extend(((tuned.to_bits() >> 16) as u16).to_le_bytes());
        }
    }
    let component = Component { scale: scale as i8, row_class: 18, column_class: 18 };
    let columns = Columns::new(COLUMNS, Vec::new(), vec![component; RANK], column_factors)?;
    let labels = vec![label; ROWS];
    let mut counted = Survey::default();
    let pair = (&base[..], &bytes[..]);
    survey(&mut counted, FloatFormat::Bf16, pair, (COLUMNS, 0), &labels, Some(&columns), &row_factors)?;
    let values: Vec<u16> = (0..64).collect();
    // 52 tables, of two contexts each.
    let tables: Result<Vec<Table>, _> = counted
        .counts
        .chunks(2)
        .map(|two| {
            let counts: Vec<u64> =
                (0..64).map(|s| 1 + two.iter().map(|counts| u64::from(counts[s])).sum::<u64>()).collect();
            Table::from_counts(&values, &counts, 12)
        })
        .collect();
    let contexts: [u8; CONTEXTS] = core::array::from_fn(|context| (context / 2) as u8);
    let shared = Shared(Tables::new(contexts, tables?)?, columns);
    let spec = ChunkSpec {
        format: FloatFormat::Bf16,
        tables_dependency: 0,
        tables: &shared.0,
        columns: COLUMNS,
        first_column: 0,
        columns_at: ColumnsAt::Shared(1, &shared.1),
        row_labels: &labels,
        row_factors: &row_factors,
        lanes_log2: 3,
    };
    let payload = encode(&base, &bytes, &spec)?;
    let mut line = format!("bf16, rank {RANK}: ratio {:.3}, MB/s", bytes.len() as f64 / payload.len() as f64);
    for level in [Level::Scalar, Level::Avx2] {
        if level.available() != level {
            continue;
        }
        let mut best = Duration::MAX;
        for _ in 0..TRIALS {
            let mut back = vec![0; bytes.len()];
            let start = Instant::now();
            decode_at(level, &payload, &shared, &base, &mut back)?;
            best = best.min(start.elapsed());
            assert!(back == bytes, "what comes back differs");
        }
        line += &format!(": {level:?} {:.0}", bytes.len() as f64 / best.as_secs_f64() / 1e6);
    }
    println!("{line}");
    Ok(())
}
