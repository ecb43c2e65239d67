//! The frames of a file in their order, each byte in one of them.

use mcodec_decode::Reader;
use mcodec_format::{EntryRow, FrameHead, Layout, Limits, PREAMBLE_LEN, Page, Root, RootBody, Tag};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `[tag, offset, length]` of every frame up to the committed length; null if frames overlap, leave gaps or are damaged.
pub fn frames(bytes: &[u8], reader: &Reader<Vec<u8>>, unknown: &mut Vec<String>) -> Value {
    let committed = reader.index().slot().committed as usize;
    places(bytes, reader)
        .and_then(|places| walk(&bytes[..committed], places, unknown))
        .map_or(Value::Null, Value::from)
}

/// The rows of all generations whose frames can only be found through the index, with their assets' ordinals.
fn places(bytes: &[u8], reader: &Reader<Vec<u8>>) -> Option<BTreeMap<usize, (u32, EntryRow)>> {
    let mut all = BTreeMap::new();
    let mut add = |page: &Page| {
        for row in page.rows.iter().filter(|r| !r.lengths.is_empty() && r.layout != Layout::Described) {
            all.insert(row.offset as usize, (page.assets[row.asset].ordinal, row.clone()));
        }
    };
    for leaf in 0..reader.index().leaf_count() {
        add(&*reader.leaf(leaf).ok()?);
    }
    let mut previous = reader.index().root().previous;
    while let Some((offset, len)) = previous {
        let root = Root::parse(payload(bytes, offset)?, offset + len, &Limits::default()).ok()?;
        match &root.body {
            RootBody::Inline(page) => add(page),
            RootBody::Leaves(leaves) => {
                for leaf in leaves {
                    let base = if leaf.based { root.data_base } else { 0 };
                    add(&Page::parse(payload(bytes, leaf.offset)?, base, true, &Limits::default()).ok()?);
                }
            }
        }
        previous = root.previous;
    }
    Some(all)
}

fn payload(bytes: &[u8], offset: u64) -> Option<&[u8]> {
    let rest = bytes.get(offset as usize..)?;
    let head = FrameHead::parse(rest).ok()?;
    rest.get(head.head_len as usize..(head.head_len + head.payload_len) as usize)
}

fn walk(
    bytes: &[u8],
    mut places: BTreeMap<usize, (u32, EntryRow)>,
    unknown: &mut Vec<String>,
) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    let mut at = PREAMBLE_LEN as usize;
    while at < bytes.len() {
        if let Some((ordinal, row)) = places.remove(&at) {
            let tag = |at: u64, tag: Tag| (bytes.get(at as usize) == Some(&tag.0)).then_some(());
            let end = row.end(ordinal)?;
            if row.layout == Layout::Gathered {
                tag(row.tag_offset(), Tag::GATHERED)?;
                all.push(json!(["G", at, end - row.offset]));
            } else {
                for span in row.spans(ordinal) {
                    tag(span.frame.start, Tag::INDEXED)?;
                    all.push(json!(["I", span.frame.start, span.frame.end - span.frame.start]));
                }
            }
            at = end as usize;
            continue;
        }
        let head = FrameHead::parse(&bytes[at..]).ok()?;
        let frame = bytes.get(at..at + head.frame_len()? as usize)?;
        let (start, end) = (head.head_len as usize, (head.head_len + head.payload_len) as usize);
        head.verify(at as u64, &frame[start..end], &frame[end..]).ok()?;
        if head.name() == "frame" {
            unknown.push(format!("frame {:02x} at {at}", head.tag.0));
        }
        all.push(json!([char::from(head.tag.0).to_string(), at, frame.len()]));
        at += frame.len();
    }
    (at == bytes.len() && places.is_empty()).then_some(all)
}
