//! A language model as a GGUF file, as llama.cpp's `convert_hf_to_gguf.py` makes it of the folder: names, the order of rotary rows, stacked
//! experts, metadata and vocabulary. Matrices are Q8_0 or floats; vectors and routers F32.

mod metadata;
mod names;
mod positions;
mod tokenizer;
mod values;

use crate::cli::FloatType;
use crate::console::Console;
use crate::outcome::usage;
use crate::selection::is_owned;
use anyhow::Context;
use mcodec_coding::codes::Element;
use mcodec_decode::{Entry, ReadAt, Reader, dequantise};
use mcodec_format::{Asset, registry};
use metadata::Model;
use names::{Order, Placed};
use positions::Positions;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::Write;
use values::{Value, string};

/// Where data starts and tensors start within it: multiples of this.
const ALIGNMENT: usize = 32;
/// Weights of a block of Q8_0.
const BLOCK: usize = 32;
/// Numbers that are converted at once.
const STEP: usize = 4 << 20;

/// What elements of a tensor are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    F32,
    F16,
    Bf16,
    Q8_0,
}

impl Stored {
    /// ggml's number of it.
    fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 8,
            Self::Bf16 => 30,
        }
    }

    /// `general.file_type`, of a file whose matrices are of it.
    fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
            Self::Bf16 => 32,
        }
    }

    fn bytes(self, elements: usize) -> usize {
        match self {
            Self::F32 => 4 * elements,
            Self::F16 | Self::Bf16 => 2 * elements,
            Self::Q8_0 => elements / BLOCK * (BLOCK + 2),
        }
    }

    fn of(self, numbers: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => Element::F32.round(numbers),
            Self::F16 => Element::F16.round(numbers),
            Self::Bf16 => Element::Bf16.round(numbers),
            Self::Q8_0 => numbers.par_chunks(BLOCK).flat_map_iter(q8_0).collect(),
        }
    }
}

/// A block as ggml's `quantize_row_q8_0_ref` has it.
fn q8_0(block: &[f32]) -> Vec<u8> {
    let step = block.iter().fold(0f32, |m, v| m.max(v.abs())) / 127.0;
    let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
    let mut out = Element::F16.round(&[step]);
    out.extend(block.iter().map(|v| (v * inverse).round() as i8 as u8));
    out
}

/// One tensor of the file.
struct Out {
    name: String,
    /// The first is that of rows.
    shape: Vec<usize>,
    stored: Stored,
    /// What follows each other in it: experts of a layer, else one.
    parts: Vec<Part>,
    /// Its numbers, if they come from the configuration.
    made: Vec<f32>,
}

struct Part {
    entry: Entry,
    order: Order,
    /// Added to each number.
    offset: f32,
}

impl Out {
    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    fn bytes(&self) -> usize {
        self.stored.bytes(self.elements())
    }
}

/// A model that can be written.
pub(crate) struct Gguf {
    head: Vec<u8>,
    tensors: Vec<Out>,
    /// What the user should know of it.
    pub(crate) notes: Vec<String>,
}

