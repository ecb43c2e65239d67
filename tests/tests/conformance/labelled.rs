//! Coding 2, classes, column labels and dependency groups: sound files, and the chunks that they are made of.

use crate::hand::{Draft, Shell, bytes_tensor, chunking, model, row, table_of};
use crate::vector::Vector;
use mcodec_coding::Table;
use mcodec_coding::fields::{FieldCode, FieldSpec, encode as encode_fields};
use mcodec_coding::labelled::{
    BlockSpec, Class, Classes, ColumnLabels, Columns, ESCAPE, FloatFormat, SIGN_BIASES, SIGN_OCTAVES,
    SignCosts, ZERO, encode,
};
use mcodec_format::registry::{Dtype, coding, entry};
use mcodec_format::{Dependency, DependencyGroups, EntryRow, Fields, TensorDescriptor};
use mcodec_tests::inputs::Noise;

pub fn all() -> Vec<Vector> {
    vec![formats(), lanes(), wide(), prefix(), signs(), other_forms(), groups()]
}

/// An entry and the payloads of its chunks.
pub type Made = (EntryRow, Vec<Vec<u8>>);

pub fn shared_object(id: u32, kind: u64, name: &str, content: Vec<u8>) -> Made {
    (row(id, kind, name, Fields::default()), vec![content])
}

/// The descriptor of a tensor of coding 2, cut into chunks of `chunk_len` bytes.
pub fn descriptor(dtype: &str, shape: &[u64], chunk_len: usize) -> TensorDescriptor {
    let dtype = Dtype::by_name(dtype).expect("the dtype is registered");
    let byte_len = dtype.byte_len(shape).expect("whole bytes") as usize;
    TensorDescriptor {
        dtype: Some(dtype),
        dtype_name: dtype.name.into(),
        shape: shape.to_vec(),
        ..bytes_tensor(chunking(coding::LABELLED, chunk_len, byte_len))
    }
}

/// A file of one model whose tensors are as said, with its hash.
struct File {
    draft: Draft,
    hashed: Vec<(String, TensorDescriptor, Vec<u8>)>,
}

impl File {
    fn new(name: &str) -> Self {
        Self { draft: Draft::of(vec![model(0, name)]), hashed: Vec::new() }
    }

    fn object(&mut self, id: u32, kind: u64, name: &str, content: Vec<u8>) {
        self.draft.add(shared_object(id, kind, name, content));
    }

    fn tensor(
        &mut self,
        id: u32,
        name: &str,
        descriptor: TensorDescriptor,
        bytes: &[u8],
        payloads: Vec<Vec<u8>>,
        dependencies: &[u32],
    ) {
        self.draft.add((row(id, entry::TENSOR, name, descriptor.to_fields()), payloads));
        dependencies.iter().for_each(|&id| self.draft.depend(Dependency::Entry(id)));
        self.hashed.push((name.into(), descriptor, bytes.to_vec()));
    }

    fn finished(mut self) -> Vec<u8> {
        let tensor = |(name, d, bytes): &(String, TensorDescriptor, Vec<u8>)| {
            (name.clone(), d.dtype_name.clone(), d.shape.clone(), bytes.clone())
        };
        let all: Vec<_> = self.hashed.iter().map(tensor).collect();
        let list: Vec<_> = all.iter().map(|(n, d, s, b)| (&n[..], &d[..], &s[..], &b[..])).collect();
        self.draft.hash(0, &list);
        self.draft.finished(&Shell::default())
    }
}

/// Octaves of the least class.
fn first_octaves(format: FloatFormat) -> u16 {
    (1 << (format.exponent_bits() - 1)) - 12
}

/// 12 classes, an octave apart, under two tables; both lack some symbols.
pub fn classes(format: FloatFormat, top: u8, precision: u8, with_signs: bool) -> Classes {
    let table = |odd: u16| {
        let last = (9 << top).min(61);
        let values: Vec<u16> = (odd..last).chain([ZERO.into(), ESCAPE.into()]).collect();
        let counts: Vec<u64> = values.iter().map(|&v| if v < 62 { 8 + u64::from(v) } else { 12 }).collect();
        Table::from_counts(&values, &counts, precision).expect("counts make a table")
    };
    let map = (0..12).map(|k| Class { table: (k % 2) as u8, octaves: first_octaves(format) + k }).collect();
    let commoner = core::array::from_fn(|bias| core::array::from_fn(|d| 60 + (bias * 4 + d) as u8));
    const { assert!(60 + 4 * (SIGN_BIASES - 1) + SIGN_OCTAVES - 1 < 128) };
    let signs = with_signs.then_some(SignCosts { first_octave: 3, commoner });
    Classes::new(format, top, map, vec![table(0), table(1)], signs).expect("classes are sound")
}

