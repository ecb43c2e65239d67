//! Statistics for the quantiser, as `runtimes/python/stats.py` writes them, but for what needs gradients.
//!
//! With n tokens in all, the file has
//!
//! - `INPUT.gram`, f32 [in, in]: the sum over tokens of x x^T, divided by n, of what the layers of this input read (an expert: of the tokens
//!   routed to it);
//! - `ROUTER.routed`, f32 [experts]: the tokens that went to each expert, divided by n;
//! - `ROUTER.energy`, f32 [experts]: the sum of squares of what each gave, its share of the output taken into account, divided by n;
//! - in its metadata, for each weight that reads what another does, the name of that input, and `tokens`, `window` and `calibration`.

use crate::forward::{Observer, Progress, run};
use crate::{Architecture, EvaluationError, Result, Weights};
use candle_core::Tensor;
use mcodec_encode::import::safetensors::{HeaderLimits, read_header};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Tokens that statistics are collected from, unless another number is asked for.
pub const USUAL_TOKENS: usize = 32_768;
/// Tokens of a window that statistics are collected from.
pub const USUAL_WINDOW: usize = 256;

/// How the names of tensors end that say how much outputs matter.
const FISHER: &str = ".fisher";

/// Sums of what the layers of one pass read, and what was put away of those before.
struct Collector {
    tokens: f64,
    sums: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    inputs: BTreeMap<String, String>,
    spool: File,
    tensors: BTreeMap<String, Spooled>,
    len: u64,
}

/// A tensor of f32 in the spool.
struct Spooled {
    shape: Vec<usize>,
    offset: u64,
}

impl Spooled {
    fn bytes(&self) -> u64 {
        4 * self.shape.iter().product::<usize>() as u64
    }
}

fn fail(e: std::io::Error) -> EvaluationError {
    EvaluationError::Request(format!("cannot keep statistics: {e}"))
}

impl Collector {
    fn add(&mut self, name: String, shape: &[usize], values: impl Iterator<Item = f64>) {
        let none = || (shape.to_vec(), vec![0.0; shape.iter().product()]);
        let (_, sum) = self.sums.entry(name).or_insert_with(none);
        sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += v);
    }
}

impl Observer for Collector {
    fn input(&mut self, weights: &[&str], x: &Tensor) -> Result<()> {
        let [first, others @ ..] = weights else { return Ok(()) };
        for other in others {
            self.inputs.entry((*other).to_owned()).or_insert_with(|| (*first).to_owned());
        }
        let n = x.dim(1)?;
        let gram = x.t()?.matmul(x)?.flatten_all()?.to_vec1::<f32>()?;
        self.add(format!("{first}.gram"), &[n, n], gram.into_iter().map(f64::from));
        Ok(())
    }

    fn routing(&mut self, router: &str, counts: &[u64], energies: &[f64]) {
        let n = [counts.len()];
        self.add(format!("{router}.routed"), &n, counts.iter().map(|&n| n as f64));
        self.add(format!("{router}.energy"), &n, energies.iter().copied());
    }

    fn ended(&mut self) -> Result<()> {
        for (name, (shape, sums)) in std::mem::take(&mut self.sums) {
            let found = Spooled { shape, offset: self.len };
            let bytes: Vec<u8> = sums.iter().flat_map(|v| ((v / self.tokens) as f32).to_le_bytes()).collect();
            self.spool.write_all(&bytes).map_err(fail)?;
            self.len += found.bytes();
            self.tensors.insert(name, found);
        }
        Ok(())
    }
}

/// What was collected of a model, in a file.
pub struct Statistics {
    file: File,
    tensors: BTreeMap<String, Spooled>,
    metadata: BTreeMap<String, String>,
}

