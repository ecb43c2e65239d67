//! The report as text that is also Markdown.

use super::report::{FileReport, Report, Row, Status};
use crate::console::printable;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const HEAD: [&str; 9] = [
    "peer",
    "bytes",
    "ratio",
    "encode MB/s",
    "decode MB/s",
    "/ memcpy",
    "decode new MB/s",
    "peak MB",
    "reps",
];

/// A table for each file, then how it was measured.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    for file in &report.files {
        // Writing to a string does not fail.
        _ = write!(text, "### {}\n\n{}\n", title(file), grid(&file.rows));
        if let Some(limits) = &file.limits {
            let ratio = |bytes: u64| file.bytes as f64 / bytes.max(1) as f64;
            let (exponents, all) = (ratio(limits.exponent_bytes), ratio(limits.all_fields_bytes));
            _ = writeln!(text, "Order-0 limit: {exponents:.4} (exponents), {all:.4} (all fields).\n");
        }
    }
    _ = writeln!(text, "{}\n\n{}\n", report.method, report.limit_method);
    _ = writeln!(text, "Machine: {}. Versions: {}.", printable(&report.machine), versions(report));
    text
}

fn title(file: &FileReport) -> String {
    let dtype = if file.dtype.is_empty() { "bytes" } else { &file.dtype };
    printable(&format!("{}: {:.2} MB, {dtype}", file.file, file.bytes as f64 / 1e6))
}

/// Versions of the peers, each once.
fn versions(report: &Report) -> String {
    let mut all = BTreeMap::new();
    for row in report.files.iter().flat_map(|f| &f.rows) {
        if let Some(version) = &row.version {
            let name = row.peer.rsplit('+').next().unwrap_or(row.peer);
            all.insert(name.split('-').next().unwrap_or(name), version);
        }
    }
    let list: Vec<String> = all.iter().map(|(name, version)| format!("{name} {version}")).collect();
    printable(&list.join(", "))
}

/// The rows with their head, in columns.
fn grid(rows: &[Row]) -> String {
    let cells: Vec<[String; 9]> = rows.iter().map(cells).collect();
    let mut widths = HEAD.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    push_line(&mut text, &HEAD.map(str::to_owned), &widths);
    let rule = |i: usize| {
        if i == 0 {
            format!(":{}", "-".repeat(widths[i] - 1))
        } else {
            format!("{}:", "-".repeat(widths[i] - 1))
        }
    };
    push_line(&mut text, &std::array::from_fn(rule), &widths);
    for row in &cells {
        push_line(&mut text, row, &widths);
    }
    text
}

fn push_line(text: &mut String, cells: &[String; 9], widths: &[usize; 9]) {
    for (i, (cell, width)) in cells.iter().zip(widths).enumerate() {
        _ = if i == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
    }
    text.push_str("|\n");
}

/// The cells of a row; of a peer without figures, why in place of the ratio.
fn cells(row: &Row) -> [String; 9] {
    let number = |value: Option<f64>, digits: usize| match value {
        Some(value) => format!("{value:.digits$}"),
        None => "-".into(),
    };
    // Below 10 a whole number says too little.
    let speed = |value: Option<f64>| number(value, if value.is_some_and(|v| v < 9.95) { 1 } else { 0 });
    let why = match row.status {
        Status::Measured => number(row.ratio, 4),
        Status::NotInstalled => "not installed".into(),
        Status::NotApplicable => "not applicable".into(),
        Status::Failed => format!("failed: {}", row.reason.as_deref().unwrap_or_default()),
    };
    let reps = row.measured.as_ref().map(|m| format!("{}/{}", m.encode_reps, m.decode_reps));
    [
        if row.threads > 1 { format!("{} -T{}", row.peer, row.threads) } else { row.peer.into() },
        row.output_bytes.map_or_else(|| "-".into(), |n| n.to_string()),
        printable(&why).replace('|', "/"),
        speed(row.encode_mb_s),
        speed(row.decode_mb_s),
        number(row.decode_of_memcpy, 2),
        speed(row.decode_new_mb_s),
        speed(row.peak_mb),
        reps.unwrap_or_else(|| "-".into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::limit::Limits;
    use super::super::report::{Line, METHOD, Measured};
    use super::*;

    fn report() -> Report {
        let measured = Measured {
            version: "1.2".into(),
            input_bytes: 2_000_000,
            output_bytes: 1_000_000,
            encode_seconds: 0.5,
            decode_seconds: 0.001,
            decode_new_seconds: None,
            encode_reps: 1,
            decode_reps: 5,
            encode_peak_bytes: Some(3_000_000),
            decode_peak_bytes: Some(12_000_000),
            exact: true,
        };
        let fast = Row {
            decode_of_memcpy: Some(0.25),
            ..Row::new("zstd-3", Line::Measured(measured), 2_500_000, 250_000)
        };
        let rows = vec![
            Row { threads: 2, ..fast },
            Row::new("zipnn", Line::NotInstalled { reason: "no Python".into() }, 2_500_000, 0),
            Row::new("lmz", Line::Failed { reason: "a|b\nc".into() }, 2_500_000, 0),
        ];
        let file = FileReport {
            file: "m.st".into(),
            bytes: 2_500_000,
            dtype: "F32".into(),
            payload_bytes: 2_000_000,
            limits: Some(Limits { exponent_bytes: 2_000_000, all_fields_bytes: 1_250_000 }),
            rows,
        };
        Report {
            mcodec: "0.1.0",
            machine: "test".into(),
            reps: 5,
            method: METHOD,
            limit_method: "What it is.",
            files: vec![file],
        }
    }

    #[test]
    fn a_table_is_aligned_markdown() {
        let text = render(&report());
        let expected = "\
### m.st: 2.50 MB, F32

| peer       |   bytes |          ratio | encode MB/s | decode MB/s | / memcpy | decode new MB/s | peak MB | reps |
| :--------- | ------: | -------------: | ----------: | ----------: | -------: | --------------: | ------: | ---: |
| zstd-3 -T2 | 1250000 |         2.0000 |         4.0 |        2000 |     0.25 |               - |      12 |  1/5 |
| zipnn      |       - |  not installed |           - |           - |        - |               - |       - |    - |
| lmz        |       - | failed: a/b\\nc |           - |           - |        - |               - |       - |    - |

Order-0 limit: 1.2500 (exponents), 2.0000 (all fields).

";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("Machine: test. Versions: zstd 1.2.\n"), "{text}");
    }

    #[test]
    fn json_has_the_same_and_leaves_out_what_is_not_known() {
        let json = serde_json::to_value(report()).unwrap();
        let rows = &json["files"][0]["rows"];
        assert_eq!(rows[0]["ratio"], 2.0);
        assert_eq!((&rows[0]["output_bytes"], &rows[0]["status"]), (&1_250_000.into(), &"measured".into()));
        assert_eq!(rows[0]["measured"]["encode_reps"], 1);
        assert_eq!((&rows[1]["status"], &rows[1]["reason"]), (&"not_installed".into(), &"no Python".into()));
        assert!(rows[1].get("ratio").is_none());
    }

    #[test]
    fn a_peers_line_is_read_as_it_is_written() {
        let lines = [
            Line::Measured(Measured { decode_new_seconds: Some(1.5), ..Measured::default() }),
            Line::NotApplicable { reason: "x".into() },
        ];
        for line in lines {
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line, "{text}");
        }
    }
}
