//! Writes the regressions that were made by hand: `cargo run --bin make_regressions -- fuzz/regressions`.

use mcodec_format::registry::{Dtype, coding, entry, field, representation};
use mcodec_format::{Preamble, RootBody, Slot, SlotState, Tag, described_frame, described_len};
use mcodec_fuzz::handmade::{Handmade, fields, finished};
use mcodec_fuzz::mutate::locate::current_root;
use mcodec_fuzz::mutate::page_bytes::root_bytes;
use std::fs;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let root = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "regressions".into()));
    for (target, name, bytes) in [
        ("container", "alias-of-a-cycle", alias_of_a_cycle()),
        ("container", "slot-with-an-empty-root", empty_root()),
        ("decode", "alias-of-a-cycle", alias_of_a_cycle()),
        ("decode", "chunk-limit-passed-by-plain-representation", unlimited_chunk()),
        ("decode", "previous-generation-beyond-the-file", previous_beyond_the_file()),
    ] {
        fs::create_dir_all(root.join(target))?;
        fs::write(root.join(target).join(name), bytes)?;
    }
    Ok(())
}

fn u8() -> u64 {
    Dtype::by_name("U8").map_or(0, |d| d.id)
}

/// A whole slot whose root frame has no bytes.
fn empty_root() -> Vec<u8> {
    let slot = Slot { generation: 1, root_len: 0, root_offset: 96, committed: 100 };
    let preamble = Preamble { slots: [SlotState::Whole(slot), SlotState::Empty], ..Preamble::default() };
    [&preamble.to_bytes()[..], &[0; 4]].concat()
}

/// An alias that lists no dependencies, of a tensor that depends on itself.
fn alias_of_a_cycle() -> Vec<u8> {
    let plain = [(field::DTYPE, &[u8()][..]), (field::SHAPE, &[3]), (field::CODING, &[coding::RAW])];
    let alias = [plain[0], plain[1], (field::REPRESENTATION, &[representation::ALIAS, 1])];
    let b = Handmade::new(entry::TENSOR, "b", fields(&plain)).needs(1).chunk(b"abc");
    finished(&[Handmade::new(entry::TENSOR, "a", fields(&alias)), b])
}

/// A chunk of 2^40 bytes, of which one is asked for.
fn unlimited_chunk() -> Vec<u8> {
    let said = fields(&[
        (field::DTYPE, &[u8()]),
        (field::SHAPE, &[1 << 40]),
        (field::REPRESENTATION, &[representation::PLAIN]),
    ]);
    finished(&[Handmade::new(entry::TENSOR, "a", said).chunk(&[8, 1, 8, 1, 0])])
}

/// The chunk of a generation before the current one goes beyond the end of the file.
fn previous_beyond_the_file() -> Vec<u8> {
    let said = fields(&[(field::DTYPE, &[u8()]), (field::SHAPE, &[3]), (field::CODING, &[coding::RAW])]);
    let mut file = finished(&[Handmade::new(entry::TENSOR, "a", said).chunk(b"abc")]);
    let Some((first, mut root)) = current_root(&file) else { return file };
    if let RootBody::Inline(page) = &mut root.body {
        page.rows[0].lengths = vec![100_000];
    }
    // The longer length may move the data: it follows the root.
    let len = described_len(root_bytes(&root, 0).len() as u64);
    let by = 96 + len - first.end as u64;
    root.data_base += by;
    if let RootBody::Inline(page) = &mut root.body {
        page.rows[0].offset += by;
    }
    let old = described_frame(Tag::ROOT, &root_bytes(&root, 0));
    root.previous = Some((96, old.len() as u64));
    root.generation = 2;
    if let RootBody::Inline(page) = &mut root.body {
        page.rows.clear();
    }
    let new = described_frame(Tag::ROOT, &root_bytes(&root, 0));
    file.truncate(96);
    let slot = Slot {
        generation: 2,
        root_len: new.len() as u32,
        root_offset: (96 + old.len()) as u64,
        committed: (96 + old.len() + new.len()) as u64,
    };
    let preamble = Preamble { slots: [SlotState::Empty, SlotState::Whole(slot)], ..Preamble::default() };
    [&preamble.to_bytes()[..], &old, &new].concat()
}
