//! Rows that were measured, also by runs before: a file of them, a line of JSON each.

use super::Row;
use anyhow::Context;
use mcodec_evaluation::Score;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    /// Tells what was measured: model, texts, protocol, calibration.
    run: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<Score>,
}

/// What is known, and where it is kept.
pub(super) struct Results {
    run: String,
    rows: Vec<Row>,
    original: Option<Score>,
    file: Option<File>,
}

impl Results {
    /// Those of `path` that are of the same run, which is told by a text; none without a path.
    pub(super) fn open(path: Option<&Path>, run: &str) -> anyhow::Result<Self> {
        let run = blake3::hash(run.as_bytes()).to_hex().to_string();
        let mut found = Self { run, rows: Vec::new(), original: None, file: None };
        let Some(path) = path else { return Ok(found) };
        let shown = path.display();
        let mut options = File::options();
        let file = options.read(true).append(true).create(true).open(path);
        let file = file.with_context(|| format!("cannot open {shown}"))?;
        for (number, line) in BufReader::new(&file).lines().enumerate() {
            let line = line.with_context(|| format!("cannot read {shown}"))?;
            let line: Line =
                serde_json::from_str(&line).with_context(|| format!("{shown}, line {}", number + 1))?;
            if line.run == found.run {
                found.rows.extend(line.row);
                found.original = line.original.or(found.original);
            }
        }
        found.file = Some(file);
        Ok(found)
    }

    /// What the original scored, if that is known.
    pub(super) fn original(&self) -> Option<&Score> {
        self.original.as_ref()
    }

    /// Keeps what the original scored.
    pub(super) fn add_original(&mut self, score: Score) -> anyhow::Result<()> {
        self.write(&Line { run: self.run.clone(), row: None, original: Some(score.clone()) })?;
        self.original = Some(score);
        Ok(())
    }

    /// Whether a row of this name is known.
    pub(super) fn has(&self, name: &str) -> bool {
        self.rows.iter().any(|row| row.name == name)
    }

    /// Keeps a row.
    pub(super) fn add(&mut self, row: Row) -> anyhow::Result<()> {
        let line = Line { run: self.run.clone(), row: Some(row), original: None };
        self.write(&line)?;
        self.rows.extend(line.row);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            let text = serde_json::to_string(line)? + "\n";
            file.write_all(text.as_bytes()).and_then(|()| file.flush()).context("cannot keep results")?;
        }
        Ok(())
    }

    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}
