//! How fast codes decode with each level of vector instructions, beside labelled floats of the same levels, and what they take beside
//! their entropy, on made codes: `cargo run --release -p mcodec-coding --example codes`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mcodec_coding::codes::{
    Classes, CodesSpec, ColumnClasses, ColumnClassesAt, ColumnSteps, Element, SharedObjects, classes,
    decode_at, encode, symbol_of,
};
use mcodec_coding::labelled::Level;
use mcodec_coding::{CodingError, Table};

const ROWS: usize = 256;
const COLUMNS: usize = 512;
const TRIALS: u32 = 25;
/// Spreads of the codes of eight groups of columns, as classes: about 1.5 to 4 bits a code.
const SPREAD: std::ops::Range<i16> = 7..15;

struct Shared(Classes, ColumnSteps, ColumnClasses);

impl SharedObjects for Shared {
    fn classes(&self, _: u32) -> Option<&Classes> {
        Some(&self.0)
    }
    fn column_steps(&self, _: u32) -> Option<&ColumnSteps> {
        Some(&self.1)
    }
    fn column_classes(&self, _: u32) -> Option<&ColumnClasses> {
        Some(&self.2)
    }
}

/// About normal codes, and how many bits their entropy is, class by class.
fn codes() -> (Vec<i32>, f64) {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    let mut bell = || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    let class = |i: usize| SPREAD.start + (i % COLUMNS % 8) as i16;
    let codes: Vec<i32> = (0..ROWS * COLUMNS)
        .map(|i| (bell() * 2f64.powf(f64::from(class(i) - 9) / 2.0)).round() as i32)
        .collect();
    let mut counts: HashMap<(i16, i32), f64> = HashMap::new();
    codes.iter().enumerate().for_each(|(i, &code)| *counts.entry((class(i), code)).or_default() += 1.0);
    let all = (codes.len() / 8) as f64;
    (codes, counts.values().map(|n| n * (all / n).log2()).sum())
}

fn shared(codes: &[i32]) -> Result<Shared, CodingError> {
    let mut counts = vec![[0u64; 64]; 8];
    for (i, code) in codes.iter().enumerate() {
        let group = i % COLUMNS % 8;
        counts[group][usize::from(symbol_of(code.unsigned_abs(), SPREAD.start as usize + group))] += 1;
    }
    let tables = counts.iter().map(|counts| {
        let (values, counts): (Vec<u16>, Vec<u64>) = (0u16..64)
            .zip(*counts)
            .map(|(v, n)| (v, if v == 63 { n + 1 } else { n }))
            .filter(|(_, n)| *n > 0)
            .unzip();
        Table::from_counts(&values, &counts, 12)
    });
    let table_of: Vec<u8> = (0..40).map(|k: i16| (k - SPREAD.start).clamp(0, 7) as u8).collect();
    Ok(Shared(
        classes(&table_of, tables.collect::<Result<_, _>>()?)?,
        ColumnSteps::new((0..COLUMNS as i16).map(|j| j % 9 - 4).collect())?,
        ColumnClasses::new((0..COLUMNS as i16).map(|j| j % 8 + ((j % 9 - 4) >> 1)).collect())?,
    ))
}

fn main() -> Result<(), CodingError> {
    let (codes, entropy) = codes();
    let shared = shared(&codes)?;
    let row_steps: Vec<i16> = (0..ROWS as i16).map(|i| i % 5 - 30).collect();
    let row_classes: Vec<i16> = row_steps.iter().map(|step| SPREAD.start + (step >> 1)).collect();
    let n = codes.len() as f64;
    for element in [Element::Bf16, Element::F32] {
        let spec = CodesSpec {
            element,
            classes_dependency: 0,
            classes: &shared.0,
            columns: COLUMNS,
            first_column: 0,
            column_steps: Some((0, &shared.1)),
            column_classes: ColumnClassesAt::Shared(0, &shared.2),
            row_steps: &row_steps,
            row_classes: &row_classes,
            lanes_log2: 6,
        };
        let payload = encode(&codes, &spec)?;
        let bits = 8.0 * payload.len() as f64;
        println!(
            "{element:?}: {:.4} bits a code, entropy {:.4}, {:.2}% above it",
            bits / n,
            entropy / n,
            100.0 * (bits / entropy - 1.0)
        );
        let mut out = vec![0; codes.len() * element.bytes()];
        for level in [Level::Scalar, Level::Vector128, Level::Avx2, Level::Avx512] {
            if level.available() != level {
                continue;
            }
            let mut best = Duration::MAX;
            for _ in 0..TRIALS {
                let start = Instant::now();
                decode_at(level, &payload, &shared, &mut out)?;
                best = best.min(start.elapsed());
            }
            println!("  {level:?}: {:.0} million weights a second", n / best.as_secs_f64() / 1e6);
        }
    }
    Ok(())
}
