//! Counts the inputs that get past the front door: a preamble that is accepted, and a root frame whose check holds.

use mcodec_format::{Check, FrameHead, PREAMBLE_LEN, Preamble, Slot, SlotState, TRAILER_LEN, Tag};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

static INPUTS: AtomicU64 = AtomicU64::new(0);
static PAST: AtomicU64 = AtomicU64::new(0);
static NANOS: AtomicU64 = AtomicU64::new(0);
static EVERY: OnceLock<Option<u64>> = OnceLock::new();

/// An input that a target is busy with; its time counts until this is dropped.
#[derive(Debug)]
pub struct Visit(Option<(u64, Instant)>);

/// Notes an input. With `MCODEC_FUZZ_STATS=N` in the environment, prints the share that got in, and the speed of the target
/// itself without libFuzzer and mutator, after every N inputs (`1`: after every 65536).
#[must_use]
pub fn visit(bytes: &[u8]) -> Visit {
    let parse = |v: String| v.parse().ok().map(|n: u64| if n <= 1 { 1 << 16 } else { n });
    let every = EVERY.get_or_init(|| std::env::var("MCODEC_FUZZ_STATS").ok().and_then(parse));
    Visit(every.map(|every| {
        PAST.fetch_add(u64::from(is_past(bytes)), Ordering::Relaxed);
        (every, Instant::now())
    }))
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Some((every, start)) = self.0 else { return };
        let nanos = start.elapsed().as_nanos() as u64;
        let nanos = NANOS.fetch_add(nanos, Ordering::Relaxed) + nanos;
        let inputs = INPUTS.fetch_add(1, Ordering::Relaxed) + 1;
        if inputs.is_multiple_of(every) {
            let share = 100.0 * PAST.load(Ordering::Relaxed) as f64 / inputs as f64;
            let speed = inputs as f64 * 1e9 / nanos as f64;
            eprintln!("front door: {share:.1}% of {inputs} inputs; the target alone: {speed:.0}/s");
        }
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
