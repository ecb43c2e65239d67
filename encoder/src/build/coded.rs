//! Arrays of codes, from plain arrays: with step exponents (coding 24), or grouped (coding 25).

use crate::quantise::{Objects, chunk_rows, encode_plain_codes};
use crate::{EncodeError, Result};
use mcodec_coding::CodingError;
use mcodec_coding::codes::{ColumnSteps, Element, dequantise};
use mcodec_coding::fields::SharedTables;
use mcodec_coding::grouped::{self, Codebook, Grouped, Offsets};
use mcodec_format::registry::{self, Dtype};
use mcodec_format::{Chunking, Fields, Representation, TensorDescriptor};

/// What a [`crate::items::Content::Coded`] item is.
pub(crate) struct CodedArray {
    dtype: Dtype,
    element: Element,
    shape: Vec<u64>,
    columns: usize,
    codes: Codes,
}

impl std::fmt::Debug for CodedArray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodedArray").field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// Codes of an array, row after row.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Codes {
    /// Integers times a step for each row and column, entropy-coded.
    Stepped {
        /// Magnitudes are below 2^24.
        codes: Vec<i32>,
        /// The step of each row is 2^(exponent / 4); -240 to 240.
        row_steps: Vec<i16>,
        /// Exponents of the columns that are added, if there are some.
        column_steps: Option<Vec<i16>>,
    },
    /// Codes of one width times the scale of their group.
    Grouped {
        /// A code for each element, or for each vector of the codebook.
        codes: Vec<u16>,
        /// Bits of a code, 1 to 16.
        bits: u8,
        /// Elements of a group within a row; the last of a row may have fewer.
        group: usize,
        /// The scale of each group, row after row; stored as F32.
        scales: Vec<f32>,
        /// What is added in each group.
        offsets: GroupOffsets,
        /// What codes stand for, if that is not themselves. Arrays with equal codebooks share one.
        codebook: Option<Codebook>,
    },
}

/// What is added in each group of [`Codes::Grouped`].
#[derive(Debug, Clone, PartialEq)]
pub enum GroupOffsets {
    /// Nothing: the middle code stands for 0 (with a codebook: its numbers as they are).
    None,
    /// A number for each group; stored as F32.
    Numbers(Vec<f32>),
    /// The code of each group that stands for 0.
    ZeroPoints(Vec<u8>),
}

impl CodedArray {
    pub(crate) fn new(name: &str, dtype: Dtype, shape: &[u64], codes: Codes) -> Result<Self> {
        let fail = |why: &str| EncodeError::Request(format!("{name:?}: {why}"));
        let element = Element::by_name(dtype.name).ok_or_else(|| fail("codes become F32, F16 or BF16"))?;
        let (rows, columns) = mcodec_format::built::matrix(shape)
            .filter(|(rows, columns)| *rows > 0 && *columns > 0)
            .ok_or_else(|| fail("an array of codes has rows and columns"))?;
        let (rows, columns) = (rows as usize, columns as usize);
        match &codes {
            Codes::Stepped { codes, row_steps, column_steps } => {
                let fits = |list: &[i16], n: usize| list.len() == n && list.iter().all(|s| s.abs() <= 240);
                let by_columns = column_steps.as_ref().is_none_or(|list| fits(list, columns));
                let small = codes.iter().all(|code| code.unsigned_abs() < 1 << 24);
                if codes.len() != rows * columns || !fits(row_steps, rows) || !by_columns || !small {
                    return Err(fail(
                        "codes below 2^24, and steps within 240 of 0, for all rows and columns",
                    ));
                }
            }
            Codes::Grouped { codes, group, scales, offsets, codebook, .. } => {
                let groups = rows * columns.div_ceil((*group).max(1));
                let offsets = match offsets {
                    GroupOffsets::None => groups,
                    GroupOffsets::Numbers(list) => list.len(),
                    GroupOffsets::ZeroPoints(list) => list.len(),
                };
                let length = codebook.as_ref().map_or(1, Codebook::length);
                if *group == 0
                    || codes.len() * length != rows * columns
                    || scales.len() != groups
                    || offsets != groups
                {
                    return Err(fail("as many codes, scales and offsets as the shape says"));
                }
            }
        }
        Ok(Self { dtype, element, shape: shape.to_vec(), columns, codes })
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub(crate) fn shape(&self) -> &[u64] {
        &self.shape
    }

    fn row_bytes(&self) -> usize {
        self.columns * self.element.bytes()
    }

    fn rows(&self) -> usize {
        match &self.codes {
            Codes::Stepped { row_steps, .. } => row_steps.len(),
            Codes::Grouped { scales, group, .. } => scales.len() / self.columns.div_ceil(*group).max(1),
        }
    }

    /// Bytes of a chunk: whole rows.
    pub(crate) fn chunk_len(&self, target: u64) -> u64 {
        let rows = chunk_rows(&self.shape, self.rows() as u64, self.columns as u64, target);
        rows * self.row_bytes() as u64
    }

    pub(crate) fn fields(&self, chunk_len: u64, byte_len: u64) -> Fields {
        let coding = match self.codes {
            Codes::Stepped { .. } => registry::coding::CODES,
            Codes::Grouped { .. } => registry::coding::GROUPED,
        };
        let tensor = TensorDescriptor {
            dtype: Some(self.dtype),
            dtype_name: self.dtype.name.into(),
            shape: self.shape.clone(),
            representation: Representation::Quant,
            chunking: Chunking { coding, chunk_len, byte_len },
            owner: None,
            groups: None,
        };
        tensor.to_fields()
    }

    /// What a reader will get of the content from `offset` on.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let row_bytes = self.row_bytes();
        let (first, skip) = (offset as usize / row_bytes, offset as usize % row_bytes);
        let last = (offset as usize + out.len()).div_ceil(row_bytes);
        let bytes = self.decoded(first..last)?;
        out.copy_from_slice(&bytes[skip..skip + out.len()]);
        Ok(())
    }

