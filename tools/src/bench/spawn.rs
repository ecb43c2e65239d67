//! Running a peer in a process of its own.

use super::CHILD_PREFIX;
use super::peers::{Kind, Peer};
use super::report::Line;
use crate::cli::Codes;
use crate::cli::bench::Simd;
use crate::console::Console;
use anyhow::Context;
use clap::ValueEnum;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The script that measures the Python peers.
pub(super) const SCRIPT: &str = include_str!("../../peers/run_peer.py");

/// How often a running peer is looked at.
const POLL: Duration = Duration::from_millis(20);

/// An allocator that keeps what is freed, for all that works in memory: see the script.
const WARM_ENVIRONMENT: [(&str, &str); 2] =
    [("MALLOC_MMAP_MAX_", "0"), ("MALLOC_TRIM_THRESHOLD_", "1099511627776")];

/// No threads that were not asked for.
const PYTHON_ENVIRONMENT: [(&str, &str); 5] = [
    ("OMP_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("NUMEXPR_NUM_THREADS", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// What the peers' processes need.
pub(super) struct Workshop {
    folder: TempDir,
    script: PathBuf,
    python: Option<PathBuf>,
    reps: u32,
    simd: Option<Simd>,
    codes: Option<Codes>,
}

impl Workshop {
    /// A temporary folder, in memory if there is one, and the Python of the peers, if they are installed.
    pub(super) fn new(reps: u32, simd: Option<Simd>, codes: Option<Codes>) -> anyhow::Result<Self> {
        let folder = temporary_folder()?;
        let script = folder.path().join("run_peer.py");
        fs::write(&script, SCRIPT).context("writing the peers' script")?;
        Ok(Self { folder, script, python: find_python(), reps, simd, codes })
    }

    /// Measures a peer that is in this binary.
    pub(super) fn own_peer(
        &self,
        peer: &Peer,
        threads: usize,
        file: &Path,
        console: &Console,
    ) -> anyhow::Result<Line> {
        if !matches!(peer.kind, Kind::Mcodec(_)) {
            let warm = matches!(peer.kind, Kind::McodecMemory(_));
            return self.own_process(peer.name, warm, threads, file, console);
        }
        // What the encoder leaves behind in the allocator is not the decoder's.
        let encoded = self.own_process(&format!("{}:encode", peer.name), false, threads, file, console)?;
        let Line::Measured(encoded) = encoded else { return Ok(encoded) };
        Ok(match self.own_process(&format!("{}:decode", peer.name), false, threads, file, console)? {
            Line::Measured(decoded) => Line::Measured(decoded.with_encoding(&encoded)),
            other => other,
        })
    }

    fn own_process(
        &self,
        name: &str,
        warm: bool,
        threads: usize,
        file: &Path,
        console: &Console,
    ) -> anyhow::Result<Line> {
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        let name = format!("{CHILD_PREFIX}{name}");
        command.args(["bench", "models", "--no-progress", "--peers", &name, "--reps"]);
        command.arg(self.reps.to_string()).arg("--threads").arg(threads.to_string());
        if let Some(level) = self.simd.and_then(|simd| simd.to_possible_value()) {
            command.arg("--simd").arg(level.get_name());
        }
        if let Some(codes) = self.codes.and_then(|codes| codes.to_possible_value()) {
            command.arg("--codes").arg(codes.get_name());
        }
        command.arg("--").arg(file);
        if warm {
            command.envs(WARM_ENVIRONMENT);
        }
        self.measure(command, console)
    }

    /// Measures a peer that Python knows.
    pub(super) fn python_peer(
        &self,
        peer: &Peer,
        threads: usize,
        file: &Path,
        console: &Console,
    ) -> anyhow::Result<Line> {
        let Some(python) = &self.python else {
            let reason = "tools/install-peers.sh installs the Python peers; MCODEC_PEERS names their folder";
            return Ok(Line::NotInstalled { reason: reason.into() });
        };
        let mut command = Command::new(python);
        command.arg(&self.script).args(["--reps", &self.reps.to_string()]);
        command.args(["--threads", &threads.to_string(), "--", peer.name]).arg(file);
        command.envs(WARM_ENVIRONMENT).envs(PYTHON_ENVIRONMENT);
        self.measure(command, console)
    }

    /// Runs a command that prints a [`Line`]. Whatever else it does is a failure of the peer.
    fn measure(&self, mut command: Command, console: &Console) -> anyhow::Result<Line> {
        // Files, not pipes: nothing blocks, however much is said.
        let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.env("TMPDIR", self.folder.path()).stdin(Stdio::null());
        command.stdout(out.try_clone()?).stderr(err.try_clone()?);
        let status = match command.spawn() {
            Ok(child) => wait(child, console)?,
            Err(e) => return Ok(Line::Failed { reason: format!("it does not start: {e}") }),
        };
        let (out, err) = (text(&mut out)?, text(&mut err)?);
        let line = last_line(&out).and_then(|line| serde_json::from_str(line).ok());
        Ok(line.unwrap_or_else(|| Line::Failed { reason: last_words(status, &err) }))
    }
}

/// Waits for a peer to end; ends it if the user wants to stop.
fn wait(mut child: Child, console: &Console) -> anyhow::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().context("waiting for a peer")? {
            return Ok(status);
        }
        if let Err(interrupted) = console.cancel().check() {
            // It may have ended by itself; either way it is gone after the wait.
            _ = child.kill();
            _ = child.wait();
            return Err(interrupted.into());
        }
        std::thread::sleep(POLL);
    }
}

fn text(file: &mut File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

/// What a peer said last that ended without a result.
fn last_words(status: ExitStatus, err: &str) -> String {
    match last_line(err) {
        Some(line) => format!("{status}: {}", line.chars().take(120).collect::<String>()),
        None => status.to_string(),
    }
}

/// In `TMPDIR` if that is set, else in memory where Linux has a place for it, else where the system wants it.
fn temporary_folder() -> anyhow::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if std::env::var_os("TMPDIR").is_none()
        && memory.is_dir()
        && let Ok(folder) = tempfile::tempdir_in(memory)
    {
        return Ok(folder);
    }
    tempfile::tempdir().context("making a temporary folder")
}

/// The Python of `MCODEC_PEERS`, else of `~/.cache/mcodec/peers`.
pub(crate) fn find_python() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| v.as_os_str() != OsStr::new(""));
    let folder = match set("MCODEC_PEERS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&set("HOME")?).join(".cache/mcodec/peers"),
    };
    ["bin/python", "Scripts/python.exe"].iter().map(|p| folder.join(p)).find(|p| p.is_file())
}
