//! `mcodec verify`.

use crate::cli::{Common, Verify};
use crate::console::{Console, bytes, printable};
use crate::input;
use crate::outcome::Outcome;
use crate::sink::is_std;
use anyhow::Context;
use mcodec_decode::{DecodeError, ReadOptions, Reader, VerifyReport, verify};
use serde::Serialize;
use std::fmt::Write;

/// What verification found, as JSON.
#[derive(Serialize)]
struct Report {
    /// There is no damage.
    ok: bool,
    /// Everything was decoded, too.
    deep: bool,
    bytes: u64,
    chunks: u64,
    /// Some content needs a base that was not given: its chunks were checked, but it was not decoded.
    undecoded: bool,
    /// Records, files and tables that were decoded one by one (models are decoded for their content hash).
    decoded: u64,
    damage: Vec<Damage>,
    /// Optional things that this version does not know.
    unknown: Vec<String>,
}

/// One damaged place.
#[derive(Serialize)]
struct Damage {
    offset: Option<u64>,
    entry: Option<String>,
    what: String,
}

/// Verifies a file.
pub(crate) fn run(args: &Verify, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let file = if is_std(&args.input) {
        input::spool(&mut crate::stdin::open(console.cancel())?, &[], console)?
    } else {
        input::open_file(&args.input)?
    };
    let name = input::shown(&args.input);
    let bases = input::bases(&args.bases, common, console)?;
    let found = Reader::open(file, ReadOptions::default().threads(common.threads()))
        .and_then(|reader| verify(&reader.with_bases(bases), args.deep));
    console.cancel().check()?;
    let report = match found {
        Ok(report) => report_of(args.deep, report),
        Err(e) if e.is_damage() => unreadable(args.deep, &e),
        Err(e) => return Err(e).context(name),
    };
    if console.json() {
        console.print_json(&report)?;
    } else {
        console.print(&text(&name, &report, console))?;
    }
    Ok(if report.ok { Outcome::Done } else { Outcome::Failed })
}

fn report_of(deep: bool, found: VerifyReport) -> Report {
    let damage: Vec<Damage> =
        found.damage.into_iter().map(|d| Damage { offset: d.offset, entry: d.entry, what: d.what }).collect();
    Report {
        ok: damage.is_empty(),
        deep,
        bytes: found.bytes,
        chunks: found.chunks,
        decoded: found.decoded,
        undecoded: found.undecoded,
        damage,
        unknown: found.unknown.into_iter().map(|u| u.what).collect(),
    }
}

/// The report of a file that is too damaged to be opened.
fn unreadable(deep: bool, e: &DecodeError) -> Report {
    let damage = vec![Damage { offset: None, entry: None, what: e.to_string() }];
    Report { ok: false, deep, bytes: 0, chunks: 0, decoded: 0, undecoded: false, damage, unknown: Vec::new() }
}

fn text(name: &str, report: &Report, console: &Console) -> String {
    let mut out = String::new();
    let name = printable(name);
    for damage in &report.damage {
        let place = damage.offset.map(|o| format!(" at offset {o}")).unwrap_or_default();
        let entry = damage.entry.as_ref().map(|e| format!(" of {e:?}")).unwrap_or_default();
        _ = writeln!(out, "{name}: damage{place}{entry}: {}", printable(&damage.what));
    }
    for unknown in &report.unknown {
        _ = writeln!(out, "{name}: unknown, passed over: {}", printable(unknown));
    }
    if report.ok {
        let how = match (report.deep, report.undecoded) {
            (false, _) => "",
            (true, false) => ", all decoded",
            (true, true) => ", decoded but for what needs the base",
        };
        _ = writeln!(out, "{name}: no damage in {} chunks, {}{how}", report.chunks, bytes(report.bytes));
    } else {
        let plural = if report.damage.len() == 1 { "" } else { "s" };
        _ = writeln!(out, "{name}: {} damaged place{plural}", report.damage.len());
    }
    if console.verbose() {
        _ = writeln!(out, "{name}: {} bytes checked", report.bytes);
    }
    out
}
