//! From the first bytes of a file to its current generation (SPEC sections 2.1 and 2.2), without IO.

use crate::Result;
use crate::index::Index;
use mcodec_format::{
    Check, FIRST_READ, FormatError, FrameHead, LEAF_MAX, Limits, PREAMBLE_LEN, Page, Preamble, Root,
    RootBody, Slot, SlotState, TRAILER_LEN, Tag, registry,
};
use std::ops::Range;
use std::sync::Arc;

/// Something about a file that its reader should know, though it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A generation slot is torn or damaged.
    DamagedSlot(char),
    /// A newer generation could not be used.
    OlderGeneration {
        /// The generation passed over.
        passed: u32,
        /// The one in use.
        used: u32,
        /// Why.
        why: String,
    },
    /// Bytes follow the committed length.
    TrailingBytes {
        /// Committed length.
        committed: u64,
        /// Length of the file.
        len: u64,
    },
    /// An optional feature that this reader does not know.
    UnknownFeature(u32),
    /// The file was written to a newer minor version.
    NewerMinor(u16),
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DamagedSlot(slot) => write!(f, "generation slot {slot} is damaged"),
            Self::OlderGeneration { passed, used, why } => {
                write!(f, "generation {passed} is not usable ({why}); generation {used} is read instead")
            }
            Self::TrailingBytes { committed, len } => {
                write!(f, "{} bytes follow the committed length of {committed}", len - committed)
            }
            Self::UnknownFeature(bit) => write!(f, "unknown optional feature bit {bit}"),
            Self::NewerMinor(minor) => write!(f, "written to format version 1.{minor}"),
        }
    }
}

/// What the opener wants next.
#[derive(Debug)]
pub enum Step {
    /// These bytes of the file, through [`Opener::supply`].
    Read(Range<u64>),
    /// Nothing: the index is open.
    Done(Box<Index>),
}

/// Opens a file: a state machine that asks for ranges and is given their bytes.
#[derive(Debug)]
pub struct Opener {
    limits: Limits,
    file_len: u64,
    known: Vec<(Range<u64>, Arc<[u8]>)>,
    preamble: Option<Preamble>,
    candidates: Vec<Candidate>,
    passed: Option<(u32, FormatError)>,
    warnings: Vec<Warning>,
}

/// A place where the current generation's root may be.
#[derive(Debug, Clone, Copy)]
enum Candidate {
    At(Slot),
    Trailer,
    /// The first frame of a finished file whose slot is damaged.
    First,
}

/// A range that must be read before going on.
type Wanted<T> = std::result::Result<T, Range<u64>>;

impl Opener {
    /// Starts on a file of `file_len` bytes.
    #[must_use]
    pub fn new(file_len: u64, limits: Limits) -> Self {
        Self {
            limits,
            file_len,
            known: Vec::new(),
            preamble: None,
            candidates: Vec::new(),
            passed: None,
            warnings: Vec::new(),
        }
    }

    /// Gives the bytes of a range that was asked for.
    pub fn supply(&mut self, offset: u64, bytes: Vec<u8>) {
        let end = offset.saturating_add(bytes.len() as u64);
        self.known.push((offset..end, bytes.into()));
    }

    /// Goes as far as the known bytes reach.
    ///
    /// # Errors
    /// Why the file cannot be opened.
    pub fn step(&mut self) -> Result<Step> {
        if self.preamble.is_none() {
            let first = 0..self.file_len.min(FIRST_READ);
            let bytes = match self.bytes(first) {
                Ok(bytes) => bytes,
                Err(wanted) => return Ok(Step::Read(wanted)),
            };
            let preamble = Preamble::parse(&bytes)?;
            self.judge(&preamble);
            self.preamble = Some(preamble);
        }
        while let Some(&candidate) = self.candidates.first() {
            match self.attempt(candidate) {
                Err(wanted) => return Ok(Step::Read(wanted)),
                Ok(Ok(index)) => return Ok(Step::Done(Box::new(index))),
                Ok(Err(fault)) => {
                    let generation = match candidate {
                        Candidate::At(slot) => slot.generation,
                        Candidate::Trailer | Candidate::First => 1,
                    };
                    self.passed.get_or_insert((generation, fault));
                    self.candidates.remove(0);
                }
            }
        }
        Err(self.passed.take().map_or(self.unfinished(), |(_, fault)| fault).into())
    }

