//! The trained start of sets: `gaussians.tables`, part of the format (`SPEC.md` section 7.7.6).

use super::mixing::{MOST_SEEN, Mixer, State};
use crate::varint::{put, take};

/// The file.
const TABLES: &[u8] = include_bytes!("gaussians.tables");

/// A start counts at most this many decisions as seen.
pub const START_SEEN: u16 = 24;

/// States with fewer decisions than this are left out.
const LEAST_SEEN: u32 = 16;

/// Puts each state to what its tally of zeros and ones says.
pub fn settle(mixer: &mut Mixer, tally: &[[u32; 2]]) {
    for (state, [zeros, ones]) in mixer.states.iter_mut().zip(tally) {
        let seen = zeros + ones;
        if seen > 0 {
            let one = (u64::from(*ones) * 10 + 4) * 65536 / (u64::from(seen) * 10 + 8);
            state.one = one.clamp(131, 65405) as u16;
        }
        state.seen = seen.min(u32::from(START_SEEN)) as u16;
    }
}

/// What was learned, as the file has it; states of which the tally knows too little are left out.
#[must_use]
pub fn write(mixer: &Mixer, tally: &[[u32; 2]]) -> Vec<u8> {
    let mut out = Vec::new();
    for set in &mixer.weights {
        for &weight in set {
            put(&mut out, zigzag(i64::from(weight) >> 4));
        }
    }
    let mut last = 0;
    for (place, (state, [zeros, ones])) in mixer.states.iter().zip(tally).enumerate() {
        if zeros + ones >= LEAST_SEEN {
            put(&mut out, (place - last) as u64);
            last = place;
            out.push(state.seen as u8);
            out.extend(state.one.to_le_bytes());
        }
    }
    out
}

/// Puts what the file says into an untrained mixer.
pub(super) fn read(mut mixer: Mixer) -> Mixer {
    read_from(TABLES, &mut mixer);
    mixer
}

/// The file is of this crate, so nothing is wrong with it; a test reads it whole.
fn read_from(mut bytes: &[u8], mixer: &mut Mixer) -> Option<()> {
    if bytes.is_empty() {
        return None;
    }
    for set in &mut mixer.weights {
        for weight in set {
            *weight = (unzigzag(take(&mut bytes).ok()?) << 4) as i32;
        }
    }
    let mut place = 0;
    while !bytes.is_empty() {
        place += take(&mut bytes).ok()? as usize;
        let (entry, rest) = bytes.split_at_checked(3)?;
        bytes = rest;
        let state = mixer.states.get_mut(place)?;
        *state =
            State { one: u16::from_le_bytes([entry[1], entry[2]]), seen: u16::from(entry[0]).min(MOST_SEEN) };
    }
    Some(())
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
