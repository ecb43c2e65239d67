//! What a comparison found. Its serialised form is what `diff --json` prints.

use crate::console::printable;
use serde::Serialize;
use std::fmt::Write;

/// The outcome of a comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// There is no difference.
    pub(crate) equal: bool,
    /// One for each pair of assets.
    pub(crate) pairs: Vec<PairReport>,
}

/// What was found of one pair.
#[derive(Debug, Default, Serialize)]
pub(crate) struct PairReport {
    /// The first side; null if only the second has the asset.
    pub(super) a: Option<String>,
    /// The second side; null if only the first has the asset.
    pub(super) b: Option<String>,
    /// Differences of structure.
    pub(super) structure: Vec<Structure>,
    /// Differences of content.
    pub(super) content: Vec<Content>,
    /// Things that both sides have, and whose content was compared.
    pub(super) compared: u64,
}

/// A difference of structure.
#[derive(Debug, Serialize)]
pub(crate) struct Structure {
    /// `tensor`, `file`, `record`, `metadata` or `asset`.
    pub(super) item: &'static str,
    /// Its name.
    pub(super) name: String,
    /// `only in a`, `only in b`, `dtype`, `shape`, `length`, `text`, `kind` or `refused`.
    pub(super) what: &'static str,
    /// The first side's.
    pub(super) a: Option<String>,
    /// The second side's.
    pub(super) b: Option<String>,
}

/// A difference of content.
#[derive(Debug, Serialize)]
pub(crate) struct Content {
    /// `tensor`, `file` or `record`.
    pub(super) item: &'static str,
    /// Its name; empty for a lone file.
    pub(super) name: String,
    /// `elements` (the parts of complex ones counted each) or `bytes`.
    pub(super) unit: &'static str,
    /// Units that differ as numbers; of floats, bits may differ where no number does (zeros of either sign, kinds of NaN).
    pub(super) differing: u64,
    /// Units in all.
    pub(super) of: u64,
    /// Of floats: the greatest difference of two finite numbers.
    pub(super) max_abs: Option<f64>,
    /// Of floats: root of the squared differences over that of the first side's squares.
    pub(super) rel_rms: Option<f64>,
    /// Of floats: differing ones of which either is infinite or not a number.
    pub(super) non_finite: Option<u64>,
}

impl PairReport {
    /// Nothing differs.
    pub(super) fn is_equal(&self) -> bool {
        self.structure.is_empty() && self.content.is_empty()
    }
}

/// The report for people.
pub(crate) fn text(report: &Report) -> String {
    let mut out = String::new();
    for pair in &report.pairs {
        // Writing to a string does not fail.
        _ = write_pair(&mut out, pair);
    }
    out
}

fn write_pair(out: &mut String, pair: &PairReport) -> std::fmt::Result {
    let label = |side: &Option<String>| side.as_deref().map_or_else(|| "nothing".into(), printable);
    writeln!(out, "{} <> {}", label(&pair.a), label(&pair.b))?;
    for s in &pair.structure {
        let item = named(s.item, &s.name);
        match (s.a.as_deref(), s.b.as_deref()) {
            (Some(a), Some(b)) => {
                writeln!(out, "  {item}: {} {} <> {}", s.what, printable(a), printable(b))?;
            }
            (Some(side), None) | (None, Some(side)) => {
                writeln!(out, "  {item}: {} ({})", s.what, printable(side))?;
            }
            (None, None) => writeln!(out, "  {item}: {}", s.what)?,
        }
    }
    for c in &pair.content {
        let item = named(c.item, &c.name);
        write!(out, "  {item}: {} of {} {} differ", c.differing, c.of, c.unit)?;
        if let Some(max) = c.max_abs {
            write!(out, ", max abs {max:.3e}")?;
        }
        if let Some(rms) = c.rel_rms {
            write!(out, ", rel RMS {rms:.3e}")?;
        }
        if let Some(n) = c.non_finite.filter(|&n| n > 0) {
            write!(out, ", {n} not finite")?;
        }
        writeln!(out)?;
    }
    match pair.structure.len() + pair.content.len() {
        0 => writeln!(out, "  equal ({} compared)", pair.compared),
        1 => writeln!(out, "  1 difference ({} compared)", pair.compared),
        n => writeln!(out, "  {n} differences ({} compared)", pair.compared),
    }
}

fn named(item: &str, name: &str) -> String {
    if name.is_empty() { item.to_owned() } else { format!("{item} {name:?}") }
}