/// How the elements of a matrix are labelled.
struct Labelling {
    columns: usize,
    rows: Vec<u8>,
    row_zeros: Vec<u8>,
    labels: ColumnLabels,
}

impl Labelling {
    /// Rows of classes 0 to 4; columns of classes 0 to 6, if at all, and with biases, if at all.
    fn new(columns: usize, rows: usize, with_classes: bool, with_biases: bool) -> Self {
        let column_classes = (0..columns).map(|c| (c * 3 % 7) as u8).collect();
        let biases = (0..columns).map(|c| (c * 11 % 29) as i8 - 14).collect();
        Self {
            columns,
            rows: (0..rows).map(|r| (r * 2 % 5) as u8).collect(),
            row_zeros: Vec::new(),
            labels: ColumnLabels::new(
                columns,
                if with_classes { column_classes } else { Vec::new() },
                if with_biases { biases } else { Vec::new() },
            )
            .expect("labels are sound"),
        }
    }

    /// Floats that mostly are as their labels say: some are zero, some anything.
    fn floats(&self, format: FloatFormat, noise: &mut Noise) -> Vec<u8> {
        let (size, mantissa) = (format.bytes(), format.mantissa_bits());
        let mut out = Vec::new();
        for (row, &class) in self.rows.iter().enumerate() {
            for column in 0..self.columns {
                let of_column = self.labels.classes().get(column).copied().unwrap_or(0);
                let below = noise.word().trailing_zeros().min(6) as u64;
                let octaves = u64::from(first_octaves(format) + u16::from(class + of_column)) + 8 - below;
                let zeros = self.row_zeros.get(row).copied().unwrap_or(0);
                let low = (noise.word() & ((1 << mantissa) - 1)) >> zeros << zeros;
                let bias = self.labels.biases().get(column).copied().unwrap_or(0);
                let flip = noise.word() % 128 < 64 - 4 * u64::from(bias.unsigned_abs());
                let minus = u64::from((bias < 0) != flip);
                let value = match noise.word() % 24 {
                    0 => minus << (8 * size - 1),
                    1 if zeros == 0 => noise.word(),
                    _ => minus << (8 * size - 1) | octaves << mantissa | low,
                };
                out.extend_from_slice(&value.to_le_bytes()[..size]);
            }
        }
        out
    }

    /// The chunk of elements `start..`, of these bytes.
    fn chunk(
        &self,
        bytes: &[u8],
        start: usize,
        classes: (u32, &Classes),
        labels: Columns<'_>,
        lanes: u8,
    ) -> Vec<u8> {
        let len = bytes.len() / classes.1.format().bytes();
        let rows = start / self.columns..(start + len).div_ceil(self.columns);
        let spec = BlockSpec {
            classes_dependency: classes.0,
            classes: classes.1,
            columns: self.columns,
            first_column: start % self.columns,
            column_labels: labels,
            row_classes: &self.rows[rows.clone()],
            row_zeros: self.row_zeros.get(rows).unwrap_or_default(),
            lanes_log2: lanes,
        };
        encode(bytes, &spec).expect("the chunk is coded")
    }
}

fn formats() -> Vector {
    let mut file = File::new("floats");
    let mut noise = Noise(21);
    let all = [
        ("BF16", FloatFormat::Bf16, 2, 10, 3),
        ("F16", FloatFormat::F16, 0, 11, 2),
        ("F32", FloatFormat::F32, 1, 12, 1),
        ("F64", FloatFormat::F64, 3, 12, 0),
    ];
    for (id, (name, format, top, precision, lanes)) in (0u32..).step_by(10).zip(all) {
        let mut how = Labelling::new(9, 7, name != "BF16", false);
        if name == "F32" {
            how.row_zeros = vec![0, 3, 22, 0, 13, 8, 1];
        }
        let bytes = how.floats(format, &mut noise);
        let classes = classes(format, top, precision, false);
        file.object(id, entry::CLASSES, &format!("{name}-classes"), classes.to_bytes());
        let labels = how.labels.clone();
        let (column_labels, dependencies) = match name {
            "BF16" => (Columns::Unlabelled, vec![id]),
            "F16" => (Columns::Inline(&labels), vec![id]),
            _ => (Columns::Shared(1, &labels), vec![id, id + 1]),
        };
        if dependencies.len() > 1 {
            file.object(id + 1, entry::COLUMN_LABELS, &format!("{name}-labels"), labels.to_bytes());
        }
        let payload = how.chunk(&bytes, 0, (0, &classes), column_labels, lanes);
        let described = descriptor(name, &[7, 9], bytes.len());
        file.tensor(id + 2, name, described, &bytes, vec![payload], &dependencies);
    }
    Vector::sound(
        "labelled_formats",
        "floats of every format under labels, with zeros, escapes and rows of short mantissas",
        file.finished(),
    )
}

