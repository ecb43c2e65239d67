//! Coding 24: quantised tensors of all types, with and without what columns and rows may have.

use crate::hand::{Draft, Shell, bytes_tensor, chunking, model, row};
use crate::labelled::shared_object;
use crate::vector::{Expect, Vector};
use mcodec_coding::Table;
use mcodec_coding::codes::{
    Classes, CodesSpec, ColumnClasses, ColumnClassesAt, ColumnSteps, Element, SharedObjects, classes, decode,
    encode,
};
use mcodec_coding::fields::{FieldCode, FieldSpec, encode as encode_fields};
use mcodec_coding::grouped::{self, Codebook, Grouped, Offsets};
use mcodec_format::registry::{Dtype, coding, entry};
use mcodec_format::{Dependency, Representation, TensorDescriptor};
use mcodec_tests::inputs::Noise;

pub fn all() -> Vec<Vector> {
    vec![tensors(), of_another_type(), grouped()]
}

/// What all tensors of a file are decoded with.
pub struct Objects {
    pub classes: Classes,
    pub steps: ColumnSteps,
    pub of_columns: ColumnClasses,
}

impl SharedObjects for Objects {
    fn classes(&self, dependency: u32) -> Option<&Classes> {
        (dependency == 0).then_some(&self.classes)
    }
    fn column_steps(&self, dependency: u32) -> Option<&ColumnSteps> {
        (dependency == 1).then_some(&self.steps)
    }
    fn column_classes(&self, dependency: u32) -> Option<&ColumnClasses> {
        (dependency == 2).then_some(&self.of_columns)
    }
}

const COLUMNS: usize = 24;
const ROWS: usize = 10;

pub fn objects() -> Objects {
    let table = |spread: u64, most: u16| {
        let values: Vec<u16> = (0..most).chain([63]).collect();
        let counts: Vec<u64> =
            values.iter().map(|&v| 1 + (spread << 20 >> (u64::from(v) * 4 / spread).min(30))).collect();
        Table::from_counts(&values, &counts, 11).expect("counts make a table")
    };
    let tables = vec![table(1, 4), table(4, 20), table(32, 62)];
    let table_of: Vec<u8> = (0..30).map(|k| [0, 1, 2][(k / 7).min(2)]).collect();
    Objects {
        classes: classes(&table_of, tables).expect("classes of codes"),
        steps: ColumnSteps::new((0..COLUMNS as i16).map(|j| j % 7 - 3).collect()).expect("steps"),
        of_columns: ColumnClasses::new((0..COLUMNS as i16).map(|j| j % 3).collect()).expect("classes"),
    }
}

/// Codes from nothing to what must be written in full.
fn codes(noise: &mut Noise, len: usize, spread: u64) -> Vec<i32> {
    (0..len)
        .map(|i| {
            let magnitude = match i % 53 {
                0 => 5000 + i as i32,
                1 => (1 << 24) - 1 - i as i32,
                2 => 200,
                _ => (noise.word() % spread * (noise.word() % spread) / spread) as i32,
            };
            if noise.word().is_multiple_of(2) { magnitude } else { -magnitude }
        })
        .collect()
}

