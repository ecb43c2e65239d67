//! Sound files made by hand: every registered thing that a file of this version can hold.

use crate::hand::{
    Draft, Leaf, Shell, blob, bytes_tensor, chunking, fields_tensor, file, leafy_file, model, raw_tensor,
    record, row, shared_payload, table, table_of,
};
use crate::vector::{Expect, Vector};
use mcodec_coding::blocks::{self, ComponentCode, PartCode};
use mcodec_coding::fields::{FieldCode, FieldSpec, SparseUnits, encode};
use mcodec_format::registry::Dtype;
use mcodec_format::registry::{BLOCKS, DTYPES, coding, entry, field, file_layout};
use mcodec_format::{Dependency, EntryRow, Layout, Representation, TensorDescriptor, wire};
use mcodec_tests::gguf::random_blocks;
use mcodec_tests::inputs::Noise;

pub fn all() -> Vec<Vector> {
    vec![
        empty(),
        blob_of_two_chunks(),
        dtypes(),
        field_modes(),
        sparse(),
        row_layouts(),
        long_chunk(),
        parts_and_copies(),
        dependencies(),
        deep_dependencies(),
        aliases(),
        names(),
        records(),
        file_layouts(),
        blocks_of_every_key(),
    ]
}

/// Bytes that repeat enough to be coded.
pub fn skewed(n: usize, seed: u64) -> Vec<u8> {
    Noise(seed).bytes(n).into_iter().map(|b| (b & b.rotate_left(3)) >> 4).collect()
}

fn empty() -> Vector {
    Vector::sound("empty", "no asset at all", Draft::default().finished(&Shell::default()))
}

fn blob_of_two_chunks() -> Vector {
    let content = b"An opaque file of two chunks, the second one shorter.";
    let mut draft = Draft::of(vec![blob(0, "note.txt", content)]);
    let mut fields = file(0, "", file_layout::BYTES, content).0.fields;
    fields.set_varint(field::CHUNK_LENGTH, true, 32);
    draft.add((row(0, entry::FILE, "", fields), vec![content[..32].to_vec(), content[32..].to_vec()]));
    Vector::sound("blob", "a blob of two raw chunks, indexed", draft.finished(&Shell::default()))
}

