//! Quantised tensors as items: codes are made when they are first asked for, and dropped when they are written.

use super::rule::{Rule, Rules};
use super::spread::Spread;
use crate::items::ReadContent;
use crate::{EncodeError, Result};
use mcodec_coding::CodingError;
use mcodec_coding::codes::{
    Classes, CodesSpec, ColumnClasses, ColumnClassesAt, ColumnSteps, Element, dequantise, encode,
};
use mcodec_format::registry::{self, Dtype};
use mcodec_format::{Chunking, Fields, Representation, TensorDescriptor};
use rayon::prelude::*;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Weights of a chunk at most, for a chunk length of 256 KiB.
const CHUNK_WEIGHTS: u64 = 128 << 10;
/// Weights from which a matrix of a stack, or an even part of it, is a chunk of its own.
const LEAST_OF_STACK: u64 = 1 << 13;
/// Elements from which a chunk has all lanes, which vector decoders want; in a smaller one their states weigh too much.
const ALL_LANES: usize = 1 << 15;
/// Elements from which a chunk has 16 lanes.
const SOME_LANES: usize = 2048;

/// Where weights come from.
pub(super) struct Source<'a> {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) element: Element,
    pub(super) shape: Vec<u64>,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) read: ReadContent<'a>,
}

impl Source<'_> {
    /// The weights of some rows.
    pub(super) fn weights(&self, rows: std::ops::Range<usize>) -> Result<Vec<f32>> {
        let size = self.element.bytes();
        let mut bytes = vec![0u8; rows.len() * self.columns * size];
        (self.read)((rows.start * self.columns * size) as u64, &mut bytes)?;
        Ok(self.element.values(&bytes))
    }
}

/// A matrix's codes, and what goes with them.
struct Made {
    codes: Vec<i32>,
    row_steps: Vec<i16>,
    /// As they are stored.
    row_classes: Vec<i16>,
    column_classes: Option<Vec<i16>>,
}

/// A matrix to be stored as codes: by one item, or by several that have runs of its columns.
pub(super) struct Whole<'a> {
    source: Arc<Source<'a>>,
    rule: Arc<Rule>,
    rules: Arc<Rules>,
    /// 4 log2 of the scale of all steps.
    scale: f64,
    classes: Arc<Classes>,
    made: Mutex<Option<Arc<Made>>>,
    /// Items that are not written yet.
    parts: AtomicUsize,
}

impl<'a> Whole<'a> {
    pub(super) fn new(
        source: Arc<Source<'a>>,
        rule: Arc<Rule>,
        rules: Arc<Rules>,
        scale: f64,
        classes: Arc<Classes>,
    ) -> Self {
        let made = Mutex::new(None);
        Self { source, rule, rules, scale, classes, made, parts: AtomicUsize::new(0) }
    }

    pub(super) fn columns(&self) -> usize {
        self.source.columns
    }

    /// Name of the dtype, and the shape.
    pub(super) fn described(&self) -> (&'static str, &[u64]) {
        (self.source.dtype.name, &self.source.shape)
    }

    /// The codes, made if they are not there.
    fn made(&self) -> Result<Arc<Made>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(Arc::clone(made));
        }
        let n = self.source.columns;
        let weights = self.source.weights(0..self.source.rows)?;
        let row_steps = self.rule.row_steps(self.scale);
        let codes = self.rules.round(&self.rule, &weights, &row_steps, n)?;
        drop(weights);
        let zeros = vec![0; n];
        let columns = self.rule.columns.as_ref().map_or(&zeros, |c| c);
        let spread = Spread::fit(&codes, n);
        let (row_classes, column_classes) = stored_classes(&spread, &row_steps, columns);
        let new = Arc::new(Made { codes, row_steps, row_classes, column_classes });
        *made = Some(Arc::clone(&new));
        Ok(new)
    }

    /// Says that an item of it is written: the codes are let go of with the last.
    fn release(&self) {
        if self.parts.fetch_sub(1, Ordering::AcqRel) <= 1 {
            *self.made.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// A tensor to be stored as codes, or an array that a tensor has a run of columns of.
pub(crate) struct QuantContent<'a> {
    whole: Arc<Whole<'a>>,
    columns: Range<usize>,
    shape: Vec<u64>,
    steps: Option<ColumnSteps>,
}

impl fmt::Debug for QuantContent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuantContent").field("name", &self.whole.source.name).finish_non_exhaustive()
    }
}

