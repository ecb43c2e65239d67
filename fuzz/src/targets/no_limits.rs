//! Arithmetic alone: nothing is bounded by the caller, and nothing is allocated for output.

use super::container::{leaf_of, open};
use mcodec_decode::{Entry, Planner, RowRef};
use mcodec_format::{
    EntryDescriptor, FrameHead, Limits, Page, Preamble, Root, RootBody, Slot, SlotState, compare_keys,
    leaf_of as leaf_index,
};
use std::cmp::Ordering;
use std::sync::Arc;

/// Rows looked at, and chunks of a row.
const ROWS: usize = 64;
const CHUNKS: usize = 64;

/// No limits but two: a compressed page states its length in a few bytes and is inflated before it is read, and the paths
/// through a graph of dependencies can be more than anyone can walk.
fn limits() -> Limits {
    let mut limits = Limits::none();
    limits.page_bytes = 1 << 20;
    limits.dependencies = 64;
    limits
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let limits = limits();
    _ = Preamble::parse(bytes);
    _ = FrameHead::parse(bytes).map(|head| head.frame_len());
    for at in 0..bytes.len().min(8) {
        if let Some(SlotState::Whole(slot)) = bytes.get(at..at + 32).map(|b| SlotState::parse(b, 0)) {
            _ = slot.fits(u64::MAX);
        }
    }
    _ = bytes.get(..33).and_then(|tail| Slot::from_trailer(tail, u64::MAX));
    for frame_end in [0, bytes.len() as u64, u64::MAX] {
        if let Ok(root) = Root::parse(bytes, frame_end, &limits) {
            look_at_root(&root, &limits);
        }
        if let Ok(page) = Page::parse(bytes, frame_end, true, &limits) {
            look_at_page(page.into(), &limits);
        }
    }
    let Some(index) = open(bytes, limits) else { return };
    look_at_root(index.root(), &limits);
    for leaf in 0..index.leaf_count().min(8) {
        if let Some(page) = leaf_of(bytes, &index, leaf) {
            look_at_page(page, &limits);
        }
    }
}

fn look_at_root(root: &Root, limits: &Limits) {
    match &root.body {
        RootBody::Inline(page) => look_at_page(Arc::new(page.clone()), limits),
        RootBody::Leaves(leaves) => {
            for leaf in leaves.iter().take(ROWS) {
                assert!(leaf.offset.checked_add(leaf.len).is_some(), "a leaf ends above 2^64");
                assert_eq!(compare_keys(&leaf.separator, &leaf.separator), Ordering::Equal);
                assert!(leaf_index(leaves, &leaf.separator, leaf.first_chunk).is_some());
                _ = leaf_index(leaves, &leaf.separator, u64::MAX);
            }
        }
    }
}

fn look_at_page(page: Arc<Page>, limits: &Limits) {
    for (i, row) in page.rows.iter().enumerate().take(ROWS) {
        let ordinal = page.asset_of(row).map_or(u32::MAX, |a| a.ordinal);
        let end = row.end(ordinal).expect("the end of a row that was read");
        _ = row.end(u32::MAX);
        _ = row.tag_offset();
        let mut spans = 0;
        for span in row.spans(ordinal).take(CHUNKS) {
            let ascends = span.frame.start <= span.payload.start && span.payload.start <= span.payload.end;
            assert!(ascends && span.payload.end <= span.check.end, "{span:?}");
            assert!(row.offset <= span.frame.start && span.check.end <= end, "{span:?} of a row to {end}");
            spans += 1;
        }
        assert_eq!(
            spans,
            row.lengths.len().min(CHUNKS),
            "not every chunk of a row that was read has a place"
        );
        if let Ok(descriptor) = EntryDescriptor::parse(row.kind, &row.fields, limits) {
            look_at_descriptor(&descriptor);
        }
        if let Ok(entry) = Entry::resolve(RowRef { page: Arc::clone(&page), row: i }, limits) {
            look_at_entry(&entry);
        }
    }
}

fn look_at_descriptor(descriptor: &EntryDescriptor) {
    let Some(chunking) = descriptor.chunking() else { return };
    let count = chunking.chunk_count();
    assert!(count <= 1 << 32);
    for ordinal in [0, 1, count / 2, count.wrapping_sub(1), count, u64::MAX] {
        let range = chunking.chunk_range(ordinal);
        assert!(range.start <= range.end && range.end <= chunking.byte_len, "{chunking:?} {ordinal}");
        assert_eq!(range.is_empty(), ordinal >= count, "{chunking:?} {ordinal}");
    }
    if let EntryDescriptor::Tensor(tensor) = descriptor
        && let Some(dtype) = tensor.dtype
    {
        assert_eq!(dtype.byte_len(&tensor.shape), Some(chunking.byte_len));
    }
}

fn look_at_entry(entry: &Entry) {
    let all = entry.byte_len();
    for rows in [0..1, 0..u64::MAX, 1..2, u64::MAX - 1..u64::MAX] {
        if let Ok(bytes) = entry.row_bytes(rows) {
            assert!(bytes.start <= bytes.end && bytes.end <= all);
        }
    }
    for range in [0..1, 0..all, all.saturating_sub(1)..all, all / 2..all / 2 + 1, 0..u64::MAX] {
        for gap in [0, u64::MAX] {
            let mut planner = Planner::new(gap);
            if planner.add(entry, range.clone()).is_ok() {
                let reads = planner.finish().reads;
                assert!(reads.iter().all(|read| read.start < read.end));
                assert!(reads.windows(2).all(|w| w[0].end < w[1].start), "a plan reads bytes twice");
            }
        }
    }
}