/// Runs `weights` over windows of one length and collects what its layers read; `calibration` tells what texts they are of. What is known
/// of a layer is put into a temporary file before the next.
///
/// # Errors
/// Those of reading the model; if the temporary file cannot be written.
pub fn collect(
    weights: &dyn Weights,
    windows: &[Vec<u32>],
    calibration: &str,
    progress: &Progress<'_>,
) -> Result<Statistics> {
    let of = Architecture::of(weights)?;
    let window = windows.first().map_or(0, Vec::len);
    let tokens = window * windows.len();
    let spool = tempfile::tempfile().map_err(fail)?;
    let (sums, inputs, tensors) = Default::default();
    let mut collector = Collector { tokens: tokens as f64, sums, inputs, spool, tensors, len: 0 };
    run(weights, &of, windows, &mut collector, progress)?;
    let mut metadata = collector.inputs.clone();
    metadata.insert("tokens".into(), tokens.to_string());
    metadata.insert("window".into(), window.to_string());
    metadata.insert("calibration".into(), calibration.to_owned());
    Ok(Statistics { file: collector.spool, tensors: collector.tensors, metadata })
}

impl Statistics {
    /// Those of a safetensors file that [`Statistics::write`] made, or a script that adds to it.
    ///
    /// # Errors
    /// If the file cannot be read, is no safetensors file, or its tensors are not of f32.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |why: String| EvaluationError::Request(format!("statistics {}: {why}", path.display()));
        let mut file = File::open(path).map_err(|e| fail(e.to_string()))?;
        let len = file.metadata().map_err(|e| fail(e.to_string()))?.len();
        let (bytes, header) =
            read_header(&mut file, Some(len), &HeaderLimits::default()).map_err(|e| fail(e.to_string()))?;
        let metadata = serde_json::from_str(header.metadata.as_deref().unwrap_or("{}"))
            .map_err(|e| fail(format!("metadata: {e}")))?;
        let mut tensors = BTreeMap::new();
        for tensor in &header.tensors {
            if tensor.dtype != "F32" {
                return Err(fail(format!("{:?} is of {}, not F32", tensor.name, tensor.dtype)));
            }
            let shape = tensor.shape.iter().map(|&n| n as usize).collect();
            let offset = bytes.len() as u64 + tensor.begin;
            tensors.insert(tensor.name.clone(), Spooled { shape, offset });
        }
        Ok(Self { file, tensors, metadata })
    }

    /// What tells the texts that they are of, if they say so.
    #[must_use]
    pub fn calibration(&self) -> Option<&str> {
        self.metadata.get("calibration").map(String::as_str)
    }

    /// Whether they say how much outputs matter.
    #[must_use]
    pub fn has_fisher(&self) -> bool {
        self.tensors.keys().any(|name| name.ends_with(FISHER))
    }

    /// Takes out how much outputs matter.
    pub fn forget_fisher(&mut self) {
        self.tensors.retain(|name, _| !name.ends_with(FISHER));
    }

    fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(found) = self.tensors.get(name) else { return Ok(None) };
        let mut bytes = vec![0u8; found.bytes() as usize];
        self.file.seek(SeekFrom::Start(found.offset)).map_err(fail)?;
        self.file.read_exact(&mut bytes).map_err(fail)?;
        Ok(Some(bytes))
    }

    /// The Gram matrix of what the layer of this weight reads, row after row; `None` if no token reached it.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn gram(&mut self, weight: &str) -> Result<Option<Vec<f32>>> {
        let input = self.metadata.get(weight).map_or(weight, String::as_str);
        let bytes = self.read(&format!("{input}.gram"))?;
        Ok(bytes.map(|bytes| bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()))
    }

    /// Writes them as a safetensors file.
    ///
    /// # Errors
    /// If they cannot be read or written.
    pub fn write(&mut self, out: &mut dyn Write) -> Result<()> {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), serde_json::json!(self.metadata));
        let mut end = 0;
        for (name, found) in &self.tensors {
            let offsets = [end, end + found.bytes()];
            end += found.bytes();
            let entry = serde_json::json!({ "dtype": "F32", "shape": found.shape, "data_offsets": offsets });
            header.insert(name.clone(), entry);
        }
        let mut text = serde_json::Value::Object(header).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        out.write_all(&(text.len() as u64).to_le_bytes())
            .and_then(|()| out.write_all(&text))
            .map_err(fail)?;
        for name in self.tensors.keys().cloned().collect::<Vec<_>>() {
            if let Some(bytes) = self.read(&name)? {
                out.write_all(&bytes).map_err(fail)?;
            }
        }
        out.flush().map_err(fail)
    }
}
