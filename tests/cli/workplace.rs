//! A folder to run `mcodec` in, and what came of each run.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A folder with relative paths, so that messages do not depend on where it is, and another for temporary files.
pub(crate) struct Workplace {
    folder: TempDir,
    temporary: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    line: String,
    /// The exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), temporary: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders it is in.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Every file and empty folder, and every temporary file.
    pub(crate) fn everything(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        list(self.folder.path(), "", &mut all);
        list(self.temporary.path(), "temporary: ", &mut all);
        all
    }

    /// A command that runs here.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcodec"));
        command.args(args).current_dir(self.folder.path()).env("TMPDIR", self.temporary.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A shell script that runs here, with `mcodec` on its path.
    pub(crate) fn shell(&self, script: &str) -> Ended {
        let binary = Path::new(env!("CARGO_BIN_EXE_mcodec")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["-o", "pipefail", "-c", script]).current_dir(self.folder.path());
        command.env("TMPDIR", self.temporary.path()).env("PATH", path).stdin(Stdio::null());
        end(script.into(), command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Runs `mcodec`.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        end(args.join(" "), self.command(args).spawn().unwrap())
    }

    /// Runs `mcodec` with this on its standard input.
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // A command that reads nothing closes the pipe: that is for it to say.
            scope.spawn(move || _ = pipe.write_all(input));
            end(args.join(" "), child)
        })
    }

    /// Encodes `bytes` as the file `name`, and removes that. Returns the name of the mcodec file.
    #[track_caller]
    pub(crate) fn encoded(&self, name: &str, bytes: &[u8]) -> String {
        self.write(name, bytes);
        let out = format!("{}.mcodec", name.trim_end_matches(".safetensors"));
        self.run(&["encode", name, "-o", &out, "--quiet"]).done();
        fs::remove_file(self.path(name)).unwrap();
        out
    }
}

fn list(folder: &Path, prefix: &str, all: &mut BTreeSet<String>) {
    let mut empty = true;
    for entry in fs::read_dir(folder).unwrap().flatten() {
        empty = false;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &format!("{name}/"), all);
        } else {
            all.insert(name);
        }
    }
    if empty && prefix.ends_with('/') {
        all.insert(prefix.to_owned());
    }
}

/// Waits for a child to end. A child never panics.
pub(crate) fn end(line: String, child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let code = output.status.code().unwrap_or(-1);
    assert!(!err.contains("panicked") && code != 101, "{line}: {err}");
    Ended { line, code, out: output.stdout, err }
}

impl Ended {
    /// It ended with this code.
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Self {
        let Self { line, err, .. } = &self;
        assert_eq!(self.code, code, "mcodec {line}\nstderr: {err}\nstdout: {}", self.shown());
        self
    }

    /// It ended well.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        self.with(0)
    }

    /// It ended with this code and one line on the standard error that says all of `parts`.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, parts: &[&str]) -> Self {
        let ended = self.with(code);
        let Self { line, err, .. } = &ended;
        assert!(err.starts_with("mcodec: ") && err.ends_with('\n'), "mcodec {line}: {err:?}");
        assert_eq!(err.lines().count(), 1, "mcodec {line}: {err}");
        for part in parts {
            assert!(err.contains(part), "mcodec {line}: {part:?} is not in {err}");
        }
        ended
    }

    /// It said nothing on the standard error.
    #[track_caller]
    pub(crate) fn silent(self) -> Self {
        assert_eq!(self.err, "", "mcodec {}", self.line);
        self
    }

    /// Its standard output as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Its standard output as the one JSON document that it is.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.shown()))
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.out[..self.out.len().min(2000)]).into_owned()
    }
}
