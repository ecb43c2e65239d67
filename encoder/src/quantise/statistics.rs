//! Statistics of what layers read and how much their outputs matter, from a safetensors file.
//!
//! With n tokens in all, the file has
//!
//! - `INPUT.gram`, [in, in]: the sum over tokens of x x^T, divided by n, of what the layers of this input read (an expert: of the
//!   tokens routed to it), or `INPUT.gram_diagonal`, [in], its diagonal;
//! - `WEIGHT.fisher`, [out]: the mean, over the tokens that the layer saw, of the squared gradient of the log likelihood of labels drawn
//!   from the model, at each of its outputs;
//! - in its metadata, for each weight that reads what another does, the name of that input under the weight's name. The input of a weight
//!   that is not there has the weight's own name; and under `calibration` what tells the texts that they are of.
//!
//! `WEIGHT` is the name of the weight's tensor, as `model.layers.0.mlp.up_proj.weight`. Elements are F32 or F64.
//! `runtimes/python/stats.py` makes such files.

use crate::import::ShardFile;
use crate::import::safetensors::{Header, HeaderEntry, HeaderLimits, read_header};
use crate::{EncodeError, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An open file of statistics.
pub(crate) struct Statistics {
    file: ShardFile,
    path: PathBuf,
    data_offset: u64,
    tensors: HashMap<String, HeaderEntry>,
    inputs: HashMap<String, String>,
}

impl Statistics {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = ShardFile::open(path)?;
        let mut reader = std::fs::File::open(path).map_err(EncodeError::io("open", path))?;
        let fail = |source| crate::import::ImportError::Header { path: path.to_owned(), source };
        let (bytes, header): (Vec<u8>, Header) =
            read_header(&mut reader, Some(file.len()), &HeaderLimits::default()).map_err(fail)?;
        let metadata = header.metadata.as_deref().unwrap_or("{}");
        let inputs = serde_json::from_str(metadata)
            .map_err(|e| EncodeError::Request(format!("{}: metadata: {e}", path.display())))?;
        let tensors = header.tensors.iter().map(|t| (t.name.clone(), t.clone())).collect();
        Ok(Self { file, path: path.to_owned(), data_offset: bytes.len() as u64, tensors, inputs })
    }

    /// What they were collected from, if the file tells.
    pub(super) fn calibration(&self) -> Option<&str> {
        self.inputs.get("calibration").map(String::as_str)
    }

    /// The name of what the layer of this weight reads.
    pub(crate) fn input_of<'a>(&'a self, weight: &'a str) -> &'a str {
        self.inputs.get(weight).map_or(weight, String::as_str)
    }

    /// The Gram matrix of an input of `n` columns.
    pub(crate) fn gram(&self, input: &str, n: usize) -> Result<Option<Vec<f32>>> {
        self.read(&format!("{input}.gram"), &[n as u64, n as u64])
    }

    /// The diagonal of the Gram matrix of an input of `n` columns.
    pub(crate) fn diagonal(&self, input: &str, n: usize) -> Result<Option<Vec<f32>>> {
        let found = self.read(&format!("{input}.gram_diagonal"), &[n as u64])?;
        if found.is_some() {
            return Ok(found);
        }
        let (name, n) = (format!("{input}.gram"), n as u64);
        self.read_runs(&name, &[n, n], (0..n).map(|i| i * (n + 1)..i * (n + 1) + 1))
    }

    /// How much each of the `rows` outputs of a weight matters.
    pub(crate) fn fisher(&self, weight: &str, rows: usize) -> Result<Option<Vec<f32>>> {
        self.read(&format!("{weight}.fisher"), &[rows as u64])
    }

    fn read(&self, name: &str, shape: &[u64]) -> Result<Option<Vec<f32>>> {
        self.read_runs(name, shape, std::iter::once(0..shape.iter().product()))
    }

    /// Runs of the elements of a tensor that has this shape, if it is there.
    fn read_runs(
        &self,
        name: &str,
        shape: &[u64],
        runs: impl Iterator<Item = Range<u64>>,
    ) -> Result<Option<Vec<f32>>> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(None) };
        let fail =
            |why: String| Err(EncodeError::Request(format!("{}: {name:?} {why}", self.path.display())));
        if tensor.shape != shape {
            return fail(format!("has shape {:?} where the model needs {shape:?}", tensor.shape));
        }
        let width = match tensor.dtype.as_str() {
            "F32" => 4,
            "F64" => 8,
            other => return fail(format!("is of {other}, not F32 or F64")),
        };
        let mut values: Vec<f32> = Vec::new();
        for run in runs {
            let mut bytes = vec![0u8; ((run.end - run.start) * width) as usize];
            self.file.read_at(self.data_offset + tensor.begin + run.start * width, &mut bytes)?;
            if width == 4 {
                values.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
            } else {
                values.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32));
            }
        }
        if values.iter().any(|v| !v.is_finite()) {
            return fail("has numbers that are not finite".into());
        }
        Ok(Some(values))
    }
}