    fn unfinished(&self) -> FormatError {
        FormatError::Truncated { what: "file", offset: self.file_len }
    }

    /// Lists the candidates and warnings that the preamble gives.
    fn judge(&mut self, preamble: &Preamble) {
        let known = registry::OPTIONAL_FEATURES.iter().fold(0u32, |all, f| all | 1 << f.id);
        let unknown = preamble.optional & !known;
        self.warnings.extend((0..32).filter(|bit| unknown >> bit & 1 == 1).map(Warning::UnknownFeature));
        if preamble.minor > registry::MINOR {
            self.warnings.push(Warning::NewerMinor(preamble.minor));
        }
        let mut whole: Vec<Slot> = Vec::new();
        for (slot, name) in preamble.slots.iter().zip(['A', 'B']) {
            match slot {
                SlotState::Whole(slot) if slot.fits(self.file_len) => whole.push(*slot),
                SlotState::Whole(slot) => {
                    self.passed.get_or_insert((slot.generation, self.unfinished()));
                }
                SlotState::Damaged => self.warnings.push(Warning::DamagedSlot(name)),
                SlotState::Empty => {}
            }
        }
        whole.sort_by_key(|slot| std::cmp::Reverse(slot.generation));
        self.candidates = whole.into_iter().map(Candidate::At).collect();
        if self.file_len >= PREAMBLE_LEN + TRAILER_LEN {
            self.candidates.push(Candidate::Trailer);
        }
        if preamble.slots[0] == SlotState::Damaged {
            self.candidates.push(Candidate::First);
        }
    }

