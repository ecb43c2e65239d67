//! The files of a model with its floats as another type.

use crate::cli::FloatType;
use crate::entry_stream::{Meter, windows};
use crate::outcome::usage;
use anyhow::Context;
use mcodec_coding::codes::Element;
use mcodec_decode::safetensors::{HeaderTensor, render_header};
use mcodec_decode::{Entry, Part, ReadAt, Reader, SourceFile, dequantise};
use mcodec_format::registry::Dtype;
use std::io::Write;

impl FloatType {
    fn element(self) -> Element {
        match self {
            Self::Bf16 => Element::Bf16,
            Self::F16 => Element::F16,
            Self::F32 => Element::F32,
        }
    }

    /// As safetensors writes it.
    fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "BF16",
            Self::F16 => "F16",
            Self::F32 => "F32",
        }
    }

    /// As configurations write it.
    fn config_name(self) -> &'static str {
        match self {
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
            Self::F32 => "float32",
        }
    }
}

/// The tensor's own type, if it is converted to `to`.
fn converted(entry: &Entry, to: FloatType) -> Option<Dtype> {
    let dtype = entry.tensor()?.dtype?;
    (matches!(dtype.name, "F32" | "F16" | "BF16") && dtype.name != to.name()).then_some(dtype)
}

/// The files, the headers of safetensors files and the configuration saying the other type.
pub(crate) fn files<S: ReadAt>(
    reader: &Reader<S>,
    files: Vec<SourceFile>,
    to: FloatType,
) -> anyhow::Result<Vec<SourceFile>> {
    let one = |mut file: SourceFile| -> anyhow::Result<SourceFile> {
        let has_tensors =
            file.parts.iter().any(|part| matches!(part, Part::Entry(e) if e.tensor().is_some()));
        if file.name == "config.json" && !has_tensors {
            let bytes = file.read(reader)?;
            file.parts = vec![Part::Bytes(config(&bytes, to))];
            return Ok(file);
        }
        if has_tensors {
            if !file.name.ends_with(".safetensors") {
                return Err(usage(format!("--dtype is of safetensors files: {:?} is none", file.name)));
            }
            let mut tensors: Vec<Part> =
                file.parts.into_iter().filter(|part| matches!(part, Part::Entry(_))).collect();
            let mut head = vec![Part::Bytes(header(&tensors, to)?)];
            head.append(&mut tensors);
            file.parts = head;
        }
        Ok(file)
    };
    files.into_iter().map(one).collect()
}

fn header(parts: &[Part], to: FloatType) -> anyhow::Result<Vec<u8>> {
    let head = |part: &Part| {
        let Part::Entry(entry) = part else { return None };
        let tensor = entry.tensor()?;
        let (dtype, byte_len) = match converted(entry, to) {
            Some(from) => (to.name().to_owned(), scaled(entry.byte_len(), from, to)),
            None => (tensor.dtype_name.clone(), entry.byte_len()),
        };
        Some((entry.name().to_owned(), dtype, tensor.shape.clone(), byte_len))
    };
    let heads: Vec<_> = parts.iter().filter_map(head).collect();
    let heads = heads.iter().map(|(name, dtype, shape, byte_len)| HeaderTensor {
        name,
        dtype,
        shape,
        byte_len: *byte_len,
    });
    Ok(render_header(r#"{"format":"pt"}"#, heads, 8)?)
}

fn scaled(bytes: u64, from: Dtype, to: FloatType) -> u64 {
    bytes / u64::from(from.bits / 8).max(1) * to.element().bytes() as u64
}

/// The text of a configuration with another value of what says the type of floats.
fn config(bytes: &[u8], to: FloatType) -> Vec<u8> {
    let Ok(mut text) = String::from_utf8(bytes.to_vec()) else { return bytes.to_vec() };
    for key in ["\"torch_dtype\"", "\"dtype\""] {
        let Some(at) = text.find(key) else { continue };
        let after = at + key.len();
        let value = text[after..].find('"').map(|open| after + open + 1);
        let between = value.map_or("", |value| &text[after..value - 1]);
        let end = value.and_then(|value| text[value..].find('"').map(|n| value + n));
        if let (Some(value), Some(end)) = (value, end)
            && between.trim() == ":"
        {
            text.replace_range(value..end, to.config_name());
        }
    }
    text.into_bytes()
}

/// Writes a file that [`files`] made.
pub(crate) fn write<S: ReadAt>(
    reader: &Reader<S>,
    file: &SourceFile,
    to: FloatType,
    out: &mut dyn Write,
    meter: &mut Meter<'_>,
) -> anyhow::Result<()> {
    for part in &file.parts {
        match part {
            Part::Bytes(bytes) => {
                out.write_all(bytes).context("writing the output")?;
                meter.add(bytes.len() as u64)?;
            }
            Part::Entry(entry) => write_tensor(reader, entry, to, out, meter)?,
        }
    }
    Ok(())
}

fn write_tensor<S: ReadAt>(
    reader: &Reader<S>,
    entry: &Entry,
    to: FloatType,
    out: &mut dyn Write,
    meter: &mut Meter<'_>,
) -> anyhow::Result<()> {
    let from = converted(entry, to);
    let size = from.map_or(1, |d| (d.bits / 8) as usize);
    // A window may end within an element.
    let mut held: Vec<u8> = Vec::new();
    for window in windows(entry, 0..entry.byte_len()) {
        held.append(&mut reader.read(entry, window)?);
        let rest = held.split_off(held.len() / size * size);
        let bytes = match from {
            None => std::mem::take(&mut held),
            Some(from) => {
                let mut numbers = vec![0f32; held.len() / size];
                dequantise(from, &held, &mut numbers)?;
                to.element().round(&numbers)
            }
        };
        out.write_all(&bytes).context("writing the output")?;
        meter.add(bytes.len() as u64)?;
        held = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_say_the_other_type() {
        let text = br#"{ "a": 1, "torch_dtype" : "float32", "b": "dtype" }"#;
        let wanted = br#"{ "a": 1, "torch_dtype" : "bfloat16", "b": "dtype" }"#;
        assert_eq!(config(text, FloatType::Bf16), wanted);
        assert_eq!(config(b"[\xFF]", FloatType::Bf16), b"[\xFF]");
        assert_eq!(config(br#"{"dtype": null, "x": "y"}"#, FloatType::F32), br#"{"dtype": null, "x": "y"}"#);
    }
}
