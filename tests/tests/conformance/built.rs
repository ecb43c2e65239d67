//! Arrays that are built from others, bundles and variants: sound files, and such as must be refused entry by entry.

use crate::hand::{Draft, Shell, bytes_tensor, chunking, model, record, row};
use crate::labelled::shared_object;
use crate::vector::{Expect, Vector};
use mcodec_coding::codes::Element;
use mcodec_coding::index_map::IndexMap;
use mcodec_format::registry::{Dtype, coding, entry};
use mcodec_format::{
    Built, Bundle, Bundles, CutAxis, Dependency, Fields, MatrixAxis, Member, NestOrder, Representation,
    TensorDescriptor, Variant,
};

pub fn all() -> Vec<Vector> {
    vec![products(), selections(), hostile_products(), hostile_selections()]
        .into_iter()
        .chain(hostile_bundles())
        .collect()
}

type Hashed = (String, TensorDescriptor, Vec<u8>);

/// A file being made, with what its tensors are.
struct File {
    draft: Draft,
    hashed: Vec<Hashed>,
}

pub fn described(dtype: &str, shape: &[u64], representation: Representation) -> TensorDescriptor {
    let dtype = Dtype::by_name(dtype).expect("registered");
    let len = dtype.byte_len(shape).expect("whole bytes") as usize;
    TensorDescriptor {
        dtype: Some(dtype),
        dtype_name: dtype.name.into(),
        shape: shape.to_vec(),
        representation,
        ..bytes_tensor(chunking(coding::RAW, len.max(1), len))
    }
}

impl File {
    fn new() -> Self {
        Self { draft: Draft::of(vec![model(0, "built")]), hashed: Vec::new() }
    }

    /// An array of raw bytes.
    fn array(&mut self, id: u32, dtype: &str, shape: &[u64], bytes: &[u8]) {
        let descriptor = described(dtype, shape, Representation::Plain);
        let name = format!("array {id}");
        self.draft.add((row(id, entry::ARRAY, &name, descriptor.to_fields()), vec![bytes.to_vec()]));
    }

    fn floats(&mut self, id: u32, dtype: &str, shape: &[u64], numbers: &[f32]) {
        let element = Element::by_name(dtype).expect("a float");
        self.array(id, dtype, shape, &element.round(numbers));
    }

    fn object(&mut self, id: u32, kind: u64, content: Vec<u8>) {
        self.draft.add(shared_object(id, kind, &format!("object {id}"), content));
    }

    fn map(&mut self, id: u32, places: &[Option<u32>], sources: u32) {
        let map = IndexMap::new(places, sources).expect("a map");
        let stored = |bytes: &[u8], _: u8| Ok([&[0], bytes].concat());
        self.object(id, entry::INDEX_MAP, map.to_bytes(&stored).expect("is written"));
    }

    fn built(&mut self, id: u32, dtype: &str, shape: &[u64], built: Built, on: &[u32]) -> TensorDescriptor {
        self.named(id, &format!("tensor {id}"), dtype, shape, built, on)
    }

    fn named(
        &mut self,
        id: u32,
        name: &str,
        dtype: &str,
        shape: &[u64],
        built: Built,
        on: &[u32],
    ) -> TensorDescriptor {
        let descriptor = described(dtype, shape, Representation::Built(built));
        self.draft.add((row(id, entry::TENSOR, name, descriptor.to_fields()), Vec::new()));
        on.iter().for_each(|&id| self.draft.depend(Dependency::Entry(id)));
        descriptor
    }

    fn sound(&mut self, id: u32, dtype: &str, shape: &[u64], built: Built, on: &[u32], bytes: Vec<u8>) {
        let descriptor = self.built(id, dtype, shape, built, on);
        self.hashed.push((format!("tensor {id}"), descriptor, bytes));
    }

    fn finished(mut self) -> Vec<u8> {
        let list: Vec<_> =
            self.hashed.iter().map(|(n, d, b)| (&n[..], &d.dtype_name[..], &d.shape[..], &b[..])).collect();
        self.draft.hash(0, &list);
        self.draft.finished(&Shell::default())
    }
}

