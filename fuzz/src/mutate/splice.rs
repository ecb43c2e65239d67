//! Writing a changed index back into a file.

use super::locate::Frame;
use super::page_bytes::{page_bytes, root_bytes};
use mcodec_format::{Check, PREAMBLE_LEN, Page, Root, RootBody, Tag, described_frame, described_len};

/// Puts `root` in the place of the root frame `old`, moving what follows.
pub fn root(file: &mut Vec<u8>, old: Frame, root: &Root) {
    let leads = old.at as u64 == PREAMBLE_LEN;
    let mut payload = root_bytes(root, old.end as u64);
    // The data moves with the root's end, which depends on how long its numbers are.
    for _ in 0..4 {
        let end = old.at as u64 + described_len(payload.len() as u64);
        let by = end.wrapping_sub(old.end as u64);
        let mut moved = root.clone();
        if leads {
            shift(&mut moved, by);
        }
        let next = root_bytes(&moved, end);
        let settled = next.len() == payload.len();
        payload = next;
        if settled {
            break;
        }
    }
    file.splice(old.at..old.end, described_frame(Tag::ROOT, &payload));
}

/// Moves everything that a root in front of the data points at.
fn shift(root: &mut Root, by: u64) {
    let based = root.data_base != 0;
    root.data_base = if based { root.data_base.wrapping_add(by) } else { 0 };
    match &mut root.body {
        RootBody::Inline(page) => {
            for row in page.rows.iter_mut().filter(|r| !r.lengths.is_empty()) {
                row.offset = row.offset.wrapping_add(by);
            }
        }
        RootBody::Leaves(leaves) => {
            for leaf in leaves {
                leaf.offset = leaf.offset.wrapping_add(by);
            }
        }
    }
}

/// Puts `page` in the place of the leaf frame that pointer `leaf` of `root` names, and sets the pointers right.
pub fn leaf(file: &mut Vec<u8>, at: Frame, root: &Root, leaf: usize, page: &Page) {
    let mut changed = root.clone();
    let RootBody::Leaves(pointers) = &mut changed.body else { return };
    let Some(pointer) = pointers.get(leaf).cloned() else { return };
    let start = pointer.offset as usize;
    let Some(old) = Frame::find(file, start).filter(|f| f.head.tag == Tag::LEAF) else { return };
    let base = if pointer.based { root.data_base } else { 0 };
    let frame = described_frame(Tag::LEAF, &page_bytes(page, base));
    let by = (frame.len() as u64).wrapping_sub((old.end - old.at) as u64);
    for p in pointers.iter_mut().filter(|p| p.offset > pointer.offset) {
        p.offset = p.offset.wrapping_add(by);
    }
    pointers[leaf].len = frame.len() as u64;
    if changed.data_base > pointer.offset {
        changed.data_base = changed.data_base.wrapping_add(by);
    }
    // The later of the two frames first, so that the place of the other stays right.
    if at.at > old.at {
        file.splice(old.at..old.end, frame);
        let moved = |n: usize| n.wrapping_add(by as usize);
        self::root(file, Frame { at: moved(at.at), head: at.head, end: moved(at.end) }, &changed);
    } else {
        file.splice(old.at..old.end, frame);
        self::root(file, at, &changed);
    }
}

/// Sets the check of the frame right.
pub fn set_check(file: &mut [u8], frame: &Frame) {
    let payload = &file[frame.payload()];
    let check = match frame.head.place {
        Some(place) => Check::chunk(place, payload),
        None => Check::seeded(frame.head.tag.0, payload),
    };
    let len = frame.head.check_len() as usize;
    file[frame.end - len..frame.end].copy_from_slice(&check.0.to_le_bytes()[..len]);
}
