//! `mcodec encode`.

use crate::cli::{Common, Encode, Image, Import, Kind, OnInterrupt};
use crate::console::{Console, bytes, percent};
use crate::input;
use crate::outcome::{Outcome, usage};
use crate::picture_options::{Profile, Wrap};
use crate::sink::{self, is_std};
use anyhow::Context;
use mcodec_decode::hex;
use mcodec_encode::images::{ImageOptions, Paging, Rate};
use mcodec_encode::quantise::{Method, QuantiseOptions, Size, encode_quantised};
use mcodec_encode::recipes::{PassSpec, Recipe, RecipeInputs, encode_recipe};
use mcodec_encode::{AssetKind, EncodeOptions, EncodeReport, Output, encode_path, encode_stream};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Encodes a file, a folder or the standard input.
pub(crate) fn run(args: &Encode, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let to = console.output()?;
    let output = output(to, common)?;
    if matches!(args.import.kind, Some(Kind::Latents | Kind::Tokens | Kind::Masks)) {
        return crate::latents::encode(args, output, common, console);
    }
    let (mut options, kind) = import(&args.import, console.encode_options(common));
    options.image = image(&args.image)?;
    options.device = args.image.gpu.encoding()?;
    if !args.bases.paths.is_empty() {
        if options.mappable {
            return Err(usage(
                "--mappable stores tensors as they are: there is no base to tell them against",
            ));
        }
        options.bases = mcodec_encode::open_bases(&args.bases.paths, args.base_asset.as_deref(), &options)?;
    }
    if args.stack {
        let report = stack(args, output, to, &options)?;
        tell_device(&options, console);
        tell(&args.input[0], &report, console)?;
        return Ok(Outcome::Done);
    }
    let [input] = &args.input[..] else {
        return Err(usage("one input at a time, unless several pictures make one image: --stack"));
    };
    let report = if !args.quantise.recipe.is_empty() {
        if is_std(input) || !options.bases.is_empty() || options.mappable {
            return Err(usage("a recipe is for a model file or a folder, without --base and --mappable"));
        }
        let (recipe, mut inputs) = recipe(args)?;
        // Removed when the model is encoded.
        let _statistics = calibrate(input, args, &mut inputs.statistics, common, console)?;
        encode_recipe(input, kind, output, &recipe, &inputs, &options).map_err(|e| input::about(input, e))?
    } else if let Some(mut quantise) = quantise(args)? {
        if is_std(input) || !options.bases.is_empty() || options.mappable {
            return Err(usage(
                "what is quantised is a model file or a folder, without --base and --mappable",
            ));
        }
        // Removed when the model is encoded.
        let _statistics = calibrate(input, args, &mut quantise.statistics, common, console)?;
        encode_quantised(input, kind, output, &quantise, &options).map_err(|e| input::about(input, e))?
    } else if is_std(input) {
        let name = args.name.clone().unwrap_or_else(|| stem(to));
        encode_stream(crate::stdin::open(console.cancel())?, &name, kind, output, &options)?
    } else if args.name.is_some() {
        return Err(usage("--name is for an asset that comes from the standard input, or of a stack"));
    } else {
        encode_path(input, kind, output, &options).map_err(|e| input::about(input, e))?
    };
    tell_device(&options, console);
    tell(input, &report, console)?;
    Ok(Outcome::Done)
}

/// Says which GPU was used, or why it was not.
pub(super) fn tell_device(options: &EncodeOptions, console: &Console) {
    if let Some(name) = options.device.name() {
        console.note(&format!("used {name}"));
    }
    if let Some(why) = options.device.failure() {
        console.note(&format!("used the CPU: {why}"));
    }
}

