//! Where the parts of a file are.

use mcodec_format::{FrameHead, Limits, PREAMBLE_LEN, Root, SlotState, TRAILER_LEN, Tag, wire};

/// A described frame found in a file.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Its offset.
    pub at: usize,
    /// Its head.
    pub head: FrameHead,
    /// Its end.
    pub end: usize,
}

impl Frame {
    /// The frame at `at`, if a whole one starts there.
    #[must_use]
    pub fn find(file: &[u8], at: usize) -> Option<Self> {
        let rest = file.get(at..)?;
        let head = FrameHead::parse(&rest[..rest.len().min(FrameHead::MAX_LEN as usize)]).ok()?;
        let len = usize::try_from(head.frame_len()?).ok()?;
        (len <= rest.len()).then(|| Self { at, head, end: at + len })
    }

    /// The place of its payload.
    #[must_use]
    pub fn payload(&self) -> core::ops::Range<usize> {
        let start = self.at + self.head.head_len as usize;
        start..start + self.head.payload_len as usize
    }
}

/// The frames from the preamble on, as far as they can be walked.
pub fn walk(file: &[u8]) -> impl Iterator<Item = Frame> + '_ {
    let mut at = PREAMBLE_LEN as usize;
    std::iter::from_fn(move || {
        let frame = Frame::find(file, at)?;
        at = frame.end;
        Some(frame)
    })
}

/// The places of the two slots and, if the file ends in one, the trailer's: offset and index for the check.
#[must_use]
pub fn slots(file: &[u8]) -> Vec<(usize, u8)> {
    let mut all = vec![(32, 0), (64, 1)];
    let tail = file.len().saturating_sub(TRAILER_LEN as usize);
    if tail >= PREAMBLE_LEN as usize && file[tail] == Tag::TRAILER.0 {
        all.push((tail + 1, 2));
    }
    all
}

/// Whether the current root, or one that may be, points at leaves: its count of leaves comes after seven parts of its head.
#[must_use]
pub fn has_leaves(file: &[u8]) -> bool {
    roots(file).iter().any(|frame| {
        let mut rest = &file[frame.payload()];
        for part in 0..7 {
            let Ok((after, n)) = wire::varint(rest) else { return false };
            rest = after;
            match part {
                5 => rest = rest.get(n as usize..).unwrap_or_default(),
                6 => return n > 0,
                _ => {}
            }
        }
        false
    })
}

/// The root frame that a reader would use: of the whole slot with the highest generation.
#[must_use]
pub fn current_root(file: &[u8]) -> Option<(Frame, Root)> {
    roots(file).into_iter().find_map(|frame| {
        let root = Root::parse(&file[frame.payload()], frame.end as u64, &Limits::strict()).ok()?;
        Some((frame, root))
    })
}

/// The root frames that slots point at, by falling generation.
fn roots(file: &[u8]) -> Vec<Frame> {
    let mut whole: Vec<_> = slots(file)
        .into_iter()
        .filter_map(|(at, index)| match SlotState::parse(file.get(at..at + 32)?, index) {
            SlotState::Whole(slot) if slot.fits(file.len() as u64) => Some(slot),
            _ => None,
        })
        .collect();
    whole.sort_by_key(|slot| core::cmp::Reverse(slot.generation));
    let found = whole.iter().filter_map(|slot| Frame::find(file, slot.root_offset as usize));
    found.filter(|frame| frame.head.tag == Tag::ROOT).collect()
}
