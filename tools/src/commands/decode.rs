//! `mcodec decode`.

use crate::cli::{Common, Decode, Elements, Format};
use crate::console::Console;
use crate::device::{self, Device};
use crate::entry_stream::{Meter, copy, copy_picked, copy_source};
use crate::export::folder::FolderOutput;
#[cfg(feature = "images")]
use crate::export::ktx2::{self, Wanted};
use crate::export::{self, converted, npy};
use crate::forward::{self, Forwarded};
use crate::input::{self, FileReader};
use crate::outcome::{Outcome, usage};
use crate::selection::{self, Picked};
use crate::sink::{Sink, is_std};
use anyhow::{Context, anyhow};
use mcodec_decode::{DecodeError, Part, SourceFile, source_files};
use mcodec_format::{Asset, Representation, registry};
use serde::Serialize;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

/// What was decoded, as JSON.
#[derive(Serialize)]
struct Report {
    /// Files that were written, relative to the output where that is a folder.
    files: Vec<String>,
    /// Bytes in them. Null if the input was decoded as it came.
    bytes: Option<u64>,
    /// What the user should know of the form.
    notes: Vec<String>,
}

/// Decodes a file, or a part of it.
pub(crate) fn run(args: &Decode, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let output = console.output()?;
    check_form(args)?;
    let uncut = is_uncut(args);
    let whole = uncut && args.format.is_none();
    let varied =
        args.variant.is_some() && args.tensors.is_empty() && args.rows.is_none() && args.format.is_none();
    let bases = input::bases(&args.bases, common, console)?;
    let reader = if !is_std(&args.input) {
        input::open(&args.input, common, console)?
    } else if whole && args.asset.is_none() && args.device == Device::Cpu && bases.is_empty() {
        match forward::decode(output, common, console)? {
            Forwarded::Decoded => {
                let report =
                    Report { files: vec![output.display().to_string()], bytes: None, notes: Vec::new() };
                return tell(&report, output, console);
            }
            Forwarded::Spooled(file) => input::open_reader(file, &args.input, common, console)?,
        }
    } else {
        input::open(&args.input, common, console)?
    };
    let reader = device::reading_on(reader, &args.device, console)?.with_bases(bases);
    let reader = drawing(reader, args, console)?;
    // Selected tensors, and records, may need no base.
    if args.tensors.is_empty() && args.record.is_none() {
        let named = args.asset.as_deref().filter(|a| !a.starts_with("blake3:"));
        input::check_bases(&reader, &args.input, named)?;
    }
    let reader = at_variant(reader, args, console)?;
    let job = Job { args, common, console, output, reader: &reader };
    if args.record.is_none()
        && let Some(done) = crate::latents::decode(args, &reader, output, common)?
    {
        let report = Report { files: done.files, bytes: Some(done.bytes), notes: done.notes };
        return tell(&report, output, console);
    }
    let of_latents = args.frames.is_some() || args.track.is_some() || args.crop.is_some() || args.from_tokens;
    if of_latents || args.planes.is_some() {
        return Err(usage("--frames, --track, --crop, --planes and --from-tokens are for latents"));
    }
    let all = whole || uncut && args.format.is_some_and(Format::is_texture);
    let report = if all && args.asset.is_none() && reader.index().root().assets > 1 {
        job.all_assets()?
    } else {
        let asset = selection::asset(&reader, args.asset.as_deref())?;
        selection::check_decodable(&reader, &asset)?;
        match &args.record {
            Some(name) => job.record(&asset, name)?,
            None if asset.kind == registry::asset::IMAGE => {
                if !args.tensors.is_empty() || args.rows.is_some() || args.elements.is_some() {
                    let name = &asset.name;
                    return Err(usage(format!(
                        "--tensor, --rows and --as are of models: {name:?} is an image"
                    )));
                }
                job.image(&asset)?
            }
            _ if args.region.is_some()
                || args.scale.is_some()
                || args.level.is_some()
                || args.channels.is_some() =>
            {
                return Err(usage(format!(
                    "--region, --scale, --level and --channels are of images: asset {:?} is none",
                    asset.name
                )));
            }
            None if (args.dtype.is_some() || args.to.is_some()) && asset.kind != registry::asset::MODEL => {
                return Err(usage(format!("--dtype and --to are of models: asset {:?} is none", asset.name)));
            }
            None if args.to.is_some() => job.gguf(&asset)?,
            None if whole || args.dtype.is_some() || varied => job.original(&asset)?,
            None => job.export(&asset)?,
        }
    };
    tell(&report, output, console)
}

