//! Labelled chunks, classes, column labels and dependency groups that break the rules.

use crate::hand::{Draft, Shell, row, table_of};
use crate::labelled::{Made, classes, descriptor, shared_object};
use crate::vector::{Expect, Vector};
use crate::versions::{GOOD, good};
use mcodec_coding::labelled::{BlockSpec, ColumnLabels, Columns, FloatFormat, encode};
use mcodec_format::registry::{entry, field};
use mcodec_format::{Dependency, TensorDescriptor};

pub fn all() -> Vec<Vector> {
    let mut all = payloads();
    all.extend(states());
    all.extend(labels());
    all.extend(class_objects());
    all.extend(prefix_codes());
    all.extend(dependencies());
    all
}

/// What is wrong, as the error says it.
enum Says {
    Damage(&'static str),
    Unsupported(&'static str),
}
use Says::{Damage, Unsupported};

/// Classes of one table that has only symbol 0, of frequency 2^10: a state never changes and no words are read.
/// bf16, no mantissa bits in a symbol, two classes: exponents 127 and 128.
fn still() -> Vec<u8> {
    let head = [0, 0, 10, 2, 1, 0];
    // Both classes have table 0; exponents are 127 and one more.
    let (tables, octaves) = ([16, 0], [0, 0xFE, 1, 0b1101]);
    // Precision 10, 64 buckets, one symbol: 0 of level 0.
    let table = [2, 0, 0b0010_0001, 0];
    [&head[..], &tables, &octaves, &table].concat()
}

/// A labelled chunk taken apart, of 8 elements of bf16 under [`still`].
#[derive(Clone)]
struct Parts {
    flags: u8,
    classes: u8,
    columns: Vec<u8>,
    first_column: u8,
    labels: Vec<u8>,
    rows: Vec<u8>,
    escapes: u8,
    lanes: u8,
    /// As a bit string.
    states: Vec<u8>,
    rest: Vec<u8>,
}

impl Parts {
    /// One row of 8 columns in one lane; 7 bytes of low bits, one of signs.
    fn sound() -> Self {
        Self {
            flags: 0,
            classes: 0,
            columns: vec![8],
            first_column: 0,
            labels: Vec::new(),
            rows: vec![16, 0],
            escapes: 0,
            lanes: 0,
            states: bits_of(&[1 << 16]),
            rest: vec![1, 2, 3, 4, 5, 6, 7, 0x55],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![1, self.flags, self.classes];
        out.extend(&self.columns);
        out.push(self.first_column);
        out.extend(&self.labels);
        out.extend(&self.rows);
        out.extend([self.escapes, self.lanes]);
        out.extend(&self.states);
        out.extend(&self.rest);
        out
    }
}

/// States as a payload has them: how many bits above 16 each has below its highest, then these bits.
fn bits_of(states: &[u32]) -> Vec<u8> {
    let sizes = states.iter().map(|state| (u128::from(state.ilog2() - 16), 4));
    let bits = states.iter().map(|state| (u128::from(state ^ (1 << state.ilog2())), state.ilog2()));
    let (mut all, mut at) = (Vec::new(), 0);
    for (value, count) in sizes.chain(bits) {
        for bit in 0..count {
            if at % 8 == 0 {
                all.push(0);
            }
            all[at / 8] |= ((value >> bit & 1) as u8) << (at % 8);
            at += 1;
        }
    }
    all
}

/// A file with an intact tensor, the shared objects 10, 11 ..., and tensor `x` of one chunk that depends on all of them.
fn file(objects: &[(u64, Vec<u8>)], x: Made) -> Draft {
    let mut draft = good("m");
    for (id, (kind, content)) in (10u32..).zip(objects) {
        draft.add(shared_object(id, *kind, &format!("shared-{id}"), content.clone()));
    }
    draft.add(x);
    (10u32..).zip(objects).for_each(|(id, _)| draft.depend(Dependency::Entry(id)));
    draft
}

fn vector(name: &'static str, about: &'static str, draft: Draft, says: &Says) -> Vector {
    let (Damage(text) | Unsupported(text)) = *says;
    let texts: &'static [&'static str] = Box::leak(Box::new([text]));
    let mut expect = Expect { entries: Box::leak(Box::new([("x", text)])), ..Expect::default() };
    match says {
        Damage(_) => expect.damage = texts,
        Unsupported(_) => expect.unknown = texts,
    }
    Vector::opens(name, about, draft.finished(&Shell::default()), expect)
}

fn tensor(descriptor: &TensorDescriptor, payload: Vec<u8>) -> Made {
    (row(1, entry::TENSOR, "x", descriptor.to_fields()), vec![payload])
}

/// `x` is of 8 elements of bf16, and this is its payload under [`still`] and other objects.
fn chunk(
    name: &'static str,
    about: &'static str,
    objects: &[(u64, Vec<u8>)],
    change: impl Fn(&mut Parts),
    says: &Says,
) -> Vector {
    let mut parts = Parts::sound();
    change(&mut parts);
    let objects = [&[(entry::CLASSES, still())], objects].concat();
    let x = tensor(&descriptor("BF16", &[8], 16), parts.bytes());
    vector(name, about, file(&objects, x), says)
}

fn payloads() -> Vec<Vector> {
    let mut all = vec![by_hand()];
    type Case = (&'static str, &'static str, fn(&mut Parts), Says);
    let cases: [Case; 13] = [
        ("x_labelled_flags", "a reserved flag", |p| p.flags = 16, Damage("flags of a labelled chunk")),
        (
            "x_labelled_both",
            "labels both shared and inline",
            |p| p.flags = 3,
            Damage("both shared and inline"),
        ),
        ("x_labelled_columns", "no columns", |p| p.columns = vec![0], Damage("column count")),
        (
            "x_labelled_wide",
            "2^40 + 1 columns",
            |p| p.columns = vec![0x81, 0x80, 0x80, 0x80, 0x80, 0x20],
            Damage("fewer columns"),
        ),
        (
            "x_labelled_first",
            "a first column beyond the last",
            |p| p.first_column = 8,
            Damage("first column"),
        ),
        ("x_list_mode", "a reserved list mode", |p| p.rows = vec![32, 0], Damage("mode of a list")),
        (
            "x_row_class",
            "a row of a class above the last",
            |p| p.rows = vec![16, 4],
            Damage("value of a list"),
        ),
        (
            "x_row_list",
            "a list of eight rows that ends with the payload",
            |p| {
                // Four of eight values, then zeros.
                (p.columns, p.rows) = (vec![1], vec![0, 0, 0x0F]);
                (p.states, p.rest) = (Vec::new(), Vec::new());
            },
            Damage("cut short"),
        ),
        (
            "x_row_zeros",
            "rows of more zeros than low bits",
            |p| {
                p.flags = 4;
                p.rows = vec![16, 0, 16, 16];
            },
            Damage("value of a list"),
        ),
        ("x_escapes", "more escapes than elements", |p| p.escapes = 9, Damage("escape count")),
        ("x_labelled_lanes", "128 lanes", |p| p.lanes = 7, Unsupported("rANS lane code 7")),
        ("x_planes_cut", "planes that end too early", |p| p.rest = vec![0; 7], Damage("cut short")),
        ("x_labelled_words", "words left over", |p| p.rest.extend([1, 2]), Damage("words left over")),
    ];
    all.extend(cases.into_iter().map(|(name, about, change, says)| chunk(name, about, &[], change, &says)));
    all
}

/// What the others break.
fn by_hand() -> Vector {
    let parts = Parts::sound();
    let x = tensor(&descriptor("BF16", &[8], 16), parts.bytes());
    let mut draft = file(&[(entry::CLASSES, still())], x);
    let low = parts.rest[..7].iter().rev().fold(0u64, |low, &byte| low << 8 | u64::from(byte));
    let bytes: Vec<u8> = (0..8)
        .flat_map(|i| {
            let minus = u16::from(parts.rest[7] >> i & 1);
            (minus << 15 | 127 << 7 | (low >> (7 * i) & 127) as u16).to_le_bytes()
        })
        .collect();
    draft.hash(0, &[("good", "U8", &[4], GOOD), ("x", "BF16", &[8], &bytes)]);
    Vector::sound(
        "labelled_still",
        "a labelled chunk made by hand: one symbol, a state that never changes",
        draft.finished(&Shell::default()),
    )
}

fn states() -> Vec<Vector> {
    let held = |state: u32| {
        move |p: &mut Parts| {
            p.flags = 8;
            p.states = bits_of(&[state]);
            p.rest.truncate(5);
        }
    };
    let x = |elements: u64, payload: Vec<u8>| {
        tensor(&descriptor("BF16", &[elements], 2 * elements as usize), payload)
    };
    let classes_only = [(entry::CLASSES, still())];
    let mut odd = descriptor("BF16", &[8], 16);
    odd.dtype = mcodec_format::registry::Dtype::by_name("U8");
    odd.dtype_name = "U8".into();
    odd.shape = vec![15];
    odd.chunking.byte_len = 15;
    let mut seven = Parts::sound();
    seven.rest = vec![0, 0, 0, 0, 0, 0, 2, 0];
    vec![
        chunk(
            "x_labelled_state",
            "fill bits of the states",
            &[],
            |p| p.states = vec![0, 0, 0x10],
            &Damage("not filled with zero bits"),
        ),
        chunk(
            "x_labelled_end",
            "a final state that is not 2^16",
            &[],
            |p| p.states = bits_of(&[65_537]),
            &Damage("does not end in its first state"),
        ),
        chunk(
            "x_held_high",
            "a state that holds bits, without its highest",
            &[],
            held(1 << 30),
            &Damage("holds plane bits"),
        ),
        chunk(
            "x_held_fill",
            "bits of a state that hold nothing",
            &[],
            held(3 << 30),
            &Damage("states not filled"),
        ),
        chunk(
            "x_held_planes",
            "planes shorter than what 4 states hold of them",
            &[],
            |p| {
                (p.flags, p.lanes, p.rest) = (8, 2, Vec::new());
                p.states = bits_of(&[1 << 31; 4]);
            },
            &Damage("planes shorter"),
        ),
        vector(
            "x_plane_fill",
            "fill bits of the low plane",
            file(&classes_only, x(7, seven.bytes())),
            &Damage("plane not filled"),
        ),
        vector(
            "x_labelled_odd",
            "a chunk that is not of whole elements",
            file(&classes_only, tensor(&odd, Parts::sound().bytes())),
            &Damage("not a multiple of the element"),
        ),
        escapes("x_escapes_few", "fewer escapes than stated", 1, Damage("fewer escapes than stated")),
        escapes("x_escapes_many", "more escapes than stated", -1, Damage("more escapes than stated")),
    ]
}

/// A chunk that states another number of escapes than it has; as many bytes are there as are stated.
fn escapes(name: &'static str, about: &'static str, more: i8, says: Says) -> Vector {
    let classes = classes(FloatFormat::F16, 2, 10, false);
    // Every element is far from its class, but for one at most; 15 and 16 escapes of 7 bits both take 14 bytes.
    let mut bytes = [0x12, 0x7C].repeat(16);
    if more > 0 {
        bytes[1] = 0x18;
    }
    let spec = BlockSpec {
        classes_dependency: 0,
        classes: &classes,
        columns: 16,
        first_column: 0,
        column_labels: Columns::Unlabelled,
        row_classes: &[0],
        row_zeros: &[],
        lanes_log2: 0,
    };
    let mut payload = encode(&bytes, &spec).expect("the chunk is coded");
    let at = 7;
    let stated = payload[at];
    assert_eq!(stated, if more > 0 { 15 } else { 16 }, "all other elements are escapes");
    payload[at] = stated.wrapping_add_signed(more);
    vector(
        name,
        about,
        file(&[(entry::CLASSES, classes.to_bytes())], tensor(&descriptor("F16", &[16], 32), payload)),
        &says,
    )
}

fn labels() -> Vec<Vector> {
    let labels = |columns: usize, classes: Vec<u8>, biases: Vec<i8>| {
        ColumnLabels::new(columns, classes, biases).expect("labels are sound").to_bytes()
    };
    let shared = |p: &mut Parts| (p.flags, p.labels) = (1, vec![1]);
    let with = |content: Vec<u8>| vec![(entry::COLUMN_LABELS, content)];
    let inline = |content: Vec<u8>| move |p: &mut Parts| (p.flags, p.labels) = (2, content.clone());
    vec![
        chunk(
            "x_labels_columns",
            "labels of 7 columns for 8",
            &with(labels(7, Vec::new(), Vec::new())),
            shared,
            &Damage("labels of another number of columns"),
        ),
        chunk(
            "x_labels_class",
            "row and column classes that add up above the last",
            &with(labels(8, vec![0, 0, 1, 0, 0, 0, 0, 0], Vec::new())),
            |p| (p.flags, p.labels, p.rows) = (1, vec![1], vec![16, 2]),
            &Damage("above the last class"),
        ),
        chunk(
            "x_labels_signs",
            "biased columns under classes without signs",
            &[],
            inline(labels(8, Vec::new(), vec![0, 0, 0, 0, 0, 0, 0, 0])),
            &Damage("biased columns without sign probabilities"),
        ),
        chunk(
            "x_labels_none",
            "labels of no columns",
            &[],
            inline(vec![0, 0]),
            &Damage("column count of labels"),
        ),
        chunk(
            "x_labels_flags",
            "reserved flags of labels",
            &with(vec![8, 4]),
            shared,
            &Damage("flags of labels"),
        ),
        chunk(
            "x_labels_value",
            "a bias of 15",
            &with(vec![8, 2, 16, 30]),
            shared,
            &Damage("value of a list"),
        ),
        chunk(
            "x_labels_tail",
            "bytes after labels",
            &with(vec![8, 0, 0]),
            shared,
            &Damage("bytes after labels"),
        ),
        chunk(
            "x_list_base",
            "a list's base of 2^14",
            &with(vec![8, 1, 0, 0x80, 0x80, 2, 0xFF]),
            shared,
            &Damage("base of a list"),
        ),
        chunk(
            "x_list_fill",
            "fill bits of a list",
            // One of the eight classes is 1: three bits, and seven for the others.
            &with(vec![8, 1, 0, 0, 0xFE, 0x83]),
            shared,
            &Damage("zero bits"),
        ),
    ]
}

/// Classes that are not such.
fn class_objects() -> Vec<Vector> {
    let sound = classes(FloatFormat::Bf16, 0, 10, false).to_bytes();
    let with = |name, about, content: Vec<u8>, says: Says| {
        let x = tensor(&descriptor("BF16", &[8], 16), Parts::sound().bytes());
        vector(name, about, file(&[(entry::CLASSES, content)], x), &says)
    };
    let changed = |at: usize, to: u8| {
        let mut bytes = sound.clone();
        bytes[at] = to;
        bytes
    };
    let mut table = still();
    let precision = table.len() - 4;
    table[precision] = 3;
    let mut octaves = still();
    octaves.splice(8..12, [16, 0x80, 4]);
    let tail = [&sound[..], &[0]].concat();
    let head = |signs: &[u8]| {
        let mut bytes = still();
        bytes[5] = 1;
        [&bytes[..], signs].concat()
    };
    vec![
        with("x_classes_format", "floats of format 4", changed(0, 4), Unsupported("float format 4")),
        with("x_classes_mantissa", "symbols of 4 mantissa bits", changed(1, 4), Damage("head of classes")),
        with("x_classes_precision", "precision 13", changed(2, 13), Unsupported("precision of classes 13")),
        with("x_classes_none", "no classes", changed(3, 0), Damage("head of classes")),
        with("x_classes_tables", "17 tables", changed(4, 17), Damage("head of classes")),
        with("x_classes_flags", "reserved flags of classes", changed(5, 4), Damage("head of classes")),
        with("x_classes_table", "a table of another precision", table, Damage("another precision")),
        with("x_classes_octaves", "an exponent of 256", octaves, Damage("value of a list")),
        with("x_classes_tail", "bytes after classes", tail, Damage("bytes after classes")),
        with("x_signs_octave", "a first octave of 64", head(&[64, 16, 2]), Damage("first octave")),
        with(
            "x_signs_zero",
            "a sign that is never the commoner one",
            head(&[0, 16, 0]),
            Damage("value of a list"),
        ),
    ]
}

/// Prefix codes that break the rules: as [`still`], but of 64 codes of 6 bits, and the chunk has 8 of these in one bit string.
fn prefix_codes() -> Vec<Vector> {
    let classes = |flags: u8, length: u8| {
        let mut head = still()[..12].to_vec();
        head[5] = flags;
        // One list for the only table.
        [&head[..], &[16, 2 * length]].concat()
    };
    let with = |name, about, change: &dyn Fn(&mut Parts), content: Vec<u8>, says: Says| {
        let mut parts = Parts::sound();
        parts.states = vec![6];
        parts.rest.extend([0; 6]);
        change(&mut parts);
        let x = tensor(&descriptor("BF16", &[8], 16), parts.bytes());
        vector(name, about, file(&[(entry::CLASSES, content)], x), &says)
    };
    let sound = || classes(2, 6);
    let (same, elsewhere) = (|_: &mut Parts| {}, "prefix codes end elsewhere");
    vec![
        with(
            "x_codes_full",
            "codes of 7 bits, half of them unused",
            &same,
            classes(2, 7),
            Damage("lengths of a prefix code"),
        ),
        with(
            "x_codes_signs",
            "prefix codes with coded signs",
            &same,
            classes(3, 6),
            Damage("head of classes"),
        ),
        with(
            "x_codes_held",
            "prefix codes that hold plane bits",
            &|p| p.flags = 8,
            sound(),
            Damage("no states that hold"),
        ),
        with(
            "x_codes_length",
            "a bit string longer than the payload",
            &|p| p.states = vec![7],
            sound(),
            Damage("do not fill"),
        ),
        with(
            "x_codes_huge",
            "a bit string of 2^64 - 1 bytes",
            &|p| p.states = [&[0xFF; 9][..], &[1]].concat(),
            sound(),
            Damage("do not fill"),
        ),
        with(
            "x_codes_left",
            "a byte after the codes",
            &|p| (p.states = vec![7], p.rest.push(0)).1,
            sound(),
            Damage(elsewhere),
        ),
        with(
            "x_codes_cut",
            "a bit string of 5 bytes",
            &|p| (p.states = vec![5], p.rest.truncate(13)).1,
            sound(),
            Damage(elsewhere),
        ),
        with(
            "x_codes_dirty",
            "fill bits of a bit string that are not zero",
            &|p| {
                // Of 8 codes in 8 strings each has a byte.
                (p.lanes, p.states) = (3, vec![1; 8]);
                p.rest.truncate(8);
                p.rest.extend([0, 0, 0, 0x80, 0, 0, 0, 0]);
            },
            sound(),
            Damage("not filled with zero bits"),
        ),
    ]
}

/// Dependencies that a labelled chunk needs and does not have.
fn dependencies() -> Vec<Vector> {
    let d = descriptor("BF16", &[8], 16);
    let sound = || tensor(&d, Parts::sound().bytes());
    let grouped = |value: &[u8]| {
        let mut x = sound();
        x.0.fields.set(field::DEPENDENCY_GROUPS, true, value.to_vec());
        file(&[(entry::CLASSES, still())], x)
    };
    // Chunk 1 is in a group beyond the list.
    let two = descriptor("BF16", &[2, 8], 16);
    let mut beyond = tensor(&two, Parts::sound().bytes());
    beyond.1.push(Parts::sound().bytes());
    beyond.0.fields.set(field::DEPENDENCY_GROUPS, true, vec![1, 1]);
    let table = (entry::TABLE, table_of(b"aab").to_bytes());
    vec![
        vector("x_groups_chunks", "groups of no chunks", grouped(&[0, 1]), &Damage("dependency groups")),
        vector(
            "x_groups_none",
            "a chunk that needs one, in groups of no dependencies",
            grouped(&[1, 0]),
            &Damage("no table, classes or labels"),
        ),
        vector(
            "x_groups_three",
            "groups of three numbers",
            grouped(&[1, 1, 1]),
            &Damage("dependency groups"),
        ),
        vector(
            "x_groups_beyond",
            "a chunk whose group has no dependencies",
            file(&[(entry::CLASSES, still())], beyond),
            &Damage("no table, classes or labels"),
        ),
        vector(
            "x_no_classes",
            "classes that are no dependency",
            file(&[], sound()),
            &Damage("no table, classes or labels"),
        ),
        vector(
            "x_classes_kind",
            "a table in the place of classes",
            file(&[table], sound()),
            &Damage("no table, classes or labels"),
        ),
        chunk(
            "x_no_labels",
            "shared labels that are no dependency",
            &[],
            |p| (p.flags, p.labels) = (1, vec![1]),
            &Damage("no table, classes or labels for dependency 1"),
        ),
    ]
}
