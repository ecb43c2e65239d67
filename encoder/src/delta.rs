//! Chunks of tensors that are told against a base: each in the shortest of the forms that are tried.

use crate::EncodeOptions;
use crate::difference::Coder;
use crate::items::Item;
use crate::plain::{Element, encode_fields};
use crate::segment::{Coded, Needs, Piece};
use mcodec_coding::CodingError;
use mcodec_coding::difference::{Form, encode_whole};
use rayon::prelude::*;

/// Chunks up to this many bytes are coded in every form; longer ones, at lower efforts, only where floats gain little.
const SMALL: usize = 16 << 10;
/// From this effort on every form is tried.
const ALL_FORMS: u8 = 7;
/// They are first tried at this effort, and at a higher one if they are not longer by more than one part in so many.
const QUICK: u8 = 4;
const NEAR: usize = 8;

/// Codes the chunks of a piece. `coder` is for floats.
pub(crate) fn encode_delta(
    item: &Item<'_>,
    piece: &Piece,
    coder: Option<&Coder<'_>>,
    options: &EncodeOptions,
) -> Result<Coded, CodingError> {
    let chunk_len = item.chunk_len(options.chunk_len) as usize;
    let grouped = item.group_chunks(options).is_some();
    let beside = grouped || piece.bytes.len() > chunk_len;
    let columns = coder.filter(|c| c.has_columns() && (beside || c.shares_columns()));
    let (effort, element) = (options.effort, item.element());
    let size = usize::from(element.unit_bits() / 8);
    let chunks = piece.bytes.par_chunks(chunk_len).zip(piece.base.par_chunks(chunk_len)).enumerate();
    let chunks: Vec<(Vec<u8>, bool)> = chunks
        .map(|(at, (bytes, base))| {
            if bytes == base {
                return Ok((encode_whole(Form::Same, base, bytes, 8, |_| Ok(Vec::new()))?, false));
            }
            let mut best: Option<(Vec<u8>, bool)> = None;
            if let Some(coder) = coder {
                let start = at * chunk_len / size;
                let dependency = columns.map(|_| 1);
                best = Some((coder.encode((base, bytes), start, 0, dependency)?, true));
            }
            let gains = best.as_ref().is_some_and(|(payload, _)| payload.len() < bytes.len() / 2);
            if !gains || bytes.len() <= SMALL || effort >= ALL_FORMS {
                let longer = |other: &Vec<u8>, share: usize| {
                    best.as_ref().is_some_and(|(best, _)| other.len() >= best.len() + best.len() / share)
                };
                let mut other = shortest_whole((base, bytes), element, effort.min(QUICK))?;
                if effort > QUICK && !longer(&other, NEAR) {
                    other = shortest_whole((base, bytes), element, effort)?;
                }
                if !longer(&other, usize::MAX) {
                    best = Some((other, false));
                }
            }
            Ok(best.unwrap_or_default())
        })
        .collect::<Result<_, CodingError>>()?;
    let mut needs = Vec::new();
    if coder.is_some() && (grouped || chunks.iter().any(|(_, linear)| *linear)) {
        needs.push(Needs::Differences);
        match columns {
            Some(coder) => needs.push(Needs::Columns(coder.stack())),
            None if grouped => needs.push(Needs::NoColumns),
            None => {}
        }
    }
    Ok(Coded { payloads: chunks.into_iter().map(|(payload, _)| payload).collect(), needs, alone: None })
}

/// The shortest payload that is not of linear differences.
fn shortest_whole(
    (base, bytes): (&[u8], &[u8]),
    element: Element,
    effort: u8,
) -> Result<Vec<u8>, CodingError> {
    let bits = element.unit_bits();
    let whole = bytes.len().is_multiple_of(usize::from(bits / 8));
    let (bits, of_differences) = match bits {
        16 | 32 | 64 if whole => (bits, Element::Int { bits }),
        _ => (8, Element::Bytes),
    };
    let mut best = [&[0], bytes].concat();
    for form in [Form::Integer, Form::Xor, Form::Alone] {
        let element = if form == Form::Alone { element } else { of_differences };
        let payload = encode_whole(form, base, bytes, bits, |made| encode_fields(made, element, effort, &[]));
        if let Ok(payload) = payload
            && payload.len() < best.len()
        {
            best = payload;
        }
    }
    Ok(best)
}
