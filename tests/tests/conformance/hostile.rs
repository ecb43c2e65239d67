//! Files that must be refused, in whole or where they are broken.

use crate::hand::{
    Draft, Shell, bytes_tensor, chunking, fields_tensor, file, inline_file, model, raw_tensor, root_file,
    row, streaming_file, table,
};
use crate::raw_page;
use crate::sound::{chain, hash_bytes};
use crate::vector::{Expect, Vector};
use crate::versions::good;
use mcodec_format::registry::{Dtype, coding, entry, field, file_layout};
use mcodec_format::{Dependency, Layout, Page, Representation, Tag, TensorDescriptor, described_frame};

pub fn all() -> Vec<Vector> {
    let mut all = fronts();
    all.extend(raw_page::all());
    all.extend(pages());
    all.extend(entries());
    all.extend(chunk_tables());
    all.extend(chunks());
    all.extend(field_payloads());
    all.extend(block_payloads());
    all.extend(layouts());
    all.extend(rans_payloads());
    all.extend(shared_tables());
    all.extend(frames());
    all
}

fn finished() -> Vec<u8> {
    good("m").finished(&Shell::default())
}

fn changed(at: usize, to: u8) -> Vec<u8> {
    let mut bytes = finished();
    bytes[at] = to;
    bytes
}

/// Preamble, slots and root.
fn fronts() -> Vec<Vector> {
    let mut text_mode = finished();
    text_mode.remove(4);
    let mut reserved = finished();
    reserved[14] = 1;
    let check = mcodec_format::Check::seeded(0, &reserved[..24]).0.to_le_bytes();
    reserved[24..32].copy_from_slice(&check);
    let whole = finished();
    let mut no_slots = whole.clone();
    no_slots[32..64].fill(0);
    let mut root = vec![1, 0, 0, 0, 0, 0, 1];
    root.extend([0, 0xff, 0xff, 0x7f, 0, 1, 0, 0, 0]);
    vec![
        Vector::refused("x_magic", "another file", changed(1, b'P'), "not an mcodec file"),
        Vector::refused("x_text_mode", "CR LF became LF", text_mode, "text mode"),
        Vector::refused(
            "x_preamble_check",
            "a flipped bit in the preamble",
            changed(20, 1),
            "preamble at offset 0 fails its checksum",
        ),
        Vector::refused("x_reserved", "reserved bits of the preamble", reserved, "reserved bits are set"),
        Vector::refused(
            "x_truncated",
            "the last byte is missing",
            whole[..whole.len() - 1].to_vec(),
            "truncated",
        ),
        Vector::refused("x_no_generation", "no slot and no trailer", no_slots, "truncated"),
        Vector::refused(
            "x_root_check",
            "a flipped bit in the root",
            changed(100, whole[100] ^ 1),
            "root page at offset 96 fails its checksum",
        ),
        Vector::refused(
            "x_generation_zero",
            "a root of generation zero",
            root_file(&Shell::default(), &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]),
            "generation zero",
        ),
        Vector::refused(
            "x_varint",
            "a varint that is not the shortest",
            root_file(&Shell::default(), &[0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]),
            "not in its shortest form",
        ),
        Vector::refused(
            "x_leaf_length",
            "a leaf pointer above 224 KiB",
            root_file(&Shell::default(), &root, &[]),
            "leaf frame length",
        ),
        Vector::refused(
            "x_separators",
            "separators that do not ascend",
            two_leaves(b"b", b"a"),
            "separators are not in order",
        ),
        Vector::refused(
            "x_leaf_base",
            "an unknown base of a leaf",
            root_file(&Shell::default(), &[1, 0, 0, 0, 0, 0, 1, 0, 20, 2, 1, 0, 0, 0], &[]),
            "unknown base of a leaf",
        ),
        Vector::refused(
            "x_leaf_generation",
            "a leaf of a later generation",
            root_file(&Shell::default(), &[1, 0, 0, 0, 0, 0, 1, 0, 20, 1, 2, 0, 0, 0], &[]),
            "leaf generation",
        ),
        Vector::refused(
            "x_root_tail",
            "bytes after the last leaf pointer",
            root_file(&Shell::default(), &[1, 0, 0, 0, 0, 0, 1, 0, 20, 1, 1, 0, 0, 0, 9], &[]),
            "bytes follow the last leaf pointer",
        ),
    ]
}