    /// Tries one candidate: asks for bytes, or opens it, or tells why it cannot.
    fn attempt(&mut self, candidate: Candidate) -> Wanted<Result<Index, FormatError>> {
        let slot = match candidate {
            Candidate::At(slot) => slot,
            Candidate::Trailer => {
                let tail = self.bytes(self.file_len - TRAILER_LEN..self.file_len)?;
                match Slot::from_trailer(&tail, self.file_len) {
                    Some(slot) if slot.fits(self.file_len) => slot,
                    _ => return Ok(Err(self.unfinished())),
                }
            }
            Candidate::First => match self.first_frame()? {
                Ok(slot) => slot,
                Err(fault) => return Ok(Err(fault)),
            },
        };
        if u64::from(slot.root_len) > self.limits.root_bytes {
            let (value, limit) = (u64::from(slot.root_len), self.limits.root_bytes);
            return Ok(Err(FormatError::Limit { what: "root page size", value, limit }));
        }
        let end = slot.root_offset.saturating_add(u64::from(slot.root_len));
        let frame = self.bytes(slot.root_offset..end)?;
        let root = match whole_frame(&frame, Tag::ROOT, slot.root_offset)
            .and_then(|payload| Root::parse(payload, end, &self.limits).map_err(|e| e.at(slot.root_offset)))
        {
            Ok(root) => root,
            Err(fault) => return Ok(Err(fault)),
        };
        if root.generation != slot.generation {
            let why = format!("it is of generation {}, not {}", root.generation, slot.generation);
            return Ok(Err(FormatError::corrupt("root page", slot.root_offset, why)));
        }
        let own = match self.own_leaves(&root)? {
            Ok(own) => own,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(self.finish(slot, root, own))
    }

    /// The root frame at the head of a finished file whose slot is lost.
    fn first_frame(&self) -> Wanted<Result<Slot, FormatError>> {
        let head_end = (PREAMBLE_LEN + FrameHead::MAX_LEN).min(self.file_len);
        let head = self.bytes(PREAMBLE_LEN..head_end)?;
        let len = FrameHead::parse(&head).ok().filter(|h| h.tag == Tag::ROOT).and_then(|h| h.frame_len());
        let slot = len.and_then(|len| u32::try_from(len).ok()).map(|root_len| Slot {
            generation: 1,
            root_len,
            root_offset: PREAMBLE_LEN,
            committed: self.file_len,
        });
        Ok(slot.filter(|s| s.fits(self.file_len)).ok_or_else(|| self.unfinished()))
    }

    /// The leaves that an appended generation wrote itself: it counts only if they are whole.
    fn own_leaves(&self, root: &Root) -> Wanted<Result<Vec<(usize, Page)>, FormatError>> {
        let RootBody::Leaves(leaves) = &root.body else { return Ok(Ok(Vec::new())) };
        let mut own = Vec::new();
        for (i, leaf) in leaves.iter().enumerate() {
            if root.generation == 1 || leaf.generation != root.generation {
                continue;
            }
            if leaf.offset.checked_add(leaf.len).is_none_or(|end| end > self.file_len) {
                return Ok(Err(self.unfinished()));
            }
            let frame = self.bytes(leaf.offset..leaf.offset + leaf.len)?;
            let base = if leaf.based { root.data_base } else { 0 };
            match leaf_page(&frame, leaf.offset, base, &self.limits) {
                Ok(page) => own.push((i, page)),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        Ok(Ok(own))
    }

    fn finish(&mut self, slot: Slot, root: Root, own: Vec<(usize, Page)>) -> Result<Index, FormatError> {
        let mut warnings = std::mem::take(&mut self.warnings);
        if let Some((passed, fault)) = self.passed.take() {
            let why = fault.to_string();
            // Passing over the missing trailer of a file with a damaged slot is no news.
            if passed > root.generation || !warnings.iter().any(|w| matches!(w, Warning::DamagedSlot(_))) {
                warnings.push(Warning::OlderGeneration { passed, used: root.generation, why });
            }
        }
        if self.file_len > slot.committed {
            warnings.push(Warning::TrailingBytes { committed: slot.committed, len: self.file_len });
        }
        let preamble = self.preamble.clone().unwrap_or_default();
        Index::new(preamble, slot, self.file_len, root, own, warnings, self.limits)
    }

    /// Known bytes of `range`, or what to ask for.
    fn bytes(&self, range: Range<u64>) -> Wanted<Arc<[u8]>> {
        // A slot or pointer may state a length of zero: there is nothing to ask for.
        if range.is_empty() {
            return Ok(Arc::from([]));
        }
        for (have, bytes) in &self.known {
            if have.start <= range.start && range.end <= have.end {
                let start = (range.start - have.start) as usize;
                let end = (range.end - have.start) as usize;
                return match bytes.get(start..end) {
                    Some(part) => Ok(part.into()),
                    None => Err(range),
                };
            }
        }
        Err(range)
    }
}

/// The payload of the described frame of `tag` that is all of `frame`, found at file offset `offset`.
pub(crate) fn whole_frame(frame: &[u8], tag: Tag, offset: u64) -> Result<&[u8], FormatError> {
    let head = FrameHead::parse(frame).map_err(|e| e.at(offset))?;
    if head.tag != tag || head.frame_len() != Some(frame.len() as u64) {
        return Err(FormatError::corrupt("frame", offset, "it is not the frame that its pointer promises"));
    }
    let payload =
        crate::source::slice(frame, &(head.head_len..head.head_len + head.payload_len)).unwrap_or_default();
    let check = frame.get(frame.len().saturating_sub(8)..).unwrap_or_default();
    if !Check::seeded(tag.0, payload).matches(check) {
        return Err(FormatError::Check { what: head.name(), offset });
    }
    Ok(payload)
}

/// The page of a leaf frame found at file offset `offset`.
pub(crate) fn leaf_page(frame: &[u8], offset: u64, base: u64, limits: &Limits) -> Result<Page, FormatError> {
    Limits::check("leaf frame length", frame.len() as u64, LEAF_MAX)?;
    let payload = whole_frame(frame, Tag::LEAF, offset)?;
    Page::parse(payload, base, true, limits).map_err(|e| e.at(offset))
}
