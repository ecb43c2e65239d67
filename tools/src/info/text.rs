//! The report for people.

use super::image::ImageInfo;
use super::report::{AssetInfo, GgufInfo, GgufPair, Report, TensorInfo};
use crate::console::{bytes, percent, printable};
use std::fmt::Write;

/// Tensors that are listed unless all are wanted.
const FEW: usize = 12;

/// The report as text; `all` lists every tensor, `inside` says that the ledger is complete.
pub(crate) fn text(report: &Report, all: bool, inside: bool) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    _ = write(&mut out, report, all, inside);
    out
}

fn write(out: &mut String, report: &Report, all: bool, inside: bool) -> std::fmt::Result {
    let (format, size) = (&report.format, bytes(report.bytes));
    let path = printable(&report.path);
    let version = format!("mcodec {}.{}", format.major, format.minor);
    writeln!(out, "{path}: {version}, {}, generation {}, {size}", report.form, report.generation)?;
    writeln!(out, "  (from the index; nothing was verified)")?;
    let features: Vec<&str> =
        format.required_features.iter().chain(&format.optional_features).map(String::as_str).collect();
    if !features.is_empty() {
        writeln!(out, "  features: {}", features.join(", "))?;
    }
    for warning in &report.warnings {
        writeln!(out, "  warning: {}", printable(warning))?;
    }
    for unknown in &report.unknown {
        writeln!(out, "  unknown: {}", printable(unknown))?;
    }
    for asset in &report.assets {
        write_asset(out, asset, all)?;
    }
    write_ledger(out, report, inside)
}

fn write_asset(out: &mut String, asset: &AssetInfo, all: bool) -> std::fmt::Result {
    let (decoded, coded) = (bytes(asset.bytes), bytes(asset.coded_bytes));
    let share = percent(asset.coded_bytes, asset.bytes);
    match &asset.image {
        Some(image) => {
            let (width, height) = (image.width, image.height);
            writeln!(out, "\n{} {:?}: {width} x {height} pixels in {coded}", asset.kind, asset.name)?;
        }
        None => writeln!(out, "\n{} {:?}: {decoded} in {coded} ({share})", asset.kind, asset.name)?,
    }
    writeln!(out, "  content {}", asset.content_hash)?;
    if let Some(base) = &asset.base {
        writeln!(out, "  told against {:?}, content {}", base.name, base.content_hash)?;
    }
    if let Some(why) = &asset.refused {
        writeln!(out, "  refused: {}", printable(why))?;
    }
    if asset.tensor_count > 0 {
        writeln!(out, "  {} tensors, {} parameters", asset.tensor_count, asset.parameters)?;
    }
    if asset.arrays > 0 {
        writeln!(out, "  built from {} arrays, {} bundles", asset.arrays, asset.bundles)?;
    }
    for variant in &asset.variants {
        writeln!(out, "  variant {:?}: {}", printable(&variant.name), bytes(variant.bytes))?;
    }
    if let Some(line) = asset.latents.as_ref().and_then(super::track::LatentsInfo::line) {
        writeln!(out, "  {line}")?;
    }
    if let Some(image) = &asset.image {
        write_image(out, image)?;
    }
    if let Some(gguf) = &asset.gguf {
        write_gguf(out, gguf, all)?;
    }
    let shown = if all { asset.tensors.len() } else { asset.tensors.len().min(FEW) };
    let names: Vec<String> = asset.tensors[..shown].iter().map(|t| printable(&t.name)).collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0).min(60);
    for (name, tensor) in names.iter().zip(&asset.tensors) {
        writeln!(out, "  {name:width$}  {}", tensor_line(tensor))?;
        if let Some(masks) = &tensor.masks {
            writeln!(out, "    {}", masks.line())?;
        }
        if let Some(track) = &tensor.track {
            writeln!(out, "    {}", track.line())?;
            if let Some(redundancy) = &track.redundancy {
                writeln!(out, "    {}", redundancy.line())?;
            }
        }
    }
    if shown < asset.tensors.len() {
        writeln!(out, "  ... and {} more (-v lists all)", asset.tensors.len() - shown)?;
    }
    for file in &asset.files {
        let (name, layout) = (&file.name, file.layout.unwrap_or("unknown layout"));
        writeln!(out, "  file {name:?}: {layout}, {} in {}", bytes(file.bytes), bytes(file.coded_bytes))?;
    }
    for record in &asset.records {
        let required = if record.required { ", required" } else { "" };
        let bound = if record.bound { "" } else { ", NOT bound to this content" };
        let schema = record.schema.as_deref().unwrap_or_default();
        let (name, len) = (&record.name, bytes(record.bytes));
        writeln!(out, "  record {name:?}: schema {schema:?}{required}{bound}, {len}")?;
        if let Some(line) = record.masks.as_ref().and_then(super::masks::told) {
            writeln!(out, "    {}", printable(&line))?;
        }
        for line in record.recipe.iter().flat_map(super::recipe::told) {
            writeln!(out, "    {}", printable(&line))?;
        }
    }
    Ok(())
}

