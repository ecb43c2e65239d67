//! Pictures beside other codecs: rate and distortion, by a Python script that runs mcodec as a user does.

use super::spawn::find_python;
use crate::cli::Common;
use crate::cli::bench::BenchImages;
use crate::console::Console;
use crate::outcome::{Outcome, usage};
use anyhow::{Context, bail};
use mcodec_encode::images::import::looks_like_picture;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The scripts: beside other codecs, level beside level, a stack beside files of its channels, and what was restored beside what was damaged.
const SCRIPT: &str = include_str!("../../peers/images.py");
const LEVELS: &str = include_str!("../../peers/levels.py");
const STACK: &str = include_str!("../../peers/stack.py");
const RESTORE: &str = include_str!("../../peers/restore.py");

/// Measures every picture of the folders and files that are named.
pub(crate) fn run(args: &BenchImages, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let mut pictures = Vec::new();
    for path in &args.pictures {
        if path.is_dir() {
            let inside = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
            pictures.extend(inside.flatten().map(|file| file.path()).filter(|path| is_picture(path)));
        } else if is_picture(path) {
            pictures.push(path.clone());
        } else {
            return Err(usage(format!("{} is no picture", path.display())));
        }
    }
    pictures.sort();
    if pictures.is_empty() {
        return Err(usage("there are no pictures to measure"));
    }
    // The script of levels needs nothing but Python.
    let plain = || args.levels.map(|_| PathBuf::from("python3"));
    let Some(python) = find_python().or_else(plain) else {
        bail!(
            "tools/install-peers.sh installs the Python that measures pictures; MCODEC_PEERS names its folder"
        );
    };
    let script = tempfile::Builder::new().suffix(".py").tempfile().context("a file for the script")?;
    std::fs::write(script.path(), script_of(args)).context("writing the script")?;
    let rates: Vec<String> = args.rates.iter().map(f64::to_string).collect();
    let effort = common.effort.unwrap_or(5).to_string();
    let mut command = Command::new(python);
    command.arg(script.path()).arg(std::env::current_exe()?);
    if !args.restore {
        command.arg(rates.join(","));
    }
    match args.levels {
        Some(levels) => command.args([effort, levels.to_string()]),
        None if args.restore => command.arg(effort),
        None if args.stack => command.arg(effort),
        None => command
            .arg(args.svg.clone().unwrap_or_default())
            .arg(effort)
            .arg(args.results.clone().unwrap_or_default()),
    };
    command.args(&pictures);
    let output = command.stderr(std::process::Stdio::inherit()).output().context("running the script")?;
    console.cancel().check()?;
    if !output.status.success() {
        bail!("the script that measures pictures failed");
    }
    console.print(&String::from_utf8_lossy(&output.stdout))?;
    Ok(Outcome::Done)
}

fn script_of(args: &BenchImages) -> &'static str {
    match args.levels {
        Some(_) => LEVELS,
        None if args.stack => STACK,
        None if args.restore => RESTORE,
        None => SCRIPT,
    }
}

fn is_picture(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(PathBuf::from(path)).and_then(|file| file.take(16).read_to_end(&mut head));
    read.is_ok() && looks_like_picture(&head)
}