fn low_rank(flags: u8, ranks: &[u64]) -> Built {
    Built::LowRank {
        left_by_rank: flags & 1 != 0,
        right_by_column: flags & 2 != 0,
        has_base: flags & 4 != 0,
        ranks: ranks.to_vec(),
    }
}

/// Term by term.
fn product(base: &[f32], left: &[f32], right: &[f32], rank: usize, columns: usize) -> Vec<f32> {
    let mut out = base.to_vec();
    for (at, sum) in out.iter_mut().enumerate() {
        for k in 0..rank {
            *sum += left[at / columns * rank + k] * right[k * columns + at % columns];
        }
    }
    out
}

fn turned(numbers: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| numbers.iter().skip(c).step_by(columns).copied().collect::<Vec<_>>()).collect()
}

/// Numbers with many bits, some that vanish beside others.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    (0..count as u32)
        .map(|i| {
            let bits = (i + 1).wrapping_mul(seed).wrapping_mul(2_654_435_761) >> 8;
            (bits as f32 / 8_388_608.0 - 1.0) * [1.0, 1e-3, 1e6, 1e-30][(bits & 3) as usize]
        })
        .collect()
}

fn products() -> Vector {
    let mut file = File::new();
    let (rows, rank, columns) = (6usize, 3usize, 5usize);
    let left = numbers(rows * rank, 3);
    let mut right = numbers(rank * columns, 7);
    right[4] = f32::INFINITY;
    right[9] = f32::NEG_INFINITY;
    let (bf16, f16) = (Element::Bf16, Element::F16);
    let short = |e: Element, list: &[f32]| e.values(&e.round(list));
    file.floats(20, "F32", &[6, 3], &left);
    file.floats(21, "F32", &[3, 5], &right);
    file.floats(22, "BF16", &[3, 6], &turned(&left, rank));
    file.floats(23, "F16", &[5, 3], &turned(&numbers(15, 11), columns));
    let zeros = vec![0.0; rows * columns];
    let all = product(&zeros, &left, &right, rank, columns);
    let f32s = |list: &[f32]| {
        Element::F32.round(
            &list
                .iter()
                .map(|v| if v.is_nan() { f32::from_bits(0x7FC0_0000) } else { *v })
                .collect::<Vec<_>>(),
        )
    };
    file.sound(1, "F32", &[6, 5], low_rank(0, &[1, 3]), &[20, 21], f32s(&all));
    file.sound(2, "BF16", &[2, 3, 5], low_rank(0, &[3]), &[20, 21], bf16.round(&all));
    file.sound(3, "F16", &[6, 5], low_rank(0, &[3]), &[20, 21], f16.round(&all));
    let (l, r) = (short(bf16, &left), short(f16, &numbers(15, 11)));
    let by_rank = product(&zeros, &l, &r, rank, columns);
    file.sound(4, "BF16", &[6, 5], low_rank(3, &[1, 2, 3]), &[22, 23], bf16.round(&by_rank));
    // Added to the tensor before, and to an array that two share.
    let base = short(bf16, &by_rank);
    let sum = product(&base, &left, &right, rank, columns);
    file.sound(5, "BF16", &[6, 5], low_rank(4, &[3]), &[4, 20, 21], bf16.round(&sum));
    // A vector is one row.
    file.floats(24, "F32", &[1, 2], &[0.5, 3.0]);
    file.floats(25, "F32", &[2, 4], &numbers(8, 5));
    let row = product(&[0.0; 4], &[0.5, 3.0], &numbers(8, 5), 2, 4);
    file.sound(6, "F32", &[4], low_rank(0, &[2]), &[24, 25], f32s(&row));
    Vector::sound("low_rank", "products of factors, of all types and layouts, with a base", file.finished())
}