fn lanes() -> Vector {
    let mut file = File::new("lanes");
    let how = Labelling::new(17, 16, true, true);
    let bytes = how.floats(FloatFormat::Bf16, &mut Noise(22));
    let classes = classes(FloatFormat::Bf16, 2, 11, true);
    file.object(0, entry::COLUMN_LABELS, "labels", how.labels.to_bytes());
    file.object(1, entry::CLASSES, "classes", classes.to_bytes());
    // 39 elements: chunks begin and end within rows, and 64 lanes are more than there are.
    let chunk_len = 78;
    let payloads: Vec<Vec<u8>> = bytes
        .chunks(chunk_len)
        .enumerate()
        .map(|(at, chunk)| {
            how.chunk(chunk, at * 39, (1, &classes), Columns::Shared(0, &how.labels), at as u8)
        })
        .collect();
    assert_eq!(payloads.len(), 7, "one for each lane count");
    file.tensor(2, "w", descriptor("BF16", &[16, 17], chunk_len), &bytes, payloads, &[0, 1]);
    Vector::sound("labelled_lanes", "1, 2, 4 ... 64 lanes; chunks that begin within rows", file.finished())
}

/// What vector decoders and GPUs are made for: chunks of 64 lanes, of whole words, whose states hold bits of the planes.
fn wide() -> Vector {
    let mut file = File::new("wide");
    let mut noise = Noise(24);
    let all = [
        ("BF16", FloatFormat::Bf16, 2, 12, [24, 17], true),
        ("F16", FloatFormat::F16, 1, 11, [18, 17], true),
        ("F32", FloatFormat::F32, 2, 12, [8, 17], false),
        ("F64", FloatFormat::F64, 0, 10, [6, 8], true),
    ];
    for (id, (name, format, top, precision, [rows, columns], biased)) in (0u32..).step_by(10).zip(all) {
        let mut how = Labelling::new(columns, rows, true, biased);
        if name == "F32" {
            how.row_zeros = vec![0, 3, 21, 0, 13, 8, 1, 0];
        }
        let bytes = how.floats(format, &mut noise);
        let classes = classes(format, top, precision, biased);
        file.object(id, entry::CLASSES, &format!("{name}-classes"), classes.to_bytes());
        file.object(id + 1, entry::COLUMN_LABELS, &format!("{name}-labels"), how.labels.to_bytes());
        let payload = how.chunk(&bytes, 0, (0, &classes), Columns::Shared(1, &how.labels), 6);
        assert_eq!(payload[1] & 8, 8, "the states hold bits of the planes");
        let described = descriptor(name, &[rows as u64, columns as u64], bytes.len());
        file.tensor(id + 2, name, described, &bytes, vec![payload], &[id, id + 1]);
    }
    Vector::sound("labelled_wide", "64 lanes that hold plane bits, in every format", file.finished())
}

/// Prefix codes: in one bit string and in eight, whole rounds of these and a rest, with escapes.
fn prefix() -> Vector {
    let mut file = File::new("prefix");
    let mut noise = Noise(27);
    let all = [
        ("BF16", FloatFormat::Bf16, 2, 11, [24, 17], 3),
        ("F16", FloatFormat::F16, 1, 10, [5, 17], 0),
        ("F32", FloatFormat::F32, 2, 12, [8, 17], 3),
        ("F64", FloatFormat::F64, 3, 11, [6, 8], 6),
    ];
    for (id, (name, format, top, precision, [rows, columns], lanes)) in (0u32..).step_by(10).zip(all) {
        let mut how = Labelling::new(columns, rows, true, false);
        if name == "F32" {
            how.row_zeros = vec![0, 3, 21, 0, 13, 8, 1, 0];
        }
        let bytes = how.floats(format, &mut noise);
        let classes = classes(format, top, precision, false).with_prefix_codes();
        file.object(id, entry::CLASSES, &format!("{name}-classes"), classes.to_bytes());
        file.object(id + 1, entry::COLUMN_LABELS, &format!("{name}-labels"), how.labels.to_bytes());
        let payload = how.chunk(&bytes, 0, (0, &classes), Columns::Shared(1, &how.labels), lanes);
        let described = descriptor(name, &[rows as u64, columns as u64], bytes.len());
        file.tensor(id + 2, name, described, &bytes, vec![payload], &[id, id + 1]);
    }
    Vector::sound(
        "labelled_prefix",
        "prefix codes in every format, in 1, 8 and 64 bit strings",
        file.finished(),
    )
}

