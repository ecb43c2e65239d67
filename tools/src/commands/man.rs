//! `mcodec man`.

use crate::cli::{Cli, Common, Man};
use crate::console::Console;
use crate::export::folder::FolderOutput;
use crate::outcome::Outcome;
use clap::{Command, CommandFactory};
use std::io::Write;

/// Prints the manual, or writes one page for each command.
pub(crate) fn run(args: &Man, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    add(&command, "mcodec", &mut pages)?;
    let Some(dir) = &args.dir else {
        let all: Vec<u8> = pages.into_iter().flat_map(|(_, page)| page).collect();
        console.print(&String::from_utf8(all)?)?;
        return Ok(Outcome::Done);
    };
    let names: Vec<String> = pages.iter().map(|(name, _)| name.clone()).collect();
    let folder = FolderOutput::create(dir, &names, common.force)?;
    for (name, page) in &pages {
        folder.file(name)?.write_all(page)?;
    }
    folder.commit()?;
    Ok(Outcome::Done)
}

/// The page of a command and those of the commands under it.
fn add(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name).render(&mut page)?;
    pages.push((format!("{name}.1"), page));
    for sub in command.get_subcommands().filter(|c| c.get_name() != "help" && !c.is_hide_set()) {
        add(sub, &format!("{name}-{}", sub.get_name()), pages)?;
    }
    Ok(())
}
