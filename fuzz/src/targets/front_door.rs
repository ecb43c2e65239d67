//! Counts the inputs that get past the front door: a preamble that is accepted, and a root frame whose check holds.

use mcodec_format::{Check, FrameHead, PREAMBLE_LEN, Preamble, Slot, SlotState, TRAILER_LEN, Tag};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static INPUTS: AtomicU64 = AtomicU64::new(0);
static PAST: AtomicU64 = AtomicU64::new(0);
static EVERY: OnceLock<Option<u64>> = OnceLock::new();

/// Notes an input. With `MCODEC_FUZZ_STATS=N` in the environment, prints the share that got in after every N inputs
/// (`1`: after every 65536).
pub fn count(bytes: &[u8]) {
    let parse = |v: String| v.parse().ok().map(|n: u64| if n <= 1 { 1 << 16 } else { n });
    let Some(every) = EVERY.get_or_init(|| std::env::var("MCODEC_FUZZ_STATS").ok().and_then(parse)) else {
        return;
    };
    let inputs = INPUTS.fetch_add(1, Ordering::Relaxed) + 1;
    PAST.fetch_add(u64::from(is_past(bytes)), Ordering::Relaxed);
    if inputs.is_multiple_of(*every) {
        let past = PAST.load(Ordering::Relaxed);
        eprintln!("front door: {past} of {inputs} inputs ({:.1}%)", 100.0 * past as f64 / inputs as f64);
    }
}

/// Whether the preamble is accepted and some slot or the trailer points at a root frame whose check holds.
#[must_use]
pub fn is_past(bytes: &[u8]) -> bool {
    let len = bytes.len() as u64;
    let Ok(preamble) = Preamble::parse(bytes) else { return false };
    let whole = |s: &SlotState| if let SlotState::Whole(slot) = s { Some(*slot) } else { None };
    let tail = (len >= PREAMBLE_LEN + TRAILER_LEN)
        .then(|| Slot::from_trailer(&bytes[bytes.len() - TRAILER_LEN as usize..], len))
        .flatten();
    preamble.slots.iter().filter_map(whole).chain(tail).any(|slot| slot.fits(len) && root_holds(bytes, slot))
}

fn root_holds(bytes: &[u8], slot: Slot) -> bool {
    let start = slot.root_offset as usize;
    let frame = &bytes[start..start + slot.root_len as usize];
    let Ok(head) = FrameHead::parse(frame) else { return false };
    if head.tag != Tag::ROOT || head.frame_len() != Some(frame.len() as u64) {
        return false;
    }
    let (payload, check) = frame[head.head_len as usize..].split_at(head.payload_len as usize);
    Check::seeded(Tag::ROOT.0, payload).matches(check)
}
