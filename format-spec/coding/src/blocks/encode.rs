//! Writing payloads.

use super::head::{CONSTANT, PACKED, RANS, ZSTD, class_of};
use super::key::Key;
use super::symbols;
use super::types::{BlockType, Component, by_id};
use super::{MAX_CLASSES, component_count};
use crate::error::{Result, invalid};
use crate::planes;
use crate::table::Table;
use crate::varint::put;

/// How the symbols of one class are coded.
#[derive(Debug, Clone)]
pub enum PartCode {
    /// The symbols' bits, one after another.
    Packed,
    /// Every symbol is this value.
    Constant(u8),
    /// A zstd frame of the packed form, made by [`crate::zstd_frame::compress`] of [`pack`].
    ZstdFrame(Vec<u8>),
    /// A table, then a rANS stream under it.
    Rans {
        /// Must have all symbols that occur.
        table: Box<Table>,
        /// log2 of the lane count, 0 to 6.
        lanes_log2: u8,
    },
}

/// How a component is coded.
#[derive(Debug, Clone)]
pub struct ComponentCode {
    /// Ascending: a symbol's class is the number of thresholds that are at most its key.
    pub thresholds: Vec<u16>,
    /// One for each class.
    pub parts: Vec<PartCode>,
}

/// The symbols of a component of a chunk, and what tells their classes apart.
#[derive(Debug, Clone)]
pub struct ComponentSymbols {
    /// The symbols, block by block.
    pub symbols: Vec<u8>,
    /// Bits of a symbol, 1 to 8.
    pub width: u8,
    /// Keys of runs of symbols; empty if the component has none.
    pub keys: Vec<u16>,
    /// Symbols of a run.
    pub run: usize,
}

/// Component `index` of the blocks of type `kind` in `bytes`.
///
/// # Errors
/// [`crate::CodingError::Invalid`] if there is no such type or component, or `bytes` are not whole blocks.
pub fn component(bytes: &[u8], kind: u8, index: usize) -> Result<ComponentSymbols> {
    let (kind, component) = find(bytes, kind, index)?;
    let keys = if component.key == Key::None { Vec::new() } else { symbols::keys(bytes, kind, component) };
    Ok(ComponentSymbols {
        symbols: symbols::symbols(bytes, kind, component),
        width: component.width(),
        keys,
        run: component.group_len(),
    })
}

fn find(bytes: &[u8], kind: u8, index: usize) -> Result<(&'static BlockType, &'static Component)> {
    let kind = by_id(kind).ok_or(invalid("no such block type"))?;
    if !bytes.len().is_multiple_of(usize::from(kind.block_bytes)) {
        return Err(invalid("the bytes are not whole blocks"));
    }
    let component = kind.components.get(index).ok_or(invalid("no such component"))?;
    Ok((kind, component))
}

impl ComponentSymbols {
    /// The symbols of each class.
    #[must_use]
    pub fn classes(&self, thresholds: &[u16]) -> Vec<Vec<u8>> {
        if thresholds.is_empty() {
            return vec![self.symbols.clone()];
        }
        let mut all = vec![Vec::new(); thresholds.len() + 1];
        for (run, &key) in self.symbols.chunks(self.run.max(1)).zip(&self.keys) {
            if let Some(class) = all.get_mut(class_of(thresholds, key)) {
                class.extend_from_slice(run);
            }
        }
        all
    }
}

/// Symbols of `width` bits, one after another, lowest bit first.
#[must_use]
pub fn pack(symbols: &[u8], width: u8) -> Vec<u8> {
    planes::packed(symbols, 8, 0, width).unwrap_or_default()
}

/// The payload of coding 3 of `bytes`, blocks of type `kind`, with one code for each of [`component_count`] components.
///
/// The same arguments always give the same bytes.
///
/// # Errors
/// [`crate::CodingError::Invalid`] if the codes do not fit the bytes. A [`PartCode::ZstdFrame`] is believed.
pub fn encode(bytes: &[u8], kind: u8, codes: &[ComponentCode]) -> Result<Vec<u8>> {
    if component_count(kind) != Some(codes.len()) {
        return Err(invalid("a block type has another number of components"));
    }
    let mut out = vec![kind];
    for (index, code) in codes.iter().enumerate() {
        let found = component(bytes, kind, index)?;
        let classes = code.thresholds.len() + 1;
        let ascend = code.thresholds.is_sorted_by(|a, b| a < b);
        if classes > MAX_CLASSES || code.parts.len() != classes || !ascend {
            return Err(invalid("classes of a component"));
        }
        if classes > 1 && found.keys.is_empty() {
            return Err(invalid("a component without keys has one class"));
        }
        out.push(classes as u8);
        let mut least = 0;
        for &threshold in &code.thresholds {
            put(&mut out, u64::from(threshold) - least);
            least = u64::from(threshold) + 1;
        }
        for (symbols, part) in found.classes(&code.thresholds).iter().zip(&code.parts) {
            put_part(&mut out, symbols, found.width, part)?;
        }
    }
    Ok(out)
}

fn put_part(out: &mut Vec<u8>, symbols: &[u8], width: u8, code: &PartCode) -> Result<()> {
    match code {
        PartCode::Packed => {
            out.push(PACKED);
            out.extend(pack(symbols, width));
        }
        PartCode::Constant(value) => {
            if symbols.iter().any(|s| s != value) {
                return Err(invalid("a part is not the stated constant"));
            }
            out.extend([CONSTANT, *value]);
        }
        PartCode::ZstdFrame(frame) => {
            out.push(ZSTD);
            put(out, frame.len() as u64);
            out.extend_from_slice(frame);
        }
        PartCode::Rans { table, lanes_log2 } => {
            let values: Vec<u16> = symbols.iter().map(|&s| s.into()).collect();
            let mut body = table.to_bytes();
            body.append(&mut table.encoder().encode(&values, *lanes_log2)?);
            out.push(RANS);
            put(out, body.len() as u64);
            out.append(&mut body);
        }
    }
    Ok(())
}