impl Gguf {
    /// Plans the file; matrices are of `dtype`, or of Q8_0.
    pub(crate) fn plan<S: ReadAt>(
        reader: &Reader<S>,
        asset: &Asset,
        dtype: Option<FloatType>,
    ) -> anyhow::Result<Self> {
        let stored = match dtype {
            None => Stored::Q8_0,
            Some(FloatType::F16) => Stored::F16,
            Some(FloatType::Bf16) => Stored::Bf16,
            Some(FloatType::F32) => Stored::F32,
        };
        let (mut entries, mut files) = (BTreeMap::new(), BTreeMap::new());
        for row in reader.rows(&asset.name)? {
            let kind = row.get().kind;
            let is_tensor = kind == registry::entry::TENSOR && !is_owned(&row);
            if is_tensor || kind == registry::entry::FILE {
                let entry = reader.resolve(row)?;
                let into = if is_tensor { &mut entries } else { &mut files };
                into.insert(entry.name().to_owned(), entry);
            }
        }
        let file = |name: &str| -> anyhow::Result<Option<Vec<u8>>> {
            Ok(files.get(name).map(|entry| reader.read_all(entry)).transpose()?)
        };
        let config = file("config.json")?.ok_or_else(|| {
            usage(format!("asset {:?} has no config.json: --to gguf is of Hugging Face folders", asset.name))
        })?;
        let model = Model::of(&config)?;
        let mut notes = model.cautions();
        let mut tensors = placed(&model, entries, stored, &mut notes)?;
        let mut pairs = model.pairs(&asset.name, stored.file_type());
        let Positions { pairs: angles, divisors: made } = Positions::of(&model, model.head())?;
        pairs.extend(
            angles.into_iter().map(|(key, value)| (format!("{}.{key}", model.architecture()), value)),
        );
        if !made.is_empty() {
            let (name, shape) = ("rope_freqs.weight".to_owned(), vec![made.len()]);
            tensors.push(Out { name, shape, stored: Stored::F32, parts: Vec::new(), made });
        }
        match file("tokenizer.json")? {
            Some(text) => pairs.extend(tokenizer::pairs(&text, &model, &mut notes)?),
            None => pairs.push(("tokenizer.ggml.model".into(), Value::Text("no_vocab".into()))),
        }
        Ok(Self { head: head(&pairs, &tensors)?, tensors, notes })
    }

    /// Bytes of the file.
    pub(crate) fn byte_len(&self) -> u64 {
        let data: usize = self.tensors.iter().map(|t| t.bytes().next_multiple_of(ALIGNMENT)).sum();
        (self.head.len() + data) as u64
    }

    /// Writes the file, tensor by tensor.
    pub(crate) fn write<S: ReadAt>(
        &self,
        reader: &Reader<S>,
        out: &mut dyn Write,
        console: &Console,
    ) -> anyhow::Result<()> {
        let all = self.byte_len();
        let mut done = self.head.len() as u64;
        out.write_all(&self.head).context("writing the output")?;
        for tensor in &self.tensors {
            for part in &tensor.parts {
                console.cancel().check()?;
                write_part(reader, part, tensor, out)?;
            }
            out.write_all(&tensor.stored.of(&tensor.made)).context("writing the output")?;
            let len = tensor.bytes();
            out.write_all(&vec![0; len.next_multiple_of(ALIGNMENT) - len]).context("writing the output")?;
            done += len.next_multiple_of(ALIGNMENT) as u64;
            console.progress(done, all);
        }
        Ok(())
    }
}