    fn decoded(&self, rows: std::ops::Range<usize>) -> Result<Vec<u8>> {
        let mut out = vec![0; rows.len() * self.row_bytes()];
        match &self.codes {
            Codes::Stepped { codes, row_steps, column_steps } => {
                let steps = column_steps.clone().map(ColumnSteps::new).transpose();
                let steps = steps.map_err(EncodeError::coding("codes"))?;
                let codes = &codes[rows.start * self.columns..rows.end * self.columns];
                dequantise(
                    self.element,
                    codes,
                    (self.columns, 0),
                    &row_steps[rows],
                    steps.as_ref(),
                    &mut out,
                );
            }
            Codes::Grouped { codebook, .. } => {
                let payload = self.grouped(rows).map_err(EncodeError::coding("grouped codes"))?;
                grouped::decode(&payload, &OneBook(codebook.as_ref()), &mut out)
                    .map_err(EncodeError::coding("grouped codes"))?;
            }
        }
        Ok(out)
    }

    /// The payload of some rows of grouped codes.
    fn grouped(&self, rows: std::ops::Range<usize>) -> mcodec_coding::Result<Vec<u8>> {
        let Codes::Grouped { codes, bits, group, scales, offsets, codebook } = &self.codes else {
            return Err(CodingError::Invalid { what: "codes that are not grouped" });
        };
        let length = codebook.as_ref().map_or(1, Codebook::length);
        let of_row = self.columns.div_ceil(*group);
        let groups = rows.start * of_row..rows.end * of_row;
        let spec = Grouped {
            element: self.element,
            columns: self.columns,
            group: *group,
            bits: *bits,
            codebook: codebook.as_ref().map(|book| (0, book)),
            codes: &codes[rows.start * self.columns / length..rows.end * self.columns / length],
            scale_element: Element::F32,
            scales: &scales[groups.clone()],
            offsets: match offsets {
                GroupOffsets::None => Offsets::None,
                GroupOffsets::Numbers(list) => Offsets::Floats(Element::F32, &list[groups]),
                GroupOffsets::ZeroPoints(list) => Offsets::ZeroPoints(&list[groups]),
            },
        };
        grouped::encode(&spec, &|bytes, unit| fields_of(bytes, unit))
    }

    /// Codes the chunks that bytes `start..start + len` are made of; the objects they need, if these are the first.
    pub(crate) fn encode(&self, start: u64, len: usize, chunk_len: u64) -> Result<(Vec<Vec<u8>>, Objects)> {
        let row_bytes = self.row_bytes();
        let (first, count) = (start as usize / row_bytes, len / row_bytes);
        let step = (chunk_len as usize / row_bytes).max(1);
        let (payloads, objects) = match &self.codes {
            Codes::Stepped { codes, row_steps, column_steps } => encode_plain_codes(
                (self.element, self.columns),
                codes,
                row_steps,
                column_steps.as_deref(),
                (first..first + count, step),
            )?,
            Codes::Grouped { codebook, .. } => {
                let chunks = (first..first + count).step_by(step);
                let payloads = chunks.map(|row| self.grouped(row..(row + step).min(first + count)));
                let payloads = payloads.collect::<mcodec_coding::Result<Vec<_>>>();
                let payloads = payloads.map_err(EncodeError::coding("grouped codes"))?;
                let book = codebook.iter().map(|book| (registry::entry::CODEBOOK, book.to_bytes())).collect();
                (payloads, book)
            }
        };
        Ok((payloads, if start == 0 { objects } else { Vec::new() }))
    }
}

/// Bytes as a payload of coding 1, or 0 and the bytes.
pub(crate) fn fields_of(bytes: &[u8], unit: u8) -> mcodec_coding::Result<Vec<u8>> {
    let element = crate::plain::Element::Int { bits: unit };
    let code = if unit == 8 { crate::plain::Element::Bytes } else { element };
    Ok(crate::segment::payload_of(crate::plain::encode_chunk(bytes, code, 5, &[])?))
}

struct OneBook<'b>(Option<&'b Codebook>);

impl grouped::SharedObjects for OneBook<'_> {
    fn codebook(&self, dependency: u32) -> Option<&Codebook> {
        self.0.filter(|_| dependency == 0)
    }
}

impl SharedTables for OneBook<'_> {
    fn table(&self, _: u32) -> Option<&mcodec_coding::DecodeTable> {
        None
    }
}
