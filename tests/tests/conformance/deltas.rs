//! Coding 4 and what it is told against: sound files, and what is refused.

use crate::hand::{Draft, Shell, bytes_tensor, chunking, model, row};
use crate::vector::{Expect, Vector};
use mcodec_coding::Table;
use mcodec_coding::difference::{
    CONTEXTS, ChunkSpec, Columns, ColumnsAt, Component, Form, Survey, Tables, encode, encode_whole, survey,
};
use mcodec_coding::fields::{FieldCode, FieldSpec, encode as encode_fields};
use mcodec_coding::labelled::FloatFormat;
use mcodec_format::registry::{Dtype, asset_field, coding, entry};
use mcodec_format::{
    Chunking, Dependency, DependencyGroups, EntryRow, Fields, Representation, TensorDescriptor,
};
use mcodec_tests::inputs::Noise;

/// Rows and columns of the tensors of floats.
const ROWS: usize = 6;
const COLUMNS: usize = 10;
/// Labels of their rows: a difference is about 2^-7.
const LABEL: i32 = -28;
/// Entry ids of what is shared, in the asset that is told against the other.
const TABLES: u32 = 50;
const SHARED: u32 = 51;
const GROUPED: u32 = 52;

pub fn all() -> Vec<Vector> {
    vec![deltas(), refused()]
}

const FORMATS: [(FloatFormat, &str); 4] = [
    (FloatFormat::Bf16, "BF16"),
    (FloatFormat::F16, "F16"),
    (FloatFormat::F32, "F32"),
    (FloatFormat::F64, "F64"),
];

fn descriptor(
    dtype: &str,
    shape: &[u64],
    chunking: Chunking,
    representation: Representation,
) -> TensorDescriptor {
    TensorDescriptor {
        dtype: Dtype::by_name(dtype),
        dtype_name: dtype.into(),
        shape: shape.to_vec(),
        representation,
        ..bytes_tensor(chunking)
    }
}

/// Floats of about 1/8, and what a small step makes of them; some have no difference.
fn floats(format: FloatFormat, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let (m, e) = (format.mantissa_bits(), format.exponent_bits());
    let sign = 1u64 << (m + e);
    let mut noise = Noise(seed);
    let (mut base, mut bytes) = (Vec::new(), Vec::new());
    for at in 0..ROWS * COLUMNS {
        let exponent = (1u64 << (e - 1)) - 1 - 5 + noise.word() % 3;
        let x = exponent << m | noise.word() & ((1 << m) - 1) | if noise.word() % 2 == 1 { sign } else { 0 };
        let step = (noise.word() % (1 << (m - 3))) as i64 - (1 << (m - 4));
        let (x, value) = match at {
            7 => (x, ((1 << e) - 1) << m | 1),
            13 => (0, 0),
            21 => (x, sign),
            22 => (x, x ^ sign),
            34 => (0, x & !sign & ((1 << m) - 1)),
            41 => (x, x),
            _ => (x, x.wrapping_add_signed(step)),
        };
        base.extend_from_slice(&x.to_le_bytes()[..format.bytes()]);
        bytes.extend_from_slice(&value.to_le_bytes()[..format.bytes()]);
    }
    (base, bytes)
}

/// Labels and two components, one of them of factors with low bits apart.
fn columns() -> Columns {
    let component = |scale, row_class, column_class| Component { scale, row_class, column_class };
    let labels = (0..COLUMNS).map(|j| (j * 5 % 3) as u8).collect();
    let factors = (0..2 * COLUMNS).map(|i| if i < COLUMNS { 9 * (i as i16 - 4) } else { i as i16 % 3 - 1 });
    let components = vec![component(-30, 10, 24), component(-3, 2, 4)];
    Columns::new(COLUMNS, labels, components, factors.collect()).expect("columns are sound")
}

/// Two tables, by the parity of contexts, that lack some symbols.
fn tables(counted: &Survey) -> Tables {
    let table = |odd: usize| {
        let mut counts = [0u64; 64];
        for symbols in counted.counts.iter().skip(odd).step_by(2) {
            symbols.iter().zip(&mut counts).for_each(|(&n, sum)| *sum += u64::from(n));
        }
        // Those that came once are escaped.
        counts.iter_mut().filter(|n| **n == 1).for_each(|n| *n = 0);
        counts[63] += 4;
        let values: Vec<u16> = (0..64).collect();
        Table::from_counts(&values, &counts, 12).expect("counts make a table")
    };
    let contexts = core::array::from_fn(|context| (context % 2) as u8);
    Tables::new(contexts, vec![table(0), table(1)]).expect("tables are sound")
}

