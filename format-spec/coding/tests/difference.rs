//! Coding 4 both ways: every form, every float format, odd shapes, hostile bytes.

use mcodec_coding::difference::{
    CONTEXTS, ChunkSpec, Columns, ColumnsAt, Component, Form, SharedObjects, Survey, Tables, decode,
    decode_at, dependencies, encode, encode_whole, ledger, survey,
};
use mcodec_coding::labelled::{FloatFormat, Level};
use mcodec_coding::{CodingError, DecodeTable, Table, fields};

struct Shared {
    tables: Option<Tables>,
    columns: Option<Columns>,
}

impl SharedObjects for Shared {
    fn tables(&self, dependency: u32) -> Option<&Tables> {
        self.tables.as_ref().filter(|_| dependency == 3)
    }
    fn columns(&self, dependency: u32) -> Option<&Columns> {
        self.columns.as_ref().filter(|_| dependency == 5)
    }
}

impl fields::SharedTables for Shared {
    fn table(&self, _: u32) -> Option<&DecodeTable> {
        None
    }
}

const FORMATS: [FloatFormat; 4] = [FloatFormat::Bf16, FloatFormat::F16, FloatFormat::F32, FloatFormat::F64];

/// A small generator, so that the same numbers come every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }

    /// About normal, of deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| (self.next() % 10_000) as f64 / 10_000.0).sum::<f64>() - 6.0
    }
}

fn bits_of(format: FloatFormat, x: f64) -> Vec<u8> {
    match format {
        FloatFormat::Bf16 => ((x as f32).to_bits() >> 16).to_le_bytes()[..2].to_vec(),
        FloatFormat::F16 => {
            // Enough of a conversion for numbers of moderate size.
            let v = (x as f32).to_bits();
            let exponent = (v >> 23 & 255) as i32 - 112;
            let magnitude = if exponent <= 0 { 0 } else { (exponent as u32) << 10 | v >> 13 & 0x3FF };
            ((v >> 16 & 0x8000 | magnitude) as u16).to_le_bytes().to_vec()
        }
        FloatFormat::F32 => (x as f32).to_le_bytes().to_vec(),
        FloatFormat::F64 => x.to_le_bytes().to_vec(),
    }
}

/// A base and what a rank-one step and noise make of it.
fn tuned(format: FloatFormat, rows: usize, columns: usize) -> (Vec<u8>, Vec<u8>) {
    let mut dice = Dice(7);
    let (mut base, mut bytes) = (Vec::new(), Vec::new());
    for i in 0..rows {
        for j in 0..columns {
            let odd = dice.next() % 200;
            let x = if odd == 0 { 0.0 } else { dice.normal() * 0.1 };
            let step = ((i % 7) as f64 - 3.0) * ((j % 5) as f64 - 2.0) * 0.0005 + dice.normal() * 0.0003;
            let value = match odd {
                0 => x,
                1 => f64::NAN,
                2 => -x * 50.0,
                _ => x + step,
            };
            base.extend(bits_of(format, x));
            bytes.extend(bits_of(format, value));
        }
    }
    (base, bytes)
}

fn tables_for(counts: &Survey) -> Tables {
    let mut all = [[1u64; 64]; 3];
    for (context, symbols) in counts.counts.iter().enumerate() {
        assert!(context < CONTEXTS);
        symbols.iter().zip(&mut all[context % 3]).for_each(|(&n, all)| *all += u64::from(n));
    }
    let values: Vec<u16> = (0..64).collect();
    let table = |counts| Table::from_counts(&values, counts, 12).expect("counts make a table");
    let contexts = core::array::from_fn(|context| (context % 3) as u8);
    Tables::new(contexts, all.iter().map(|counts| table(counts)).collect()).expect("tables are sound")
}

fn columns_of(columns: usize) -> Columns {
    let labels = (0..columns).map(|j| (j % 3) as u8).collect();
    let component = Component { scale: -20, row_class: 8, column_class: 9 };
    let factors = (0..columns).map(|j| 40 * ((j % 5) as i16 - 2)).collect();
    Columns::new(columns, labels, vec![component], factors).expect("columns are sound")
}

