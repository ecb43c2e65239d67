//! What the user sees: results on the standard output, everything else on the standard error.

use crate::cli::Common;
use crate::interrupt::Cancel;
use crate::outcome::usage;
use crate::sink::Sink;
use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcodec_encode::{EncodeOptions, Work};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The user's side of a command.
pub(crate) struct Console {
    quiet: bool,
    verbose: u8,
    json: bool,
    force: bool,
    output: Option<PathBuf>,
    cancel: Cancel,
    bar: Option<Arc<Mutex<ProgressBar>>>,
}

impl Console {
    /// As the common flags want it.
    pub(crate) fn new(common: &Common, cancel: Cancel) -> Self {
        let shown = std::io::stderr().is_terminal() && !common.quiet && !common.no_progress && !common.json;
        let bar = shown.then(|| Arc::new(Mutex::new(ProgressBar::hidden())));
        let (quiet, verbose, json) = (common.quiet, common.verbose, common.json);
        Self { quiet, verbose, json, force: common.force, output: common.output.clone(), cancel, bar }
    }

    /// Whether results are JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether the user wants to know more.
    pub(crate) fn verbose(&self) -> bool {
        self.verbose > 0
    }

    /// Whether the user wants more than what went wrong.
    pub(crate) fn tells(&self) -> bool {
        !self.quiet
    }

    /// Whether the user wants to stop.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Says something of interest.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Says what is wrong. One line, whatever is in the text.
    pub(crate) fn error(&self, text: &str) {
        self.say(text);
    }

    fn say(&self, text: &str) {
        self.clear_progress();
        // There is nowhere to tell that the standard error cannot be written.
        _ = writeln!(std::io::stderr(), "mcodec: {}", printable(text));
    }

    /// Prints a result: to the output if one was named, else to the standard output.
    pub(crate) fn print(&self, text: &str) -> anyhow::Result<()> {
        self.clear_progress();
        let stdout = Path::new("-");
        let path = self.output.as_deref().unwrap_or(stdout);
        if path == stdout {
            let mut out = std::io::stdout().lock();
            return out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing the result");
        }
        let mut sink = Sink::create(path, self.force)?;
        sink.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
        sink.commit()
    }

    /// Prints a result as JSON, as [`Console::print`].
    pub(crate) fn print_json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        self.print(&(serde_json::to_string_pretty(value)? + "\n"))
    }

    /// Reports on a command that wrote files: JSON on the standard output (the standard error if data went there), else a line
    /// on the standard error.
    pub(crate) fn report(&self, value: &impl Serialize, line: &str) -> anyhow::Result<()> {
        self.clear_progress();
        if !self.json {
            self.note(line);
            return Ok(());
        }
        let text = serde_json::to_string_pretty(value)? + "\n";
        if self.output.as_deref() == Some(Path::new("-")) {
            _ = std::io::stderr().write_all(text.as_bytes());
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing the result")
    }

    /// The output that was named.
    pub(crate) fn output(&self) -> anyhow::Result<&Path> {
        self.output
            .as_deref()
            .ok_or_else(|| usage("no output was named: -o PATH, or -o - for the standard output"))
    }

    /// Options for the encoder: the common flags, progress and cancellation.
    pub(crate) fn encode_options(&self, common: &Common) -> EncodeOptions {
        let mut options = EncodeOptions::default();
        if let Some(effort) = common.effort {
            options.effort = effort;
        }
        options.threads = common.threads();
        options.cancel = Some(self.cancel.flag());
        if let Some(bar) = &self.bar {
            let bar = Arc::clone(bar);
            options.progress = Some(Arc::new(move |work| show(&bar, work)));
        }
        options
    }

    /// Shows how far a command has come; a total of 0 is unknown.
    pub(crate) fn progress(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            show(bar, Work::Bytes { done, total });
        }
    }

    /// Takes the progress bar away.
    pub(crate) fn clear_progress(&self) {
        if let Some(bar) = &self.bar {
            let mut bar = bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            bar.finish_and_clear();
            *bar = ProgressBar::hidden();
        }
    }
}

fn show(bar: &Mutex<ProgressBar>, work: Work) {
    let mut bar = bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (done, total, style) = match work {
        Work::Bytes { done, total: 0 } => (done, 0, "{bytes} {bytes_per_sec}"),
        Work::Bytes { done, total } => (done, total, BAR),
        Work::Steps { done, total, .. } => (done, total, FIT_BAR),
        _ => return,
    };
    if bar.is_hidden() {
        *bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
    }
    if done < bar.position() {
        // A picture after another, or a fit after those that weigh planes: its time is another.
        bar.reset();
        bar.set_message("");
    }
    bar.set_length(total);
    bar.set_position(done);
    if let Work::Steps { psnr: Some(psnr), .. } = work {
        bar.set_message(format!("{psnr:.2} dB "));
    }
}

const BAR: &str = "[{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
/// Of a fit: how good it is, and how long it will take.
const FIT_BAR: &str = "[{wide_bar}] step {pos}/{len} {msg}{eta}";

/// The text with every character escaped that could move a terminal's cursor, end the line or turn the writing direction.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
        if c.is_control() || turns {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A number of bytes, for people.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A part of a whole, for people.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".into() } else { format!("{:.1}%", part as f64 * 100.0 / whole as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_raw() {
        assert_eq!(printable("a\u{1b}[31m\nb\u{202e}é"), "a\\u{1b}[31m\\nb\\u{202e}é");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1 << 20), "1.0 MiB");
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB");
        assert_eq!(percent(1, 8), "12.5%");
    }
}