/// A tensor's descriptor, its payloads in chunks of `step` elements, and its bytes.
fn tensor(
    objects: &Objects,
    (element, name): (Element, &str),
    (first_class, step): (i16, usize),
    kind: u8,
) -> (TensorDescriptor, Vec<Vec<u8>>, Vec<u8>) {
    let mut noise = Noise(u64::from(kind) + 5);
    let codes = codes(&mut noise, ROWS * COLUMNS, 2 << (first_class / 2));
    let row_steps: Vec<i16> =
        (0..ROWS as i16).map(|i| if kind == 3 { -20 } else { -30 - i * 5 % 11 }).collect();
    let row_classes: Vec<i16> = row_steps.iter().map(|s| first_class + (s >> 1)).collect();
    let (mut payloads, mut bytes) = (Vec::new(), Vec::new());
    for start in (0..codes.len()).step_by(step) {
        let part = &codes[start..(start + step).min(codes.len())];
        let rows = start / COLUMNS..(start + part.len()).div_ceil(COLUMNS);
        let spec = CodesSpec {
            element,
            classes_dependency: 0,
            classes: &objects.classes,
            columns: COLUMNS,
            first_column: start % COLUMNS,
            column_steps: (kind != 0).then_some((1, &objects.steps)),
            column_classes: match kind {
                0 => ColumnClassesAt::Zero,
                1 => ColumnClassesAt::Inline(&objects.of_columns),
                _ => ColumnClassesAt::Shared(2, &objects.of_columns),
            },
            row_steps: &row_steps[rows.clone()],
            row_classes: &row_classes[rows],
            lanes_log2: [0, 3, 1, 6][usize::from(kind)],
        };
        let mut payload = encode(part, &spec).expect("codes are coded");
        let at = bytes.len();
        bytes.resize(at + part.len() * element.bytes(), 0);
        decode(&payload, objects, &mut bytes[at..]).expect("and decoded");
        if kind == 2 && start > 0 {
            payload = [&[0], &bytes[at..]].concat();
        }
        payloads.push(payload);
    }
    let dtype = Dtype::by_name(name).expect("registered");
    let size = element.bytes();
    let descriptor = TensorDescriptor {
        dtype: Some(dtype),
        dtype_name: name.into(),
        shape: vec![2, ROWS as u64 / 2, COLUMNS as u64],
        representation: Representation::Quant,
        ..bytes_tensor(chunking(coding::CODES, step * size, bytes.len()))
    };
    (descriptor, payloads, bytes)
}

