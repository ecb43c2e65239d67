//! Coding 25, *grouped*: floats that are codes of a fixed width times the scale of their group, with an offset, or by a codebook
//! (`SPEC.md` section 7.14). What fixed-width quantisers make is such: round-to-nearest groups, GPTQ, AWQ, NF4, k-means.

use crate::codes::Element;
use crate::error::{CodingError, Result, corrupt, invalid};
use crate::fields::{self, SharedTables};
use crate::varint::{put, take, take_bytes, take_u8};

/// First byte of a payload; 0 is that of a stored chunk.
pub const FORM: u8 = 1;
const HAS_CODEBOOK: u8 = 1;
const HAS_OFFSETS: u8 = 2;
/// The most columns of a matrix.
const MAX_COLUMNS: u64 = 1 << 20;
/// The most bits of a code.
const MAX_BITS: u8 = 16;
/// The most numbers of an entry of a codebook.
const MAX_LENGTH: u64 = 64;
const ZERO_POINTS: u8 = 3;

/// What codes stand for, by number: an entry is one number or a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Codebook {
    length: usize,
    values: Vec<f32>,
}

impl Codebook {
    /// A codebook of entries of `length` (1 to 64) numbers, one entry after another: 1 to 2^16 of them, all finite.
    ///
    /// # Errors
    /// [`CodingError::Invalid`] if that is not so.
    pub fn new(length: usize, values: Vec<f32>) -> Result<Self> {
        let whole = (1..=MAX_LENGTH as usize).contains(&length) && values.len().is_multiple_of(length);
        let counted = whole && (1..=1 << MAX_BITS).contains(&(values.len() / length));
        if !counted || values.iter().any(|v| !v.is_finite()) {
            return Err(invalid("a codebook has 1 to 65536 entries of 1 to 64 finite numbers"));
        }
        Ok(Self { length, values })
    }

    /// Reads a codebook that fills `bytes`.
    ///
    /// # Errors
    /// Any breach of section 7.14.2.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        let length = take(&mut rest)?;
        let (values, over) = rest.as_chunks::<4>();
        if !(1..=MAX_LENGTH).contains(&length) || !over.is_empty() {
            return Err(corrupt("length of a codebook's entries"));
        }
        let values = values.iter().map(|v| f32::from_le_bytes(*v)).collect();
        Self::new(length as usize, values).map_err(|_| corrupt("entries of a codebook"))
    }

    /// The codebook as section 7.14.2 writes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.length as u64);
        out.extend(self.values.iter().flat_map(|v| v.to_le_bytes()));
        out
    }

    /// Numbers of an entry.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Entries.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.values.len() / self.length
    }

    /// Bytes in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        4 * self.values.len()
    }
}

/// What chunks share, by dependency index.
pub trait SharedObjects {
    /// The codebook of dependency `dependency`, if it is such an object.
    fn codebook(&self, dependency: u32) -> Option<&Codebook>;
}

