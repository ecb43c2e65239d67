//! Setting right what a mutation broke and a reader checks first.

use super::locate::{self, Frame};
use super::splice::set_check;
use mcodec_format::{
    Check, Limits, PREAMBLE_LEN, Page, Root, RootBody, Slot, Tag,
    registry::{FEATURE_ZSTD_PAGES, MAGIC, MAJOR},
};

/// Chunks whose checks are set.
const CHUNKS: usize = 256;

/// Repairs a whole file: preamble, slots and trailer, the checks of frames and, with `reads_chunks`, those of chunks.
pub fn file(file: &mut Vec<u8>, reads_chunks: bool) {
    if file.len() < PREAMBLE_LEN as usize {
        file.resize(PREAMBLE_LEN as usize, 0);
    }
    preamble(file);
    let frames: Vec<Frame> = locate::walk(file).collect();
    frames.iter().for_each(|frame| set_check(file, frame));
    slots(file, &frames);
    if (reads_chunks || locate::has_leaves(file))
        && let Some((frame, root)) = locate::current_root(file)
    {
        index(file, frame, &root);
    }
}

fn preamble(file: &mut [u8]) {
    file[..8].copy_from_slice(&MAGIC);
    file[8..10].copy_from_slice(&MAJOR.to_le_bytes());
    file[12..16].fill(0);
    file[16] &= FEATURE_ZSTD_PAGES as u8;
    file[17..20].fill(0);
    let check = Check::seeded(0, &file[..24]);
    file[24..32].copy_from_slice(&check.0.to_le_bytes());
}

/// Points the slots that are not empty, and the trailer, at root frames that are there.
fn slots(file: &mut Vec<u8>, frames: &[Frame]) {
    let mut found = locate::slots(file);
    let empty = |file: &[u8], at: usize| file[at..at + 32].iter().all(|&b| b == 0);
    found.retain(|&(at, _)| !empty(file, at));
    if found.is_empty() {
        // A streaming file that lost its trailer.
        let root = frames.iter().rev().find(|f| f.head.tag == Tag::ROOT).copied();
        let Some(root) = root.or_else(|| any_root(file)) else { return };
        let slot = slot_of(&root, 1, file.len() as u64 + 33);
        file.extend(slot.to_trailer());
        return;
    }
    for (at, index) in found {
        let number = |from: usize, len: usize| {
            file[at + from..at + from + len].iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b))
        };
        let (generation, committed) = (number(0, 4).max(1) as u32, number(16, 8));
        let stated = usize::try_from(number(8, 8)).ok().and_then(|at| Frame::find(file, at));
        let root = stated.filter(|f| f.head.tag == Tag::ROOT && f.at >= PREAMBLE_LEN as usize);
        let root = root.or_else(|| frames.iter().rev().find(|f| f.head.tag == Tag::ROOT).copied());
        let Some(root) = root.or_else(|| any_root(file)) else { continue };
        set_check(file, &root);
        let len = file.len() as u64;
        let keeps = index != 2 && (root.end as u64..=len).contains(&committed) && committed + 64 < len;
        let slot = slot_of(&root, generation, if keeps { committed } else { len });
        file[at..at + 32].copy_from_slice(&slot.to_bytes(index));
    }
}

fn slot_of(root: &Frame, generation: u32, committed: u64) -> Slot {
    Slot { generation, root_len: (root.end - root.at) as u32, root_offset: root.at as u64, committed }
}

/// A root frame anywhere in the file: where the frames before it cannot be walked.
fn any_root(file: &[u8]) -> Option<Frame> {
    let starts = (PREAMBLE_LEN as usize..file.len()).rev().filter(|&at| file[at] == Tag::ROOT.0);
    starts.filter_map(|at| Frame::find(file, at)).find(|f| f.head.payload_len > 8)
}

/// Sets the checks of leaves, and the tags and checks of chunks.
fn index(file: &mut [u8], frame: Frame, root: &Root) {
    set_check(file, &frame);
    match &root.body {
        RootBody::Inline(page) => chunks(file, page),
        RootBody::Leaves(leaves) => {
            for leaf in leaves.iter().take(64) {
                let Some(frame) = Frame::find(file, leaf.offset as usize) else { continue };
                if frame.head.tag != Tag::LEAF {
                    continue;
                }
                set_check(file, &frame);
                let base = if leaf.based { root.data_base } else { 0 };
                if let Ok(page) = Page::parse(&file[frame.payload()], base, true, &Limits::strict()) {
                    chunks(file, &page);
                }
            }
        }
    }
}

fn chunks(file: &mut [u8], page: &Page) {
    let mut left = CHUNKS;
    for row in &page.rows {
        let ordinal = page.asset_of(row).map_or(0, |a| a.ordinal);
        let tag = match row.layout {
            mcodec_format::Layout::Indexed => Some(Tag::INDEXED.0),
            mcodec_format::Layout::Gathered => None,
            mcodec_format::Layout::Described => continue, // walked as frames
        };
        for span in row.spans(ordinal).take(left) {
            let len = file.len() as u64;
            if span.check.end > len || span.payload.end > len || span.frame.start < PREAMBLE_LEN {
                break;
            }
            let check =
                Check::chunk(span.place, &file[span.payload.start as usize..span.payload.end as usize]);
            let at = span.check.start as usize..span.check.end as usize;
            let n = at.len();
            file[at].copy_from_slice(&check.0.to_le_bytes()[..n]);
            if let Some(tag) = tag {
                file[span.frame.start as usize] = tag;
            }
            left -= 1;
        }
        if tag.is_none()
            && !row.lengths.is_empty()
            && let Some(byte) = file.get_mut(row.tag_offset() as usize)
        {
            *byte = Tag::GATHERED.0;
        }
    }
}