fn tensors() -> Vector {
    let objects = objects();
    let mut draft = Draft::of(vec![model(0, "quantised")]);
    let mut hashed = Vec::new();
    let whole = ROWS * COLUMNS;
    let kinds = [
        ((Element::F32, "F32"), (3, whole)),
        ((Element::Bf16, "BF16"), (12, 4 * COLUMNS)),
        ((Element::F16, "F16"), (20, 5 * COLUMNS - 7)),
        ((Element::Bf16, "BF16"), (8, whole)),
    ];
    for (kind, (element, shape)) in (0u8..).zip(kinds) {
        let (descriptor, payloads, bytes) = tensor(&objects, element, shape, kind);
        let name = format!("tensor {kind}");
        draft.add((row(kind.into(), entry::TENSOR, &name, descriptor.to_fields()), payloads));
        (10..13).for_each(|id| draft.depend(Dependency::Entry(id)));
        hashed.push((name, descriptor, bytes));
    }
    add_objects(&mut draft, &objects);
    let list: Vec<_> =
        hashed.iter().map(|(n, d, b)| (&n[..], &d.dtype_name[..], &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    Vector::sound("quant", "integers times steps of rows and columns", draft.finished(&Shell::default()))
}

fn add_objects(draft: &mut Draft, objects: &Objects) {
    draft.add(shared_object(10, entry::CLASSES, "classes", objects.classes.to_bytes()));
    draft.add(shared_object(11, entry::COLUMN_STEPS, "steps", objects.steps.to_bytes()));
    draft.add(shared_object(12, entry::COLUMN_CLASSES, "of columns", objects.of_columns.to_bytes()));
}

/// Codes that say they are of another type of float than their tensor.
fn of_another_type() -> Vector {
    let objects = objects();
    let mut draft = Draft::of(vec![model(0, "quantised")]);
    let (descriptor, payloads, bytes) = tensor(&objects, (Element::F16, "BF16"), (8, ROWS * COLUMNS), 3);
    draft.add((row(0, entry::TENSOR, "tensor", descriptor.to_fields()), payloads));
    (10..13).for_each(|id| draft.depend(Dependency::Entry(id)));
    add_objects(&mut draft, &objects);
    draft.hash(0, &[("tensor", "BF16", &descriptor.shape, &bytes)]);
    let expect = Expect {
        damage: &["another type of float"],
        entries: &[("tensor", "another type of float")],
        ..Expect::default()
    };
    Vector::opens("quant_type", "codes of F16 in a tensor of BF16", draft.finished(&Shell::default()), expect)
}

/// One codebook as dependency 0.
struct Book(Codebook);

impl grouped::SharedObjects for Book {
    fn codebook(&self, dependency: u32) -> Option<&Codebook> {
        (dependency == 0).then_some(&self.0)
    }
}

impl mcodec_coding::fields::SharedTables for Book {
    fn table(&self, _: u32) -> Option<&mcodec_coding::DecodeTable> {
        None
    }
}

/// Bytes packed, or as they are.
fn packed(bytes: &[u8], unit: u8) -> mcodec_coding::Result<Vec<u8>> {
    match unit {
        8 => encode_fields(bytes, 8, &[FieldSpec { width: 8, code: FieldCode::Packed }]),
        _ => Ok([&[0], bytes].concat()),
    }
}

/// Grouped codes with every kind of offset, with codebooks of numbers and of vectors, and a stored chunk.
fn grouped() -> Vector {
    let mut draft = Draft::of(vec![model(0, "grouped")]);
    let mut hashed = Vec::new();
    let (rows, columns) = (6usize, 20usize);
    let scalar =
        Book(Codebook::new(1, (0..16).map(|i| (i as f32 - 7.5) / 8.0).collect()).expect("a codebook"));
    let vector =
        Book(Codebook::new(4, (0..160).map(|i| (i % 37) as f32 / 16.0 - 1.0).collect()).expect("a codebook"));
    let mut noise = Noise(77);
    for kind in 0u32..6 {
        let (element, name) =
            [(Element::F32, "F32"), (Element::Bf16, "BF16"), (Element::F16, "F16")][kind as usize % 3];
        let (bits, group, book) = match kind {
            0 => (4, 8, None),
            1 => (3, 7, None),
            2 => (8, 20, None),
            3 => (11, 1, None),
            4 => (4, 10, Some(&scalar)),
            _ => (9, 20, Some(&vector)),
        };
        let length = book.map_or(1, |b| b.0.length());
        let groups = rows * columns.div_ceil(group);
        let scales: Vec<f32> = (0..groups).map(|_| (noise.word() % 100) as f32 / 512.0 - 0.05).collect();
        let floats: Vec<f32> = (0..groups).map(|_| (noise.word() % 64) as f32 / 128.0 - 0.2).collect();
        let points: Vec<u8> = (0..groups).map(|_| (noise.word() % 9) as u8).collect();
        let most = book.map_or(1 << bits, |b| b.0.entries()) as u64;
        let codes: Vec<u16> = (0..rows * columns / length).map(|_| (noise.word() % most) as u16).collect();
        let of = |rows: std::ops::Range<usize>| Grouped {
            element,
            columns,
            group,
            bits,
            codebook: book.map(|b| (0, &b.0)),
            codes: &codes[rows.start * columns / length..rows.end * columns / length],
            scale_element: [Element::Bf16, Element::F16, Element::F32][kind as usize % 3],
            scales: &scales[rows.start * groups / 6..rows.end * groups / 6],
            offsets: match kind {
                1 => Offsets::ZeroPoints(&points[rows.start * groups / 6..rows.end * groups / 6]),
                2 | 3 => {
                    Offsets::Floats(Element::F16, &floats[rows.start * groups / 6..rows.end * groups / 6])
                }
                _ => Offsets::None,
            },
        };
        let row_bytes = columns * element.bytes();
        let mut bytes = vec![0; rows * row_bytes];
        let mut payloads = Vec::new();
        for (part, out) in [0..4, 4..6].into_iter().zip(bytes.chunks_mut(4 * row_bytes)) {
            let payload = grouped::encode(&of(part), &packed).expect("codes are coded");
            grouped::decode(&payload, book.unwrap_or(&scalar), out).expect("and decoded");
            payloads.push(payload);
        }
        if kind == 0 {
            payloads[1] = [&[0], &bytes[4 * row_bytes..]].concat();
        }
        let descriptor = TensorDescriptor {
            dtype: Dtype::by_name(name),
            dtype_name: name.into(),
            shape: vec![rows as u64, columns as u64],
            representation: Representation::Quant,
            ..bytes_tensor(chunking(coding::GROUPED, 4 * row_bytes, bytes.len()))
        };
        let name = format!("tensor {kind}");
        draft.add((row(kind, entry::TENSOR, &name, descriptor.to_fields()), payloads));
        draft.depend(Dependency::Entry(if kind == 5 { 11 } else { 10 }));
        hashed.push((name, descriptor, bytes));
    }
    draft.add(shared_object(10, entry::CODEBOOK, "numbers", scalar.0.to_bytes()));
    draft.add(shared_object(11, entry::CODEBOOK, "vectors", vector.0.to_bytes()));
    let list: Vec<_> =
        hashed.iter().map(|(n, d, b)| (&n[..], &d.dtype_name[..], &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    Vector::sound(
        "grouped",
        "codes of one width, scales and offsets of groups, codebooks",
        draft.finished(&Shell::default()),
    )
}
