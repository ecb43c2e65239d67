//! Differences from a base, for the target `tables`.

use mcodec_coding::difference::{
    CONTEXTS, ChunkSpec, Columns, ColumnsAt, Component, SharedObjects, Tables, decode, decode_at,
    dependencies, encode, ledger,
};
use mcodec_coding::labelled::{FloatFormat, Level};
use mcodec_coding::{DecodeTable, Table, fields};
use std::sync::OnceLock;

const FORMATS: [FloatFormat; 4] = [FloatFormat::Bf16, FloatFormat::F16, FloatFormat::F32, FloatFormat::F64];
/// Columns that payloads may name.
const COLUMNS: [usize; 3] = [1, 7, 64];

/// Dependency 0 are tables, 1 to 3 columns.
struct Shared(&'static (Tables, Vec<Columns>));

impl SharedObjects for Shared {
    fn tables(&self, dependency: u32) -> Option<&Tables> {
        (dependency == 0).then_some(&self.0.0)
    }
    fn columns(&self, dependency: u32) -> Option<&Columns> {
        self.0.1.get((dependency as usize).checked_sub(1)?)
    }
}

impl fields::SharedTables for Shared {
    fn table(&self, _: u32) -> Option<&DecodeTable> {
        None
    }
}

/// Tables, or columns, are written again so that they read as they did.
pub fn objects(bytes: &[u8]) {
    if let Ok(tables) = Tables::parse(bytes) {
        let again = Tables::parse(&tables.to_bytes()).expect("written tables are read");
        assert_eq!(again, tables);
    }
    if let Ok(columns) = Columns::parse(bytes) {
        let again = Columns::parse(&columns.to_bytes()).expect("written columns are read");
        assert_eq!(again, columns);
    }
}

/// Elements (2 bytes), what the base is made of (1 byte), payload.
pub fn payload(bytes: &[u8]) {
    let Some((&[low, high, seed], payload)) = bytes.split_first_chunk::<3>() else { return };
    let count = usize::from(u16::from_le_bytes([low, high])) % 4096;
    let format =
        payload.get(2).and_then(|&f| FORMATS.get(usize::from(f))).copied().unwrap_or(FloatFormat::Bf16);
    let len = count * format.bytes();
    let base = base(len, seed);
    let shared = Shared(fixed());
    let (needs, parts) = (dependencies(payload), ledger(payload, &shared, len));
    let mut out = vec![0; len];
    let done = decode(payload, &shared, &base, &mut out);
    let mut again = vec![0xFF; len];
    let portable = decode_at(Level::Scalar, payload, &shared, &base, &mut again);
    assert_eq!(portable, done, "what can be decoded depends on the machine, or on what was in the buffer");
    if done.is_err() {
        return;
    }
    assert!(out == again, "what is decoded depends on the machine, or on what was in the buffer");
    assert!(needs.expect("a payload that decodes has a head").iter().all(|&n| n <= 3));
    if let Some(parts) = parts.expect("a payload that decodes has a ledger") {
        assert_eq!(parts.labels + parts.states + parts.packed + parts.entropy_coded, payload.len() as u64);
    }
    round_trip(&base, &out, format, usize::from(seed));
}

/// Any elements can be told against any others.
fn round_trip(base: &[u8], bytes: &[u8], format: FloatFormat, which: usize) {
    if bytes.is_empty() {
        return;
    }
    let (tables, all) = fixed();
    let columns = &all[which % 3];
    let elements = bytes.len() / format.bytes();
    let first_column = elements % columns.columns();
    let rows = (first_column + elements).div_ceil(columns.columns());
    let spec = ChunkSpec {
        format,
        tables_dependency: 0,
        tables,
        columns: columns.columns(),
        first_column,
        columns_at: ColumnsAt::Shared(1 + (which % 3) as u32, columns),
        row_labels: &vec![which as i32 - 160; rows],
        row_factors: &vec![which as i16 - 128; rows * columns.components().len()],
        lanes_log2: which as u8 % 7,
    };
    let payload = encode(base, bytes, &spec).expect("whole elements");
    let mut again = vec![0; bytes.len()];
    decode(&payload, &Shared(fixed()), base, &mut again).expect("what was encoded");
    assert!(again == bytes, "elements come back differently");
}

/// Bytes that a seed stands for.
pub fn base(len: usize, seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    // Of one exponent, or of any.
    (0..len).map(|i| if seed < 128 && i % 2 == 1 { 0x3D } else { next() }).collect()
}

/// What seeds and payloads are coded under.
pub fn fixed() -> &'static (Tables, Vec<Columns>) {
    static FIXED: OnceLock<(Tables, Vec<Columns>)> = OnceLock::new();
    FIXED.get_or_init(|| {
        let table = |wide: u64| {
            let values: Vec<u16> = (0..64).collect();
            let counts: Vec<u64> =
                values.iter().map(|&v| 1 + 1000 / (wide + u64::from(v.abs_diff(31)))).collect();
            Table::from_counts(&values, &counts, 12).expect("counts make a table")
        };
        let contexts = core::array::from_fn(|context| (context * 3 / CONTEXTS) as u8);
        let tables = Tables::new(contexts, vec![table(1), table(4), table(20)]).expect("tables are sound");
        (tables, COLUMNS.into_iter().map(columns).collect())
    })
}

fn columns(columns: usize) -> Columns {
    let rank = columns.min(3);
    let component =
        |k: usize| Component { scale: -20 - 9 * k as i8, row_class: 8 * k as u8, column_class: 20 + k as u8 };
    let factors = (0..rank * columns).map(|i| (i * 29 % 101) as i16 - 50).collect();
    let labels = if columns == 7 { Vec::new() } else { (0..columns).map(|j| (j % 4) as u8).collect() };
    Columns::new(columns, labels, (0..rank).map(component).collect(), factors).expect("columns are sound")
}
