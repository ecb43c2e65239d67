//! The table of what was measured.

use super::{Report, Row};
use std::fmt::Write;

/// Divergence of a row.
pub(super) fn kl(row: &Row) -> f64 {
    row.all.against.as_ref().map_or(0.0, |a| a.kl)
}

/// Bits at which a series of ours comes to this divergence, between two of its rows; `None` beyond them.
fn bits_for(report: &Report, series: &str, wanted: f64) -> Option<f64> {
    let mut points: Vec<(f64, f64)> = report
        .rows
        .iter()
        .filter(|row| row.series == series)
        .map(|row| (row.bits_per_weight, kl(row).max(1e-12).ln()))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted = wanted.max(1e-12).ln();
    points.windows(2).find(|p| (p[1].1..=p[0].1).contains(&wanted)).map(|p| {
        let share = (p[0].1 - wanted) / (p[0].1 - p[1].1).max(1e-12);
        p[0].0 + share * (p[1].0 - p[0].0)
    })
}

/// Series of ours, in the order measured.
fn ours(report: &Report) -> Vec<String> {
    let mut all: Vec<String> = report.rows.iter().filter(|r| r.ours).map(|r| r.series.clone()).collect();
    all.dedup();
    all
}

/// Markdown: one row for each quantiser and size, the largest first.
pub(super) fn render(report: &Report) -> String {
    let protocol = &report.protocol;
    let mut out = format!(
        "{}: {} matrices, {} weights; KL to it in nats a token over {} predictions, windows of {} tokens, {} from start to start\n\n",
        report.model,
        report.matrices,
        report.weights,
        report.original.predictions,
        protocol.window,
        protocol.stride
    );
    let series = ours(report);
    let mut head = String::from("| quantiser | bits/weight | KL | ± | bits/byte |");
    report.rows.first().iter().flat_map(|r| &r.texts).for_each(|t| head += &format!(" KL {} |", t.text));
    series.iter().for_each(|s| head += &format!(" {s} has that KL at |"));
    // Writing to a string does not fail.
    _ = writeln!(out, "{head}\n|{}", " --- |".repeat(head.matches('|').count() - 1));
    let mut rows: Vec<&Row> = report.rows.iter().collect();
    rows.sort_by(|a, b| b.bits_per_weight.total_cmp(&a.bits_per_weight));
    for row in rows {
        let error = row.all.against.as_ref().map_or(0.0, |a| a.kl_error);
        let name = if row.ours { format!("**{}**", row.name) } else { row.name.clone() };
        let bits = row.bits_per_weight;
        _ = write!(
            out,
            "| {name} | {bits:.3} | {:.4} | {error:.4} | {:.4} |",
            kl(row),
            row.all.bits_per_byte
        );
        for text in &row.texts {
            _ = write!(out, " {:.4} |", text.against.as_ref().map_or(0.0, |a| a.kl));
        }
        for series in &series {
            let found = if row.ours { None } else { bits_for(report, series, kl(row)) };
            _ = write!(out, " {} |", found.map_or_else(|| "-".into(), |bits| format!("{bits:.2}")));
        }
        out.push('\n');
    }
    _ = writeln!(out, "\nThe original: {:.4} bits/byte.", report.original.bits_per_byte);
    for peer in &report.not_run {
        _ = writeln!(out, "Not run: {}: {}.", peer.name, peer.why);
    }
    if let Some(calibration) = &report.calibration {
        _ = writeln!(out, "Calibration: {calibration}.");
    }
    out
}