fn row_labels(rows: usize) -> Vec<i32> {
    (0..rows as i32).map(|i| LABEL + i % 4).collect()
}

fn row_factors(rows: usize) -> Vec<i16> {
    (0..2 * rows as i16).map(|i| if i % 2 == 0 { 3 * (i % 5 - 2) } else { i % 3 - 1 }).collect()
}

/// Name, dtype, shape and bytes of a tensor.
type Hashed = (String, String, Vec<u64>, Vec<u8>);

/// A file of a base and of what is told against it, in the making.
struct File {
    draft: Draft,
    /// Of each asset.
    hashed: [Vec<Hashed>; 2],
    next: u32,
}

impl File {
    fn new() -> Self {
        let draft = Draft::of(vec![model(2, "base"), model(4, "tuned")]);
        Self { draft, hashed: [Vec::new(), Vec::new()], next: 1 }
    }

    fn object(&mut self, id: u32, kind: u64, content: Vec<u8>) {
        let name = format!("object-{id}");
        self.draft.add_of(1, (row(id, kind, &name, Fields::default()), vec![content]));
    }

    /// A raw tensor of the base and one that is told against it, under this name.
    fn pair(
        &mut self,
        name: &str,
        described: &TensorDescriptor,
        (base, bytes): (&[u8], &[u8]),
        payloads: Vec<Vec<u8>>,
        needs: &[u32],
    ) {
        let id = self.next;
        self.next += 1;
        let raw = chunking(coding::RAW, base.len(), base.len());
        let plain = TensorDescriptor {
            chunking: raw,
            representation: Representation::Plain,
            groups: None,
            ..described.clone()
        };
        self.draft.add_of(0, (row(id, entry::TENSOR, name, plain.to_fields()), vec![base.to_vec()]));
        self.draft.add_of(1, (row(id, entry::TENSOR, name, described.to_fields()), payloads));
        self.draft.depend(Dependency::Other { asset: 2, entry: id });
        needs.iter().for_each(|&id| self.draft.depend(Dependency::Entry(id)));
        for (hashed, bytes) in self.hashed.iter_mut().zip([base, bytes]) {
            hashed.push((name.into(), described.dtype_name.clone(), described.shape.clone(), bytes.to_vec()));
        }
    }

    fn finished(mut self) -> Vec<u8> {
        for (asset, hashed) in self.hashed.iter().enumerate() {
            let list: Vec<_> = hashed.iter().map(|(n, d, s, b)| (&n[..], &d[..], &s[..], &b[..])).collect();
            self.draft.hash(asset, &list);
        }
        self.draft.finished(&Shell::default())
    }
}

fn deltas() -> Vector {
    let mut file = File::new();
    let all = columns();
    let (labels, factors) = (row_labels(ROWS), row_factors(ROWS));
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = (60..).zip(FORMATS).map(|(seed, (f, _))| floats(f, seed)).collect();
    let mut counted = Survey::default();
    for ((format, _), (base, bytes)) in FORMATS.iter().zip(&pairs) {
        for columns in [None, Some(&all)] {
            let factors = if columns.is_some() { &factors[..] } else { &[] };
            survey(&mut counted, *format, (base, bytes), (COLUMNS, 0), &labels, columns, factors)
                .expect("it fits");
        }
    }
    let tables = tables(&counted);
    file.object(TABLES, entry::DIFFERENCE_TABLES, tables.to_bytes());
    file.object(SHARED, entry::DIFFERENCE_COLUMNS, all.to_bytes());
    file.object(
        GROUPED,
        entry::DIFFERENCE_COLUMNS,
        Columns::new(COLUMNS, vec![], vec![], vec![]).expect("no columns").to_bytes(),
    );
    for (at, ((format, dtype), (base, bytes))) in FORMATS.iter().zip(&pairs).enumerate() {
        let columns_at = [ColumnsAt::Nowhere, ColumnsAt::Inline(&all), ColumnsAt::Shared(1, &all)][at % 3];
        let spec = ChunkSpec {
            format: *format,
            tables_dependency: 0,
            tables: &tables,
            columns: COLUMNS,
            first_column: 0,
            columns_at,
            row_labels: &labels,
            row_factors: if at % 3 == 0 { &[] } else { &factors },
            lanes_log2: at as u8,
        };
        let payload = encode(base, bytes, &spec).expect("chunk is coded");
        let whole = chunking(coding::DIFFERENCE, bytes.len(), bytes.len());
        let described = descriptor(dtype, &[ROWS as u64, COLUMNS as u64], whole, Representation::Delta);
        let needs: &[u32] = if at % 3 == 2 { &[TABLES, SHARED] } else { &[TABLES] };
        file.pair(dtype, &described, (base, bytes), vec![payload], needs);
    }
    groups(&mut file, &tables, &all, &pairs[0]);
    forms(&mut file);
    let base = Noise(70).bytes(40);
    let described = descriptor("I16", &[20], chunking(coding::FIELDS, 40, 40), Representation::Same);
    file.pair("same", &described, (&base, &base), Vec::new(), &[]);
    elsewhere(&mut file);
    let value = [&[0xdd; 32][..], b"their model"].concat();
    file.draft.page.assets[1].fields.set(asset_field::BASE, false, value);
    let expect = Expect {
        entries: &[("elsewhere", "needs the file with content hash dddd")],
        unknown: &["a base that was not given"],
        ..Expect::default()
    };
    let about = "tensors told against another asset in every form, and one against another file, which is not at hand";
    Vector::opens("deltas", about, file.finished(), expect)
}