/// The shared objects of a tensor's chunks, in the order of their dependency indices: entry kinds and contents.
pub(crate) type Objects = Vec<(u64, Vec<u8>)>;

impl<'a> QuantContent<'a> {
    /// These columns of a matrix; an array of rows and columns if they are not all.
    pub(super) fn new(whole: &Arc<Whole<'a>>, columns: Range<usize>) -> Result<Self> {
        let source = &whole.source;
        let steps = match &whole.rule.columns {
            Some(all) if all[columns.clone()].iter().any(|&c| c != 0) => {
                let own = all[columns.clone()].to_vec();
                Some(ColumnSteps::new(own).map_err(EncodeError::coding(&source.name))?)
            }
            _ => None,
        };
        let shape = if columns.len() == source.columns {
            source.shape.clone()
        } else {
            vec![source.rows as u64, columns.len() as u64]
        };
        whole.parts.fetch_add(1, Ordering::AcqRel);
        Ok(Self { whole: Arc::clone(whole), columns, shape, steps })
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.whole.source.dtype
    }

    pub(crate) fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Bytes of what a reader gets.
    pub(super) fn byte_len(&self) -> u64 {
        (self.whole.source.rows * self.columns.len() * self.whole.source.element.bytes()) as u64
    }

    /// Bytes of a chunk: whole rows of at most 2^17 weights, where the option for chunks of other tensors is 256 KiB.
    pub(crate) fn chunk_len(&self, target: u64) -> u64 {
        let (source, width) = (&self.whole.source, self.columns.len());
        let rows = chunk_rows(&source.shape, source.rows as u64, width as u64, target);
        rows * (width * source.element.bytes()) as u64
    }

    pub(crate) fn fields(&self, chunk_len: u64, byte_len: u64) -> Fields {
        let tensor = TensorDescriptor {
            dtype: Some(self.whole.source.dtype),
            dtype_name: self.whole.source.dtype.name.into(),
            shape: self.shape.clone(),
            representation: Representation::Quant,
            chunking: Chunking { coding: registry::coding::CODES, chunk_len, byte_len },
            owner: None,
            groups: None,
        };
        tensor.to_fields()
    }