fn two_leaves(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut root = vec![1, 0, 0, 0, 0, 0, 3, 0, 20, 1, 1, 0, 0, 0];
    for separator in [first, second] {
        root.extend([0, 20, 1, 1, 0, separator.len() as u8]);
        root.extend(separator);
        root.push(0);
    }
    root_file(&Shell::default(), &root, &[])
}

/// The file of a draft whose page is changed after everything was laid out.
fn spoilt(mut draft: Draft, change: impl Fn(&mut Page)) -> Vec<u8> {
    draft.sort();
    let mut base = 200;
    loop {
        let data = draft.lay_out(base);
        let mut page = draft.page.clone();
        change(&mut page);
        let file = inline_file(&Shell::default(), base, page, &data);
        let found = (file.len() - data.len()) as u64;
        if found == base {
            return file;
        }
        base = found;
    }
}

fn three() -> Draft {
    let mut draft = good("m");
    draft.add(raw_tensor(1, "b", b"bbbb"));
    draft.add(raw_tensor(2, "c", b"cccc"));
    let (b, c) = (b"bbbb".to_vec(), b"cccc".to_vec());
    hash_bytes(&mut draft, 0, &[("good", 4, &b"good".to_vec()), ("b", 4, &b), ("c", 4, &c)]);
    draft
}

/// Rules that a page must keep.
fn pages() -> Vec<Vector> {
    let page = |name, about, change: &dyn Fn(&mut Page), error| {
        Vector::refused(name, about, spoilt(three(), change), error)
    };
    vec![
        page(
            "x_overlap",
            "chunks of two entries overlap",
            &|p| p.rows[1].offset = p.rows[0].offset + 2,
            "overlap",
        ),
        page(
            "x_duplicate_name",
            "two tensors of one name",
            &|p| p.rows[1].name = "b".into(),
            "two entries are named",
        ),
        page("x_duplicate_id", "one id for two entries", &|p| p.rows[1].id = p.rows[0].id, "stands for both"),
        page("x_unsorted", "rows that are not in key order", &|p| p.rows.swap(0, 1), "out of order"),
        page(
            "x_natural_order",
            "rows in bytewise order",
            &|p| {
                p.rows[0].name = "w10".into();
                p.rows[1].name = "w9".into();
                p.rows[2].name = "x".into();
            },
            "out of order",
        ),
        page("x_copy_first", "a copy before an owned row", &|p| p.rows[0].copy = true, "out of order"),
        page(
            "x_asset_twice",
            "an asset listed twice",
            &|p| {
                let again = p.assets[0].clone();
                p.assets.push(again);
            },
            "listed twice",
        ),
        page(
            "x_offset_past_end",
            "a chunk beyond the committed length",
            &|p| p.rows[2].offset += 1,
            "outside the committed",
        ),
        Vector::refused(
            "x_offset_in_preamble",
            "a chunk within the preamble",
            in_preamble(),
            "outside the committed",
        ),
        page(
            "x_asset_name",
            "a zero byte in an asset's name",
            &|p| p.assets[0].name = "m\0".into(),
            "zero byte",
        ),
        Vector::opens(
            "x_asset_count",
            "the root states another number of assets",
            three().finished(&Shell { assets: Some(2), ..Shell::default() }),
            Expect { damage: &["another number of assets"], ..Expect::default() },
        ),
    ]
}

fn in_preamble() -> Vec<u8> {
    let mut draft = three();
    draft.sort();
    let data = draft.lay_out(90);
    inline_file(&Shell::default(), 0, draft.page, &data)
}

fn refuses(name: &'static str, about: &'static str, draft: Draft, expect: Faults) -> Vector {
    let expect = Expect { entries: expect.0, damage: expect.1, ..Expect::default() };
    Vector::opens(name, about, draft.finished(&Shell::default()), expect)
}

/// Entries whose dependencies or names are wrong.
fn entries() -> Vec<Vector> {
    let mut missing = good("m");
    missing.add(raw_tensor(1, "needs", b"1"));
    missing.depend(Dependency::Entry(9));
    let mut cycle = good("m");
    cycle.add(raw_tensor(1, "a", b"1"));
    cycle.depend(Dependency::Entry(2));
    cycle.add(raw_tensor(2, "b", b"1"));
    cycle.depend(Dependency::Entry(1));
    vec![
        refuses(
            "x_dependency",
            "a dependency that is not in the leaf",
            missing,
            (&[("needs", "not in the leaf")], &["not in the leaf"]),
        ),
        refuses(
            "x_cycle",
            "two entries that depend on each other",
            cycle,
            (&[("a", "depends on itself"), ("b", "depends on itself")], &["depends on itself"]),
        ),
        alias("x_alias_of_alias", "an alias of an alias", 5, Representation::Alias(0)),
        alias("x_alias_shape", "an alias of a tensor of another shape", 5, Representation::Plain),
        unsafe_path(),
        deep(),
    ]
}

