//! Codes with steps: round trips under all vector instructions that the machine has, and bytes that are none.

use mcodec_coding::codes::{
    Classes, CodesSpec, ColumnClasses, ColumnClassesAt, ColumnSteps, Element, SharedObjects, classes, decode,
    decode_at, encode, ledger, step, symbol_of,
};
use mcodec_coding::labelled::Level;
use mcodec_coding::{CodingError, Table};
use proptest::prelude::*;

struct Shared<'a>(&'a Classes, &'a ColumnSteps, &'a ColumnClasses);

impl SharedObjects for Shared<'_> {
    fn classes(&self, dependency: u32) -> Option<&Classes> {
        (dependency == 0).then_some(self.0)
    }
    fn column_steps(&self, dependency: u32) -> Option<&ColumnSteps> {
        (dependency == 1).then_some(self.1)
    }
    fn column_classes(&self, dependency: u32) -> Option<&ColumnClasses> {
        (dependency == 2).then_some(self.2)
    }
}

/// A table whose symbols fall off at some rate, with or without those far out.
fn table(rate: f64, most: u16) -> Table {
    let values: Vec<u16> = (0..most).chain([63]).collect();
    let counts: Vec<u64> = values.iter().map(|&v| 1 + (1e6 * (-f64::from(v) * rate).exp()) as u64).collect();
    Table::from_counts(&values, &counts, 12).expect("counts make a table")
}

fn some_classes() -> Classes {
    let tables: Vec<Table> =
        (0..16).map(|k| table(2f64.powi(-(k / 2)), [2, 40, 62][k as usize % 3])).collect();
    classes(&(0..28).map(|k| k.min(15)).collect::<Vec<u8>>(), tables).expect("classes of codes")
}

struct Matrix {
    codes: Vec<i32>,
    steps: ColumnSteps,
    classes: ColumnClasses,
    row_steps: Vec<i16>,
    row_classes: Vec<i16>,
}

/// Codes whose spread follows the rows and columns, now and then far beyond it.
fn matrix(rows: usize, columns: usize, first: usize, spread: i16, seed: u64) -> Matrix {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let steps = ColumnSteps::new((0..columns).map(|_| (next() % 9) as i16 - 4).collect()).expect("steps");
    let classes = ColumnClasses::new((0..columns).map(|_| (next() % 5) as i16).collect()).expect("classes");
    let len = rows * columns - first;
    let row_steps: Vec<i16> = (0..rows).map(|_| (next() % 21) as i16 - 40).collect();
    let row_classes: Vec<i16> = row_steps.iter().map(|s| spread + (s >> 1) + (next() % 3) as i16).collect();
    let codes = (0..len)
        .map(|i| {
            let (row, column) = ((first + i) / columns, (first + i) % columns);
            let class = row_classes[row] - (row_steps[row] >> 1) + classes.classes()[column];
            let far = [0, 0, 0, 0, 0, 0, 4, 11][(next() % 64).min(7) as usize];
            let sigma = 2f64.powf(f64::from(class - 9) / 2.0 + f64::from(far));
            let sum: f64 = (0..4).map(|_| next() as f64 / f64::from(1u32 << 30) - 1.0).sum();
            ((sum * sigma) as i32).clamp(-(1 << 24) + 1, (1 << 24) - 1)
        })
        .collect();
    Matrix { codes, steps, classes, row_steps, row_classes }
}

