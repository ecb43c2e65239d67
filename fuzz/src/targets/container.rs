//! Preamble, slots, opener and index: a file is opened step by step, and every leaf of it read and resolved.

use super::front_door;
use mcodec_decode::{Entry, Index, NeedLeaf, Opener, RowRef, Step};
use mcodec_format::{Limits, Page};
use std::ops::Range;
use std::sync::Arc;

/// Leaves and rows looked at; the work of an input must not grow with the square of its length.
const LEAVES: usize = 64;
const ROWS: usize = 64;
/// Rows that are looked up by name.
const LOOK_UPS: usize = 4;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let _visit = front_door::visit(bytes);
    let Some(index) = open(bytes, Limits::strict()) else { return };
    _ = index.only_asset();
    for leaf in 0..index.leaf_count().min(LEAVES) {
        let Some(page) = leaf_of(bytes, &index, leaf) else { continue };
        look_up(&index, leaf, &page);
        for row in 0..page.rows.len().min(ROWS) {
            _ = Entry::resolve(RowRef { page: Arc::clone(&page), row }, index.limits());
        }
    }
}

/// Opens a file as a reader would.
pub fn open(bytes: &[u8], limits: Limits) -> Option<Index> {
    let mut opener = Opener::new(bytes.len() as u64, limits);
    for _ in 0..4096 {
        match opener.step() {
            Ok(Step::Done(index)) => return Some(*index),
            Ok(Step::Read(range)) => opener.supply(range.start, part(bytes, &range).to_vec()),
            Err(_) => return None,
        }
    }
    panic!("the opener does not come to an end");
}

/// What was asked for, which must lie within the file.
fn part<'a>(bytes: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    assert!(range.start < range.end && range.end <= bytes.len() as u64, "asked for {range:?}");
    &bytes[range.start as usize..range.end as usize]
}

/// Leaf `leaf`, if it is sound.
pub fn leaf_of(bytes: &[u8], index: &Index, leaf: usize) -> Option<Arc<Page>> {
    match index.leaf(leaf) {
        Ok(page) => Some(page),
        Err(need) if need.range.end > bytes.len() as u64 || need.range.is_empty() => None,
        Err(need @ NeedLeaf { .. }) => {
            index.supply_leaf(&need, part(bytes, &need.range)).ok()?;
            Some(index.leaf(leaf).expect("a leaf that was supplied is there"))
        }
    }
}

/// With one leaf, every row of it must be found under its own name.
fn look_up(index: &Index, leaf: usize, page: &Arc<Page>) {
    for row in page.rows.iter().filter(|r| !r.copy).take(LOOK_UPS) {
        let asset = page.asset_of(row).expect("a row's asset is in its page");
        match index.find(&asset.name, row.kind, &row.name, row.first_chunk) {
            Ok(Some(found)) => assert_eq!((found.get().kind, &found.get().name), (row.kind, &row.name)),
            Ok(None) if index.leaf_count() == 1 => panic!("row {:?} of leaf {leaf} is not found", row.name),
            Ok(None) | Err(_) => {}
        }
    }
}
