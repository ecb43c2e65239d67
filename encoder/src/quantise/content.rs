//! A quantised tensor as an item: its codes are made when they are first asked for, and dropped when they are written.

use super::round::round_rows;
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
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Weights of a chunk at most, for a chunk length of 256 KiB.
const CHUNK_WEIGHTS: u64 = 128 << 10;
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

/// A tensor's codes, and what goes with them.
struct Made {
    codes: Vec<i32>,
    row_steps: Vec<i16>,
    /// As they are stored.
    row_classes: Vec<i16>,
    column_classes: Option<ColumnClasses>,
}

/// A tensor to be stored as codes.
pub(crate) struct QuantContent<'a> {
    source: Arc<Source<'a>>,
    rule: Arc<Rule>,
    rules: Arc<Rules>,
    /// 4 log2 of the scale of all steps.
    scale: f64,
    classes: Arc<Classes>,
    steps: Option<ColumnSteps>,
    made: Mutex<Option<Arc<Made>>>,
}

impl fmt::Debug for QuantContent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuantContent").field("name", &self.source.name).finish_non_exhaustive()
    }
}

/// The shared objects of a tensor's chunks, in the order of their dependency indices: entry kinds and contents.
pub(crate) type Objects = Vec<(u64, Vec<u8>)>;

impl<'a> QuantContent<'a> {
    pub(super) fn new(
        source: Arc<Source<'a>>,
        rule: Arc<Rule>,
        rules: Arc<Rules>,
        scale: f64,
        classes: Arc<Classes>,
    ) -> Result<Self> {
        let steps = match &rule.columns {
            Some(columns) if columns.iter().any(|&c| c != 0) => {
                Some(ColumnSteps::new(columns.to_vec()).map_err(EncodeError::coding(&source.name))?)
            }
            _ => None,
        };
        Ok(Self { source, rule, rules, scale, classes, steps, made: Mutex::new(None) })
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.source.dtype
    }

    pub(crate) fn shape(&self) -> &[u64] {
        &self.source.shape
    }

    /// Bytes of a chunk: whole rows of at most 2^17 weights, where the option for chunks of other tensors is 256 KiB.
    pub(crate) fn chunk_len(&self, target: u64) -> u64 {
        let most = CHUNK_WEIGHTS.saturating_mul(target) / (256 << 10);
        let rows = (most / self.source.columns as u64).max(1).min(self.source.rows as u64);
        rows * (self.source.columns * self.source.element.bytes()) as u64
    }

    pub(crate) fn fields(&self, chunk_len: u64, byte_len: u64) -> Fields {
        let tensor = TensorDescriptor {
            dtype: Some(self.source.dtype),
            dtype_name: self.source.dtype.name.into(),
            shape: self.source.shape.clone(),
            representation: Representation::Quant,
            chunking: Chunking { coding: registry::coding::CODES, chunk_len, byte_len },
            owner: None,
            groups: None,
        };
        tensor.to_fields()
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
        let zeros = vec![0; n];
        let columns = self.rule.columns.as_ref().map_or(&zeros, |c| c);
        let factor = self.rules.factor_of(&self.rule, n)?;
        let codes = round_rows(&weights, &row_steps, columns, factor.as_deref());
        drop(weights);
        let spread = Spread::fit(&codes, n);
        let (row_classes, column_classes) = stored_classes(&spread, &row_steps, columns);
        let column_classes = column_classes
            .map(ColumnClasses::new)
            .transpose()
            .map_err(EncodeError::coding(&self.source.name))?;
        let new = Arc::new(Made { codes, row_steps, row_classes, column_classes });
        *made = Some(Arc::clone(&new));
        Ok(new)
    }

    /// What a reader will get of the content from `offset` on.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let made = self.made()?;
        let (size, n) = (self.source.element.bytes(), self.source.columns);
        let first = offset as usize / size;
        let codes = &made.codes[first..first + out.len() / size];
        dequantise(
            self.source.element,
            codes,
            (n, first % n),
            &made.row_steps[first / n..],
            self.steps.as_ref(),
            out,
        );
        Ok(())
    }

    /// Codes the chunks that bytes `start..start + len` are made of; the objects they need, if these are the first.
    pub(crate) fn encode(&self, start: u64, len: usize, chunk_len: u64) -> Result<(Vec<Vec<u8>>, Objects)> {
        let made = self.made()?;
        let (size, n) = (self.source.element.bytes(), self.source.columns);
        let (first, count, step) = (start as usize / size, len / size, chunk_len as usize / size);
        let shared = made.codes.len() > step;
        let mut objects = vec![(registry::entry::CLASSES, self.classes.to_bytes())];
        let next = || objects.len() as u32;
        let steps_at = self.steps.as_ref().map(|steps| (next(), steps));
        if let Some(steps) = &self.steps {
            objects.push((registry::entry::COLUMN_STEPS, steps.to_bytes()));
        }
        let column_classes = match &made.column_classes {
            None => ColumnClassesAt::Zero,
            Some(classes) if shared => {
                let at = objects.len() as u32;
                objects.push((registry::entry::COLUMN_CLASSES, classes.to_bytes()));
                ColumnClassesAt::Shared(at, classes)
            }
            Some(classes) => ColumnClassesAt::Inline(classes),
        };
        let code = |(at, codes): (usize, &[i32])| {
            let from = first + at * step;
            let rows = from / n..(from + codes.len()).div_ceil(n);
            let spec = CodesSpec {
                element: self.source.element,
                classes_dependency: 0,
                classes: &self.classes,
                columns: n,
                first_column: from % n,
                column_steps: steps_at,
                column_classes,
                row_steps: &made.row_steps[rows.clone()],
                row_classes: &made.row_classes[rows],
                lanes_log2: lanes_for(codes.len()),
            };
            encode(codes, &spec)
        };
        let chunks = made.codes[first..first + count].par_chunks(step).enumerate();
        let payloads = chunks.map(code).collect::<Result<Vec<_>, CodingError>>();
        let payloads = payloads.map_err(EncodeError::coding(&self.source.name))?;
        Ok((payloads, if start == 0 { objects } else { Vec::new() }))
    }

    /// Lets go of the codes.
    pub(crate) fn release(&self) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
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