/// Chunks of three elements each, which begin within rows; groups of seven, each with tables and columns of its own.
fn groups(file: &mut File, tables: &Tables, all: &Columns, (base, bytes): &(Vec<u8>, Vec<u8>)) {
    const CHUNK: usize = 18;
    let none = Columns::new(COLUMNS, vec![], vec![], vec![]).expect("no columns");
    let payloads = bytes.chunks(CHUNK).zip(base.chunks(CHUNK)).enumerate();
    let payloads = payloads.map(|(at, (bytes, base))| {
        let (first, len) = (at * CHUNK / 2, bytes.len() / 2);
        let rows = first / COLUMNS..(first + len).div_ceil(COLUMNS);
        let second = at >= 4;
        let (labels, factors) = (row_labels(ROWS), row_factors(ROWS));
        let spec = ChunkSpec {
            format: FloatFormat::Bf16,
            tables_dependency: 0,
            tables,
            columns: COLUMNS,
            first_column: first % COLUMNS,
            columns_at: ColumnsAt::Shared(1, if second { &none } else { all }),
            row_labels: &labels[rows.clone()],
            row_factors: if second { &[] } else { &factors[2 * rows.start..2 * rows.end] },
            lanes_log2: 0,
        };
        encode(base, bytes, &spec).expect("chunk is coded")
    });
    let cut = chunking(coding::DIFFERENCE, CHUNK, bytes.len());
    let described = TensorDescriptor {
        groups: Some(DependencyGroups { chunks: 4, dependencies: 2 }),
        ..descriptor("BF16", &[ROWS as u64, COLUMNS as u64], cut, Representation::Delta)
    };
    let payloads = payloads.collect();
    file.pair("grouped", &described, (base, bytes), payloads, &[TABLES, SHARED, TABLES, GROUPED]);
}

/// Every form that is not of linear differences, one chunk each.
fn forms(file: &mut File) {
    let mut noise = Noise(80);
    let base = noise.bytes(6 * 16);
    let mut bytes = base.clone();
    bytes[16..].iter_mut().step_by(4).for_each(|b| *b = b.wrapping_sub(3));
    let packed = |made: &[u8]| encode_fields(made, 32, &[FieldSpec { width: 32, code: FieldCode::Packed }]);
    let whole = |form, at: usize| {
        let range = 16 * at..16 * at + 16;
        encode_whole(form, &base[range.clone()], &bytes[range], 32, packed).expect("chunk is coded")
    };
    let payloads = vec![
        whole(Form::Same, 0),
        whole(Form::Xor, 1),
        whole(Form::Integer, 2),
        whole(Form::Alone, 3),
        [&[0], &bytes[64..80]].concat(),
        // Stored within the form.
        [&[5, 0], &bytes[80..]].concat(),
    ];
    let cut = chunking(coding::DIFFERENCE, 16, bytes.len());
    let described = descriptor("I32", &[6, 4], cut, Representation::Delta);
    file.pair("forms", &described, (&base, &bytes), payloads, &[]);
}

fn elsewhere(file: &mut File) {
    let cut = chunking(coding::DIFFERENCE, 8, 8);
    let described = descriptor("U8", &[8], cut, Representation::Delta);
    let id = file.next;
    file.draft.add_of(1, (row(id, entry::TENSOR, "elsewhere", described.to_fields()), vec![vec![2]]));
    file.draft.depend(Dependency::External { hash: [0xdd; 32], name: String::new() });
    file.hashed[1].push(("elsewhere".into(), "U8".into(), vec![8], vec![0; 8]));
}

