//! Codes that a caller made: classes and tables are fitted to them.

use super::content::{Objects, lanes_for, stored_classes};
use super::spread::{Counts, Spread};
use super::tables::classes_for;
use crate::{EncodeError, Result};
use mcodec_coding::codes::{CodesSpec, ColumnClasses, ColumnClassesAt, ColumnSteps, Element, encode};
use mcodec_format::registry;
use std::ops::Range;

/// Codes rows of a matrix of `n` columns, `step` rows a chunk: payloads, and the objects of their dependencies.
pub(crate) fn encode_plain_codes(
    (element, n): (Element, usize),
    codes: &[i32],
    row_steps: &[i16],
    column_steps: Option<&[i16]>,
    (rows, step): (Range<usize>, usize),
) -> Result<(Vec<Vec<u8>>, Objects)> {
    let fail = EncodeError::coding("codes");
    let spread = Spread::fit(codes, n);
    let (classes, _) =
        classes_for(&Counts::of(codes, n, &spread, 1)).map_err(EncodeError::coding("codes"))?;
    let zeros = vec![0; n];
    let (row_classes, column_classes) = stored_classes(&spread, row_steps, column_steps.unwrap_or(&zeros));
    let mut objects: Objects = vec![(registry::entry::CLASSES, classes.to_bytes())];
    let steps = column_steps.map(|list| ColumnSteps::new(list.to_vec())).transpose().map_err(fail)?;
    let steps_at = steps.as_ref().map(|steps| {
        objects.push((registry::entry::COLUMN_STEPS, steps.to_bytes()));
        (1, steps)
    });
    let of_columns = column_classes.map(ColumnClasses::new).transpose();
    let of_columns = of_columns.map_err(EncodeError::coding("codes"))?;
    let classes_at = match &of_columns {
        None => ColumnClassesAt::Zero,
        Some(found) => {
            objects.push((registry::entry::COLUMN_CLASSES, found.to_bytes()));
            ColumnClassesAt::Shared(objects.len() as u32 - 1, found)
        }
    };
    let end = rows.end;
    let chunk = |first: usize| {
        let here = first..(first + step).min(end);
        let spec = CodesSpec {
            element,
            classes_dependency: 0,
            classes: &classes,
            columns: n,
            first_column: 0,
            column_steps: steps_at,
            column_classes: classes_at,
            row_steps: &row_steps[here.clone()],
            row_classes: &row_classes[here.clone()],
            lanes_log2: lanes_for(here.len() * n),
        };
        encode(&codes[here.start * n..here.end * n], &spec)
    };
    let payloads = rows.step_by(step.max(1)).map(chunk).collect::<mcodec_coding::Result<Vec<_>>>();
    Ok((payloads.map_err(EncodeError::coding("codes"))?, objects))
}