/// The reader, drawing where that is asked for, if what is decoded may be images.
fn drawing(reader: FileReader, args: &Decode, console: &Console) -> anyhow::Result<FileReader> {
    let is_image = |asset: &Asset| asset.kind == registry::asset::IMAGE;
    let has_images = match (&args.record, &args.asset) {
        (Some(_), _) => false,
        (None, None) => reader.assets().is_ok_and(|assets| assets.iter().any(is_image)),
        (None, named) => selection::asset(&reader, named.as_deref()).is_ok_and(|asset| is_image(&asset)),
    };
    if has_images { args.gpu.drawing(reader, console) } else { Ok(reader) }
}

/// Refuses a form that is not of what is asked for.
fn check_form(args: &Decode) -> anyhow::Result<()> {
    if args.format == Some(Format::Json) && args.record.is_none() {
        return Err(usage("--format json is for a record: name one with --record"));
    }
    Ok(())
}

/// The file at the levels of the variant that is asked for.
fn at_variant(reader: FileReader, args: &Decode, console: &Console) -> anyhow::Result<FileReader> {
    let Some(variant) = &args.variant else { return Ok(reader) };
    let asset = selection::asset(&reader, args.asset.as_deref())?;
    let (levels, found) = reader.variant(&asset.name, variant)?;
    console.note(&format!("variant {variant:?} reads {} bytes of chunks", found.bytes));
    Ok(reader.with_levels(levels))
}

/// Whether all of an asset is asked for, as it is.
fn is_uncut(args: &Decode) -> bool {
    args.tensors.is_empty()
        && args.dtype.is_none()
        && args.to.is_none()
        && args.rows.is_none()
        && args.elements.is_none()
        && args.record.is_none()
        && args.frames.is_none()
        && args.track.is_none()
        && !args.from_tokens
        && args.variant.is_none()
        && args.crop.is_none()
}

fn tell(report: &Report, output: &Path, console: &Console) -> anyhow::Result<Outcome> {
    for note in &report.notes {
        console.note(note);
    }
    if console.json() || console.verbose() {
        let files = report.files.len();
        console.report(report, &format!("{}: {files} files written", output.display()))?;
    }
    Ok(Outcome::Done)
}

/// What one file of a folder is made of.
enum What {
    File(SourceFile),
    #[cfg(feature = "images")]
    Picture(Box<Asset>, selection::ImagePart, Option<Wanted>),
}

impl What {
    /// Bytes, as far as they are known before.
    fn byte_len(&self) -> u64 {
        match self {
            Self::File(file) => file.byte_len(),
            #[cfg(feature = "images")]
            Self::Picture(..) => 0,
        }
    }
}

/// The files of a folder to be written.
#[derive(Default)]
struct Outputs {
    all: Vec<(String, What)>,
    names: HashSet<String>,
}

impl Outputs {
    fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    fn add(&mut self, name: String, what: What) -> anyhow::Result<()> {
        if !mcodec_decode::is_safe_path(&name) {
            return Err(anyhow!("{name:?} is not a safe relative path for a file"));
        }
        self.names.insert(name.clone());
        self.all.push((name, what));
        Ok(())
    }
}

/// A request to decode.
struct Job<'a> {
    args: &'a Decode,
    common: &'a Common,
    console: &'a Console,
    output: &'a Path,
    reader: &'a FileReader,
}