/// How the model is to be quantised, if it is.
fn quantise(args: &Encode) -> anyhow::Result<Option<QuantiseOptions>> {
    let (latents, keep, calib) =
        (&args.latents, args.quantise.keep.clone(), &args.quantise.calibration.calib);
    let size = match (latents.bits, args.quantise.max_bytes) {
        (Some(bits), _) => Size::BitsPerWeight(bits),
        (None, Some(bytes)) => Size::Bytes(bytes),
        (None, None) if keep.is_empty() && latents.stats.is_none() && calib.is_empty() => return Ok(None),
        (None, None) => {
            return Err(usage("--keep, --calib and --stats go with a size: --bits or --max-bytes"));
        }
    };
    if latents.stats.is_some() && !calib.is_empty() {
        return Err(usage("--calib makes the statistics that --stats reads: give one of the two"));
    }
    let (statistics, method) = (latents.stats.clone(), Method::default());
    Ok(Some(QuantiseOptions { size, statistics, keep, method }))
}

/// The steps that are asked for; a size is a last one.
fn recipe(args: &Encode) -> anyhow::Result<(Recipe, RecipeInputs)> {
    let mut recipe = Recipe::default();
    for said in &args.quantise.recipe {
        // A file's name has no colon before its first parameter.
        if !said.contains(':') && Path::new(said).is_file() {
            let text = std::fs::read_to_string(said).with_context(|| format!("cannot read {said}"))?;
            let read = Recipe::parse(&text).with_context(|| said.clone())?;
            recipe.passes.extend(read.passes);
        } else {
            recipe.passes.push(PassSpec::parse(said)?);
        }
    }
    if let Some(bits) = args.latents.bits {
        recipe.passes.push(PassSpec::parse(&format!("quant:bits={bits}"))?);
    }
    if let Some(bytes) = args.quantise.max_bytes {
        recipe.passes.push(PassSpec::parse(&format!("quant:max-bytes={bytes}"))?);
    }
    let inputs = RecipeInputs { statistics: args.latents.stats.clone(), keep: args.quantise.keep.clone() };
    Ok((recipe, inputs))
}

/// Runs the model on calibration texts, if there are any, and tells where the statistics are that were found.
#[cfg(feature = "eval")]
fn calibrate(
    input: &Path,
    args: &Encode,
    statistics: &mut Option<PathBuf>,
    common: &Common,
    console: &Console,
) -> anyhow::Result<Option<tempfile::TempPath>> {
    let calibration = &args.quantise.calibration;
    if calibration.calib.is_empty() {
        return Ok(None);
    }
    let found = crate::evaluation::statistics::for_encode(input, calibration, common, console)?;
    *statistics = Some(found.to_path_buf());
    Ok(Some(found))
}

#[cfg(not(feature = "eval"))]
fn calibrate(
    _: &Path,
    args: &Encode,
    _: &mut Option<PathBuf>,
    _: &Common,
    _: &Console,
) -> anyhow::Result<Option<()>> {
    if args.quantise.calibration.calib.is_empty() { Ok(None) } else { Err(super::eval::missing("--calib")) }
}

/// Several pictures as one image.
#[cfg(feature = "images")]
fn stack(args: &Encode, output: Output, to: &Path, options: &EncodeOptions) -> anyhow::Result<EncodeReport> {
    if let Some(std) = args.input.iter().find(|path| is_std(path)) {
        return Err(usage(format!("{} is no picture file", std.display())));
    }
    let name = args.name.clone().unwrap_or_else(|| stem(to));
    Ok(mcodec_encode::images::encode_stack(&args.input, &name, output, options)?)
}

#[cfg(not(feature = "images"))]
fn stack(_: &Encode, _: Output, _: &Path, _: &EncodeOptions) -> anyhow::Result<EncodeReport> {
    Err(usage("this program was built without images"))
}

/// The output of a command that makes an mcodec file.
pub(super) fn output(to: &Path, common: &Common) -> anyhow::Result<Output> {
    if is_std(to) {
        return Ok(Output::Stream(sink::stdout()?));
    }
    Ok(Output::File { path: to.to_owned(), force: common.force })
}

