//! The comparison itself, window by window.

use super::number::{Apart, Number};
use super::report::{Content, PairReport, Report, Structure};
use super::side::{Pair, Part, Side};
use crate::console::Console;
use anyhow::Context;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a side that are in memory at once.
const WINDOW: u64 = 8 << 20;

/// Compares all pairs.
pub(crate) fn compare(pairs: Vec<Pair>, console: &Console) -> anyhow::Result<Report> {
    let mut reports = Vec::new();
    for (a, b) in pairs {
        let mut report = PairReport::default();
        match (&a, &b) {
            (Some(a), Some(b)) => compare_sides(a, b, &mut report, console)?,
            (Some(side), None) => report.structure.push(only("asset", &side.label, "only in a", None)),
            (None, Some(side)) => report.structure.push(only("asset", &side.label, "only in b", None)),
            (None, None) => {}
        }
        report.a = a.map(|side| side.label);
        report.b = b.map(|side| side.label);
        reports.push(report);
    }
    Ok(Report { equal: reports.iter().all(PairReport::is_equal), pairs: reports })
}

fn only(item: &'static str, name: &str, what: &'static str, part: Option<&Part>) -> Structure {
    let side = part.filter(|p| !p.dtype.is_empty()).map(|p| format!("{} {:?}", p.dtype, p.shape));
    let (a, b) = if what == "only in a" { (side, None) } else { (None, side) };
    Structure { item, name: name.to_owned(), what, a, b }
}

fn differ(item: &'static str, name: &str, what: &'static str, a: String, b: String) -> Structure {
    Structure { item, name: name.to_owned(), what, a: Some(a), b: Some(b) }
}

fn compare_sides(a: &Side, b: &Side, report: &mut PairReport, console: &Console) -> anyhow::Result<()> {
    let kind = |side: &Side| if side.is_model { "model" } else { "file" }.to_owned();
    if a.is_model != b.is_model {
        report.structure.push(differ("asset", "", "kind", kind(a), kind(b)));
        return Ok(());
    }
    compare_all("tensor", &a.tensors, &b.tensors, report, console)?;
    if let (Some(a), Some(b)) = (&a.files, &b.files) {
        compare_all("file", a, b, report, console)?;
    }
    if let (Some(a), Some(b)) = (&a.records, &b.records) {
        compare_all("record", a, b, report, console)?;
    }
    if a.metadata != b.metadata {
        let (only_a, only_b) =
            (lines_beside(&a.metadata, &b.metadata), lines_beside(&b.metadata, &a.metadata));
        report.structure.push(differ("metadata", "", "text", only_a, only_b));
    }
    Ok(())
}

fn compare_all(
    item: &'static str,
    a: &BTreeMap<String, Part>,
    b: &BTreeMap<String, Part>,
    report: &mut PairReport,
    console: &Console,
) -> anyhow::Result<()> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let total = a.values().fold(0u64, |sum, p| sum.saturating_add(p.len));
    let mut done = 0u64;
    for name in names {
        match (a.get(name), b.get(name)) {
            (Some(x), Some(y)) => {
                compare_parts(item, name, x, y, report, console)
                    .with_context(|| format!("{item} {name:?}"))?;
                done = done.saturating_add(x.len);
                console.progress(done, total);
            }
            (Some(x), None) => report.structure.push(only(item, name, "only in a", Some(x))),
            (None, Some(y)) => report.structure.push(only(item, name, "only in b", Some(y))),
            (None, None) => {}
        }
    }
    Ok(())
}

