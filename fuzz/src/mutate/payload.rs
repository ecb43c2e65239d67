//! Mutations of one payload, everything around it kept whole.

use super::Plain;
use super::dice::Dice;
use super::locate::{self, Frame};
use mcodec_format::wire::put_varint;
use mcodec_format::{PREAMBLE_LEN, RootBody};

/// Mutates the payload of one frame (which may change its length) or, with `chunks`, of one indexed chunk (which may not).
pub fn mutate(file: &mut Vec<u8>, dice: &mut Dice, chunks: bool, plain: Plain<'_>) {
    let frames: Vec<Frame> = locate::walk(file).collect();
    let chunk = if chunks { chunk_of(file, dice) } else { None };
    match chunk {
        Some(range) if frames.is_empty() || dice.one_in(2) => {
            let len = range.len();
            plain(&mut file[range], len, len);
        }
        _ if !frames.is_empty() => resized(file, frames[dice.index(frames.len())], dice, plain),
        _ => {}
    }
}

/// The payload of some chunk of an inline index.
fn chunk_of(file: &[u8], dice: &mut Dice) -> Option<core::ops::Range<usize>> {
    let (_, root) = locate::current_root(file)?;
    let RootBody::Inline(page) = &root.body else { return None };
    let row = page.rows.get(dice.index(page.rows.len()))?;
    let span = row.spans(0).nth(dice.index(row.lengths.len()))?;
    let range = span.payload.start as usize..span.payload.end as usize;
    (range.end <= file.len() && range.start >= PREAMBLE_LEN as usize && !range.is_empty()).then_some(range)
}

fn resized(file: &mut Vec<u8>, frame: Frame, dice: &mut Dice, plain: Plain<'_>) {
    let mut payload = file[frame.payload()].to_vec();
    let len = payload.len();
    let room = if len == 0 || dice.one_in(2) { 16 } else { 0 };
    payload.resize(len + room, 0);
    let new = plain(&mut payload, len, len + room);
    payload.truncate(new);
    let mut head = vec![frame.head.tag.0];
    if frame.head.check_len() > 0 {
        put_varint(&mut head, new as u64);
        if let Some(place) = frame.head.place {
            put_varint(&mut head, place.asset.into());
            put_varint(&mut head, place.entry.into());
            put_varint(&mut head, place.chunk);
        }
        payload.extend([0; 8]);
    } else {
        payload.resize(len, 0); // padding and trailers keep their length
        head = file[frame.at..frame.payload().start].to_vec();
    }
    head.extend(payload);
    file.splice(frame.at..frame.end, head);
}