/// Options with what the user says about the input.
pub(super) fn import(args: &Import, mut options: EncodeOptions) -> (EncodeOptions, Option<AssetKind>) {
    options.mappable = args.mappable;
    options.codes = args.codes.map_or_else(Default::default, Into::into);
    options.import.all_files = args.all_files;
    options.import.follow_links = args.follow_links;
    let kind = args.kind.and_then(|kind| match kind {
        Kind::Model => Some(AssetKind::Model),
        Kind::Blob => Some(AssetKind::Blob),
        Kind::Image => Some(AssetKind::Image),
        Kind::Latents | Kind::Tokens | Kind::Masks => None,
    });
    (options, kind)
}

/// What the user says about pictures.
pub(super) fn image(args: &Image) -> anyhow::Result<ImageOptions> {
    let rates = [
        args.quality.map(Rate::Quality),
        args.bpp.map(Rate::BitsPerPixel),
        args.gaussians.map(|count| Rate::Gaussians(count as usize)),
        args.psnr.map(Rate::Psnr),
        args.restore.then_some(Rate::Restore),
    ];
    let paging = match args.page {
        None => Paging::Auto,
        Some(0) => Paging::Whole,
        Some(side) if side.is_multiple_of(8) => Paging::Side(side),
        Some(side) => return Err(usage(format!("--page {side}: the side of a page is a multiple of 8"))),
    };
    Ok(ImageOptions {
        rate: rates.into_iter().flatten().next().unwrap_or_default(),
        levels: args.levels.map(usize::from),
        paging,
        importance: importance(args)?,
        masking: is_auto(args),
        profile: match args.layout.profile {
            Profile::Dense => mcodec_encode::images::Profile::Dense,
            Profile::Fast => mcodec_encode::images::Profile::Fast,
        },
        window: args.layout.window,
        wraps: wraps(&args.layout.wrap)?,
        save_on_interrupt: args.on_interrupt == OnInterrupt::Save,
    })
}

/// Along which axes pictures repeat, if the user says so.
fn wraps(modes: &[Wrap]) -> anyhow::Result<Option<[bool; 2]>> {
    match modes.iter().map(|&mode| mode == Wrap::Repeat).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [both] => Ok(Some([both, both])),
        [across, down] => Ok(Some([across, down])),
        _ => Err(usage("--wrap takes one mode, or two: for x and for y".to_owned())),
    }
}

/// Whether errors are to be weighed without a map.
fn is_auto(args: &Image) -> bool {
    args.importance.as_ref().is_some_and(|path| path.as_os_str() == "auto")
}

/// The map of importance, if one is given.
#[cfg(feature = "images")]
fn importance(args: &Image) -> anyhow::Result<Option<mcodec_encode::images::Importance>> {
    let Some(path) = args.importance.as_ref().filter(|_| !is_auto(args)) else { return Ok(None) };
    let mask = mcodec_encode::images::import::read_picture(path)?.picture;
    Ok(Some(mcodec_encode::images::Importance::of_mask(&mask)))
}

#[cfg(not(feature = "images"))]
fn importance(_: &Image) -> anyhow::Result<Option<mcodec_encode::images::Importance>> {
    Ok(None)
}

/// The name of an asset that came without one.
fn stem(to: &Path) -> String {
    let stem = if is_std(to) { None } else { to.file_stem() };
    stem.map_or_else(|| "stdin".into(), |stem| stem.to_string_lossy().into_owned())
}

/// What was encoded, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    asset: &'a str,
    /// `blake3:` and hex.
    content_hash: String,
    input_bytes: u64,
    /// Bytes of the new file, or bytes added to the old one.
    output_bytes: u64,
    tensors: u64,
    /// Tensors stored as the bytes of another.
    aliases: u64,
    /// Tensors told against a base.
    deltas: u64,
    /// How a picture was fitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<ReportOfImage>,
    /// What was quantised.
    #[serde(skip_serializing_if = "Option::is_none")]
    quantised: Option<ReportOfQuantised>,
    /// What was dropped of tracks of latents; absent unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reduced: Vec<ReportOfReduced<'a>>,
    notes: &'a [String],
}