fn write_image(out: &mut String, image: &ImageInfo) -> std::fmt::Result {
    let repeats = match image.repeats {
        [false, false] => "",
        [true, false] => ", repeats along x",
        [false, true] => ", repeats along y",
        [true, true] => ", repeats",
    };
    writeln!(out, "  {}, {:.3} bits per pixel{repeats}", image.channels.join("; "), image.bits_per_pixel)?;
    for (level, info) in image.levels.iter().enumerate() {
        let pages = match info.page {
            Some(side) => format!(
                "{} x {} pages of {side} pixels, {} shared",
                info.pages[0],
                info.pages[1],
                bytes(info.shared_bytes)
            ),
            None => "one chunk".to_owned(),
        };
        let gaussians = info.gaussians.map(|n| format!(", {n} Gaussians")).unwrap_or_default();
        let coding = if info.coding == "gaussians" { String::new() } else { format!(", {}", info.coding) };
        writeln!(out, "  level {level}: {}, {pages}{gaussians}{coding}", bytes(info.bytes))?;
    }
    if let Some(drawing) = &image.drawing {
        let (mean, most) = (drawing.mean_gaussians, drawing.most_gaussians);
        let (adds, most_adds) = (drawing.mean_multiply_adds, drawing.most_multiply_adds);
        writeln!(
            out,
            "  a pixel is made of {mean:.1} Gaussians ({most} at most), {adds:.0} multiply-adds ({most_adds} at most)"
        )?;
    }
    Ok(())
}

/// Values on lines of their own; long ones are cut unless all is wanted.
fn write_gguf(out: &mut String, gguf: &GgufInfo, all: bool) -> std::fmt::Result {
    const LONG: usize = 100;
    let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
    let (architecture, tokenizer) = (or(&gguf.architecture), or(&gguf.tokenizer));
    writeln!(out, "  GGUF version {}, architecture {architecture}, tokenizer {tokenizer}", gguf.version)?;
    for GgufPair { key, value } in &gguf.metadata {
        match value.char_indices().nth(LONG) {
            Some((cut, _)) if !all => writeln!(out, "    {key} = {}...", &value[..cut])?,
            _ => writeln!(out, "    {key} = {value}")?,
        }
    }
    Ok(())
}

fn tensor_line(tensor: &TensorInfo) -> String {
    if let Some(why) = &tensor.refused {
        return format!("refused: {}", printable(why));
    }
    let dtype = printable(tensor.dtype.as_deref().unwrap_or_default());
    let shape = format!("{:?}", tensor.shape);
    let of = match &tensor.packed {
        Some(packed) => format!(", codes of {} bits ({})", packed.bits, packed.scheme),
        None if tensor.of_record => ", of a record".to_owned(),
        None => String::new(),
    };
    if let Some(entry) = tensor.alias_of {
        return format!("{dtype:8} {shape:16} alias of entry {entry}{of}");
    }
    if tensor.representation == Some("same") {
        return format!("{dtype:8} {shape:16} as in the base{of}");
    }
    let Some(coding) = tensor.coding else {
        let built = tensor.representation.unwrap_or("built");
        return format!("{dtype:8} {shape:16} {}, {built} of other arrays{of}", bytes(tensor.bytes));
    };
    let share = percent(tensor.coded_bytes, tensor.bytes);
    let chunks = tensor.chunks;
    let plural = if chunks == 1 { "" } else { "s" };
    let (decoded, coded) = (bytes(tensor.bytes), bytes(tensor.coded_bytes));
    format!("{dtype:8} {shape:16} {decoded} in {coded} ({share}), {coding}, {chunks} chunk{plural}{of}")
}

fn write_ledger(out: &mut String, report: &Report, inside: bool) -> std::fmt::Result {
    let total = report.ledger.total;
    writeln!(out, "\nledger of {total} bytes")?;
    for (layer, lines) in report.ledger.lines() {
        let sum: u64 = lines.iter().map(|l| l.1).sum();
        writeln!(out, "  {layer:24}{sum:>16}  {:>6}", percent(sum, total))?;
        for (name, n) in lines.into_iter().filter(|l| l.1 > 0) {
            writeln!(out, "    {name:22}{n:>16}  {:>6}", percent(n, total))?;
        }
    }
    if let Some(quantised) = &report.ledger.quantised {
        let (tensors, weights) = (quantised.tensors, quantised.weights);
        let bits = quantised.bits_per_weight;
        writeln!(
            out,
            "  of these, {tensors} quantised tensors: {bits:.4} bits for each of {weights} weights"
        )?;
        for (name, n) in quantised.lines().into_iter().filter(|l| l.1 > 0) {
            writeln!(out, "    {name:22}{n:>16}  {:>6}", percent(n, total))?;
        }
    }
    if !inside {
        writeln!(out, "  (--ledger looks into the chunks)")?;
    }
    Ok(())
}
