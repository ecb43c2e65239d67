//! Labelled chunks: round trips, and hostile payloads.

use mcodec_coding::Table;
use mcodec_coding::labelled::{
    BlockSpec, Class, Classes, ColumnLabels, Columns, ESCAPE, FloatFormat, Level, SharedObjects, SignCosts,
    ZERO, decode, decode_at, encode, encode_at,
};
use proptest::prelude::*;

/// A level that the machine lacks is replaced by the best that it has.
const LEVELS: [Level; 4] = [Level::Scalar, Level::Vector128, Level::Avx2, Level::Avx512];

struct One<'a>(&'a Classes, Option<&'a ColumnLabels>);

impl SharedObjects for One<'_> {
    fn classes(&self, dependency: u32) -> Option<&Classes> {
        (dependency == 0).then_some(self.0)
    }
    fn labels(&self, dependency: u32) -> Option<&ColumnLabels> {
        self.1.filter(|_| dependency == 1)
    }
}

/// A generator of numbers that need not be good.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    /// About normal.
    fn bell(&mut self) -> f64 {
        (0..6).map(|_| (self.next() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 3.0
    }
}

/// Floats of a matrix whose rows and columns have scales, some of them odd.
fn matrix(format: FloatFormat, columns: usize, len: usize, dice: &mut Dice) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..len {
        let scale = 2f64.powi(((i / columns) % 5) as i32 - 8 + (i % columns % 3) as i32);
        let value = if dice.next().is_multiple_of(50) { 0.0 } else { dice.bell() * scale };
        let odd = dice.next().is_multiple_of(200);
        match format {
            FloatFormat::Bf16 => {
                let bits = ((value as f32).to_bits() >> 16) as u16;
                out.extend((if odd { dice.next() as u16 } else { bits }).to_le_bytes());
            }
            FloatFormat::F16 => {
                // Truncated, not rounded: good enough here.
                let bits = (value as f32).to_bits();
                let exponent = ((bits >> 23 & 255) as i32 - 112).clamp(0, 31) as u32;
                let half = (bits >> 31 << 15 | exponent << 10 | bits >> 13 & 1023) as u16;
                out.extend((if odd { dice.next() as u16 } else { half }).to_le_bytes());
            }
            FloatFormat::F32 => {
                let bits = (value as f32).to_bits();
                let bits = if i / columns % 3 == 1 { bits >> 13 << 13 } else { bits };
                out.extend(
                    (if odd && i / columns % 3 != 1 { dice.next() as u32 } else { bits }).to_le_bytes(),
                );
            }
            FloatFormat::F64 => out.extend((if odd { dice.next() } else { value.to_bits() }).to_le_bytes()),
        }
    }
    out
}

fn classes(format: FloatFormat, top: u8, tables: u8, precision: u8) -> Classes {
    let bias = (1 << (format.exponent_bits() - 1)) - 1;
    let low = u16::try_from((bias - 13i32).max(0)).expect("small");
    let map =
        (0..32u16).map(|k| Class { table: (k % u16::from(tables)) as u8, octaves: low + k / 4 }).collect();
    let table = |t: u8| {
        let peak = 7u64 << top;
        let values: Vec<u16> =
            (0..64).filter(|v| *v < u16::from(ZERO) - u16::from(t % 3) || *v >= u16::from(ZERO)).collect();
        let count = |v: &u16| match *v as u8 {
            ZERO => 500,
            ESCAPE => 60,
            v => 1 + 40_000 / (1 + u64::from(v).abs_diff(peak + u64::from(t)).pow(2)),
        };
        Table::from_counts(&values, &values.iter().map(count).collect::<Vec<_>>(), precision).expect("table")
    };
    let commoner = core::array::from_fn(|b| core::array::from_fn(|d| 64 + (b * 4 + d / 2) as u8));
    let signs = Some(SignCosts { first_octave: 3, commoner });
    Classes::new(format, top, map, (0..tables).map(table).collect(), signs).expect("classes")
}

/// A chunk to code.
#[derive(Debug)]
struct Case {
    format: FloatFormat,
    top: u8,
    tables: u8,
    precision: u8,
    columns: usize,
    first_column: usize,
    len: usize,
    lanes_log2: u8,
    /// Of column labels: bit 0: classes, bit 1: biases, bit 2: shared.
    labelled: u8,
    prefix: bool,
    seed: u64,
}

impl Case {
    fn classes(&self) -> Classes {
        let classes = classes(self.format, self.top, self.tables, self.precision);
        if self.prefix { classes.with_prefix_codes() } else { classes }
    }
}

