//! Labelled floats, for the target `tables`.

use mcodec_coding::Table;
use mcodec_coding::labelled::{
    BlockSpec, Class, Classes, ColumnLabels, Columns, ESCAPE, FloatFormat, Level, SharedObjects, SignCosts,
    TABLES, ZERO, decode_at, dependencies, encode, ledger,
};
use std::sync::OnceLock;

/// A level that the machine lacks is replaced by the best that it has.
const LEVELS: [Level; 4] = [Level::Scalar, Level::Vector128, Level::Avx2, Level::Avx512];
const FORMATS: [FloatFormat; 4] = [FloatFormat::Bf16, FloatFormat::F16, FloatFormat::F32, FloatFormat::F64];
/// Columns of the labels that payloads may name, after the classes.
const COLUMNS: [usize; 3] = [1, 7, 64];

/// Dependencies 0 to 3 are classes of the four formats, 4 to 6 labels; dependency 7 is what the input brings.
struct Shared<'a> {
    fixed: &'a (Vec<Classes>, Vec<ColumnLabels>),
    brought: Option<&'a Classes>,
}

impl SharedObjects for Shared<'_> {
    fn classes(&self, dependency: u32) -> Option<&Classes> {
        if dependency == 7 { self.brought } else { self.fixed.0.get(dependency as usize) }
    }
    fn labels(&self, dependency: u32) -> Option<&ColumnLabels> {
        self.fixed.1.get((dependency as usize).checked_sub(FORMATS.len())?)
    }
}

/// Classes, or labels, are written again so that they read as they did.
pub fn objects(bytes: &[u8]) {
    if let Ok(classes) = Classes::parse(bytes) {
        let again = Classes::parse(&classes.to_bytes()).expect("written classes are read");
        assert_eq!(again, classes);
    }
    if let Ok(labels) = ColumnLabels::parse(bytes) {
        let again = ColumnLabels::parse(&labels.to_bytes()).expect("written labels are read");
        assert_eq!(again, labels);
    }
}

/// Elements (2 bytes), payload.
pub fn payload(bytes: &[u8]) {
    decode(bytes, None);
}

/// Length of classes (2 bytes), classes, then as [`payload`].
pub fn payload_under(bytes: &[u8]) {
    let Some((len, rest)) = bytes.split_first_chunk::<2>() else { return };
    let Some((classes, rest)) = rest.split_at_checked(u16::from_le_bytes(*len).into()) else { return };
    if let Ok(classes) = Classes::parse(classes) {
        decode(rest, Some(&classes));
    }
}

fn decode(bytes: &[u8], brought: Option<&Classes>) {
    let Some((count, payload)) = bytes.split_first_chunk::<2>() else { return };
    let shared = Shared { fixed: fixed(), brought };
    let count = usize::from(u16::from_le_bytes(*count)) % 10_000;
    let needs = dependencies(payload);
    let format = needs
        .iter()
        .flatten()
        .find_map(|&needed| shared.classes(needed))
        .map_or(FloatFormat::Bf16, Classes::format);
    let len = count * format.bytes();
    let parts = ledger(payload, &shared, len);
    let mut results = LEVELS.into_iter().enumerate().map(|(fill, level)| {
        let mut out = vec![fill as u8 * 85; len];
        decode_at(level, payload, &shared, &mut out).map(|()| out)
    });
    let first = results.next().expect("there is a level");
    for other in results {
        assert_eq!(first, other, "what can be decoded depends on the machine, or on what was in the buffer");
    }
    let Ok(out) = first else { return };
    assert!(needs.expect("a payload that decodes has a head").iter().all(|&n| n <= 7));
    let parts = parts.expect("a payload that decodes has a ledger");
    assert_eq!(parts.labels + parts.states + parts.packed + parts.entropy_coded, payload.len() as u64);
    round_trip(&out, format);
}

/// Any elements can be coded under any classes.
fn round_trip(bytes: &[u8], format: FloatFormat) {
    let which = FORMATS.iter().position(|f| *f == format).expect("all formats are there");
    let classes = &fixed().0[which];
    let elements = bytes.len() / format.bytes();
    let columns = COLUMNS[1];
    let spec = BlockSpec {
        classes_dependency: which as u32,
        classes,
        columns,
        first_column: elements % columns,
        column_labels: Columns::Shared(5, &fixed().1[1]),
        row_classes: &vec![1; (elements % columns + elements).div_ceil(columns)],
        row_zeros: &[],
        lanes_log2: 6,
    };
    let payload = encode(bytes, &spec).expect("whole elements");
    let mut again = vec![0; bytes.len()];
    let shared = Shared { fixed: fixed(), brought: None };
    decode_at(Level::detect(), &payload, &shared, &mut again).expect("what was encoded");
    assert!(again == bytes, "elements come back differently");
}

fn fixed() -> &'static (Vec<Classes>, Vec<ColumnLabels>) {
    static FIXED: OnceLock<(Vec<Classes>, Vec<ColumnLabels>)> = OnceLock::new();
    FIXED.get_or_init(|| {
        let classes =
            (0..).zip(FORMATS).map(|(i, format)| classes(format, [4, 1, 8, TABLES as u8][i])).collect();
        (classes, COLUMNS.into_iter().map(labels).collect())
    })
}

/// 32 classes under so many tables, each of the next precision; also what the seeds are coded under.
pub fn classes(format: FloatFormat, tables: u8) -> Classes {
    let top = format.mantissa_bits() as u8 % 4;
    let precision = 10 + tables.trailing_zeros() as u8 % 3;
    let table = |t: u8| {
        let values: Vec<u16> = (u16::from(t % 3)..50).chain([ZERO.into(), ESCAPE.into()]).collect();
        let counts: Vec<u64> = values.iter().map(|&v| 1 + u64::from(v) * u64::from(v)).collect();
        Table::from_counts(&values, &counts, precision).expect("counts make a table")
    };
    let middle = (1 << (format.exponent_bits() - 1)) - 10;
    let map = (0..32).map(|k| Class { table: k as u8 % tables, octaves: middle + k / 4 }).collect();
    let commoner = core::array::from_fn(|bias| core::array::from_fn(|d| 64 + (bias * 4 + d / 2) as u8));
    let signs = Some(SignCosts { first_octave: 2, commoner });
    Classes::new(format, top, map, (0..tables).map(table).collect(), signs).expect("classes are sound")
}

/// Labels with classes and, but for one column, biases.
pub fn labels(columns: usize) -> ColumnLabels {
    let classes = (0..columns).map(|c| (c % 5) as u8).collect();
    let biases = (0..columns).map(|c| (c % 29) as i8 - 14).collect();
    ColumnLabels::new(columns, classes, if columns > 1 { biases } else { Vec::new() })
        .expect("labels are sound")
}