/// Entries whose descriptors or chunk tables are wrong.
fn chunk_tables() -> Vec<Vector> {
    let mut bits = good("m");
    let mut half = raw_tensor(1, "half", b"1");
    half.0.fields.set_varint(field::DTYPE, true, 12);
    bits.add(half);
    let mut no_dtype = good("m");
    no_dtype.add((row(1, entry::TENSOR, "none", mcodec_format::Fields::default()), Vec::new()));
    let mut zero = good("m");
    let mut step = raw_tensor(1, "zero", b"1");
    step.0.fields.set_varint(field::CHUNK_LENGTH, true, 0);
    zero.add(step);
    let two = bytes_tensor(chunking(coding::RAW, 2, 4));
    let of_chunks = |name: &str, chunks: &[&str]| {
        let mut draft = good("m");
        let payloads = chunks.iter().map(|c| c.as_bytes().to_vec()).collect();
        draft.add((row(1, entry::TENSOR, name, two.to_fields()), payloads));
        draft
    };
    vec![
        refuses(
            "x_half_byte",
            "a shape of half a byte",
            bits,
            (&[("half", "whole number of bytes")], &["whole number of bytes"]),
        ),
        refuses(
            "x_no_dtype",
            "a tensor without an element type",
            no_dtype,
            (&[("none", "needs a dtype")], &["needs a dtype"]),
        ),
        refuses(
            "x_chunk_length",
            "a chunk length of zero",
            zero,
            (&[("zero", "chunk length is zero")], &["chunk length is zero"]),
        ),
        refuses(
            "x_no_chunks",
            "a tensor of two chunks without any",
            of_chunks("none", &[]),
            (&[("none", "chunk")], &["chunk"]),
        ),
        refuses(
            "x_few_chunks",
            "fewer chunks than the descriptor says",
            of_chunks("few", &["12"]),
            (&[("few", "chunk")], &["chunk"]),
        ),
        refuses(
            "x_many_chunks",
            "more chunks than the descriptor says",
            of_chunks("many", &["12", "34", "56"]),
            (&[("many", "3 chunks where its descriptor says 2")], &["3 chunks"]),
        ),
    ]
}

/// `broken` is an alias of `target`, which is made so that it cannot be one.
fn alias(name: &'static str, about: &'static str, shape: u64, target: Representation) -> Vector {
    let mut draft = good("m");
    let of = |representation, shape: u64| TensorDescriptor {
        representation,
        shape: vec![shape],
        ..bytes_tensor(chunking(coding::RAW, 4, 4))
    };
    let plain = target == Representation::Plain;
    let (target_shape, broken_shape) = if plain { (4, shape) } else { (4, 4) };
    let descriptor = of(target, target_shape);
    let payloads = if plain { vec![b"1234".to_vec()] } else { Vec::new() };
    draft.add((row(1, entry::TENSOR, "target", descriptor.to_fields()), payloads));
    if !plain {
        draft.depend(Dependency::Entry(0));
    }
    draft.add((
        row(2, entry::TENSOR, "broken", of(Representation::Alias(1), broken_shape).to_fields()),
        Vec::new(),
    ));
    draft.depend(Dependency::Entry(1));
    refuses(name, about, draft, (&[("broken", "its owner is not a tensor")], &["its owner is not a tensor"]))
}

fn unsafe_path() -> Vector {
    let mut draft = good("m");
    draft.add(file(1, "../../etc/passwd", 0, b"x"));
    Vector::sound(
        "x_path",
        "a file whose name leads out of its folder: not to be written",
        draft.finished(&Shell::default()),
    )
}

fn deep() -> Vector {
    let draft = chain(10);
    let expect = Expect {
        damage: &["a path of more than 8 edges"],
        entries: &[("t0", "a path of more than 8 edges")],
        ..Expect::default()
    };
    Vector::opens(
        "x_depth",
        "a path of 9 dependencies, one more than is allowed",
        draft.finished(&Shell::default()),
        expect,
    )
}