/// Where each tensor of the folder goes.
fn placed(
    model: &Model,
    entries: BTreeMap<String, Entry>,
    stored: Stored,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<Out>> {
    let mut found: BTreeMap<(usize, String), BTreeMap<usize, (Entry, Placed)>> = BTreeMap::new();
    for (name, entry) in entries {
        // Some folders hold what follows from the configuration.
        if name.ends_with(".rotary_emb.inv_freq") {
            continue;
        }
        let Some(to) = names::place(model, &name) else {
            return Err(usage(format!("tensor {name:?} has no place in a GGUF file of {:?}", model.family)));
        };
        let (layer, expert) = (to.layer.map_or(0, |layer| layer + 1), to.expert.unwrap_or(0));
        found.entry((layer, to.name.clone())).or_default().insert(expert, (entry, to));
    }
    let mut all = Vec::new();
    for ((_, name), parts) in found {
        let experts = parts.values().any(|(_, to)| to.expert.is_some());
        let mut shapes = parts.values().map(|(entry, _)| shape_of(entry));
        let first = shapes.next().unwrap_or_default();
        if shapes.any(|shape| shape != first) || parts.keys().copied().ne(0..parts.len()) {
            return Err(usage(format!("{name:?} is of experts that do not fit together")));
        }
        let columns = first.last().copied().unwrap_or(1);
        let is_vector = first.len() < 2 || parts.values().any(|(_, to)| to.exact);
        let stored = match stored {
            _ if is_vector => Stored::F32,
            Stored::Q8_0 if !columns.is_multiple_of(BLOCK) => {
                notes.push(format!("{name:?} has rows of {columns}, no blocks of {BLOCK}: it is F16"));
                Stored::F16
            }
            other => other,
        };
        let shape = if experts { [&[parts.len()], &first[..]].concat() } else { first };
        let part = |(entry, to): (Entry, Placed)| Part { entry, order: to.order, offset: to.offset };
        all.push(Out {
            name,
            shape,
            stored,
            parts: parts.into_values().map(part).collect(),
            made: Vec::new(),
        });
    }
    Ok(all)
}

fn shape_of(entry: &Entry) -> Vec<usize> {
    entry.tensor().map(|t| t.shape.iter().map(|&n| n as usize).collect()).unwrap_or_default()
}

/// Everything before the data.
fn head(pairs: &[(String, Value)], tensors: &[Out]) -> anyhow::Result<Vec<u8>> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((pairs.len() as u64).to_le_bytes());
    for (key, value) in pairs {
        string(&mut out, key);
        value.write(&mut out);
    }
    let mut offset = 0u64;
    for tensor in tensors {
        string(&mut out, &tensor.name);
        out.extend(u32::try_from(tensor.shape.len())?.to_le_bytes());
        tensor.shape.iter().rev().for_each(|&n| out.extend((n as u64).to_le_bytes()));
        out.extend(tensor.stored.id().to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += tensor.bytes().next_multiple_of(ALIGNMENT) as u64;
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    Ok(out)
}

/// Writes a tensor of the folder, or an expert's part of one.
fn write_part<S: ReadAt>(
    reader: &Reader<S>,
    part: &Part,
    tensor: &Out,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let fail = || format!("tensor {:?}", part.entry.name());
    let of = part.entry.tensor().with_context(fail)?;
    let dtype = of.dtype.filter(|d| matches!(d.name, "F32" | "F16" | "BF16"));
    let dtype = dtype.ok_or_else(|| {
        usage(format!("tensor {:?} is of {}, not of floats", part.entry.name(), of.dtype_name))
    })?;
    let columns = if of.shape.len() < 2 { 1 } else { *tensor.shape.last().unwrap_or(&1) };
    let width = (dtype.bits / 8) as usize;
    let rows = part.entry.byte_len() as usize / (columns * width).max(1);
    // Rows in another order are so within their head.
    let whole = part.order.rows_of_a_head(rows)?;
    let step = (STEP / (columns * whole).max(1)).max(1) * whole;
    for start in (0..rows).step_by(step) {
        let end = (start + step).min(rows);
        let range = (start * columns * width) as u64..(end * columns * width) as u64;
        let bytes = reader.read(&part.entry, range)?;
        let mut numbers = vec![0f32; (end - start) * columns];
        dequantise(dtype, &bytes, &mut numbers)?;
        part.order.apply(&mut numbers, whole, columns);
        if part.offset != 0.0 {
            numbers.iter_mut().for_each(|v| *v += part.offset);
        }
        out.write_all(&tensor.stored.of(&numbers)).context("writing the output")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_of_ggml() {
        let block: Vec<f32> = (0..32).map(|i| (i as f32 - 15.5) * 0.25).collect();
        let bytes = q8_0(&block);
        assert_eq!(bytes.len(), 34);
        let dtype = registry::Dtype::by_name("Q8_0").unwrap();
        let mut back = vec![0f32; 32];
        dequantise(dtype, &bytes, &mut back).unwrap();
        assert!(block.iter().zip(&back).all(|(a, b)| (a - b).abs() < 0.02), "{back:?}");
        assert_eq!(q8_0(&[0.0; 32]), [0; 34]);
    }
}