fn round_trip(case: &Case) -> Vec<u8> {
    let mut dice = Dice(case.seed | 1);
    let classes = case.classes();
    let bytes = matrix(case.format, case.columns, case.len, &mut dice);
    let rows = (case.first_column + case.len).div_ceil(case.columns);
    let labels = ColumnLabels::new(
        case.columns,
        if case.labelled & 1 == 0 { vec![] } else { (0..case.columns).map(|c| (c % 9) as u8).collect() },
        if case.labelled & 2 == 0 || case.prefix {
            vec![]
        } else {
            (0..case.columns).map(|c| (c % 29) as i8 - 14).collect()
        },
    )
    .expect("labels");
    let row_classes: Vec<u8> = (0..rows).map(|r| (r * 5 % 21) as u8).collect();
    let size = case.format.bytes();
    let zeros: Vec<u8> = (0..rows)
        .map(|r| {
            let start = (r * case.columns).saturating_sub(case.first_column);
            let end = ((r + 1) * case.columns - case.first_column).min(case.len);
            let low = (start..end).fold(u64::MAX, |all, i| {
                let mut word = [0; 8];
                word[..size].copy_from_slice(&bytes[i * size..(i + 1) * size]);
                all.min(u64::from_le_bytes(word).trailing_zeros().into())
            });
            low.min(u64::from(classes.low_bits())) as u8
        })
        .collect();
    let spec = BlockSpec {
        classes_dependency: 0,
        classes: &classes,
        columns: case.columns,
        first_column: case.first_column,
        column_labels: match case.labelled >> 2 {
            0 => Columns::Inline(&labels),
            _ => Columns::Shared(1, &labels),
        },
        row_classes: &row_classes,
        row_zeros: if case.format == FloatFormat::F32 { &zeros } else { &[] },
        lanes_log2: case.lanes_log2,
    };
    let payload = encode(&bytes, &spec).expect("spec is sound");
    let scalar = encode_at(Level::Scalar, &bytes, &spec).expect("spec is sound");
    assert!(scalar == payload, "{case:?}");
    for level in LEVELS {
        let mut back = vec![0xEE; bytes.len()];
        let result = decode_at(level, &payload, &One(&classes, Some(&labels)), &mut back);
        assert!(result.is_ok(), "{level:?} {case:?}: {result:?}");
        assert!(back == bytes, "{level:?} {case:?}");
    }
    payload
}

/// Where a program is compiled for 128 bits, these are used.
#[test]
fn levels_are_what_the_target_has() {
    let compiled_in = cfg!(any(
        all(target_arch = "aarch64", target_endian = "little"),
        all(target_arch = "wasm32", target_feature = "simd128")
    ));
    assert_eq!(Level::Vector128.available() == Level::Vector128, compiled_in);
    assert_eq!(Level::Scalar.available(), Level::Scalar);
}

#[test]
fn every_format_and_lane_count_comes_back() {
    for format in [FloatFormat::Bf16, FloatFormat::F16, FloatFormat::F32, FloatFormat::F64] {
        for lanes_log2 in 0..=6 {
            for (len, columns) in
                [(1, 1), (63, 7), (64, 64), (65, 1000), (4096, 128), (9000, 384), (20_000, 96)]
            {
                for (labelled, prefix) in
                    [(0, false), (1, false), (3, false), (6, false), (7, false), (0, true), (5, true)]
                {
                    round_trip(&Case {
                        format,
                        top: lanes_log2 % 4,
                        tables: [1, 2, 4, 8, 16, 3, 5][usize::from(lanes_log2)],
                        precision: 10 + lanes_log2 % 3,
                        columns,
                        first_column: columns / 3,
                        len,
                        lanes_log2,
                        labelled,
                        prefix,
                        seed: len as u64 * 77 + u64::from(labelled),
                    });
                }
            }
        }
    }
}

/// What vector decoders take (64 lanes), and what they leave to the portable code.
#[test]
fn vector_decoders_agree_whatever_the_tables() {
    for format in [FloatFormat::Bf16, FloatFormat::F16, FloatFormat::F32, FloatFormat::F64] {
        for tables in [1, 2, 3, 4, 5, 8, 9, 16] {
            for precision in 10..=12 {
                for (len, columns, labelled) in [(3000, 100, 7), (4500, 64, 6), (2000, 3000, 1), (1111, 1, 2)]
                {
                    round_trip(&Case {
                        format,
                        top: (tables + precision) % 4,
                        tables,
                        precision,
                        columns,
                        first_column: columns / 3,
                        len,
                        lanes_log2: 6,
                        labelled,
                        prefix: false,
                        seed: len as u64 * 31 + u64::from(tables * 3 + precision),
                    });
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn hostile_payloads_end_in_errors(seed: u64, at: prop::sample::Index, value: u8, labelled in 0u8..8, tables in prop_oneof![Just(1u8), Just(2), Just(4), Just(8), 1u8..=16], format in prop_oneof![
        Just(FloatFormat::Bf16), Just(FloatFormat::F16), Just(FloatFormat::F32), Just(FloatFormat::F64)
    ], lanes_log2 in prop_oneof![0u8..=6, Just(6), Just(6)], len in prop_oneof![1usize..700, Just(9000)], prefix: bool) {
        let case = Case {
            format, top: tables % 4, tables, precision: 10 + tables % 3, columns: 50, first_column: 3, len, lanes_log2, labelled, prefix, seed,
        };
        let mut payload = round_trip(&case);
        let classes = case.classes();
        let labels = ColumnLabels::new(50, vec![], vec![]).expect("labels");
        let size = format.bytes();
        let mut out = vec![0; size * len];
        for cut in (0..payload.len()).step_by(7 + payload.len() / 100) {
            prop_assert!(decode(&payload[..cut], &One(&classes, Some(&labels)), &mut out).is_err());
        }
        let place = at.index(payload.len());
        payload[place] = value;
        let mut results = Vec::new();
        for level in LEVELS {
            let mut out = vec![0; size * len];
            let result = decode_at(level, &payload, &One(&classes, Some(&labels)), &mut out);
            results.push(result.map(|()| out));
        }
        prop_assert!(results.iter().all(|result| *result == results[0]), "levels differ");
        let _ = decode(&payload, &One(&classes, Some(&labels)), &mut out[..size * len / 2]);
    }
}