fn dtypes() -> Vector {
    let mut draft = Draft::of(vec![model(0, "dtypes")]);
    let mut noise = Noise(7);
    let mut hashed = Vec::new();
    let add = |draft: &mut Draft, id: u32, descriptor: TensorDescriptor, bytes: &[u8]| {
        let name = descriptor.dtype_name.to_lowercase();
        draft.add((row(id, entry::TENSOR, &name, descriptor.to_fields()), vec![bytes.to_vec()]));
        (name, descriptor, bytes.to_vec())
    };
    for (id, dtype) in (0u32..).zip(DTYPES.into_iter().chain(BLOCKS)) {
        let shape = if dtype.block > 1 { vec![1, u64::from(dtype.block)] } else { vec![2, 2] };
        let bytes = noise.bytes(dtype.byte_len(&shape).expect("whole bytes") as usize);
        let chunking = chunking(coding::RAW, bytes.len(), bytes.len());
        let descriptor = TensorDescriptor {
            dtype: Some(dtype),
            dtype_name: dtype.name.into(),
            shape,
            ..bytes_tensor(chunking)
        };
        hashed.push(add(&mut draft, id, descriptor, &bytes));
    }
    let bytes = noise.bytes(5);
    let descriptor = TensorDescriptor {
        dtype: None,
        dtype_name: "Q3_NEW".into(),
        shape: vec![13],
        ..bytes_tensor(chunking(coding::RAW, 5, 5))
    };
    hashed.push(add(&mut draft, 100, descriptor, &bytes));
    let list: Vec<_> =
        hashed.iter().map(|(n, d, b)| (n.as_str(), d.dtype_name.as_str(), &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    Vector::sound(
        "dtypes",
        "a tensor of every element type, and of an opaque one",
        draft.finished(&Shell::default()),
    )
}

fn field_modes() -> Vector {
    let mut draft = Draft::of(vec![model(0, "modes")]);
    let bytes = skewed(240, 1);
    let own = table_of(&bytes);
    let (shared, table_entry) = table(0, "t", &bytes);
    let field = |width, code| FieldSpec { width, code };
    let coded = |unit, specs: &[FieldSpec<'_>]| encode(&bytes, unit, specs).expect("payload is coded");
    let constant = vec![0xa5; 64];
    let sixths = table_of(&bytes.iter().map(|b| b & 63).chain(0..64).collect::<Vec<u8>>());
    let codes = [field(6, FieldCode::Rans { table: &sixths, lanes_log2: 0 }); 4];
    let all = [
        ("stored", [&[0][..], &bytes].concat(), &bytes),
        ("codes of 6 bits", coded(24, &codes), &bytes),
        ("codes of 5 bits", coded(40, &[field(5, FieldCode::Packed); 8]), &bytes),
        ("packed", coded(8, &[field(3, FieldCode::Packed), field(5, FieldCode::Packed)]), &bytes),
        (
            "constant",
            encode(&constant, 8, &[field(8, FieldCode::Constant(0xa5))]).expect("payload is coded"),
            &constant,
        ),
        ("zstd", coded(16, &[field(11, FieldCode::Zstd { level: 3 }), field(5, FieldCode::Packed)]), &bytes),
        ("rans", coded(8, &[field(8, FieldCode::Rans { table: &own, lanes_log2: 2 })]), &bytes),
        ("shared", shared_payload(&shared, &bytes), &bytes),
        ("wide", coded(64, &[field(64, FieldCode::Packed)]), &bytes),
        (
            "mixed",
            coded(
                32,
                &[
                    field(1, FieldCode::Packed),
                    field(7, FieldCode::Zstd { level: 1 }),
                    field(24, FieldCode::Packed),
                ],
            ),
            &bytes,
        ),
    ];
    draft.add(table_entry);
    let mut hashed = Vec::new();
    for (id, (name, payload, content)) in (1u32..).zip(&all) {
        draft.add(fields_tensor(id, name, content.len(), payload.clone()));
        hashed.push((*name, content.len() as u64, *content));
        if *name == "shared" {
            draft.depend(Dependency::Entry(0));
        }
    }
    draft.add(raw_tensor(20, "raw", &bytes));
    hashed.push(("raw", 240, &bytes));
    hash_bytes(&mut draft, 0, &hashed);
    Vector::sound(
        "field_modes",
        "every mode of coding `fields`, the stored unit, units of 8 to 64 bits, of 24 and 40 too",
        draft.finished(&Shell::default()),
    )
}

/// Every unit of sparse chunks; places and values coded, constant and under a shared table; a filler of other bits than zero.
fn sparse() -> Vector {
    let mut draft = Draft::of(vec![model(0, "pruned")]);
    let noise = Noise(12).bytes(8 * 77);
    let field = |code| FieldSpec { width: 8, code };
    let packed = |bytes: &[u8]| encode(bytes, 8, &[field(FieldCode::Packed)]).expect("payload is coded");
    let mut all = Vec::new();
    for (name, unit, filler) in
        [("x8", 8, 0), ("x16", 16, 0x8000), ("x32", 32, 0xff80_0000), ("x64", 64, u64::MAX)]
    {
        let size = usize::from(unit / 8);
        let fill = &filler.to_le_bytes()[..size];
        let unit_at = |i: usize| if i % 5 == 1 { &noise[i * size..(i + 1) * size] } else { fill };
        let content: Vec<u8> = (0..77).flat_map(unit_at).copied().collect();
        let parts = SparseUnits::of(&content, unit, filler).expect("units fill the bytes");
        let payload = parts.payload(&packed(&parts.places), &packed(&parts.values));
        all.push((name, payload, content));
    }
    let content: Vec<u8> = skewed(300, 13).into_iter().flat_map(|b| [b, 0]).collect();
    let parts = SparseUnits::of(&content, 16, 0).expect("units fill the bytes");
    let (shared, table_entry) = table(0, "t", &parts.values);
    let places = table_of(&parts.places);
    let places = encode(&parts.places, 8, &[field(FieldCode::Rans { table: &places, lanes_log2: 1 })]);
    let payload = parts.payload(&places.expect("payload is coded"), &shared_payload(&shared, &parts.values));
    all.push(("shared", payload, content));
    let nothing = SparseUnits::of(&[7; 21], 8, 7).expect("units fill the bytes");
    all.push(("filler", nothing.payload(&packed(&nothing.places), &packed(&[])), vec![7; 21]));
    draft.add(table_entry);
    let mut hashed = Vec::new();
    for (id, (name, payload, content)) in (1u32..).zip(&all) {
        draft.add(fields_tensor(id, name, content.len(), payload.clone()));
        hashed.push((*name, content.len() as u64, content));
        if *name == "shared" {
            draft.depend(Dependency::Entry(0));
        }
    }
    hash_bytes(&mut draft, 0, &hashed);
    Vector::sound("sparse", "sparse chunks of all units", draft.finished(&Shell::default()))
}

/// Sets the content hash of a model whose tensors are of bytes, of one dimension.
pub fn hash_bytes(draft: &mut Draft, asset: usize, tensors: &[(&str, u64, &Vec<u8>)]) {
    let shapes: Vec<[u64; 1]> = tensors.iter().map(|t| [t.1]).collect();
    let list: Vec<_> = tensors.iter().zip(&shapes).map(|(t, s)| (t.0, "U8", &s[..], &t.2[..])).collect();
    draft.hash(asset, &list);
}

fn row_layouts() -> Vector {
    let mut draft = Draft::of(vec![model(0, "layouts")]);
    draft.aligned = true;
    let mut hashed = Vec::new();
    let bytes = Noise(3).bytes(300);
    for (id, (name, layout)) in (0u32..).zip([
        ("described", Layout::Described),
        ("gathered", Layout::Gathered),
        ("indexed", Layout::Indexed),
    ]) {
        let descriptor = bytes_tensor(chunking(coding::RAW, 128, 300));
        let row = EntryRow { layout, ..row(id, entry::TENSOR, name, descriptor.to_fields()) };
        draft.add((row, bytes.chunks(128).map(<[u8]>::to_vec).collect()));
        hashed.push((name, 300, &bytes));
    }
    let (row, payloads) = raw_tensor(9, "nothing", &[]);
    draft.add((row, payloads));
    let nothing = Vec::new();
    hashed.push(("nothing", 0, &nothing));
    hash_bytes(&mut draft, 0, &hashed);
    Vector::sound(
        "row_layouts",
        "I, G (aligned by a pad frame) and C frames, and an entry without chunks",
        draft.finished(&Shell::default()),
    )
}

fn long_chunk() -> Vector {
    let mut draft = Draft::of(vec![model(0, "long")]);
    let bytes = vec![3u8; 4096];
    draft.add(raw_tensor(0, "eight", &bytes));
    hash_bytes(&mut draft, 0, &[("eight", 4096, &bytes)]);
    Vector::sound(
        "long_chunk",
        "a payload of 4096 bytes carries 8 bytes of its check",
        draft.finished(&Shell::default()),
    )
}

fn parts_and_copies() -> Vector {
    let mut draft = Draft::of(vec![model(0, "parts")]);
    let bytes = skewed(48, 2);
    let (shared, table_entry) = table(0, "table", &bytes);
    let descriptor = bytes_tensor(chunking(coding::FIELDS, 16, 48));
    let payloads: Vec<_> = bytes.chunks(16).map(|c| shared_payload(&shared, c)).collect();
    let raw = raw_tensor(2, "z", b"last");
    // Rows: 0 the first part of `a`, 1 its second, 2 the table, 3 `z`.
    draft.add((row(1, entry::TENSOR, "a", descriptor.to_fields()), payloads[..1].to_vec()));
    draft.depend(Dependency::Entry(0));
    let second = EntryRow { first_chunk: 1, ..row(1, entry::TENSOR, "a", descriptor.to_fields()) };
    draft.add((second, payloads[1..].to_vec()));
    draft.depend(Dependency::Entry(0));
    draft.add(table_entry);
    draft.add(raw);
    let last = b"last".to_vec();
    hash_bytes(&mut draft, 0, &[("a", 48, &bytes), ("z", 4, &last)]);
    let leaf = |separator: &[u8], first_chunk, owned: &[usize], copies: &[usize]| Leaf {
        separator: separator.to_vec(),
        first_chunk,
        owned: owned.to_vec(),
        copies: copies.to_vec(),
    };
    let leaves =
        [leaf(b"", 0, &[0], &[2]), leaf(b"parts\0a", 1, &[1], &[2]), leaf(b"parts\0b", 0, &[2, 3], &[])];
    Vector::sound(
        "parts_and_copies",
        "three leaves: an entry cut between two of them, each with a copy of the table's row that the third owns",
        leafy_file(draft, &leaves),
    )
}

fn dependencies() -> Vector {
    let mut draft = Draft::of(vec![model(3, "a"), model(5, "b")]);
    let bytes = skewed(64, 4);
    let (shared, table_entry) = table(1, "t", &bytes);
    draft.add_of(1, table_entry);
    for (asset, id, name, on) in [
        (0, 7, "other-asset", Dependency::Other { asset: 5, entry: 1 }),
        (0, 8, "other-file", Dependency::External { hash: [0xee; 32], name: "their table".into() }),
        (1, 2, "same-asset", Dependency::Entry(1)),
    ] {
        draft.add_of(asset, fields_tensor(id, name, 64, shared_payload(&shared, &bytes)));
        draft.depend(on);
    }
    hash_bytes(&mut draft, 0, &[("other-asset", 64, &bytes), ("other-file", 64, &bytes)]);
    hash_bytes(&mut draft, 1, &[("same-asset", 64, &bytes)]);
    let expect =
        Expect { entries: &[("other-file", "needs the file with content hash eeee")], ..Expect::default() };
    Vector::opens(
        "dependencies",
        "shared tables of the same asset, another asset, and another file (which is not at hand)",
        draft.finished(&Shell::default()),
        expect,
    )
}

/// A model of `n` tensors, each depending on the next one.
pub fn chain(n: u32) -> Draft {
    let mut draft = Draft::of(vec![model(0, "chain")]);
    let bytes = vec![1u8; 4];
    let names: Vec<String> = (0..n).map(|i| format!("t{i}")).collect();
    for (id, name) in (0..n).zip(&names) {
        draft.add(raw_tensor(id, name, &bytes));
        if id + 1 < n {
            draft.depend(Dependency::Entry(id + 1));
        }
    }
    let hashed: Vec<_> = names.iter().map(|name| (name.as_str(), 4, &bytes)).collect();
    hash_bytes(&mut draft, 0, &hashed);
    draft
}

fn deep_dependencies() -> Vector {
    let bytes = chain(9).finished(&Shell::default());
    Vector::sound("deep_dependencies", "a path of 8 dependencies, the longest that is allowed", bytes)
}

fn aliases() -> Vector {
    let mut draft = Draft::of(vec![model(0, "tied")]);
    let bytes = b"weights!".to_vec();
    draft.add(raw_tensor(4, "embed.weight", &bytes));
    let descriptor = TensorDescriptor {
        representation: Representation::Alias(4),
        ..bytes_tensor(chunking(coding::RAW, 8, 8))
    };
    draft.add((row(5, entry::TENSOR, "lm_head.weight", descriptor.to_fields()), Vec::new()));
    draft.depend(Dependency::Entry(4));
    // The same as if the representation were left out.
    let mut plain = raw_tensor(6, "plain", &bytes);
    plain.0.fields.set_varint(field::REPRESENTATION, true, 1);
    draft.add(plain);
    let hashed = ["embed.weight", "lm_head.weight", "plain"].map(|name| (name, 8, &bytes));
    hash_bytes(&mut draft, 0, &hashed);
    Vector::sound(
        "aliases",
        "a tensor stored as the bytes of another, and one that says that it is plain",
        draft.finished(&Shell::default()),
    )
}

fn names() -> Vector {
    let mut draft = Draft::of(vec![model(0, "m10"), model(1, "m9"), model(2, "m09")]);
    let bytes = vec![0u8];
    let all = ["", "layers.10.w", "layers.2.w", "layers.02.w", "läyers", "a/b c", "层.9", "A", "a\u{1}b"];
    for (id, name) in (0u32..).zip(all) {
        draft.add(raw_tensor(id, name, &bytes));
    }
    draft.add_of(1, raw_tensor(0, "x", &bytes));
    draft.add_of(2, raw_tensor(0, "x", &bytes));
    hash_bytes(&mut draft, 0, &all.map(|name| (name, 1, &bytes)));
    hash_bytes(&mut draft, 1, &[("x", 1, &bytes)]);
    hash_bytes(&mut draft, 2, &[("x", 1, &bytes)]);
    Vector::sound(
        "names",
        "natural order of assets and entries; names in many scripts, and an empty one",
        draft.finished(&Shell::default()),
    )
}

fn records() -> Vector {
    let mut draft = Draft::of(vec![model(0, "with-records")]);
    let bytes = b"data".to_vec();
    draft.add(raw_tensor(0, "w", &bytes));
    hash_bytes(&mut draft, 0, &[("w", 4, &bytes)]);
    let bound = draft.page.assets[0].hash;
    draft.add(record(1, "eval/2026-11", "json", bound, r#"{"perplexity":6.25}"#));
    let mut required = record(2, "licence", "json", bound, r#""Apache-2.0""#);
    required.0.critical = true;
    draft.add(required);
    let soft = TensorDescriptor { owner: Some(1), ..bytes_tensor(chunking(coding::RAW, 3, 3)) };
    draft.add((row(3, entry::TENSOR, "eval/2026-11/scores", soft.to_fields()), vec![b"abc".to_vec()]));
    Vector::sound(
        "records",
        "an optional and a required record, and a record's tensor",
        draft.finished(&Shell::default()),
    )
}

fn file_layouts() -> Vector {
    let mut draft = Draft::of(vec![model(0, "files")]);
    let (a, b) = (b"aaaa".to_vec(), b"bb".to_vec());
    draft.add(raw_tensor(10, "a", &a));
    draft.add(raw_tensor(11, "b", &b));
    hash_bytes(&mut draft, 0, &[("a", 4, &a), ("b", 2, &b)]);
    draft.add(file(0, "config.json", file_layout::BYTES, b"{}"));
    let json = r#"{ "b": {"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#;
    let mut verbatim = Vec::new();
    wire::put_varint(&mut verbatim, 1);
    wire::put_svarint(&mut verbatim, 11);
    verbatim.extend((json.len() as u64).to_le_bytes());
    verbatim.extend(json.as_bytes());
    draft.add(file(1, "odd/verbatim.safetensors", file_layout::SAFETENSORS_VERBATIM, &verbatim));
    let mut rendered = vec![8];
    wire::put_string(&mut rendered, r#"{"format":"pt"}"#);
    wire::put_varint(&mut rendered, 2);
    wire::put_svarint(&mut rendered, 11);
    wire::put_svarint(&mut rendered, 10 - 12);
    draft.add(file(2, "rendered.safetensors", file_layout::SAFETENSORS_RENDERED, &rendered));
    let mut pieces = Vec::new();
    for value in [4, 2 << 1, 10 << 1 | 1, 3 << 1, 11 << 1 | 1] {
        wire::put_varint(&mut pieces, value);
    }
    pieces.extend(b"hdpad");
    draft.add(file(3, "pieces.bin", file_layout::PIECES, &pieces));
    Vector::sound(
        "file_layouts",
        "files as bytes, with a verbatim and with a rendered safetensors header, and in pieces",
        draft.finished(&Shell::default()),
    )
}

/// Blocks whose components are cut at a key in two where they have one; parts of every mode.
fn blocks_of_every_key() -> Vector {
    let mut draft = Draft::of(vec![model(0, "blocks")]);
    let mut noise = Noise(21);
    let mut hashed = Vec::new();
    let names = ["Q4_1", "Q5_0", "Q2_K", "Q3_K", "Q4_K", "Q6_K", "IQ4_XS", "MXFP4"];
    for (id, name) in (0u32..).zip(names) {
        let dtype = Dtype::by_name(name).expect("a block type");
        let bytes = random_blocks(dtype, 4, &mut noise);
        let kind = dtype.id as u8;
        let parts = blocks::component_count(kind).expect("a block type");
        let codes: Vec<_> = (0..parts).map(|i| component_code(&bytes, kind, i)).collect();
        let payload = blocks::encode(&bytes, kind, &codes).expect("payload is coded");
        let shape = vec![2, 2 * u64::from(dtype.block)];
        let descriptor = TensorDescriptor {
            dtype: Some(dtype),
            dtype_name: name.into(),
            shape,
            ..bytes_tensor(chunking(coding::BLOCKS, bytes.len(), bytes.len()))
        };
        draft.add((row(id, entry::TENSOR, name, descriptor.to_fields()), vec![payload]));
        hashed.push((name, descriptor, bytes));
    }
    let stored = vec![7u8; 18];
    let descriptor = bytes_tensor(chunking(coding::BLOCKS, 18, 18));
    draft.add((row(20, entry::TENSOR, "stored", descriptor.to_fields()), vec![[&[0], &stored[..]].concat()]));
    hashed.push(("stored", descriptor, stored));
    let list: Vec<_> =
        hashed.iter().map(|(n, d, b)| (*n, d.dtype_name.as_str(), &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    Vector::sound(
        "blocks",
        "coding `blocks`: every key, parts of every mode, a stored chunk",
        draft.finished(&Shell::default()),
    )
}

fn component_code(bytes: &[u8], kind: u8, index: usize) -> ComponentCode {
    let found = blocks::component(bytes, kind, index).expect("a component");
    let mut keys = found.keys.clone();
    keys.sort_unstable();
    let thresholds: Vec<u16> = keys.get(keys.len() / 2).copied().into_iter().collect();
    let classes = found.classes(&thresholds);
    let code = |(i, symbols): (usize, &Vec<u8>)| {
        let same = symbols.iter().all(|s| Some(s) == symbols.first());
        match (i + index) % 3 {
            _ if same => PartCode::Constant(symbols.first().copied().unwrap_or_default()),
            0 => PartCode::Packed,
            1 => PartCode::ZstdFrame(
                mcodec_coding::zstd_frame::compress(&blocks::pack(symbols, found.width), 3).expect("a frame"),
            ),
            _ => PartCode::Rans { table: Box::new(table_of(symbols)), lanes_log2: 1 },
        }
    };
    let parts = classes.iter().enumerate().map(code).collect();
    ComponentCode { thresholds, parts }
}
