//! Writing chunks of codes.

use super::columns::{ColumnClasses, ColumnSteps, put_list};
use super::decode::class_at;
use super::numbers::Element;
use super::payload::{ABSORBED, CLASSES_INLINE, CLASSES_SHARED, FORM, STEPS_SHARED, effective_classes};
use super::{CODE_BITS, IN_FULL, MAX_CLASS, MAX_CODE, MAX_COLUMNS, MAX_STEP, low_bits};
use crate::bits::BitSink;
use crate::error::{Result, invalid};
use crate::labelled::{Classes, NumberStream, are_of_numbers, encode_numbers, held_bytes};
use crate::rans::MAX_LANES_LOG2;
use crate::varint;

/// Where the classes of columns are.
#[derive(Debug, Clone, Copy)]
pub enum ColumnClassesAt<'a> {
    /// All are 0.
    Zero,
    /// In the chunk.
    Inline(&'a ColumnClasses),
    /// In an object that is this dependency of the chunk's entry.
    Shared(u32, &'a ColumnClasses),
}

/// How a chunk is coded.
#[derive(Debug, Clone, Copy)]
pub struct CodesSpec<'a> {
    /// What codes become.
    pub element: Element,
    /// Which dependency of the chunk's entry the classes are.
    pub classes_dependency: u32,
    /// The classes.
    pub classes: &'a Classes,
    /// Elements of a row, at most 2^20.
    pub columns: usize,
    /// Column of the chunk's first element.
    pub first_column: usize,
    /// The columns' step exponents and which dependency they are; `None`: all are 0.
    pub column_steps: Option<(u32, &'a ColumnSteps)>,
    /// Classes of the columns.
    pub column_classes: ColumnClassesAt<'a>,
    /// The step exponent of each row that the chunk touches, within 240 of 0.
    pub row_steps: &'a [i16],
    /// The class of each row. An element's class is row's plus column's, each less half (rounded down) of its step exponent; it is
    /// raised to 0, or lowered to the last.
    pub row_classes: &'a [i16],
    /// log2 of the lane count, 0 to 6.
    pub lanes_log2: u8,
}

/// The payload of coding 24 of `codes`, each at most 2^24 - 1 in size. The same arguments always give the same bytes.
///
/// # Errors
/// [`crate::CodingError::Invalid`] if the parts of `spec` do not fit each other or the codes, or a table lacks an escape.
pub fn encode(codes: &[i32], spec: &CodesSpec<'_>) -> Result<Vec<u8>> {
    check(codes, spec)?;
    let of_columns = match spec.column_classes {
        ColumnClassesAt::Zero => None,
        ColumnClassesAt::Inline(classes) | ColumnClassesAt::Shared(_, classes) => Some(classes),
    };
    let stored = of_columns.map(ColumnClasses::classes);
    let steps = spec.column_steps.map(|(_, steps)| steps);
    let columns = effective_classes(spec.columns, steps, stored);
    let last = spec.classes.classes().len() as i16 - 1;
    let (mut numbers, mut classes) = (Vec::with_capacity(codes.len()), Vec::with_capacity(codes.len()));
    let mut plane = BitSink::with_capacity(codes.len() / 8);
    let (mut rest, mut first) = (codes, spec.first_column);
    for (&of_row, &step) in spec.row_classes.iter().zip(spec.row_steps) {
        let of_row = of_row - (step >> 1);
        let (run, after) = rest.split_at((spec.columns - first).min(rest.len()));
        for (&code, &column) in run.iter().zip(&columns[first..]) {
            let class = class_at(of_row, column, last);
            let magnitude = code.unsigned_abs();
            let low = low_bits(class.into());
            let high = magnitude >> low;
            let (packed, count) =
                if high >= IN_FULL { (magnitude, CODE_BITS) } else { (magnitude & ((1 << low) - 1), low) };
            // Then the sign, of what is not zero.
            let sign = u32::from(code < 0) << count;
            plane.put(packed | sign, count + u32::from(magnitude != 0));
            numbers.push(high.min(IN_FULL) as u16);
            classes.push(class);
        }
        (rest, first) = (after, 0);
    }
    let mut plane = plane.into_bytes();
    let lanes = 1usize << spec.lanes_log2;
    let at = plane.len().checked_sub(held_bytes(lanes));
    let held = at.map(|at| plane.split_off(at)).unwrap_or_default();
    let stream = encode_numbers(spec.classes, &numbers, &classes, lanes, &held)?;
    Ok(assemble(spec, at.is_some(), &plane, &stream))
}

fn assemble(spec: &CodesSpec<'_>, absorbed: bool, plane: &[u8], stream: &NumberStream) -> Vec<u8> {
    let mut flags = if absorbed { ABSORBED } else { 0 };
    flags |= if spec.column_steps.is_some() { STEPS_SHARED } else { 0 };
    flags |= match spec.column_classes {
        ColumnClassesAt::Zero => 0,
        ColumnClassesAt::Inline(_) => CLASSES_INLINE,
        ColumnClassesAt::Shared(..) => CLASSES_SHARED,
    };
    let mut out = vec![FORM, spec.element.id(), flags];
    varint::put(&mut out, spec.classes_dependency.into());
    varint::put(&mut out, spec.columns as u64);
    varint::put(&mut out, spec.first_column as u64);
    if let Some((dependency, _)) = spec.column_steps {
        varint::put(&mut out, dependency.into());
    }
    match spec.column_classes {
        ColumnClassesAt::Zero => {}
        ColumnClassesAt::Inline(classes) => put_list(&mut out, classes.classes()),
        ColumnClassesAt::Shared(dependency, _) => varint::put(&mut out, dependency.into()),
    }
    put_list(&mut out, spec.row_steps);
    put_list(&mut out, spec.row_classes);
    varint::put(&mut out, stream.escape_count as u64);
    varint::put(&mut out, plane.len() as u64);
    out.push(spec.lanes_log2);
    for part in [&stream.states[..], plane, &stream.escapes, &stream.words] {
        out.extend_from_slice(part);
    }
    out
}

fn check(codes: &[i32], spec: &CodesSpec<'_>) -> Result<()> {
    let fits = spec.columns > 0
        && spec.columns <= MAX_COLUMNS
        && spec.first_column < spec.columns
        && spec.lanes_log2 <= MAX_LANES_LOG2
        && are_of_numbers(spec.classes);
    if codes.is_empty() || !fits {
        return Err(invalid("columns, lanes or classes of a chunk of codes"));
    }
    if codes.iter().any(|code| code.unsigned_abs() > MAX_CODE) {
        return Err(invalid("codes are below 2^24"));
    }
    let rows = (spec.first_column + codes.len()).div_ceil(spec.columns);
    let within = |list: &[i16], most: i16| list.iter().all(|v| v.unsigned_abs() <= most as u16);
    if spec.row_steps.len() != rows
        || spec.row_classes.len() != rows
        || !within(spec.row_steps, MAX_STEP)
        || !within(spec.row_classes, MAX_CLASS)
    {
        return Err(invalid("rows of a chunk of codes"));
    }
    let columns = match spec.column_classes {
        ColumnClassesAt::Zero => None,
        ColumnClassesAt::Inline(classes) | ColumnClassesAt::Shared(_, classes) => {
            Some(classes.classes().len())
        }
    };
    let steps = spec.column_steps.map(|(_, steps)| steps.exponents().len());
    if columns.is_some_and(|n| n != spec.columns) || steps.is_some_and(|n| n != spec.columns) {
        return Err(invalid("columns of a chunk of codes"));
    }
    Ok(())
}