/// What must come of [`refused`].
const REFUSALS: Expect = Expect {
    damage: &[
        "depends on itself",
        "its base is not its first dependency",
        "not a tensor of the same dtype and shape",
        "differences are the coding of deltas",
        "it has 1 chunks where its descriptor says 0",
        "differences of units that no integer has",
        "rank of factors",
    ],
    entries: &[
        ("circle-a", "depends on itself"),
        ("circle-b", "depends on itself"),
        ("none", "its base is not its first dependency"),
        ("shape", "not a tensor of the same dtype and shape"),
        ("coding", "differences are the coding of deltas"),
        ("no-delta", "differences are the coding of deltas"),
        ("chunk", "it has 1 chunks where its descriptor says 0"),
        ("form", "form of a difference 6 is not supported"),
        ("no-unit", "differences of units that no integer has"),
        ("rank", "rank of factors"),
    ],
    unknown: &["form of a difference 6"],
    refused: None,
    warnings: &[],
    assets: &[],
};

/// Tensors that break the rules of bases, each by itself.
fn refused() -> Vector {
    let mut draft = Draft::of(vec![model(0, "a"), model(1, "b")]);
    let bytes = Noise(90).bytes(16);
    let delta = |dtype: &str, n: u64| {
        descriptor(dtype, &[n], chunking(coding::DIFFERENCE, 16, 16), Representation::Delta)
    };
    let mut add =
        |asset: usize, id: u32, name: &str, fields: Fields, payloads: Vec<Vec<u8>>, on: &[Dependency]| {
            let made: (EntryRow, Vec<Vec<u8>>) = (row(id, entry::TENSOR, name, fields), payloads);
            draft.add_of(asset, made);
            on.iter().for_each(|d| draft.depend(d.clone()));
        };
    let raw = bytes_tensor(chunking(coding::RAW, 16, 16));
    add(0, 1, "good", raw.to_fields(), vec![bytes.clone()], &[]);
    let same = vec![vec![2]];
    add(
        0,
        2,
        "circle-a",
        delta("U8", 16).to_fields(),
        same.clone(),
        &[Dependency::Other { asset: 1, entry: 3 }],
    );
    add(
        1,
        3,
        "circle-b",
        delta("U8", 16).to_fields(),
        same.clone(),
        &[Dependency::Other { asset: 0, entry: 2 }],
    );
    let on = [Dependency::Other { asset: 0, entry: 1 }];
    add(1, 4, "none", delta("U8", 16).to_fields(), same.clone(), &[]);
    add(1, 5, "shape", delta("U16", 8).to_fields(), same.clone(), &on);
    let wrong = |coding, representation| descriptor("U8", &[16], chunking(coding, 16, 16), representation);
    add(1, 6, "coding", wrong(coding::RAW, Representation::Delta).to_fields(), vec![bytes.clone()], &on);
    add(1, 7, "no-delta", wrong(coding::DIFFERENCE, Representation::Plain).to_fields(), same.clone(), &on);
    let with_chunk = wrong(coding::FIELDS, Representation::Same).to_fields();
    add(1, 8, "chunk", with_chunk, vec![bytes.clone()], &on);
    add(1, 9, "form", delta("U8", 16).to_fields(), vec![vec![6]], &on);
    add(1, 10, "no-unit", delta("U8", 16).to_fields(), vec![[&[4, 0], &bytes[..]].concat()], &on);
    let columns = [&[1, 2][..], &[0, 10, 1, 1]].concat();
    let linear = [&[1, 2, 0, 0, 8, 0, 6][..], &columns].concat();
    add(
        1,
        11,
        "rank",
        delta("U8", 16).to_fields(),
        vec![linear],
        &[on[0].clone(), Dependency::Entry(TABLES)],
    );
    let tables = tables(&Survey::default()).to_bytes();
    assert!(tables.len() > CONTEXTS / 64);
    draft.add_of(1, (row(TABLES, entry::DIFFERENCE_TABLES, "tables", Fields::default()), vec![tables]));
    draft.hash(0, &[("good", "U8", &[16], &bytes)]);
    Vector::opens(
        "x_deltas",
        "tensors told against what they cannot be, or in ways that are not",
        draft.finished(&Shell::default()),
        REFUSALS,
    )
}