fn compare_parts(
    item: &'static str,
    name: &str,
    a: &Part,
    b: &Part,
    report: &mut PairReport,
    console: &Console,
) -> anyhow::Result<()> {
    if a.refused.is_some() || b.refused.is_some() {
        let why = |part: &Part| part.refused.clone().unwrap_or_else(|| "readable".into());
        report.structure.push(differ(item, name, "refused", why(a), why(b)));
        return Ok(());
    }
    if a.dtype != b.dtype {
        report.structure.push(differ(item, name, "dtype", a.dtype.clone(), b.dtype.clone()));
    }
    if a.shape != b.shape {
        let shape = |part: &Part| format!("{:?}", part.shape);
        report.structure.push(differ(item, name, "shape", shape(a), shape(b)));
        return Ok(());
    }
    // Floats of different widths can still be compared as numbers.
    let numbers = Number::of(&a.dtype).zip(Number::of(&b.dtype));
    let as_numbers = numbers.filter(|(x, y)| a.len / x.width() as u64 == b.len / y.width() as u64);
    if a.dtype != b.dtype && as_numbers.is_none() {
        return Ok(());
    }
    if a.dtype == b.dtype && a.len != b.len {
        report.structure.push(differ(item, name, "length", a.len.to_string(), b.len.to_string()));
        return Ok(());
    }
    report.compared += 1;
    if a.dtype == b.dtype && same_bytes(a, b, console)? {
        return Ok(());
    }
    let name = name.to_owned();
    let content = match as_numbers {
        Some((x, y)) => {
            let apart = apart(a, x, b, y, console)?;
            // Values may agree though dtypes differ: that was reported.
            if a.dtype != b.dtype && apart.differing == 0 {
                return Ok(());
            }
            Content {
                item,
                name,
                unit: "elements",
                differing: apart.differing,
                of: a.len / x.width() as u64,
                max_abs: Some(apart.max_abs),
                rel_rms: apart.rel_rms(),
                non_finite: Some(apart.non_finite),
            }
        }
        None => {
            let differing = differing_bytes(a, b, console)?;
            let (max_abs, rel_rms, non_finite) = (None, None, None);
            Content { item, name, unit: "bytes", differing, of: a.len, max_abs, rel_rms, non_finite }
        }
    };
    report.content.push(content);
    Ok(())
}

/// Goes through both sides in step: windows of as many units, `width_a` and `width_b` bytes each. Stops when `see` says so.
fn in_step(
    a: (&Part, u64),
    b: (&Part, u64),
    console: &Console,
    mut see: impl FnMut(&[u8], &[u8]) -> bool,
) -> anyhow::Result<()> {
    let units = a.0.len / a.1;
    let step = WINDOW / a.1.max(b.1);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < units {
        console.cancel().check()?;
        let n = step.min(units - at);
        x.resize((n * a.1) as usize, 0);
        y.resize((n * b.1) as usize, 0);
        (a.0.read)(at * a.1, &mut x)?;
        (b.0.read)(at * b.1, &mut y)?;
        if !see(&x, &y) {
            break;
        }
        at += n;
    }
    Ok(())
}

fn same_bytes(a: &Part, b: &Part, console: &Console) -> anyhow::Result<bool> {
    let mut same = true;
    in_step((a, 1), (b, 1), console, |x, y| {
        same = x == y;
        same
    })?;
    Ok(same)
}

fn differing_bytes(a: &Part, b: &Part, console: &Console) -> anyhow::Result<u64> {
    let mut count = 0;
    in_step((a, 1), (b, 1), console, |x, y| {
        count += x.iter().zip(y).filter(|(x, y)| x != y).count() as u64;
        true
    })?;
    Ok(count)
}

fn apart(a: &Part, x: Number, b: &Part, y: Number, console: &Console) -> anyhow::Result<Apart> {
    let mut apart = Apart::default();
    in_step((a, x.width() as u64), (b, y.width() as u64), console, |p, q| {
        for (p, q) in p.chunks_exact(x.width()).zip(q.chunks_exact(y.width())) {
            apart.add(x.value(p), y.value(q));
        }
        true
    })?;
    Ok(apart)
}

/// The lines of `text` that `other` has not.
fn lines_beside(text: &str, other: &str) -> String {
    let known: std::collections::HashSet<&str> = other.lines().collect();
    text.lines().filter(|line| !known.contains(line)).collect::<Vec<_>>().join("\n")
}