impl Job<'_> {
    /// The files that an asset was made from. An unsafe name is the file's fault, not the request's.
    fn sources(&self, asset: &Asset) -> anyhow::Result<Vec<SourceFile>> {
        source_files(self.reader, asset).map_err(|e| match e {
            DecodeError::Request(why) => anyhow!("{why}"),
            e => e.into(),
        })
    }

    /// The original bytes of one asset.
    fn original(&self, asset: &Asset) -> anyhow::Result<Report> {
        let mut files = self.sources(asset)?;
        if let Some(dtype) = self.args.dtype {
            files = converted::files(self.reader, files, dtype)?;
        }
        if self.lacks_files(asset, &files)? {
            let note = format!("asset {:?} does not hold the files it was made from any more", asset.name);
            let mut report = self.export(asset).context(note.clone())?;
            report.notes.insert(0, note);
            return Ok(report);
        }
        match &files[..] {
            [file] if export::is_single(&asset.name, &file.name) && !self.wants_folder() => {
                let mut report = self.single(file)?;
                report.notes.extend(self.other_form(file));
                Ok(report)
            }
            _ => {
                let mut all = Outputs::default();
                for file in files {
                    all.add(file.name.clone(), What::File(file))?;
                }
                self.folder(all)
            }
        }
    }

    /// The model as a GGUF file.
    fn gguf(&self, asset: &Asset) -> anyhow::Result<Report> {
        let plan = export::gguf::Gguf::plan(self.reader, asset, self.args.dtype)?;
        let mut sink = Sink::create(self.output, self.common.force)?;
        plan.write(self.reader, &mut sink, self.console)?;
        sink.commit()?;
        let files = vec![self.output.display().to_string()];
        Ok(Report { files, bytes: Some(plan.byte_len()), notes: plan.notes })
    }

    /// What to tell if the output's name is that of another form than the file has.
    fn other_form(&self, file: &SourceFile) -> Option<String> {
        let extension = |path: &Path| path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let asked = extension(self.output).filter(|e| matches!(e.as_str(), "safetensors" | "npy"))?;
        if is_std(self.output) || extension(Path::new(&file.name)).as_ref() == Some(&asked) {
            return None;
        }
        Some(format!("{} is {:?} as it was; --format {asked} converts", self.output.display(), file.name))
    }

    /// Whether something of the asset is in none of its files, as after a recovery with loss.
    fn lacks_files(&self, asset: &Asset, files: &[SourceFile]) -> anyhow::Result<bool> {
        if asset.kind != registry::asset::MODEL {
            return Ok(files.is_empty());
        }
        let mut held: HashSet<u32> = HashSet::new();
        for file in files {
            let ids = file.parts.iter().filter_map(|part| match part {
                Part::Entry(entry) => Some(entry.id()),
                Part::Bytes(_) => None,
            });
            held.extend(ids);
        }
        if files.is_empty() {
            return Ok(true);
        }
        let rows = self.reader.rows(&asset.name)?;
        let tensors =
            rows.iter().filter(|r| r.get().kind == registry::entry::TENSOR && !selection::is_owned(r));
        for row in tensors.filter(|row| !held.contains(&row.get().id)) {
            // Another name for bytes that a file has is in it.
            let entry = self.reader.resolve(row.clone())?;
            match entry.tensor().map(|t| &t.representation) {
                Some(Representation::Alias(of)) if held.contains(of) => {}
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Every asset, each under its file's name or in a folder of its own.
    fn all_assets(&self) -> anyhow::Result<Report> {
        if is_std(self.output) {
            return Err(usage("the file holds several assets: name one with --asset, or a folder with -o"));
        }
        let mut all = Outputs::default();
        let mut notes = Vec::new();
        for asset in self.reader.assets()? {
            if !asset.critical && registry::name_of(&registry::asset::ALL, asset.kind).is_none() {
                notes.push(format!("asset {:?} is of unknown kind {}: passed over", asset.name, asset.kind));
                continue;
            }
            selection::check_decodable(self.reader, &asset)?;
            #[cfg(feature = "images")]
            if asset.kind == registry::asset::IMAGE {
                let texture = ktx2::format_of(self.args, Path::new(""))?;
                for (name, part) in
                    crate::export::picture::files_of(self.reader, &asset, &self.part(), texture)?
                {
                    all.add(name, What::Picture(Box::new(asset.clone()), part, texture))?;
                }
                continue;
            }
            if self.args.format.is_some() {
                return Err(usage(format!("asset {:?} is no image: it makes no texture", asset.name)));
            }
            let files = self.sources(&asset)?;
            let single = matches!(&files[..], [f] if export::is_single(&asset.name, &f.name));
            if self.lacks_files(&asset, &files)? {
                let name = &asset.name;
                return Err(anyhow!(
                    "asset {name:?} does not hold the files it was made from: decode the others by --asset"
                ));
            }
            for file in files {
                let own = format!("{}/{}", asset.name, file.name);
                let name = if single && !all.has(&file.name) { file.name.clone() } else { own };
                all.add(name, What::File(file))?;
            }
        }
        let mut report = self.folder(all)?;
        report.notes.append(&mut notes);
        Ok(report)
    }

    /// The part of an image that is asked for.
    #[cfg(feature = "images")]
    fn part(&self) -> selection::ImagePart {
        let args = self.args;
        selection::ImagePart {
            region: args.region,
            scale: args.scale,
            level: args.level,
            channels: args.channels.clone(),
        }
    }

    fn wants_folder(&self) -> bool {
        !is_std(self.output) && (self.output.is_dir() || export::ends_with_slash(self.output))
    }

    fn single(&self, file: &SourceFile) -> anyhow::Result<Report> {
        let mut sink = Sink::create(self.output, self.common.force)?;
        let mut meter = Meter::new(self.console, file.byte_len());
        self.write_source(file, &mut sink, &mut meter)?;
        sink.commit()?;
        Ok(self.one(file.byte_len(), None))
    }

    /// A source file, its floats converted if that is asked for.
    fn write_source(
        &self,
        file: &SourceFile,
        out: &mut dyn Write,
        meter: &mut Meter<'_>,
    ) -> anyhow::Result<()> {
        match self.args.dtype {
            Some(dtype) => converted::write(self.reader, file, dtype, out, meter),
            None => copy_source(self.reader, file, out, meter),
        }
    }

    fn one(&self, bytes: u64, note: Option<String>) -> Report {
        let files = vec![self.output.display().to_string()];
        Report { files, bytes: Some(bytes), notes: note.into_iter().collect() }
    }

    fn folder(&self, outputs: Outputs) -> anyhow::Result<Report> {
        if is_std(self.output) {
            let count = outputs.all.len();
            return Err(usage(format!("the asset was made from {count} files: name a folder with -o")));
        }
        let names: Vec<String> = outputs.all.iter().map(|(name, _)| name.clone()).collect();
        let folder = FolderOutput::create(self.output, &names, self.common.force)?;
        let total = outputs.all.iter().fold(0u64, |sum, (_, what)| sum.saturating_add(what.byte_len()));
        let mut meter = Meter::new(self.console, total);
        let mut notes = Vec::new();
        for (name, what) in &outputs.all {
            let mut file = folder.file(name)?;
            let told = match what {
                What::File(source) => {
                    self.write_source(source, &mut file, &mut meter)?;
                    Vec::new()
                }
                #[cfg(feature = "images")]
                What::Picture(asset, part, Some(texture)) => {
                    let made = ktx2::make(self.reader, asset, part, *texture)?;
                    file.write_all(&made.bytes).with_context(|| format!("writing {name:?}"))?;
                    made.notes
                }
                #[cfg(feature = "images")]
                What::Picture(asset, part, None) => {
                    let drawn = crate::export::picture::draw(self.reader, asset, part)?;
                    let format = crate::export::picture::usual_format(&drawn);
                    file.write_all(&crate::export::picture::encode(drawn, format)?)
                        .with_context(|| format!("writing {name:?}"))?;
                    Vec::new()
                }
            };
            notes.extend(told.into_iter().map(|note: String| format!("{name}: {note}")));
            file.sync_all().with_context(|| format!("cannot write {name:?}"))?;
        }
        folder.commit()?;
        Ok(Report { files: names, bytes: Some(total), notes })
    }

    /// An image, or a part of it, drawn.
    #[cfg(feature = "images")]
    fn image(&self, asset: &Asset) -> anyhow::Result<Report> {
        use crate::export::picture;
        let texture = ktx2::format_of(self.args, self.output)?;
        if self.wants_folder() {
            let mut all = Outputs::default();
            for (name, part) in picture::files_of(self.reader, asset, &self.part(), texture)? {
                all.add(name, What::Picture(Box::new(asset.clone()), part, texture))?;
            }
            return self.folder(all);
        }
        if let Some(texture) = texture {
            let made = ktx2::make(self.reader, asset, &self.part(), texture)?;
            let mut sink = Sink::create(self.output, self.common.force)?;
            sink.write_all(&made.bytes).context("writing the output")?;
            sink.commit()?;
            let mut report = self.one(made.bytes.len() as u64, None);
            report.notes = made.notes;
            return Ok(report);
        }
        let format = picture::format(self.args, self.output)?;
        let drawn = picture::draw(self.reader, asset, &self.part())?;
        let bytes = match format {
            Some(format) => picture::encode(drawn, format)?,
            None => npy::of_image(&drawn, self.args.format == Some(Format::Raw)),
        };
        let mut sink = Sink::create(self.output, self.common.force)?;
        sink.write_all(&bytes).context("writing the output")?;
        sink.commit()?;
        Ok(self.one(bytes.len() as u64, None))
    }

    #[cfg(not(feature = "images"))]
    fn image(&self, asset: &Asset) -> anyhow::Result<Report> {
        Err(anyhow!("asset {:?} is an image: this program was built without them", asset.name))
    }

    /// The text of a record.
    fn record(&self, asset: &Asset, name: &str) -> anyhow::Result<Report> {
        if self.args.format.is_some_and(|f| f != Format::Json) {
            return Err(usage("a record is JSON"));
        }
        let entry = selection::record(self.reader, asset, name)?;
        let mut sink = Sink::create(self.output, self.common.force)?;
        let mut meter = Meter::new(self.console, entry.byte_len());
        copy(self.reader, &entry, 0..entry.byte_len(), &mut sink, &mut meter)?;
        sink.commit()?;
        Ok(self.one(entry.byte_len(), None))
    }

    /// Selected tensors, in the form that was asked for.
    fn export(&self, asset: &Asset) -> anyhow::Result<Report> {
        let format = self.format()?;
        if asset.kind == registry::asset::BLOB && self.args.tensors.is_empty() && format == Format::Raw {
            return self.original(asset);
        }
        let mut picked = selection::tensors(self.reader, asset, &self.args.tensors, self.args.rows)?;
        if self.args.elements == Some(Elements::F32) {
            picked = picked.into_iter().map(Picked::widened).collect::<anyhow::Result<_>>()?;
        }
        let total = picked.iter().fold(0u64, |sum, p| sum.saturating_add(p.byte_len()));
        let mut meter = Meter::new(self.console, total);
        if format == Format::Safetensors {
            let metadata = export::safetensors::metadata_of(self.reader, asset)?;
            let note = export::safetensors::foreign_dtypes(&picked);
            let mut sink = Sink::create(self.output, self.common.force)?;
            export::safetensors::write(self.reader, picked, &metadata, &mut sink, &mut meter)?;
            sink.commit()?;
            return Ok(self.one(total, note));
        }
        let count = picked.len();
        let Ok([one]) = <[Picked; 1]>::try_from(picked) else {
            return Err(usage(format!(
                "{count} tensors are selected, and this form holds one: name it with --tensor"
            )));
        };
        let (head, note) = match (format, one.entry.tensor()) {
            (Format::Npy, Some(tensor)) => {
                let form = if one.as_f32.is_some() { npy::Form::f32() } else { npy::Form::of(tensor) };
                let head = npy::header(&form, &one.shape, one.byte_len());
                (head, form.note.map(|note| format!("{:?}: {note}", one.entry.name())))
            }
            _ => (Vec::new(), None),
        };
        let mut sink = Sink::create(self.output, self.common.force)?;
        sink.write_all(&head).context("writing the output")?;
        copy_picked(self.reader, &one, &mut sink, &mut meter)?;
        sink.commit()?;
        Ok(self.one(total + head.len() as u64, note))
    }

    /// The form that was asked for, or that the output's extension says.
    fn format(&self) -> anyhow::Result<Format> {
        if self.args.format == Some(Format::Npz) {
            return Err(usage("--format npz is for tracks of latents"));
        }
        if let Some(format) = self.args.format {
            return Ok(format);
        }
        let extension = self.output.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("safetensors") => Ok(Format::Safetensors),
            Some("npy") => Ok(Format::Npy),
            Some("bin" | "raw") => Ok(Format::Raw),
            _ => Err(usage(
                "the form of the output is not known: name it with --format, or end the path in .safetensors, .npy or .bin",
            )),
        }
    }
}
