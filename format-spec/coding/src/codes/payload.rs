//! The head of a chunk of codes, and where its parts lie (`SPEC.md` section 7.13.3).

use super::columns::{ColumnClasses, ColumnSteps, take_list};
use super::numbers::Element;
use super::{MAX_CLASS, MAX_COLUMNS, MAX_STEP, SharedObjects};
use crate::error::{CodingError, Result, corrupt};
use crate::labelled::{Classes, NUMBER_BITS, NumberDecoder, are_of_numbers, held_bytes};
use crate::rans::MAX_LANES_LOG2;
use crate::varint::{take, take_bytes, take_u8};

/// First byte of a payload of codes; 0 is that of a stored chunk.
pub const FORM: u8 = 1;
pub(super) const STEPS_SHARED: u8 = 1;
pub(super) const CLASSES_SHARED: u8 = 2;
pub(super) const CLASSES_INLINE: u8 = 4;
/// The states hold the end of the plane.
pub(super) const ABSORBED: u8 = 8;

/// The classes of columns as a chunk has them.
#[derive(Debug)]
enum OfColumns<'a> {
    None,
    Shared(&'a ColumnClasses),
    Inline(Vec<i16>),
}

/// A row that the chunk touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) step: i16,
    /// As it counts: the stored one, less half of the step's exponent.
    pub(super) class: i16,
}

/// A parsed payload.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) classes: &'a Classes,
    pub(super) element: Element,
    pub(super) steps: Option<&'a ColumnSteps>,
    of_columns: OfColumns<'a>,
    pub(super) len: usize,
    pub(super) columns: usize,
    pub(super) first_column: usize,
    pub(super) rows: Vec<Row>,
    pub(super) lanes: usize,
    pub(super) states: [u32; 64],
    pub(super) is_absorbed: bool,
    pub(super) plane: &'a [u8],
    pub(super) escapes: &'a [u8],
    pub(super) escape_count: usize,
    pub(super) words: &'a [u8],
    ledger: CodesLedger,
}

/// The bytes of a payload by what they are for; they sum to its length.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CodesLedger {
    /// Lanes of the rANS stream (not bytes).
    pub lanes: u32,
    /// Head.
    pub head: u64,
    /// Step exponents of rows.
    pub steps: u64,
    /// Classes of rows, and of columns where they are in the chunk.
    pub classes: u64,
    /// States of the rANS stream.
    pub states: u64,
    /// Signs and low bits, and codes written in full.
    pub packed: u64,
    /// Words of the rANS stream.
    pub entropy_coded: u64,
}

/// What comes before the lists.
struct Head {
    element: Element,
    flags: u8,
    classes: u32,
    columns: usize,
    first_column: usize,
    steps: Option<u32>,
    of_columns: Option<u32>,
}

impl Head {
    fn take(rest: &mut &[u8]) -> Result<Self> {
        let form = take_u8(rest, "form")?;
        if form != FORM {
            return Err(CodingError::Unsupported { what: "form of a chunk of codes", id: form.into() });
        }
        let element = Element::from_id(take_u8(rest, "float format")?)?;
        let flags = take_u8(rest, "flags")?;
        if flags >> 4 != 0 || flags & (CLASSES_SHARED | CLASSES_INLINE) == CLASSES_SHARED | CLASSES_INLINE {
            return Err(corrupt("flags of a chunk of codes"));
        }
        let classes = take_dependency(rest)?;
        let (columns, first) = (take(rest)?, take(rest)?);
        if columns == 0 || columns > MAX_COLUMNS as u64 || first >= columns {
            return Err(corrupt("columns of a chunk of codes"));
        }
        let mut shared = |flag| if flags & flag == 0 { Ok(None) } else { take_dependency(rest).map(Some) };
        let (steps, of_columns) = (shared(STEPS_SHARED)?, shared(CLASSES_SHARED)?);
        let (columns, first_column) = (columns as usize, first as usize);
        Ok(Self { element, flags, classes, columns, first_column, steps, of_columns })
    }
}

fn take_dependency(rest: &mut &[u8]) -> Result<u32> {
    u32::try_from(take(rest)?).map_err(|_| corrupt("dependency index above 32 bits"))
}

/// The type of float that a payload's codes become; `None` of a stored chunk.
///
/// # Errors
/// If the payload is of another form or cut short.
pub fn element_of(payload: &[u8]) -> Result<Option<Element>> {
    match payload {
        [0, ..] => Ok(None),
        [FORM, id, ..] => Element::from_id(*id).map(Some),
        [FORM] | [] => Err(CodingError::Truncated { what: "chunk of codes" }),
        [form, ..] => Err(CodingError::Unsupported { what: "form of a chunk of codes", id: (*form).into() }),
    }
}