fn selections() -> Vector {
    let mut file = File::new();
    let bytes: Vec<u8> = (1..=24).collect();
    file.array(20, "U8", &[4, 6], &bytes);
    file.array(21, "I16", &[3, 2], &(0..12).collect::<Vec<u8>>());
    file.map(30, &[Some(0), None, Some(1), Some(2), None, Some(3)], 4);
    file.map(31, &[Some(5), Some(0), None, Some(5)], 6);
    let rows = [0usize, 9, 1, 2, 9, 3];
    let at = |r: usize, c: usize| if r == 9 || c == 9 { 0 } else { bytes[r * 6 + c] };
    let by_rows: Vec<u8> = rows.iter().flat_map(|&r| (0..6).map(move |c| at(r, c))).collect();
    let select = |rows, columns| Built::Select { rows, columns };
    file.sound(1, "U8", &[2, 3, 6], select(true, false), &[20, 30], by_rows);
    let columns = [5usize, 0, 9, 5];
    let by_columns: Vec<u8> = (0..4).flat_map(|r| columns.iter().map(move |&c| at(r, c))).collect();
    file.sound(2, "U8", &[4, 4], select(false, true), &[20, 31], by_columns.clone());
    let both: Vec<u8> = rows.iter().flat_map(|&r| columns.iter().map(move |&c| at(r, c))).collect();
    file.sound(3, "U8", &[6, 4], select(true, true), &[20, 30, 31], both.clone());
    let tiers = |axis, runs: &[(u64, bool)]| Built::Tiers { axis, runs: runs.to_vec() };
    let rows: Vec<u8> = [&both[..], &[0; 8], &by_columns].concat();
    let runs = [(6, true), (2, false), (4, true)];
    file.sound(4, "U8", &[12, 4], tiers(MatrixAxis::Rows, &runs), &[3, 2], rows);
    let two: Vec<u8> = (0..3u8)
        .flat_map(|r| [0, 0, 4 * r, 4 * r + 1, 4 * r + 2, 4 * r + 3, 4 * r, 4 * r + 1, 4 * r + 2, 4 * r + 3])
        .collect();
    let runs = [(1, false), (2, true), (2, true)];
    file.sound(5, "I16", &[3, 5], tiers(MatrixAxis::Columns, &runs), &[21, 21], two);
    let bundles = Bundles {
        bundles: vec![
            bundle("rows", NestOrder::Paired, 6, &[2, 6], &[(1, CutAxis::Rows), (3, CutAxis::Rows)]),
            bundle(
                "columns",
                NestOrder::Prefix,
                2,
                &[0, 1, 2],
                &[(2, CutAxis::Columns), (20, CutAxis::Columns)],
            ),
        ],
        variants: vec![
            Variant { name: "small".into(), bytes: 40, levels: vec![0, 1] },
            Variant { name: "all".into(), bytes: 300, levels: vec![1, 2] },
        ],
    };
    file.object(40, entry::BUNDLES, bundles.to_bytes());
    let mut draft = file.draft.clone();
    let list: Vec<_> =
        file.hashed.iter().map(|(n, d, b)| (&n[..], &d.dtype_name[..], &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    let recipe = r#"{"passes":[{"pass":"prune","targets":["*"],"parameters":{"ratio":0.25}}]}"#;
    let made = record(50, "recipe", "recipe", draft.page.assets[0].hash, recipe);
    draft.add(made);
    let about = "selections, tiers within tiers, bundles and variants, a recipe";
    Vector::sound("select", about, draft.finished(&Shell::default()))
}

fn bundle(name: &str, order: NestOrder, unit: u64, levels: &[u64], members: &[(u32, CutAxis)]) -> Bundle {
    let members = members.iter().map(|&(entry, axis)| Member { entry, axis }).collect();
    Bundle { name: name.into(), order, unit, levels: levels.to_vec(), members }
}

/// A tensor whose field `representation` is these bytes.
fn raw(file: &mut File, id: u32, name: &str, (dtype, shape): (&str, &[u64]), said: &[u8], on: &[u32]) {
    let mut fields: Fields = described(dtype, shape, Representation::Plain).to_fields();
    fields.set(mcodec_format::registry::field::REPRESENTATION, true, said.to_vec());
    file.draft.add((row(id, entry::TENSOR, name, fields), Vec::new()));
    on.iter().for_each(|&id| file.draft.depend(Dependency::Entry(id)));
}

fn hostile_products() -> Vector {
    let mut file = File::new();
    file.floats(20, "F32", &[6, 3], &[1.0; 18]);
    file.floats(21, "F32", &[3, 5], &[1.0; 15]);
    file.array(22, "U8", &[3, 5], &[1; 15]);
    file.map(30, &[Some(0)], 1);
    let f32s: (&str, &[u64]) = ("F32", &[6, 5]);
    raw(&mut file, 1, "flags", f32s, &[56, 8, 3], &[20, 21]);
    raw(&mut file, 2, "no rank", f32s, &[56, 0], &[20, 21]);
    raw(&mut file, 3, "rank 0", f32s, &[56, 0, 0, 3], &[20, 21]);
    raw(&mut file, 4, "ranks fall", f32s, &[56, 0, 3, 2], &[20, 21]);
    raw(&mut file, 5, "rank above", f32s, &[56, 0, 4], &[20, 21]);
    raw(&mut file, 6, "turned", f32s, &[56, 1, 3], &[20, 21]);
    raw(&mut file, 7, "integers", f32s, &[56, 0, 3], &[20, 22]);
    raw(&mut file, 8, "one factor", f32s, &[56, 0, 3], &[20]);
    raw(&mut file, 9, "three factors", f32s, &[56, 0, 3], &[20, 21, 21]);
    raw(&mut file, 10, "no base", f32s, &[56, 4, 3], &[20, 21]);
    raw(&mut file, 11, "of bytes", ("U8", &[6, 5]), &[56, 0, 3], &[20, 21]);
    raw(&mut file, 12, "a number", ("F32", &[]), &[56, 0, 3], &[20, 21]);
    raw(&mut file, 13, "of a map", f32s, &[56, 0, 3], &[20, 30]);
    raw(&mut file, 14, "itself", f32s, &[56, 4, 3], &[14, 20, 21]);
    raw(&mut file, 15, "no rows", ("F32", &[0, 5]), &[56, 0, 3], &[20, 21]);
    raw(&mut file, 16, "with chunks", f32s, &[56, 0, 3], &[20, 21]);
    let last = file.draft.payloads.last_mut().expect("a row");
    last.push(vec![1]);
    file.draft.page.rows.last_mut().expect("a row").lengths.push(1);
    let expect = Expect {
        damage: &["flags or ranks", "factor", "fewer dependencies", "more dependencies", "depends on itself"],
        entries: &[
            ("flags", "flags or ranks"),
            ("no rank", "flags or ranks"),
            ("rank 0", "flags or ranks"),
            ("ranks fall", "flags or ranks"),
            ("rank above", "a factor has another shape"),
            ("turned", "a factor has another shape"),
            ("integers", "a factor has another shape"),
            ("one factor", "fewer dependencies"),
            ("three factors", "more dependencies"),
            ("no base", "base is not a tensor of the same dtype and shape"),
            ("of bytes", "not of F32, F16 or BF16"),
            ("a number", "no rows or columns"),
            ("of a map", "no array"),
            ("itself", "depends on itself"),
            ("no rows", "no rows or columns"),
            ("with chunks", "1 chunks where its descriptor says 0"),
        ],
        ..Expect::default()
    };
    Vector::opens("x_low_rank", "products that are not as they say", file.finished(), expect)
}

fn hostile_selections() -> Vector {
    let mut file = File::new();
    file.array(20, "U8", &[4, 6], &[7; 24]);
    file.array(21, "I8", &[4, 6], &[7; 24]);
    file.map(30, &[Some(0), None, Some(1), Some(2), None, Some(3)], 4);
    file.map(31, &[Some(4)], 5);
    for (id, content) in (32..).zip([
        &[1u8, 1, 4, 0, 5, 0, 0, 0][..],        // a source that is not there
        &[0, 6, 4, 0, 0b11111],                 // five ones of four
        &[0, 6, 4, 0, 0b1001111],               // a one beyond the places
        &[0, 0, 4, 0],                          // no places
        &[1, 1, 0, 0, 0, 0, 0, 0],              // no sources
        &[2, 1, 4, 0, 0],                       // a form that is not known
        &[1, 6, 4, 0, 1, 0, 0, 0],              // a list that is cut
        &[1, 0xff, 0xff, 0xff, 0xff, 15, 4, 0], // too many places
    ]) {
        file.object(id, entry::INDEX_MAP, content.to_vec());
    }
    let six: (&str, &[u64]) = ("U8", &[6, 6]);
    let one: (&str, &[u64]) = ("U8", &[1, 6]);
    raw(&mut file, 1, "no axis", six, &[57, 0], &[20]);
    raw(&mut file, 2, "axes", six, &[57, 4], &[20, 30]);
    raw(&mut file, 3, "bytes follow", six, &[57, 1, 1], &[20, 30]);
    raw(&mut file, 4, "no map", six, &[57, 1], &[20]);
    raw(&mut file, 5, "an array as map", six, &[57, 1], &[20, 21]);
    raw(&mut file, 6, "other type", six, &[57, 1], &[21, 30]);
    raw(&mut file, 7, "other columns", ("U8", &[6, 5]), &[57, 1], &[20, 30]);
    raw(&mut file, 8, "other places", ("U8", &[5, 6]), &[57, 1], &[20, 30]);
    raw(&mut file, 9, "other sources", one, &[57, 1], &[20, 31]);
    raw(&mut file, 10, "source", one, &[57, 1], &[20, 32]);
    raw(&mut file, 11, "ones", six, &[57, 1], &[20, 33]);
    raw(&mut file, 12, "fill", six, &[57, 1], &[20, 34]);
    raw(&mut file, 13, "places", six, &[57, 1], &[20, 35]);
    raw(&mut file, 14, "sources", one, &[57, 1], &[20, 36]);
    raw(&mut file, 15, "form", one, &[57, 1], &[20, 37]);
    raw(&mut file, 16, "cut", six, &[57, 1], &[20, 38]);
    raw(&mut file, 17, "many", six, &[57, 1], &[20, 39]);
    raw(&mut file, 18, "axis", ("U8", &[4, 6]), &[58, 2, 9], &[20]);
    raw(&mut file, 19, "no run", ("U8", &[4, 6]), &[58, 0], &[]);
    raw(&mut file, 50, "none there", ("U8", &[4, 6]), &[58, 0, 8], &[]);
    raw(&mut file, 51, "empty run", ("U8", &[4, 6]), &[58, 0, 1, 9], &[20, 20]);
    raw(&mut file, 52, "short", ("U8", &[5, 6]), &[58, 0, 9], &[20]);
    raw(&mut file, 53, "other size", ("U8", &[5, 6]), &[58, 0, 11], &[20]);
    raw(&mut file, 54, "packed", ("F4", &[4, 6]), &[58, 0, 9], &[20]);
    raw(&mut file, 55, "tier of other type", ("U8", &[4, 6]), &[58, 0, 9], &[21]);
    let expect = Expect {
        damage: &["axes of a selection", "index map", "tier", "a source that is not there"],
        entries: &[
            ("no axis", "axes of a selection"),
            ("axes", "axes of a selection"),
            ("bytes follow", "axes of a selection"),
            ("no map", "fewer dependencies"),
            ("an array as map", "no index map"),
            ("other type", "another element type"),
            ("other columns", "other rows or columns"),
            ("other places", "other places or sources"),
            ("other sources", "other places or sources"),
            ("source", "a source that is not there"),
            ("ones", "another number of ones"),
            ("fill", "another number of ones"),
            ("places", "places or sources of an index map"),
            ("sources", "a source that is not there"),
            ("form", "form of an index map"),
            ("cut", "another length than its content"),
            ("many", "places or sources of an index map"),
            ("axis", "axis of tiers"),
            ("no run", "none is there"),
            ("none there", "none is there"),
            ("empty run", "a tier has no length"),
            ("short", "tiers are not as long"),
            ("other size", "a tier is an array of another size"),
            ("packed", "not whole bytes"),
            ("tier of other type", "another element type"),
        ],
        ..Expect::default()
    };
    Vector::opens("x_select", "selections and tiers that are not as they say", file.finished(), expect)
}

/// One file for each rule: an asset has one entry of bundles.
fn hostile_bundles() -> Vec<Vector> {
    let with = |name: &'static str, about: &'static str, damage: &'static [&'static str], bytes: Vec<u8>| {
        let mut file = File::new();
        file.floats(20, "F32", &[6, 3], &[1.0; 18]);
        file.floats(21, "F32", &[3, 6], &[1.0; 18]);
        let ones = Element::F32.round(&[3.0; 36]);
        file.sound(1, "F32", &[6, 6], low_rank(0, &[3]), &[20, 21], ones);
        file.map(30, &[Some(1), Some(0), None, Some(2), Some(4), Some(3)], 6);
        file.map(31, &[Some(0), Some(1), None, Some(2), Some(4), Some(5)], 6);
        let rows = |map: [usize; 6]| {
            Element::F32
                .round(&map.iter().flat_map(|&r| [if r == 9 { 0.0 } else { 3.0 }; 6]).collect::<Vec<_>>())
        };
        let select = Built::Select { rows: true, columns: false };
        file.sound(2, "F32", &[6, 6], select.clone(), &[1, 30], rows([1, 0, 9, 2, 4, 3]));
        file.sound(3, "F32", &[6, 6], select, &[1, 31], rows([0, 1, 9, 2, 4, 5]));
        file.object(40, entry::BUNDLES, bytes);
        Vector::opens(name, about, file.finished(), Expect { damage, ..Expect::default() })
    };
    let one = |order, unit, levels: &[u64], members: &[(u32, CutAxis)]| {
        Bundles { bundles: vec![bundle("b", order, unit, levels, members)], variants: Vec::new() }.to_bytes()
    };
    let (plain, rows, rank) = (NestOrder::Prefix, CutAxis::Rows, CutAxis::Rank);
    let mut variant =
        Bundles { bundles: vec![bundle("b", plain, 6, &[3, 6], &[(1, rows)])], variants: Vec::new() };
    variant.variants.push(Variant { name: "v".into(), bytes: 1, levels: vec![2] });
    let mut twice = variant.clone();
    twice.variants[0].levels[0] = 1;
    twice.variants.push(twice.variants[0].clone());
    vec![
        with(
            "x_bundle_levels",
            "levels that fall",
            &["do not rise"],
            one(plain, 6, &[4, 3, 6], &[(1, rows)]),
        ),
        with(
            "x_bundle_unit",
            "rows that are no whole units",
            &["no whole units"],
            one(plain, 4, &[2, 4], &[(1, rows)]),
        ),
        with(
            "x_bundle_entry",
            "a bundle of what is not there",
            &["no array"],
            one(plain, 6, &[6], &[(9, rows)]),
        ),
        with(
            "x_bundle_rank",
            "a rank of what has none",
            &["does not have"],
            one(plain, 3, &[1, 3], &[(1, rank), (2, rank)]),
        ),
        with(
            "x_bundle_twice",
            "one axis cut twice",
            &["cut one axis"],
            one(plain, 6, &[6], &[(1, rows), (1, rows)]),
        ),
        with(
            "x_bundle_pairs",
            "a pair cut in two",
            &["not even"],
            one(NestOrder::Paired, 6, &[3, 6], &[(1, rows)]),
        ),
        with(
            "x_bundle_maps",
            "members by different maps",
            &["different maps"],
            one(plain, 6, &[6], &[(2, rows), (3, rows)]),
        ),
        with(
            "x_variant_level",
            "a variant of a level that is not there",
            &["levels that its bundles"],
            variant.to_bytes(),
        ),
        with("x_variant_twice", "two variants of one name", &["one name"], twice.to_bytes()),
    ]
}