/// Chunks that are not what their checks say.
fn chunks() -> Vec<Vector> {
    let whole = three().finished(&Shell::default());
    let at = |needle: &[u8]| whole.windows(needle.len()).position(|w| w == needle).expect("payload is there");
    let (b, c) = (at(b"bbbb"), at(b"cccc"));
    let mut flipped = whole.clone();
    flipped[b] ^= 1;
    let mut swapped = whole.clone();
    let (first, second) = (whole[b..b + 8].to_vec(), whole[c..c + 8].to_vec());
    swapped[b..b + 8].copy_from_slice(&second);
    swapped[c..c + 8].copy_from_slice(&first);
    let mut tag = whole.clone();
    tag[b - 1] = b'J';
    let broken = |entries, damage| Expect { entries, damage, ..Expect::default() };
    vec![
        Vector::opens(
            "x_flipped_chunk",
            "a flipped bit in a chunk",
            flipped,
            broken(&[("b", "fails its checksum")], &["fails its checksum"]),
        ),
        Vector::opens(
            "x_swapped_chunks",
            "two chunks that changed places with their checks",
            swapped,
            broken(&[("b", "fails its checksum"), ("c", "fails its checksum")], &["fails its checksum"]),
        ),
        Vector::opens("x_chunk_tag", "a chunk's frame with another tag", tag, broken(&[], &["another tag"])),
    ]
}

