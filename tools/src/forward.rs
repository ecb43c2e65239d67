//! Decoding a stream from its first byte to its last, without seeking: the original file comes out as its bytes arrive.

mod assembler;
mod stream;
mod tee;

use crate::cli::Common;
use crate::console::Console;
use crate::input;
use crate::sink::is_std;
use anyhow::Context;
use assembler::Assembler;
use mcodec_decode::{ForwardEvent, ForwardReader};
use mcodec_format::{Limits, PREAMBLE_LEN, Preamble, SlotState};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use stream::Stream;
use tee::Tee;

/// What became of the standard input.
pub(crate) enum Forwarded {
    /// It was decoded to the output.
    Decoded,
    /// It wants random access, and is in this file now.
    Spooled(File),
}

/// Decodes the standard input to `output`, if it is a stream of one file; else spools it.
pub(crate) fn decode(output: &Path, common: &Common, console: &Console) -> anyhow::Result<Forwarded> {
    let mut input = crate::stdin::open(console.cancel())?;
    let mut head = Vec::new();
    input.by_ref().take(PREAMBLE_LEN).read_to_end(&mut head).context("reading the standard input")?;
    let from = || "the standard input";
    let preamble = Preamble::parse(&head).with_context(from)?;
    let streaming = preamble.slots.iter().all(|slot| *slot == SlotState::Empty);
    if !streaming || (!is_std(output) && output.is_dir()) || crate::export::ends_with_slash(output) {
        return Ok(Forwarded::Spooled(input::spool(&mut input, &head, console)?));
    }
    let (tee, record) = Tee::new(input);
    let limits = Limits::default();
    let mut reader = ForwardReader::new(&head, tee, limits).with_context(from)?;
    let mut stream = Stream::new(limits);
    // Everything up to the first chunk tells whether this is one file.
    let first = loop {
        console.cancel().check()?;
        match reader.next_event().with_context(from)? {
            Some(ForwardEvent::Descriptors(page)) => stream.describe(&page)?,
            other => break other,
        }
    };
    if !stream.is_one_file() {
        let mut rest = record.into_rest(&head);
        return Ok(Forwarded::Spooled(input::spool(&mut rest, &[], console)?));
    }
    record.stop();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(common.threads()).build()?;
    let mut out = Assembler::create(output, common.force)?;
    let mut event = first;
    let mut ended = false;
    while let Some(now) = event {
        console.cancel().check()?;
        match now {
            ForwardEvent::Descriptors(page) => stream.describe(&page)?,
            ForwardEvent::Chunk { place, payload } => stream.chunk(place, payload, &pool, &mut out)?,
            ForwardEvent::Unknown(tag) => {
                console.note(&format!("an optional frame with tag {tag} was passed over"));
            }
            ForwardEvent::End => ended = true,
            ForwardEvent::Index(_) => {}
        }
        console.progress(out.placed(), stream.file_len().unwrap_or(0));
        event = reader.next_event().with_context(from)?;
    }
    anyhow::ensure!(ended, "the standard input ends without a trailer");
    stream.finish(&pool, &mut out)?;
    out.commit(stream.file_len().unwrap_or(0))?;
    Ok(Forwarded::Decoded)
}
