//! llama.cpp's quantisers, in a process of Python's that calls them.

use super::{NEEDS_STATISTICS, NotRun, Work};
use crate::bench::find_python;
use anyhow::{Context, bail};
use mcodec_evaluation::Statistics;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The script.
const SCRIPT: &str = include_str!("../../../peers/ggml_quants.py");

/// Types that are measured, the largest first.
const TYPES: [&str; 11] =
    ["Q5_K", "Q4_K", "IQ4_XS", "IQ4_NL", "Q3_K", "IQ3_S", "IQ3_XXS", "Q2_K", "IQ2_S", "IQ2_XS", "IQ2_XXS"];

/// What the script says first.
#[derive(Deserialize)]
struct Hello {
    version: String,
    /// Bits of a weight.
    types: BTreeMap<String, f64>,
    /// Types that have none without.
    needs_importance: Vec<String>,
}

/// The running script.
struct Quantiser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    hello: Hello,
    _folder: tempfile::TempDir,
}

impl Quantiser {
    /// Starts it; what is missing, if it cannot be.
    fn start() -> anyhow::Result<Result<Self, String>> {
        let Some(python) = find_python() else {
            let why = "tools/install-peers.sh installs the Python peers; MCODEC_PEERS names their folder";
            return Ok(Err(why.into()));
        };
        let folder = tempfile::tempdir().context("a folder for the script")?;
        let script = folder.path().join("ggml_quants.py");
        std::fs::write(&script, SCRIPT).context("writing the script")?;
        let mut command = Command::new(python);
        command.args(["-W", "ignore"]).arg(&script);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().context("starting Python")?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the script has no input or output");
        };
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line).context("reading what the script says")?;
        match serde_json::from_str(&line) {
            Ok(hello) => Ok(Ok(Self { child, input, output, hello, _folder: folder })),
            Err(_) => {
                let mut said = String::new();
                if let Some(mut error) = child.stderr.take() {
                    _ = error.read_to_string(&mut said);
                }
                _ = child.wait();
                Ok(Err(said.lines().last().unwrap_or("the script failed").to_owned()))
            }
        }
    }

    /// What a matrix comes back as.
    fn quantised(
        &mut self,
        of: &str,
        weights: &[f32],
        columns: usize,
        importance: Option<&[f32]>,
    ) -> anyhow::Result<Vec<f32>> {
        let rows = weights.len() / columns;
        let what = serde_json::json!({ "type": of, "rows": rows, "columns": columns, "importance": importance.is_some() });
        let mut bytes = (what.to_string() + "\n").into_bytes();
        for values in [Some(weights), importance].into_iter().flatten() {
            bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        self.input.write_all(&bytes).and_then(|()| self.input.flush()).context("writing to the script")?;
        let mut back = vec![0u8; 4 * weights.len()];
        self.output.read_exact(&mut back).context("the script that quantises ended")?;
        Ok(back.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }
}

impl Drop for Quantiser {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Measures all types, with and without an importance matrix.
pub(super) fn measure(
    work: &mut Work<'_>,
    mut statistics: Option<&mut Statistics>,
    not_run: &mut Vec<NotRun>,
) -> anyhow::Result<()> {
    let all = TYPES.into_iter().flat_map(|of| [(of, false), (of, true)]);
    let name = |(of, with): (&str, bool)| if with { format!("{of} im") } else { of.to_owned() };
    let wanted: Vec<(&str, bool)> = all.filter(|&row| work.is_wanted(&name(row))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut quantiser = match Quantiser::start()? {
        Ok(quantiser) => quantiser,
        Err(why) => {
            not_run.push(NotRun { name: "llama.cpp's K- and i-quants".into(), why });
            return Ok(());
        }
    };
    work.console.note(&format!("quantisers of {}", quantiser.hello.version));
    for (of, with) in wanted {
        let name = name((of, with));
        let Some(bits) = quantiser.hello.types.get(of).copied() else {
            not_run.push(NotRun { name, why: "this ggml has no such type".into() });
            continue;
        };
        let needs = quantiser.hello.needs_importance.iter().any(|name| name == of);
        if (with && statistics.is_none()) || (!with && needs) {
            let why = if with { NEEDS_STATISTICS } else { "it needs an importance matrix" };
            not_run.push(NotRun { name, why: why.into() });
            continue;
        }
        let given = statistics.as_deref_mut().filter(|_| with);
        let (model, bits) = work.replaced(given, |weights, columns, gram| {
            // Of a layer that no token reached all columns matter alike.
            let importance = with.then(|| gram.map_or_else(|| vec![1.0; columns], |g| diagonal(g, columns)));
            let found = quantiser.quantised(of, weights, columns, importance.as_deref())?;
            Ok((found, bits * weights.len() as f64))
        })?;
        let series = if with { "llama.cpp im" } else { "llama.cpp" };
        work.row(series, name, false, bits, &model)?;
    }
    Ok(())
}

fn diagonal(gram: &[f32], n: usize) -> Vec<f32> {
    gram.iter().step_by(n + 1).copied().collect()
}