fn signs() -> Vector {
    let mut file = File::new("signs");
    let how = Labelling::new(58, 5, false, true);
    let bytes = how.floats(FloatFormat::F32, &mut Noise(23));
    let classes = classes(FloatFormat::F32, 2, 10, true);
    file.object(0, entry::CLASSES, "classes", classes.to_bytes());
    let inline = how.chunk(&bytes, 0, (0, &classes), Columns::Inline(&how.labels), 2);
    file.tensor(1, "inline", descriptor("F32", &[5, 58], bytes.len()), &bytes, vec![inline], &[0]);
    let one = Labelling {
        labels: ColumnLabels::new(58, Vec::new(), vec![-14; 58]).expect("labels are sound"),
        ..Labelling::new(58, 1, false, false)
    };
    let bytes = one.floats(FloatFormat::F32, &mut Noise(24));
    let all = one.chunk(&bytes, 0, (0, &classes), Columns::Inline(&one.labels), 4);
    file.tensor(2, "no raw signs", descriptor("F32", &[58], bytes.len()), &bytes, vec![all], &[0]);
    Vector::sound("labelled_signs", "columns of every bias, and only of the greatest", file.finished())
}

/// Chunks of coding 2 that are not under labels, and such whose states hold no plane bits.
fn other_forms() -> Vector {
    let mut file = File::new("forms");
    let how = Labelling::new(8, 6, false, false);
    let bytes = how.floats(FloatFormat::Bf16, &mut Noise(25));
    let classes = classes(FloatFormat::Bf16, 2, 10, false);
    file.object(0, entry::CLASSES, "classes", classes.to_bytes());
    let table = table_of(&bytes);
    file.object(1, entry::TABLE, "table", table.to_bytes());
    let chunk_len = 24;
    let parts: Vec<&[u8]> = bytes.chunks(chunk_len).collect();
    let shared = FieldCode::RansShared { dependency: 1, table: &table, lanes_log2: 0 };
    let as_fields =
        encode_fields(parts[2], 8, &[FieldSpec { width: 8, code: shared }]).expect("fields are coded");
    let payloads = vec![
        how.chunk(parts[0], 0, (0, &classes), Columns::Unlabelled, 0),
        // 12 elements have 9 bytes of planes: 32 lanes would hold 124.
        how.chunk(parts[1], 12, (0, &classes), Columns::Unlabelled, 5),
        as_fields,
        [&[0], parts[3]].concat(),
    ];
    assert_eq!(payloads[0][1] & 8, 8, "the states hold plane bits");
    assert_eq!(payloads[1][1] & 8, 0, "the planes are too short for that");
    file.tensor(2, "w", descriptor("BF16", &[6, 8], chunk_len), &bytes, payloads, &[0, 1]);
    Vector::sound(
        "labelled_forms",
        "labelled chunks with and without bits in their states, one of fields, one stored",
        file.finished(),
    )
}

fn groups() -> Vector {
    let mut file = File::new("groups");
    let how = Labelling::new(8, 10, true, false);
    let bytes = how.floats(FloatFormat::F16, &mut Noise(26));
    let chunk_len = 32;
    let of_group = [classes(FloatFormat::F16, 1, 10, false), classes(FloatFormat::F16, 2, 12, true)];
    let mut dependencies = Vec::new();
    for (id, classes) in (0u32..).step_by(2).zip(&of_group) {
        file.object(id, entry::CLASSES, &format!("classes-{id}"), classes.to_bytes());
        file.object(id + 1, entry::COLUMN_LABELS, &format!("labels-{id}"), how.labels.to_bytes());
        dependencies.extend([id, id + 1]);
    }
    // Three chunks a group; the second group is of two.
    let payloads = bytes
        .chunks(chunk_len)
        .enumerate()
        .map(|(at, chunk)| {
            how.chunk(chunk, at * 16, (0, &of_group[at / 3]), Columns::Shared(1, &how.labels), 1)
        })
        .collect();
    let described = TensorDescriptor {
        groups: Some(DependencyGroups { chunks: 3, dependencies: 2 }),
        ..descriptor("F16", &[10, 8], chunk_len)
    };
    file.tensor(9, "w", described, &bytes, payloads, &dependencies);
    Vector::sound(
        "dependency_groups",
        "five chunks whose dependency indices count in two groups",
        file.finished(),
    )
}