fn spec<'a>(m: &'a Matrix, of: &'a Classes, first: usize, kind: u8, lanes_log2: u8) -> CodesSpec<'a> {
    CodesSpec {
        element: [Element::F32, Element::Bf16, Element::F16][usize::from(kind % 3)],
        classes_dependency: 0,
        classes: of,
        columns: m.steps.exponents().len(),
        first_column: first,
        column_steps: (!kind.is_multiple_of(5)).then_some((1, &m.steps)),
        column_classes: match kind % 4 {
            0 => ColumnClassesAt::Zero,
            1 => ColumnClassesAt::Inline(&m.classes),
            _ => ColumnClassesAt::Shared(2, &m.classes),
        },
        row_steps: &m.row_steps,
        row_classes: &m.row_classes,
        lanes_log2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn codes_round_trip(
        (rows, columns) in prop_oneof![(1usize..20, 1usize..300), (1usize..4, 1usize..9)],
        spread in 0i16..30, kind in 0u8..60, lanes in prop_oneof![Just(6u8), 0u8..7], seed in any::<u64>(),
    ) {
        let first = (seed as usize >> 7) % columns;
        let m = matrix(rows, columns, first, spread, seed);
        let of = some_classes();
        let spec = spec(&m, &of, first, kind, lanes);
        let payload = encode(&m.codes, &spec).unwrap();
        let shared = Shared(&of, &m.steps, &m.classes);
        let mut out = vec![0; m.codes.len() * spec.element.bytes()];
        for level in [Level::Scalar, Level::Vector128, Level::Avx2, Level::Avx512] {
            out.fill(0);
            decode_at(level, &payload, &shared, &mut out).unwrap();
            for (i, &code) in m.codes.iter().enumerate() {
                let (row, column) = ((first + i) / columns, (first + i) % columns);
                let of_column = spec.column_steps.map_or(0, |(_, s)| s.exponents()[column]);
                let value = code as f32 * step(m.row_steps[row] + of_column);
                match spec.element {
                    Element::F32 => prop_assert_eq!(&out[4 * i..4 * i + 4], &value.to_le_bytes()),
                    Element::Bf16 => {
                        let bits = u32::from(u16::from_le_bytes([out[2 * i], out[2 * i + 1]])) << 16;
                        let near = f32::from_bits(bits);
                        prop_assert!((near - value).abs() <= value.abs() / 256.0);
                    }
                    Element::F16 => {}
                }
            }
        }
        let found = ledger(&payload, &shared, out.len()).unwrap();
        let sum = found.head + found.steps + found.classes + found.states + found.packed + found.entropy_coded;
        prop_assert_eq!(sum, payload.len() as u64);
    }

    #[test]
    fn changed_bytes_are_refused_or_decode(at in any::<prop::sample::Index>(), flip in 1u8..=255, kind in 0u8..60) {
        let m = matrix(7, 50, 3, 12, 9);
        let of = some_classes();
        let spec = spec(&m, &of, 3, kind, 6);
        let mut payload = encode(&m.codes, &spec).unwrap();
        let mut out = vec![0; m.codes.len() * spec.element.bytes()];
        let shared = Shared(&of, &m.steps, &m.classes);
        for cut in [0, at.index(payload.len())] {
            prop_assert!(decode(&payload[..cut], &shared, &mut out).is_err());
        }
        let place = at.index(payload.len());
        payload[place] ^= flip;
        let _ = decode(&payload, &shared, &mut out);
    }
}

#[test]
fn what_is_missing_or_of_another_kind_is_refused() {
    let m = matrix(4, 30, 0, 12, 1);
    let of = some_classes();
    let spec = spec(&m, &of, 0, 7, 6);
    let payload = encode(&m.codes, &spec).unwrap();
    let mut out = vec![0; m.codes.len() * 2];
    let fewer = ColumnClasses::new(vec![0; 29]).unwrap();
    assert!(decode(&payload, &Shared(&of, &m.steps, &fewer), &mut out).is_err());
    let mut other = payload.clone();
    other[3] = 9;
    let missing = decode(&other, &Shared(&of, &m.steps, &m.classes), &mut out);
    assert_eq!(missing, Err(CodingError::MissingTable { dependency: 9 }));
    let shared = Shared(&of, &m.steps, &m.classes);
    assert!(decode(&payload, &shared, &mut out[..7]).is_err());
    assert!(decode(&payload, &shared, &mut out[..0]).is_err());
    assert!(decode(&payload, &shared, &mut out[..8]).is_err());
    assert!(decode(&[&payload[..], &[0]].concat(), &shared, &mut out).is_err());
    let mut long = out.clone();
    long.extend([0; 60]);
    assert!(decode(&payload, &shared, &mut long).is_err());
    let labelled = mcodec_coding::labelled::Classes::new(
        mcodec_coding::labelled::FloatFormat::Bf16,
        2,
        of.classes().to_vec(),
        of.tables().to_vec(),
        None,
    );
    assert!(decode(&payload, &Shared(&labelled.unwrap(), &m.steps, &m.classes), &mut out).is_err());
    assert!(
        encode(&[1 << 24], &CodesSpec { columns: 1, row_steps: &[0], row_classes: &[0], ..spec }).is_err()
    );
}

#[test]
fn symbols_leave_low_bits_out() {
    assert_eq!((symbol_of(61, 16), symbol_of(62, 16), symbol_of(62, 17)), (61, 63, 31));
    assert_eq!((symbol_of(123, 18), symbol_of(123, 19), symbol_of(u32::MAX, 63)), (61, 30, 63));
}

mod grouped {
    use mcodec_coding::fields::{FieldCode, FieldSpec, SharedTables, encode as encode_fields};
    use mcodec_coding::grouped::{Codebook, Grouped, Offsets, SharedObjects, decode, encode};
    use mcodec_coding::{DecodeTable, codes::Element};
    use proptest::prelude::*;

    struct Shared(Codebook);

    impl SharedObjects for Shared {
        fn codebook(&self, dependency: u32) -> Option<&Codebook> {
            (dependency == 0).then_some(&self.0)
        }
    }

    impl SharedTables for Shared {
        fn table(&self, _: u32) -> Option<&DecodeTable> {
            None
        }
    }

    fn code(bytes: &[u8], unit: u8) -> mcodec_coding::Result<Vec<u8>> {
        encode_fields(bytes, unit, &[FieldSpec { width: unit, code: FieldCode::Packed }])
    }

    proptest! {
        #[test]
        fn grouped_codes_round_trip(
            rows in 1usize..6, columns in 1usize..9, group in 1usize..9, bits in 1u8..=12, kind in 0u8..4,
            seed in any::<u32>(), place in any::<prop::sample::Index>(), flip in 1u8..=255,
        ) {
            let columns = 4 * columns;
            let group = group.min(columns);
            let shared = Shared(Codebook::new(2, (0..64).map(|i| i as f32 / 8.0 - 4.0).collect()).unwrap());
            let book = kind == 3 && bits >= 5;
            let length = if book { 2 } else { 1 };
            let most = if book { 32 } else { 1u32 << bits };
            let mix = |i: usize| (i as u32).wrapping_mul(0x9E37_79B9) ^ seed;
            let codes: Vec<u16> = (0..rows * columns / length).map(|i| (mix(i) % most) as u16).collect();
            let groups = rows * columns.div_ceil(group);
            let scales: Vec<f32> = (0..groups).map(|i| (mix(i) % 64) as f32 / 64.0).collect();
            let floats: Vec<f32> = (0..groups).map(|i| (mix(i) % 32) as f32 / 4.0).collect();
            let points: Vec<u8> = (0..groups).map(|i| (mix(i) % 7) as u8).collect();
            let of = Grouped {
                element: Element::F32,
                columns,
                group,
                bits,
                codebook: book.then_some((0, &shared.0)),
                codes: &codes,
                scale_element: Element::F16,
                scales: &scales,
                offsets: match kind {
                    1 => Offsets::ZeroPoints(&points),
                    2 => Offsets::Floats(Element::Bf16, &floats),
                    _ => Offsets::None,
                },
            };
            let mut payload = encode(&of, &code).unwrap();
            let mut out = vec![0; 4 * rows * columns];
            decode(&payload, &shared, &mut out).unwrap();
            for (i, value) in out.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).enumerate() {
                let at = i / columns * columns.div_ceil(group) + i % columns / group;
                let q = f32::from(codes[i / length]);
                let wanted = match kind {
                    1 => (q - f32::from(points[at])) * scales[at],
                    2 => q * scales[at] + floats[at],
                    3 if book => ((q * 2.0 + (i % 2) as f32) / 8.0 - 4.0) * scales[at],
                    _ => (q - (1u32 << (bits - 1)) as f32) * scales[at],
                };
                prop_assert_eq!(value, wanted);
            }
            let cut = place.index(payload.len());
            prop_assert!(decode(&payload[..cut], &shared, &mut out).is_err());
            payload[cut] ^= flip;
            let _ = decode(&payload, &shared, &mut out);
            let row = out.len() / rows;
            let _ = decode(&payload, &shared, &mut out[..row / 2]);
        }
    }

    #[test]
    fn codebooks_are_checked() {
        let book = Codebook::new(3, vec![0.5; 12]).unwrap();
        assert_eq!(Codebook::parse(&book.to_bytes()).unwrap(), book);
        assert_eq!((book.length(), book.entries()), (3, 4));
        for (length, values) in
            [(0, vec![1.0]), (2, vec![1.0; 3]), (1, vec![]), (1, vec![f32::NAN]), (65, vec![1.0; 65])]
        {
            assert!(Codebook::new(length, values).is_err());
        }
        assert!(Codebook::parse(&[1, 0, 0, 0]).is_err());
        assert!(Codebook::parse(&[1]).is_err());
        assert!(Codebook::parse(&[]).is_err());
    }
}
