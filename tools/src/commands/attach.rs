//! `mcodec attach` and `mcodec detach`.

use super::in_place::Target;
use crate::cli::{Attach, Common, Detach};
use crate::console::Console;
use crate::input;
use crate::outcome::{Outcome, usage};
use crate::sink::is_std;
use anyhow::Context;
use mcodec_encode::Attachment;
use serde::Serialize;
use std::io::Read;

/// Most bytes of a record's text.
const MOST: u64 = 256 << 20;

/// What was changed, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    record: &'a str,
    /// The asset as the user named it; null if it is the only one.
    asset: Option<&'a str>,
    attached: bool,
}

/// Adds a record.
pub(crate) fn attach(args: &Attach, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let mut json = Vec::new();
    let fail = || format!("cannot read {}", input::shown(&args.json_file));
    let mut text: Box<dyn Read> = if is_std(&args.json_file) {
        crate::stdin::open(console.cancel())?
    } else {
        Box::new(input::open_file(&args.json_file)?)
    };
    text.by_ref().take(MOST + 1).read_to_end(&mut json).with_context(fail)?;
    if json.len() as u64 > MOST {
        return Err(usage(format!("{} is longer than {MOST} bytes", input::shown(&args.json_file))));
    }
    let attachment = Attachment {
        name: &args.name,
        asset: args.asset.as_deref(),
        schema: &args.schema,
        required: args.required,
        json: &json,
        tensors: args.tensors.as_deref(),
    };
    let target = Target::of(&args.target, common.output.as_deref(), common.force)?;
    mcodec_encode::attach(target.path(), &attachment, &console.encode_options(common))
        .map_err(|e| input::about(&args.target, e))?;
    target.commit(console)?;
    let report = Report { record: &args.name, asset: args.asset.as_deref(), attached: true };
    console.report(&report, &format!("{}: record {:?} attached", args.target.display(), args.name))?;
    Ok(Outcome::Done)
}

/// Removes a record.
pub(crate) fn detach(args: &Detach, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let target = Target::of(&args.target, common.output.as_deref(), common.force)?;
    let asset = args.asset.as_deref();
    mcodec_encode::detach(target.path(), asset, &args.name, &console.encode_options(common))
        .map_err(|e| input::about(&args.target, e))?;
    target.commit(console)?;
    let report = Report { record: &args.name, asset, attached: false };
    console.report(&report, &format!("{}: record {:?} detached", args.target.display(), args.name))?;
    Ok(Outcome::Done)
}