/// What is added in each group.
#[derive(Debug, Clone, Copy)]
pub enum Offsets<'a> {
    /// Nothing: the middle code, 2^(bits - 1), stands for 0. With a codebook: nothing.
    None,
    /// Numbers of the type: an element is worth its code times the scale, plus the offset.
    Floats(Element, &'a [f32]),
    /// Codes that stand for 0.
    ZeroPoints(&'a [u8]),
}

/// A run of whole rows of a matrix of codes, as plain arrays.
#[derive(Debug, Clone, Copy)]
pub struct Grouped<'a> {
    /// What codes become.
    pub element: Element,
    /// Elements of a row.
    pub columns: usize,
    /// Elements of a group, the last of a row may have fewer.
    pub group: usize,
    /// Bits of a code, 1 to 16.
    pub bits: u8,
    /// The codebook, and which dependency of the chunk's entry it is.
    pub codebook: Option<(u32, &'a Codebook)>,
    /// A code for each element, or for each vector of the codebook.
    pub codes: &'a [u16],
    /// The type that scales are stored as.
    pub scale_element: Element,
    /// The scale of each group, row after row. They are rounded to their type.
    pub scales: &'a [f32],
    /// Offsets of the groups.
    pub offsets: Offsets<'a>,
}

/// Codes bytes, units of so many bits, as section 7.1 says.
pub type CodeBytes<'f> = &'f dyn Fn(&[u8], u8) -> Result<Vec<u8>>;

/// The payload of coding 25. `code` codes each of its parts; what it returns must be a payload of coding 1 without shared tables, or 0 and
/// the bytes.
///
/// # Errors
/// [`CodingError::Invalid`] if the arrays do not fit each other; what `code` says.
pub fn encode(grouped: &Grouped<'_>, code: CodeBytes<'_>) -> Result<Vec<u8>> {
    let length = grouped.codebook.map_or(1, |(_, book)| book.length);
    let (columns, group) = (grouped.columns, grouped.group);
    let fits = (1..=MAX_COLUMNS as usize).contains(&columns)
        && (1..=columns).contains(&group)
        && (1..=MAX_BITS).contains(&grouped.bits)
        && columns.is_multiple_of(length)
        && (grouped.codes.len() * length).is_multiple_of(columns);
    let rows = grouped.codes.len() * length / columns.max(1);
    let groups = rows * columns.div_ceil(group.max(1));
    let offsets = match grouped.offsets {
        Offsets::None => groups,
        Offsets::Floats(_, list) => list.len(),
        Offsets::ZeroPoints(list) => list.len(),
    };
    let most = grouped.codebook.map_or(1 << grouped.bits.min(MAX_BITS), |(_, book)| book.entries());
    if !fits || rows == 0 || grouped.scales.len() != groups || offsets != groups {
        return Err(invalid("arrays of grouped codes"));
    }
    if grouped.codes.iter().any(|&c| usize::from(c) >= most) || most > 1 << grouped.bits {
        return Err(invalid("a grouped code is out of range"));
    }
    let has_offsets = !matches!(grouped.offsets, Offsets::None);
    let flags = u8::from(grouped.codebook.is_some()) * HAS_CODEBOOK + u8::from(has_offsets) * HAS_OFFSETS;
    let mut out = vec![FORM, grouped.element.id(), flags];
    put(&mut out, columns as u64);
    put(&mut out, group as u64);
    out.push(grouped.bits);
    if let Some((dependency, _)) = grouped.codebook {
        put(&mut out, dependency.into());
    }
    let mut part = |id: u8, bytes: &[u8], unit: usize| -> Result<()> {
        let payload = code(bytes, 8 * unit as u8)?;
        out.push(id);
        put(&mut out, payload.len() as u64);
        out.extend(payload);
        Ok(())
    };
    let scales = grouped.scale_element;
    part(scales.id(), &scales.round(grouped.scales), scales.bytes())?;
    match grouped.offsets {
        Offsets::None => {}
        Offsets::Floats(element, list) => part(element.id(), &element.round(list), element.bytes())?,
        Offsets::ZeroPoints(list) => part(ZERO_POINTS, list, 1)?,
    }
    let unit = code_bytes(grouped.bits);
    let bytes: Vec<u8> = grouped.codes.iter().flat_map(|c| c.to_le_bytes()[..unit].to_vec()).collect();
    out.extend(code(&bytes, 8 * unit as u8)?);
    Ok(out)
}

/// Bytes of a code.
fn code_bytes(bits: u8) -> usize {
    if bits <= 8 { 1 } else { 2 }
}

/// A parsed head.
struct Head<'a> {
    element: Element,
    columns: usize,
    group: usize,
    bits: u8,
    codebook: Option<&'a Codebook>,
    has_offsets: bool,
}

impl<'a> Head<'a> {
    fn take(rest: &mut &[u8], shared: &'a (impl SharedObjects + ?Sized)) -> Result<Self> {
        let form = take_u8(rest, "form")?;
        if form != FORM {
            return Err(CodingError::Unsupported { what: "form of grouped codes", id: form.into() });
        }
        let element = Element::from_id(take_u8(rest, "float format")?)?;
        let flags = take_u8(rest, "flags")?;
        let (columns, group) = (take(rest)?, take(rest)?);
        let bits = take_u8(rest, "bits")?;
        if flags >> 2 != 0 || !(1..=MAX_COLUMNS).contains(&columns) || !(1..=columns).contains(&group) {
            return Err(corrupt("head of grouped codes"));
        }
        if !(1..=MAX_BITS).contains(&bits) {
            return Err(corrupt("width of grouped codes"));
        }
        let codebook = if flags & HAS_CODEBOOK == 0 {
            None
        } else {
            let at = u32::try_from(take(rest)?).map_err(|_| corrupt("dependency index above 32 bits"))?;
            Some(shared.codebook(at).ok_or(CodingError::MissingTable { dependency: at })?)
        };
        let (columns, group) = (columns as usize, group as usize);
        if codebook.is_some_and(|book| !columns.is_multiple_of(book.length)) {
            return Err(corrupt("columns that are not whole vectors of the codebook"));
        }
        let has_offsets = flags & HAS_OFFSETS != 0;
        Ok(Self { element, columns, group, bits, codebook, has_offsets })
    }
}