    /// The item's codes of some rows.
    fn codes<'m>(&self, made: &'m Made, rows: Range<usize>) -> Cow<'m, [i32]> {
        let n = self.whole.source.columns;
        let all = &made.codes[rows.start * n..rows.end * n];
        if self.columns.len() == n {
            return all.into();
        }
        all.chunks(n).flat_map(|row| row[self.columns.clone()].iter().copied()).collect()
    }

    /// What a reader will get of the content from `offset` on.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let made = self.whole.made()?;
        let (size, n) = (self.whole.source.element.bytes(), self.columns.len());
        let (first, count) = (offset as usize / size, out.len() / size);
        let rows = first / n..(first + count).div_ceil(n);
        let codes = self.codes(&made, rows.clone());
        let codes = &codes[first % n..first % n + count];
        dequantise(
            self.whole.source.element,
            codes,
            (n, first % n),
            &made.row_steps[rows],
            self.steps.as_ref(),
            out,
        );
        Ok(())
    }

    /// Codes the chunks that bytes `start..start + len` are made of; the objects they need, if these are the first.
    pub(crate) fn encode(&self, start: u64, len: usize, chunk_len: u64) -> Result<(Vec<Vec<u8>>, Objects)> {
        let made = self.whole.made()?;
        let source = &self.whole.source;
        let n = self.columns.len();
        let row_bytes = n * source.element.bytes();
        let rows = start as usize / row_bytes..(start as usize + len) / row_bytes;
        let step = (chunk_len as usize / row_bytes).max(1);
        let shared = source.rows > step;
        let mut objects = vec![(registry::entry::CLASSES, self.whole.classes.to_bytes())];
        let next = || objects.len() as u32;
        let steps_at = self.steps.as_ref().map(|steps| (next(), steps));
        if let Some(steps) = &self.steps {
            objects.push((registry::entry::COLUMN_STEPS, steps.to_bytes()));
        }
        let of_columns = made.column_classes.as_ref().map(|all| all[self.columns.clone()].to_vec());
        let of_columns = of_columns.map(ColumnClasses::new).transpose();
        let of_columns = of_columns.map_err(EncodeError::coding(&source.name))?;
        let column_classes = match &of_columns {
            None => ColumnClassesAt::Zero,
            Some(classes) if shared => {
                let at = objects.len() as u32;
                objects.push((registry::entry::COLUMN_CLASSES, classes.to_bytes()));
                ColumnClassesAt::Shared(at, classes)
            }
            Some(classes) => ColumnClassesAt::Inline(classes),
        };
        let code = |first: usize| {
            let here = first..(first + step).min(rows.end);
            let codes = self.codes(&made, here.clone());
            let spec = CodesSpec {
                element: source.element,
                classes_dependency: 0,
                classes: &self.whole.classes,
                columns: n,
                first_column: 0,
                column_steps: steps_at,
                column_classes,
                row_steps: &made.row_steps[here.clone()],
                row_classes: &made.row_classes[here],
                lanes_log2: lanes_for(codes.len()),
            };
            encode(&codes, &spec)
        };
        let firsts: Vec<usize> = rows.clone().step_by(step).collect();
        let payloads = firsts.into_par_iter().map(code).collect::<Result<Vec<_>, CodingError>>();
        let payloads = payloads.map_err(EncodeError::coding(&source.name))?;
        Ok((payloads, if start == 0 { objects } else { Vec::new() }))
    }

    /// Says that it is written.
    pub(crate) fn release(&self) {
        self.whole.release();
    }
}

/// Rows of a chunk of a matrix of so many rows and columns. Of a stack of matrices, as of experts, each begins a chunk, unless chunks would
/// be small.
pub(crate) fn chunk_rows(shape: &[u64], rows: u64, columns: u64, target: u64) -> u64 {
    let most = CHUNK_WEIGHTS.saturating_mul(target) / (256 << 10);
    let most = (most / columns.max(1)).max(1).min(rows.max(1));
    let of_one = if shape.len() > 2 { shape[shape.len() - 2].max(1) } else { rows };
    let divides = (1..=most.min(of_one)).rev().find(|n| of_one.is_multiple_of(*n)).unwrap_or(1);
    let large = divides.saturating_mul(columns) >= LEAST_OF_STACK.min(most.saturating_mul(columns));
    if of_one < rows && large { divides } else { most }
}

/// log2 of the lanes of a chunk of so many codes.
pub(super) fn lanes_for(codes: usize) -> u8 {
    match codes {
        ALL_LANES.. => 6,
        SOME_LANES.. => 4,
        _ => 2,
    }
}

/// Classes as they are stored: half of the step exponents is added, so that what is left varies little. Columns of one class have none.
pub(super) fn stored_classes(
    spread: &Spread,
    row_steps: &[i16],
    columns: &[i16],
) -> (Vec<i16>, Option<Vec<i16>>) {
    let mut rows: Vec<i16> =
        spread.rows.iter().zip(row_steps).map(|(class, step)| class + (step >> 1)).collect();
    let of_columns: Vec<i16> =
        spread.columns.iter().zip(columns).map(|(class, step)| class + (step >> 1)).collect();
    let first = of_columns.first().copied().unwrap_or(0);
    if of_columns.iter().any(|&class| class != first) {
        return (rows, Some(of_columns));
    }
    rows.iter_mut().for_each(|row| *row += first);
    (rows, None)
}