impl<'a> Block<'a> {
    /// Parses the payload of a chunk of `decoded_len` bytes.
    pub(super) fn parse(
        payload: &'a [u8],
        shared: &'a (impl SharedObjects + ?Sized),
        decoded_len: usize,
    ) -> Result<Self> {
        let mut rest = payload;
        let head = Head::take(&mut rest)?;
        let missing = |dependency| CodingError::MissingTable { dependency };
        let classes = shared.classes(head.classes).ok_or(missing(head.classes))?;
        if !are_of_numbers(classes) {
            return Err(corrupt("classes that are not of codes"));
        }
        let size = head.element.bytes();
        if decoded_len == 0 || !decoded_len.is_multiple_of(size) {
            return Err(corrupt("decoded length is not a multiple of the element"));
        }
        let len = decoded_len / size;
        let steps = head.steps.map(|at| shared.column_steps(at).ok_or(missing(at))).transpose()?;
        let of_columns = match head.of_columns {
            Some(at) => OfColumns::Shared(shared.column_classes(at).ok_or(missing(at))?),
            None if head.flags & CLASSES_INLINE == 0 => OfColumns::None,
            None => OfColumns::Inline(Vec::new()),
        };
        let mut block = Self {
            classes,
            element: head.element,
            steps,
            of_columns,
            len,
            columns: head.columns,
            first_column: head.first_column,
            rows: Vec::new(),
            lanes: 0,
            states: [0; 64],
            is_absorbed: head.flags & ABSORBED != 0,
            plane: &[],
            escapes: &[],
            escape_count: 0,
            words: &[],
            ledger: CodesLedger { head: (payload.len() - rest.len()) as u64, ..CodesLedger::default() },
        };
        block.take_lists(&mut rest)?;
        block.take_stream(rest)?;
        Ok(block)
    }

    /// Lists of columns and rows.
    fn take_lists(&mut self, rest: &mut &[u8]) -> Result<()> {
        let mut before = rest.len();
        let mut spent = |rest: &[u8]| {
            let bytes = (before - rest.len()) as u64;
            before = rest.len();
            bytes
        };
        if let OfColumns::Inline(list) = &mut self.of_columns {
            *list = take_list(rest, self.columns, MAX_CLASS)?;
        }
        self.ledger.classes = spent(rest);
        let count = (self.first_column + self.len).div_ceil(self.columns);
        let steps = take_list(rest, count, MAX_STEP)?;
        self.ledger.steps = spent(rest);
        let classes = take_list(rest, count, MAX_CLASS)?;
        self.ledger.classes += spent(rest);
        let row = |(&step, &class): (&i16, &i16)| Row { step, class: class - (step >> 1) };
        self.rows = steps.iter().zip(&classes).map(row).collect();
        let (steps, classes) = (self.steps.map(ColumnSteps::exponents), self.column_classes());
        let other = |n: usize| n != self.columns;
        if steps.is_some_and(|s| other(s.len())) || classes.is_some_and(|c| other(c.len())) {
            return Err(corrupt("steps or classes of another number of columns"));
        }
        Ok(())
    }

    /// Everything after the lists.
    fn take_stream(&mut self, mut rest: &'a [u8]) -> Result<()> {
        let before = rest.len();
        let escape_count = take(&mut rest)?;
        self.escape_count =
            usize::try_from(escape_count).ok().filter(|&n| n <= self.len).ok_or(corrupt("escape count"))?;
        let plane_len = take(&mut rest)?;
        let lanes_log2 = take_u8(&mut rest, "lanes")?;
        if lanes_log2 > MAX_LANES_LOG2 {
            return Err(CodingError::Unsupported { what: "rANS lane code", id: lanes_log2.into() });
        }
        self.ledger.head += (before - rest.len()) as u64;
        self.lanes = 1 << lanes_log2;
        self.ledger.lanes = self.lanes as u32;
        let before = rest.len();
        self.states = NumberDecoder::take_states(&mut rest, self.lanes)?;
        self.ledger.states = (before - rest.len()) as u64;
        self.plane = take_bytes(&mut rest, plane_len, "plane")?;
        let escapes = (self.escape_count as u64 * u64::from(NUMBER_BITS)).div_ceil(8);
        self.escapes = take_bytes(&mut rest, escapes, "escapes")?;
        self.ledger.packed = (self.plane.len() + self.escapes.len()) as u64;
        self.words = rest;
        self.ledger.entropy_coded = rest.len() as u64;
        Ok(())
    }

    /// The classes of the columns as they are stored, if they have any.
    pub(super) fn column_classes(&self) -> Option<&[i16]> {
        match &self.of_columns {
            OfColumns::None => None,
            OfColumns::Shared(classes) => Some(classes.classes()),
            OfColumns::Inline(classes) => Some(classes),
        }
    }

    /// The object that they are, if they are shared.
    pub(super) fn shared_classes(&self) -> Option<&'a ColumnClasses> {
        match self.of_columns {
            OfColumns::Shared(classes) => Some(classes),
            _ => None,
        }
    }

    /// Bytes of the plane that the states hold.
    pub(super) fn held(&self) -> usize {
        if self.is_absorbed { held_bytes(self.lanes) } else { 0 }
    }
}

/// The classes of columns as they count: the stored ones, less half of the steps' exponents.
pub(super) fn effective_classes(
    columns: usize,
    steps: Option<&ColumnSteps>,
    classes: Option<&[i16]>,
) -> Vec<i16> {
    let mut all = classes.map_or_else(|| vec![0; columns], <[i16]>::to_vec);
    if let Some(steps) = steps {
        all.iter_mut().zip(steps.exponents()).for_each(|(class, step)| *class -= step >> 1);
    }
    all
}

/// The ledger of a payload. Nothing is decoded.
///
/// # Errors
/// As [`super::decode`], for what the head says.
pub fn ledger(
    payload: &[u8],
    shared: &(impl SharedObjects + ?Sized),
    decoded_len: usize,
) -> Result<CodesLedger> {
    Ok(Block::parse(payload, shared, decoded_len)?.ledger)
}