/// What was quantised, as JSON.
#[derive(Serialize)]
struct ReportOfQuantised {
    tensors: u64,
    weights: u64,
    bits_per_weight: f64,
}

/// What was dropped of a track, as JSON.
#[derive(Serialize)]
struct ReportOfReduced<'a> {
    asset: &'a str,
    track: &'a str,
    positions: u64,
    /// Positions that hold what the frame before does.
    dropped: u64,
    /// Positions that hold what a neighbour does.
    merged: u64,
    /// The share of positions that hold their own.
    kept: f64,
    /// In dB, of errors in deviations of channels; null if nothing was lost.
    snr: Option<f64>,
}

impl<'a> From<&'a mcodec_encode::latents::ReducedTrack> for ReportOfReduced<'a> {
    fn from(track: &'a mcodec_encode::latents::ReducedTrack) -> Self {
        Self {
            asset: &track.asset,
            track: &track.track,
            positions: track.positions,
            dropped: track.dropped,
            merged: track.merged,
            kept: track.kept(),
            snr: track.snr(),
        }
    }
}

/// How a picture was fitted, as JSON.
#[derive(Serialize)]
struct ReportOfImage {
    width: u32,
    height: u32,
    gaussians: usize,
    /// In dB over all channels, before rounding.
    psnr: f64,
    interrupted: bool,
}

impl From<mcodec_encode::ImageReport> for ReportOfImage {
    fn from(report: mcodec_encode::ImageReport) -> Self {
        let [width, height] = report.size;
        Self {
            width,
            height,
            gaussians: report.gaussians,
            psnr: report.psnr,
            interrupted: report.interrupted,
        }
    }
}

impl ReportOfImage {
    fn bits_per_pixel(&self, bytes: u64) -> f64 {
        bytes as f64 * 8.0 / (f64::from(self.width) * f64::from(self.height))
    }
}

/// Reports what was encoded.
pub(crate) fn tell(input: &Path, report: &EncodeReport, console: &Console) -> anyhow::Result<()> {
    for note in &report.notes {
        console.note(note);
    }
    let value = Report {
        asset: &report.asset,
        content_hash: format!("blake3:{}", hex(&report.content_hash)),
        input_bytes: report.input_bytes,
        output_bytes: report.output_bytes,
        tensors: report.tensors,
        aliases: report.aliases,
        deltas: report.deltas,
        image: report.image.map(ReportOfImage::from),
        quantised: report.quantised.map(|q| ReportOfQuantised {
            tensors: q.tensors,
            weights: q.weights,
            bits_per_weight: q.bits_per_weight,
        }),
        reduced: report.reduced.iter().map(ReportOfReduced::from).collect(),
        notes: &report.notes,
    };
    let (from, to) = (report.input_bytes, report.output_bytes);
    let mut line =
        format!("{}: {} -> {} ({})", input::shown(input), bytes(from), bytes(to), percent(to, from));
    if let Some(image) = &value.image {
        let (gaussians, bits, psnr) = (image.gaussians, image.bits_per_pixel(to), image.psnr);
        line = format!("{line}, {gaussians} Gaussians, {bits:.3} bits per pixel, {psnr:.2} dB");
        if image.interrupted {
            line = format!("{line}, interrupted");
        }
    } else if let Some(quantised) = report.quantised {
        line = format!("{line}, {:.4} bits per weight", quantised.bits_per_weight);
    } else if console.verbose() {
        let (tensors, aliases) = (report.tensors, report.aliases);
        line = format!("{line}, asset {:?}, {tensors} tensors, {aliases} of them aliases", report.asset);
        if report.deltas > 0 {
            line = format!("{line}, {} told against a base", report.deltas);
        }
    }
    console.report(&value, &line)
}