#[test]
fn chunks_round_trip() {
    for format in FORMATS {
        for (rows, columns, first) in [(1, 1, 0), (3, 50, 7), (40, 33, 0), (2, 64, 63), (2, 700, 9)] {
            let (base, bytes) = tuned(format, rows, columns);
            let all = columns_of(columns);
            let touched = (first + rows * columns).div_ceil(columns);
            let labels: Vec<i32> = (0..touched as i32).map(|i| -44 + i % 3).collect();
            let factors: Vec<i16> = (0..touched as i16).map(|i| 3 * (i % 7 - 3)).collect();
            for at in 0..3 {
                let known = (at > 0).then_some(&all);
                let own_factors = if at > 0 { &factors[..] } else { &[] };
                let mut counts = Survey::default();
                let pair = (&base[..], &bytes[..]);
                survey(&mut counts, format, pair, (columns, first), &labels, known, own_factors).unwrap();
                let shared = Shared { tables: Some(tables_for(&counts)), columns: Some(all.clone()) };
                let columns_at =
                    [ColumnsAt::Nowhere, ColumnsAt::Inline(&all), ColumnsAt::Shared(5, &all)][at];
                let spec = ChunkSpec {
                    format,
                    tables_dependency: 3,
                    tables: shared.tables.as_ref().unwrap(),
                    columns,
                    first_column: first,
                    columns_at,
                    row_labels: &labels,
                    row_factors: own_factors,
                    lanes_log2: [0, 2, 3][at],
                };
                let payload = encode(&base, &bytes, &spec).unwrap();
                for level in [Level::Scalar, Level::detect()] {
                    let mut out = vec![0; bytes.len()];
                    decode_at(level, &payload, &shared, &base, &mut out).unwrap();
                    assert_eq!(out, bytes, "{level:?} {format:?} {rows} {columns} {first} {at}");
                }
                assert_eq!(dependencies(&payload).unwrap(), if at == 2 { vec![3, 5] } else { vec![3] });
                let parts = ledger(&payload, &shared, bytes.len()).unwrap().unwrap();
                let sum = parts.labels + parts.states + parts.packed + parts.entropy_coded;
                assert_eq!(sum, payload.len() as u64);
                hostile(&payload, &shared, &base);
            }
        }
    }
}

/// Cut, changed, with less that is shared, or against another base: an error or other bytes, never a panic.
fn hostile(payload: &[u8], shared: &Shared, base: &[u8]) {
    let mut out = vec![0; base.len()];
    for cut in 0..payload.len().min(120) {
        assert!(decode(&payload[..cut], shared, base, &mut out).is_err(), "cut at {cut}");
    }
    assert!(decode(&payload[..payload.len() - 1], shared, base, &mut out).is_err());
    assert!(decode(&[payload, &[0]].concat(), shared, base, &mut out).is_err());
    for at in (0..payload.len()).step_by(1 + payload.len() / 64) {
        for bit in 0..8 {
            let mut changed = payload.to_vec();
            changed[at] ^= 1 << bit;
            let result = decode(&changed, shared, base, &mut out);
            let mut portable = vec![0; base.len()];
            let result_of_portable = decode_at(Level::Scalar, &changed, shared, base, &mut portable);
            assert_eq!(result, result_of_portable, "byte {at}, bit {bit}");
            assert!(result.is_err() || out == portable, "byte {at}, bit {bit}");
        }
    }
    _ = decode(payload, shared, &vec![0xFF; base.len()], &mut out);
    _ = decode(payload, shared, &vec![0; base.len()], &mut out);
    assert!(matches!(decode(payload, shared, &base[1..], &mut out), Err(CodingError::Invalid { .. })));
    let none = Shared { tables: None, columns: None };
    assert_eq!(decode(payload, &none, base, &mut out), Err(CodingError::MissingTable { dependency: 3 }));
}

#[test]
fn other_forms_round_trip() {
    let mut dice = Dice(3);
    for unit in [8u8, 16, 32, 64] {
        let base: Vec<u8> = (0..800).map(|_| dice.next() as u8).collect();
        let mut bytes = base.clone();
        bytes
            .iter_mut()
            .step_by(usize::from(unit / 8))
            .for_each(|b| *b = b.wrapping_add(dice.next() as u8 % 3));
        let none = Shared { tables: None, columns: None };
        for form in [Form::Xor, Form::Integer, Form::Alone] {
            let code = |made: &[u8]| {
                fields::encode(
                    made,
                    unit,
                    &[fields::FieldSpec { width: unit, code: fields::FieldCode::Zstd { level: 3 } }],
                )
            };
            let payload = encode_whole(form, &base, &bytes, unit, code).unwrap();
            let mut out = vec![0; bytes.len()];
            decode(&payload, &none, &base, &mut out).unwrap();
            assert_eq!(out, bytes);
            for cut in 0..payload.len() {
                assert!(decode(&payload[..cut], &none, &base, &mut out).is_err());
            }
        }
        let same = encode_whole(Form::Same, &base, &base, unit, |_| unreachable!()).unwrap();
        assert_eq!(same.len(), 1);
        let mut out = vec![0; base.len()];
        decode(&same, &none, &base, &mut out).unwrap();
        assert_eq!(out, base);
        assert!(decode(&[2, 0], &none, &base, &mut out).is_err());
        assert!(matches!(decode(&[6], &none, &base, &mut out), Err(CodingError::Unsupported { id: 6, .. })));
        assert!(decode(&[3, 0, 1], &none, &base, &mut out).is_err());
        decode(&[&[3, 0][..], &vec![0; 800]].concat(), &none, &base, &mut out).unwrap();
        assert_eq!(out, base);
        decode(&[&[0][..], &bytes].concat(), &none, &base, &mut out).unwrap();
        assert_eq!(out, bytes);
        assert!(encode_whole(Form::Same, &base, &bytes, unit, |_| unreachable!()).is_err());
    }
}
