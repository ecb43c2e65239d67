//! `mcodec append`.

use super::encode::{image, import, tell, tell_device};
use super::in_place::Target;
use crate::cli::{Append, Common, Kind};
use crate::console::Console;
use crate::input;
use crate::outcome::{Outcome, usage};
use crate::sink::is_std;
use mcodec_encode::AppendBase;

/// Adds an asset to a file.
pub(crate) fn run(args: &Append, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    if is_std(&args.input) {
        return Err(usage("append takes a file or a folder, not the standard input"));
    }
    if matches!(args.import.kind, Some(Kind::Latents | Kind::Tokens | Kind::Masks)) {
        return crate::latents::append(args, common, console);
    }
    let (mut options, kind) = import(&args.import, console.encode_options(common));
    options.image = image(&args.image)?;
    options.device = args.image.gpu.encoding()?;
    options.bases = input::bases(&args.bases, common, console)?;
    let named = !matches!(args.base_asset.as_str(), "auto" | "none");
    if options.mappable && (named || !options.bases.is_empty()) {
        return Err(usage("--mappable stores tensors as they are: there is no base to tell them against"));
    }
    options.append_base = match args.base_asset.as_str() {
        "auto" => AppendBase::Auto,
        "none" => AppendBase::Nothing,
        name => AppendBase::Asset(name.to_owned()),
    };
    let target = Target::of(&args.target, common.output.as_deref(), common.force)?;
    let report = mcodec_encode::append(target.path(), &args.input, kind, &options)
        .map_err(|e| input::about(&args.target, e))?;
    target.commit(console)?;
    tell_device(&options, console);
    tell(&args.input, &report, console)?;
    Ok(Outcome::Done)
}