/// What a payload is refused with: the entry's error, and the damage that is reported.
type Faults = (&'static [(&'static str, &'static str)], &'static [&'static str]);

fn payload(name: &'static str, about: &'static str, len: usize, payload: &[u8], faults: Faults) -> Vector {
    let mut draft = good("m");
    draft.add(fields_tensor(1, "x", len, payload.to_vec()));
    refuses(name, about, draft, faults)
}

/// A payload that asks for something that this version does not know.
fn newer_payload(
    name: &'static str,
    about: &'static str,
    len: usize,
    payload: &[u8],
    faults: Faults,
) -> Vector {
    let mut draft = good("m");
    draft.add(fields_tensor(1, "x", len, payload.to_vec()));
    let expect = Expect { entries: faults.0, unknown: faults.1, ..Expect::default() };
    Vector::opens(name, about, draft.finished(&Shell::default()), expect)
}

/// A tensor of one block of Q4_0 with this payload.
fn block_draft(payload: &[u8]) -> Draft {
    let mut draft = good("m");
    let dtype = Dtype::by_name("Q4_0");
    let descriptor = TensorDescriptor {
        dtype,
        dtype_name: "Q4_0".into(),
        shape: vec![32],
        ..bytes_tensor(chunking(coding::BLOCKS, 18, 18))
    };
    draft.add((row(1, entry::TENSOR, "x", descriptor.to_fields()), vec![payload.to_vec()]));
    draft
}

/// Payloads that break the rules of coding `blocks`.
fn block_payloads() -> Vec<Vector> {
    let expect = Expect { entries: &[("x", "block type 33")], unknown: &["block type"], ..Expect::default() };
    let newer = block_draft(&[33, 1, 1, 0]).finished(&Shell::default());
    let refused = |name, about, payload: &[u8], faults| refuses(name, about, block_draft(payload), faults);
    vec![
        Vector::opens("x_block_type", "blocks of a type that is not listed", newer, expect),
        refused(
            "x_block_length",
            "blocks of a type that does not fit the length",
            &[35, 1, 1, 0],
            (&[("x", "multiple of the block")], &["multiple of the block"]),
        ),
        refused(
            "x_block_classes",
            "two classes of a component that has no key",
            &[34, 2, 0, 1, 5, 1, 5],
            (&[("x", "class count")], &["class count"]),
        ),
        refused(
            "x_block_threshold",
            "a threshold above 16 bits",
            &[34, 1, 1, 5, 1, 1, 6, 2, 0x80, 0x80, 4, 1, 0, 1, 0],
            (&[("x", "threshold")], &["threshold"]),
        ),
        refused(
            "x_block_constant",
            "a constant wider than its component",
            &[34, 1, 1, 5, 1, 1, 6, 1, 1, 16],
            (&[("x", "constant wider")], &["constant wider"]),
        ),
        refused(
            "x_block_tail",
            "bytes after the last component",
            &[34, 1, 1, 5, 1, 1, 6, 1, 1, 15, 0],
            (&[("x", "after the last component")], &["after the last component"]),
        ),
    ]
}

/// A file in pieces that lists a tensor twice: the file cannot be rebuilt, its tensors can.
fn layouts() -> Vec<Vector> {
    let mut draft = Draft::of(vec![model(0, "m")]);
    let bytes = b"abcd".to_vec();
    draft.add(raw_tensor(0, "w", &bytes));
    hash_bytes(&mut draft, 0, &[("w", 4, &bytes)]);
    draft.add(file(1, "twice.bin", file_layout::PIECES, &[2, 1, 1]));
    vec![Vector::sound(
        "x_pieces_twice",
        "a file in pieces that has a tensor twice",
        draft.finished(&Shell::default()),
    )]
}

/// Payloads that break the rules of coding `fields`.
fn field_payloads() -> Vec<Vector> {
    vec![
        newer_payload(
            "x_unit",
            "a unit of 12 bits",
            4,
            &[12, 1, 12, 0, 0, 0, 0, 0, 0, 0],
            (&[("x", "unit of bits 12")], &["unit of bits"]),
        ),
        newer_payload(
            "x_sparse_in_sparse",
            "values of a sparse chunk that are sparse themselves",
            1,
            &[2, 8, 0, 1, 5, 8, 1, 8, 1, 1, 2, 8, 0, 0, 0],
            (&[("x", "unit of bits 2")], &["unit of bits"]),
        ),
        payload(
            "x_sparse_count",
            "a sparse chunk with a value more than places",
            4,
            &[2, 8, 0, 2, 5, 8, 1, 8, 1, 4, 8, 1, 8, 0, 9, 9],
            (&[("x", "not as many")], &["not as many"]),
        ),
        payload(
            "x_sparse_units",
            "a sparse chunk with more values than units",
            1,
            &[2, 8, 0, 2, 5, 8, 1, 8, 1, 3, 8, 1, 8, 0, 9, 9],
            (&[("x", "more values than units")], &["more values"]),
        ),
        payload(
            "x_sparse_fill",
            "a sparse chunk with a place after the last unit",
            1,
            &[2, 8, 0, 1, 5, 8, 1, 8, 1, 2, 8, 1, 8, 0, 9],
            (&[("x", "places of sparse units")], &["places of sparse"]),
        ),
        payload(
            "x_sparse_filler",
            "a filler wider than its unit",
            1,
            &[2, 8, 128, 2, 0, 5, 8, 1, 8, 1, 0, 8, 1, 8, 0],
            (&[("x", "filler wider")], &["filler wider"]),
        ),
        payload(
            "x_widths",
            "widths that do not sum to the unit",
            4,
            &[8, 1, 7, 1, 0],
            (&[("x", "do not sum")], &["do not sum"]),
        ),
        payload(
            "x_constant",
            "a constant wider than its field",
            4,
            &[8, 2, 4, 1, 16, 4, 1, 0],
            (&[("x", "constant wider")], &["constant wider"]),
        ),
        payload(
            "x_packed_fill",
            "fill bits that are set",
            1,
            &[8, 2, 4, 0, 4, 1, 0, 0x1f],
            (&[("x", "zero bits")], &["zero bits"]),
        ),
        payload(
            "x_fields_tail",
            "bytes after the last field",
            1,
            &[8, 1, 8, 0, 7, 9],
            (&[("x", "after the last field")], &["after the last field"]),
        ),
        payload(
            "x_stored_length",
            "a stored chunk of another length",
            4,
            &[0, 1, 2],
            (&[("x", "another length")], &["another length"]),
        ),
        payload("x_zstd_frame", "no zstd frame", 4, &[8, 1, 8, 2, 3, 1, 2, 3], (&[("x", "zstd")], &["zstd"])),
    ]
}

/// rANS streams and tables that break the rules.
fn rans_payloads() -> Vec<Vector> {
    // A table of one symbol: precision 10, 64 buckets, value 0, level 0.
    let one = [2u8, 0, 0b0010_0001, 0];
    let rans = |table: &[u8], stream: &[u8]| {
        let body = [table, stream].concat();
        [&[8, 1, 8, 3, body.len() as u8][..], &body].concat()
    };
    let end = [0, 0, 0, 1, 0];
    vec![
        payload(
            "x_rans_state",
            "a final state that is not 2^16",
            1,
            &rans(&one, &[0, 1, 0, 1, 0]),
            (&[("x", "rANS")], &["rANS"]),
        ),
        payload(
            "x_rans_words",
            "words left over",
            1,
            &rans(&one, &[0, 0, 0, 1, 0, 9, 9]),
            (&[("x", "left over")], &["left over"]),
        ),
        newer_payload(
            "x_rans_lanes",
            "128 lanes",
            1,
            &rans(&one, &[7, 0, 0, 1, 0]),
            (&[("x", "lane")], &["lane"]),
        ),
        payload(
            "x_table_reserved",
            "reserved bits of a table",
            1,
            &rans(&[0x42, 0, 0x21, 0], &end),
            (&[("x", "reserved bits")], &["reserved bits"]),
        ),
        newer_payload(
            "x_table_precision",
            "a table of precision 9",
            1,
            &rans(&[1, 0, 0x21, 0], &end),
            (&[("x", "precision")], &["precision"]),
        ),
        payload(
            "x_table_symbols",
            "65 symbols in 64 buckets",
            1,
            &rans(&[2, 64, 0x21, 0], &end),
            (&[("x", "more symbols than buckets")], &["more symbols"]),
        ),
    ]
}

fn shared_tables() -> Vec<Vector> {
    let mut no_table = good("m");
    no_table.add(fields_tensor(1, "x", 1, vec![8, 1, 8, 4, 0, 5, 0, 0, 0, 1, 0]));
    let mut tail = good("m");
    let (made, mut table_entry) = table(1, "t", b"aab");
    table_entry.1[0].push(0);
    tail.add(table_entry);
    tail.add(fields_tensor(2, "x", 3, crate::hand::shared_payload(&made, b"aab")));
    tail.depend(Dependency::Entry(1));
    vec![
        refuses(
            "x_no_table",
            "a shared table that is no dependency",
            no_table,
            (&[("x", "no table, classes or labels for dependency 0")], &["no table"]),
        ),
        refuses(
            "x_table_tail",
            "bytes after a shared table",
            tail,
            (&[("x", "bytes follow the table")], &["bytes follow the table"]),
        ),
    ]
}

/// Frames of a streaming file, pads, and bytes after the end.
fn frames() -> Vec<Vector> {
    let streaming = |extra: &[u8]| streaming_file(three(), extra);
    let mut gathered = Draft { aligned: true, ..three() };
    gathered.page.rows[2].layout = Layout::Gathered;
    let mut pad = gathered.finished(&Shell::default());
    let at = pad.windows(4).position(|w| w[0] == b'P' && w[2..] == [0, 0]).expect("there is a pad");
    pad[at + 5] = 1;
    let mut trailing = finished();
    trailing.extend(b"torn append");
    let mut slot_a = finished();
    slot_a[40] ^= 1;
    let mut slot_b = finished();
    slot_b[70] = 9;
    let damage = |damage| Expect { damage, ..Expect::default() };
    vec![
        Vector::sound("streaming", "a streaming file", streaming(&[])),
        Vector::opens(
            "v_skippable_frame",
            "an unknown frame that may be skipped",
            streaming(&described_frame(Tag(b'x'), b"more")),
            Expect { unknown: &["optional frame with tag 0x78"], ..Expect::default() },
        ),
        Vector::opens(
            "v_critical_frame",
            "an unknown frame that may not be skipped",
            streaming(&described_frame(Tag(b'Z'), b"more")),
            damage(&["critical frame with tag 0x5a"]),
        ),
        Vector::opens("x_pad", "padding that is not zero", pad, damage(&["padding"])),
        Vector::opens(
            "x_trailing_bytes",
            "bytes after the committed length",
            trailing,
            Expect {
                warnings: &["bytes follow the committed length"],
                damage: &["bytes follow the committed length"],
                ..Expect::default()
            },
        ),
        Vector::opens(
            "x_slot_a",
            "a damaged slot A: the root is found as the first frame",
            slot_a,
            Expect { warnings: &["slot A is damaged"], damage: &["slot A is damaged"], ..Expect::default() },
        ),
        Vector::opens(
            "x_slot_b",
            "a damaged slot B",
            slot_b,
            Expect { warnings: &["slot B is damaged"], damage: &["slot B is damaged"], ..Expect::default() },
        ),
    ]
}