/// Decodes the payload of a chunk of coding 25 into `out`, whose length is the chunk's decoded length. Stored chunks (form 0) are the
/// caller's. Scratch memory is about `out.len()` for codes, four bytes for each scale and offset, and what coding 1 takes for each.
///
/// # Errors
/// Any breach of section 7.14; [`CodingError::MissingTable`] if `shared` lacks the codebook.
pub fn decode<S: SharedObjects + SharedTables + ?Sized>(
    payload: &[u8],
    shared: &S,
    out: &mut [u8],
) -> Result<()> {
    let mut rest = payload;
    let head = Head::take(&mut rest, shared)?;
    let row_bytes = head.columns * head.element.bytes();
    if out.is_empty() || !out.len().is_multiple_of(row_bytes) {
        return Err(corrupt("grouped codes that are not whole rows"));
    }
    let rows = out.len() / row_bytes;
    let of_row = head.columns.div_ceil(head.group);
    // The element has 2 bytes at least, so there are no more groups than bytes.
    let groups = rows * of_row;
    let (_, scales) = take_numbers(&mut rest, groups, shared, false)?;
    let (zero_points, offsets) =
        if head.has_offsets { take_numbers(&mut rest, groups, shared, true)? } else { (false, Vec::new()) };
    let length = head.codebook.map_or(1, |book| book.length);
    let unit = code_bytes(head.bits);
    let mut codes = vec![0; rows * head.columns / length * unit];
    decode_part(rest, shared, &mut codes)?;
    let most = head.codebook.map_or(1 << head.bits, Codebook::entries);
    let code = |at: usize| {
        if unit == 1 {
            usize::from(codes[at])
        } else {
            usize::from(u16::from_le_bytes([codes[2 * at], codes[2 * at + 1]]))
        }
    };
    if (0..codes.len() / unit).any(|at| code(at) >= most) {
        return Err(corrupt("a grouped code is out of range"));
    }
    let middle = (1u32 << (head.bits - 1)) as f32;
    let mut values = vec![0f32; head.columns];
    for (row, out) in out.chunks_exact_mut(row_bytes).enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            let group = row * of_row + column / head.group;
            let scale = scales[group];
            let offset = offsets.get(group).copied();
            let (at, of_vector) = ((row * head.columns + column) / length, column % length);
            let number = match head.codebook {
                Some(book) => book.values[code(at) * length + of_vector],
                None => code(at) as f32,
            };
            *value = match offset {
                Some(zero) if zero_points => (number - zero) * scale,
                Some(offset) => number * scale + offset,
                None if head.codebook.is_some() => number * scale,
                None => (number - middle) * scale,
            };
        }
        out.copy_from_slice(&head.element.round(&values));
    }
    Ok(())
}

/// Takes `count` numbers; whether they are zero points, which only `offsets` may be.
fn take_numbers<S: SharedTables + ?Sized>(
    rest: &mut &[u8],
    count: usize,
    shared: &S,
    offsets: bool,
) -> Result<(bool, Vec<f32>)> {
    let id = take_u8(rest, "float format")?;
    let len = take(rest)?;
    let payload = take_bytes(rest, len, "scales or offsets")?;
    if offsets && id == ZERO_POINTS {
        let mut bytes = vec![0; count];
        decode_part(payload, shared, &mut bytes)?;
        return Ok((true, bytes.into_iter().map(f32::from).collect()));
    }
    let element = Element::from_id(id)?;
    let mut bytes = vec![0; count * element.bytes()];
    decode_part(payload, shared, &mut bytes)?;
    let numbers = element.values(&bytes);
    if numbers.iter().any(|v| !v.is_finite()) {
        return Err(corrupt("a scale or offset is not finite"));
    }
    Ok((false, numbers))
}

fn decode_part<S: SharedTables + ?Sized>(payload: &[u8], shared: &S, out: &mut [u8]) -> Result<()> {
    match payload.split_first() {
        Some((0, stored)) if stored.len() == out.len() => out.copy_from_slice(stored),
        Some((0, _)) => return Err(corrupt("a stored part has another length than its content")),
        _ => fields::decode(payload, shared, out)?,
    }
    Ok(())
}
