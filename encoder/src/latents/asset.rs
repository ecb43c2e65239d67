//! A clip's arrays as an asset.

use super::LatentsOptions;
use super::array::{Array, Stored, read_arrays};
use super::clips::Clip;
use super::content::{Refined, Tells, TrackContent, coder_of};
use super::fsq;
use super::levels::Levels;
use super::models::{Made as TokensOf, StoredModel, TokenCoder, model_for};
use super::precision::Precision;
use super::progressive::LevelSource;
use super::reduce::ReducedTrack;
use super::resolve::{Resolved, about, element_of};
use super::shared::{Need, Objects};
use super::statistics::{Moments, identity, is_applied};
use crate::inputs::{AssetInput, bytes_item};
use crate::items::{Content, Item};
use crate::{EncodeError, EncodeOptions, Result};
use mcodec_coding::latents::{Coder, Element, Statistics};
use mcodec_format::registry::Dtype;
use mcodec_format::track::{AXES, AxisOrder, Normalisation, Track};
use mcodec_format::{Fields, registry, wire};
use std::collections::HashMap;
use std::sync::Arc;

/// Makes assets of clips; what they share is stored once.
pub(super) struct Maker<'a> {
    latents: &'a LatentsOptions,
    pub(super) options: &'a EncodeOptions,
    /// Statistics that were measured, by slot.
    measured: HashMap<String, Statistics>,
    pub(super) objects: Objects,
    /// What all tokens of the file are coded under, if they are of its kind.
    model: Option<Arc<StoredModel>>,
    /// Whether there are several clips.
    several: bool,
    /// What was dropped of the tracks of the last asset.
    pub(super) reduced: Vec<ReducedTrack>,
}

/// What a channel's numbers are counted in, and what is said of its normalisation.
struct Scaled {
    steps: Option<Statistics>,
    normalisation: Option<(bool, Option<Statistics>)>,
}

impl<'a> Maker<'a> {
    /// Reads all clips once if something of them must be measured.
    pub(super) fn new(
        clips: &[Clip],
        latents: &'a LatentsOptions,
        options: &'a EncodeOptions,
    ) -> Result<Self> {
        let mut maker = Self {
            latents,
            options,
            measured: HashMap::new(),
            objects: Objects::default(),
            model: model_for(clips, latents, options)?,
            several: clips.len() > 1,
            reduced: Vec::new(),
        };
        // Steps and distances are counted in deviations.
        let lossy = |p: Precision| p != Precision::Lossless || latents.needs_statistics();
        if !lossy(latents.precision) && !latents.tracks.iter().any(|t| t.precision.is_some_and(lossy)) {
            return Ok(maker);
        }
        let mut moments: HashMap<String, Moments> = HashMap::new();
        for clip in clips {
            let arrays = read_arrays(clip, &options.import)?;
            let resolved = Resolved::of_clip(&arrays, latents).map_err(|e| request(clip, &e))?;
            for (stored, resolved) in arrays.into_iter().zip(resolved) {
                let name = stored.name.clone();
                let fail = |why: String| about(&clip.shown(), &name, why);
                if !lossy(resolved.precision()) || resolved.given()?.is_some() {
                    continue;
                }
                let Some((array, element)) = grid_of(&resolved, stored).map_err(fail)? else { continue };
                if element.float().is_none() || resolved.published(array.channels()).is_some() {
                    continue;
                }
                if !moments.entry(resolved.slot.clone()).or_default().add(&array, element) {
                    let why = "its number of channels is not that of the others: encode it by itself, or give --stats";
                    return Err(fail(why.into()));
                }
            }
        }
        for (slot, moments) in moments {
            maker.measured.insert(slot, moments.statistics()?);
        }
        Ok(maker)
    }

    /// The asset that a clip becomes.
    pub(super) fn asset_of(&mut self, clip: &Clip, ordinal: u32) -> Result<AssetInput<'static>> {
        self.objects.begin(ordinal);
        let arrays = read_arrays(clip, &self.options.import)?;
        let resolved = Resolved::of_clip(&arrays, self.latents).map_err(|e| request(clip, &e))?;
        let mut fields = Fields::default();
        let rate = self.latents.frame_rate.or_else(|| resolved.iter().find_map(Resolved::frame_rate));
        if let Some((numerator, denominator)) = rate {
            let mut value = Vec::new();
            wire::put_varint(&mut value, numerator);
            wire::put_varint(&mut value, denominator);
            fields.set(registry::asset_field::FRAME_RATE, false, value);
        }
        if let Some(model) = &self.latents.model {
            fields.set(registry::asset_field::MODEL, false, model.clone().into_bytes());
        }
        if let Some(hash) = &self.latents.model_hash {
            fields.set(registry::asset_field::MODEL_HASH, false, hash.clone());
        }
        let input_bytes = arrays.iter().map(|a| a.bytes.len() as u64).sum();
        let mut parts = Parts { asset: clip.name.clone(), ..Parts::default() };
        let mut grids = Vec::new();
        for (stored, resolved) in arrays.into_iter().zip(&resolved) {
            let name = stored.name.clone();
            let fail = |why: String| about(&clip.shown(), &name, why);
            match kind_of(resolved, &stored).map_err(fail)? {
                None => parts.made.push(Made::Plain(stored, resolved.name.clone())),
                Some((dtype, Some(levels))) => {
                    self.add_tokens(resolved, stored, dtype, &levels, &mut parts).map_err(fail)?;
                }
                Some((dtype, None)) => grids.push((resolved, stored, dtype)),
            }
        }
        for (resolved, stored, dtype) in grids {
            let name = stored.name.clone();
            let added = self.add_grid(resolved, stored, dtype, &mut parts);
            added.map_err(|why| about(&clip.shown(), &name, why))?;
        }
        let mut items = self.objects.items();
        for track in parts.made {
            items.push(self.item_of(track));
        }
        let notes = parts.notes;
        Ok(AssetInput {
            kind: registry::asset::LATENTS,
            name: clip.name.clone(),
            fields,
            items,
            input_bytes,
            notes,
        })
    }

    /// What is said of an array's track, but for its normalisation.
    fn track_of(resolved: &Resolved<'_>, array: &Array) -> Track {
        let channels = array.channels();
        Track {
            axes: Some(array.axes),
            role: resolved.role(),
            factors: resolved.factors(channels),
            first_frames: resolved.first_frames(channels),
            normalisation: None,
            line: resolved.line.as_ref().map(|(line, _)| line.clone()),
            start: resolved.line.as_ref().map(|(_, start)| *start),
            model: resolved.model(),
            key: (array.name != resolved.name).then(|| array.name.clone()),
            apart: None,
        }
    }

    fn add_tokens(
        &mut self,
        resolved: &Resolved<'_>,
        stored: Stored,
        dtype: Dtype,
        levels: &Levels,
        parts: &mut Parts,
    ) -> Result<(), String> {
        let array = resolved.array(stored, dtype, true)?;
        let made = levels.of(&array).map_err(|e| e.to_string())?;
        let track = Self::track_of(resolved, &array);
        self.put_tokens(resolved.name.clone(), array, made, track, parts)
    }

    fn put_tokens(
        &mut self,
        name: String,
        array: Array,
        made: TokensOf,
        track: Track,
        parts: &mut Parts,
    ) -> Result<(), String> {
        let group = self.latents.group_of(array.shape[0]);
        let model = self.model.clone().filter(|stored| made.is_of(stored.model.scheme(), array.channels()));
        if self.latents.prior.is_some() && model.is_none() {
            return Err("the prior is of other tokens".into());
        }
        let model = model.map(|stored| {
            let need = self.objects.need(registry::entry::TOKEN_MODEL, stored.bytes.clone());
            (stored, need)
        });
        if let TokensOf::Digits(levels) = &made {
            parts.bases.push(TokenTrack {
                number: parts.made.len() as u32,
                name: name.clone(),
                shape: array.shape,
                size: array.dtype.bits as usize / 8,
                bytes: Arc::new(array.bytes.clone()),
                levels: levels.clone(),
            });
        }
        let coder = TokenCoder { made, effort: self.options.effort };
        let content = TrackContent::tokens(&array, coder, model, group, track);
        parts.made.push(Made::Track(array, name, Box::new(content)));
        Ok(())
    }

    fn add_grid(
        &mut self,
        resolved: &Resolved<'_>,
        stored: Stored,
        dtype: Dtype,
        parts: &mut Parts,
    ) -> Result<(), String> {
        let mut array = resolved.array(stored, dtype, false)?;
        let channels = array.channels();
        let mut track = Self::track_of(resolved, &array);
        let group = self.latents.group_of(array.shape[0]);
        let element = element_of(dtype, channels)?.ok_or("its elements are not of a grid")?;
        let lossy = resolved.precision() != Precision::Lossless;
        let is_float = element.float().is_some();
        if (lossy || self.latents.reduction.is_some()) && !is_float {
            let (name, dtype) = (&array.name, dtype.name);
            parts.notes.push(format!("{name:?}: elements of type {dtype} are kept as they are"));
        }
        let scaled = self.scaled(resolved, &array, element, &mut parts.notes)?;
        if let Some(statistics) = scaled.steps.as_ref().filter(|_| self.latents.reduction.is_some()) {
            let (dropped, merged, error) = self.latents.reduction.apply(&mut array, element, statistics);
            let [frames, _, height, width] = array.shape;
            let (asset, track) = (parts.asset.clone(), resolved.name.clone());
            let positions = (frames * height * width) as u64;
            self.reduced.push(ReducedTrack { asset, track, positions, dropped, merged, error });
        }
        let counted = scaled.steps.clone();
        let steps = scaled.steps.filter(|_| lossy);
        let known = scaled.normalisation.as_ref().and_then(|(applied, s)| s.clone().filter(|_| !applied));
        if let Some(levels) = resolved.quantise() {
            if !is_float {
                return Err(format!("elements of type {} are not quantised", dtype.name));
            }
            self.add_quantised(resolved, &array, element, levels, known.as_ref(), parts)?;
        }
        let source = (is_float && !parts.bases.is_empty()).then(|| array.clone());
        let mut coder = coder_of(self.options.effort);
        if self.latents.reduction.rate.is_some() && is_float && coder == Coder::Fast {
            // The fast coder cannot say that a position is what is beside it.
            coder = Coder::Light;
        }
        let mut content = match steps {
            Some(statistics) => {
                let step = resolved.precision().step(&array, element, &statistics, coder)?;
                let shared = self.several || group < array.shape[0] || scaled.normalisation.is_some();
                let need =
                    shared.then(|| self.objects.need(registry::entry::STATISTICS, statistics.to_bytes()));
                let how = (step, statistics, shared);
                let track = Track::default();
                let mut content = TrackContent::quantised(&mut array, element, group, track, coder, how)?;
                content.used.extend(need);
                content
            }
            None => TrackContent::lossless(&array, element, group, Track::default(), coder),
        };
        if let Some(source) = &source {
            track.apart = self.refine(&mut content, source, element, known.as_ref(), parts);
        }
        if let Some(levels) = self.latents.progressive.filter(|_| is_float) {
            if content.is_refined() {
                return Err(
                    "it refines tokens, which are its coarser level: --progressive is for others".into()
                );
            }
            let known = counted.as_ref().ok_or("its statistics were not measured")?;
            let source = LevelSource { array: &array, element, group, track: &track, name: &resolved.name };
            let (track, bytes, level) = self.add_levels(&source, &content, known, levels, parts)?;
            let need = self.objects.need(registry::entry::LEVEL, level.to_bytes());
            content.refine(Refined { track, tokens: Arc::new(bytes), tells: Tells::Level(level) }, need);
        }
        track.normalisation = scaled.normalisation.map(|(applied, statistics)| {
            let statistics = statistics.map(|statistics| {
                content.told(self.objects.need(registry::entry::STATISTICS, statistics.to_bytes()))
            });
            Normalisation { applied, channels: Vec::new(), statistics }
        });
        content.track = track;
        parts.made.push(Made::Track(array, resolved.name.clone(), Box::new(content)));
        Ok(())
    }

    /// Adds tokens that an array is quantised to.
    fn add_quantised(
        &mut self,
        resolved: &Resolved<'_>,
        array: &Array,
        element: Element,
        levels: &[u16],
        scale: Option<&Statistics>,
        parts: &mut Parts,
    ) -> Result<(), String> {
        let most = levels.iter().fold(1u64, |n, &l| n.saturating_mul(l.into()));
        let levels = fsq::levels_for(array.channels(), levels);
        let name = if most <= 1 << 8 {
            "U8"
        } else if most <= 1 << 16 {
            "U16"
        } else if most <= 1 << 32 {
            "U32"
        } else {
            return Err("a token of these levels is longer than 32 bits".into());
        };
        let dtype = Dtype::by_name(name).ok_or("no type for tokens")?;
        let size = dtype.bits as usize / 8;
        let numbering = fsq::Numbering { element, quantiser: None, scale };
        let bytes = fsq::quantise(array, &numbering, &levels, size);
        let [frames, _, height, width] = array.shape;
        let axes = AxisOrder::parse(if frames > 1 { "THWC" } else { "HWC" }).ok_or("axes of tokens")?;
        let name = format!("{}.tokens", resolved.name);
        let shape = [frames, levels.len(), height, width];
        let tokens = Array { name: name.clone(), dtype, axes, shape, bytes };
        let track = Track {
            axes: Some(axes),
            // The source had no such array.
            key: Some(String::new()),
            normalisation: None,
            ..Self::track_of(resolved, array)
        };
        self.put_tokens(name, tokens, TokensOf::Digits(levels), track, parts)
    }

    /// Makes a track a refinement of tokens beside it, if these are a quantisation of it. Returns the name of those that are not.
    fn refine(
        &mut self,
        content: &mut TrackContent,
        array: &Array,
        element: Element,
        known: Option<&Statistics>,
        parts: &mut Parts,
    ) -> Option<String> {
        let of_grid = |base: &&TokenTrack| {
            let grid = |s: &[usize; 4]| [s[0], s[2], s[3]];
            grid(&base.shape) == grid(&array.shape)
        };
        let mut refused = None;
        for base in parts.bases.iter().filter(of_grid) {
            let tokens = fsq::Tokens { levels: &base.levels, size: base.size, bytes: &base.bytes };
            let quantiser = content.rounded().map(super::content::Quantised::quantiser);
            let mut numberings = vec![fsq::Numbering { element, quantiser, scale: None }];
            numberings.extend(known.map(|_| fsq::Numbering { element, quantiser, scale: known }));
            // Of another number of channels than they have digits they are none either.
            let Some(digits) = fsq::fit(array, &numberings, &tokens) else {
                refused.get_or_insert_with(|| base.name.clone());
                continue;
            };
            let need = self.objects.need(registry::entry::DIGITS, digits.to_bytes());
            let track = Need::Track(base.number);
            let tells = Tells::Digits(digits);
            content.refine(Refined { track, tokens: Arc::clone(&base.bytes), tells }, need);
            return None;
        }
        if let Some(tokens) = &refused {
            parts.notes.push(format!(
                "tokens {tokens:?} are no quantisation of {:?}, channel by channel: they are two tracks",
                array.name
            ));
        }
        refused
    }

    fn scaled(
        &self,
        resolved: &Resolved<'_>,
        array: &Array,
        element: Element,
        notes: &mut Vec<String>,
    ) -> Result<Scaled, String> {
        let counted = resolved.precision() != Precision::Lossless || self.latents.needs_statistics();
        let counted = counted && element.float().is_some();
        let channels = array.channels();
        let given = resolved.given().map_err(|e| e.to_string())?;
        if given.as_ref().is_some_and(|g| g.channels().len() != channels) {
            return Err("the statistics are of another number of channels".into());
        }
        let published = resolved.published(channels);
        let known = given.clone().or_else(|| published.clone()).filter(|_| element.float().is_some());
        let Some(known) = known else {
            let steps = if counted {
                let measured = self.measured.get(&resolved.slot).cloned();
                Some(measured.ok_or("its statistics were not measured")?)
            } else {
                None
            };
            return Ok(Scaled { steps, normalisation: resolved.normalised().map(|applied| (applied, None)) });
        };
        let applied = match resolved.normalised() {
            Some(applied) => applied,
            None => {
                let applied = is_applied(array, element, &known);
                notes.push(format!(
                    "{:?}: by its numbers, the normalisation is taken as {}applied (--normalised says it)",
                    array.name,
                    if applied { "" } else { "not " }
                ));
                applied
            }
        };
        let of_steps = if given.is_none() && applied { identity(channels) } else { known.clone() };
        Ok(Scaled { steps: counted.then_some(of_steps), normalisation: Some((applied, Some(known))) })
    }

    fn item_of(&self, made: Made) -> Item<'static> {
        let (array, name, mut content) = match made {
            Made::Plain(stored, name) => {
                let Stored { dtype, shape, bytes, .. } = stored;
                return bytes_item(name, Content::Tensor { dtype_name: dtype, shape, owner: None }, bytes);
            }
            Made::Track(array, name, content) => (array, name, content),
        };
        content.settle(|need| self.objects.dependency(need));
        bytes_item(name, Content::Track(Arc::new(*content)), array.bytes)
    }
}

/// What an array became.
pub(super) enum Made {
    /// An array that is no grid, as it is.
    Plain(Stored, String),
    Track(Array, String, Box<TrackContent>),
}

/// Tokens that others may be a refinement of.
struct TokenTrack {
    /// Among what was made.
    number: u32,
    name: String,
    shape: [usize; 4],
    size: usize,
    bytes: Arc<Vec<u8>>,
    levels: Vec<Vec<u16>>,
}

/// An asset in the making.
#[derive(Default)]
pub(super) struct Parts {
    asset: String,
    pub(super) made: Vec<Made>,
    bases: Vec<TokenTrack>,
    notes: Vec<String>,
}

/// The type of an array's elements, and of what tokens they are if they are; `None` if it is kept as it is.
fn kind_of(resolved: &Resolved<'_>, stored: &Stored) -> Result<Option<(Dtype, Option<Levels>)>, String> {
    if stored.shape.len() > AXES.len() || stored.shape.contains(&0) || resolved.is_odd(stored) {
        return Ok(None);
    }
    let dtype = resolved.dtype(stored)?;
    let tokens = resolved.tokens(dtype)?;
    let is_track = tokens.is_some() || Element::by_id(dtype.id).is_some();
    Ok(is_track.then_some((dtype, tokens)))
}

/// The arrays of a clip that hold tokens, and what these are made of.
pub(super) fn token_arrays(
    clip: &Clip,
    latents: &LatentsOptions,
    options: &EncodeOptions,
) -> Result<Vec<(Array, TokensOf)>> {
    let arrays = read_arrays(clip, &options.import)?;
    let resolved = Resolved::of_clip(&arrays, latents).map_err(|e| request(clip, &e))?;
    let mut found = Vec::new();
    for (stored, resolved) in arrays.into_iter().zip(resolved) {
        let name = stored.name.clone();
        let fail = |why: String| about(&clip.shown(), &name, why);
        if let Some((dtype, Some(levels))) = kind_of(&resolved, &stored).map_err(fail)? {
            let array = resolved.array(stored, dtype, true).map_err(fail)?;
            let made = levels.of(&array).map_err(|e| fail(e.to_string()))?;
            found.push((array, made));
        }
    }
    Ok(found)
}

/// The array as a grid, if it is one.
fn grid_of(resolved: &Resolved<'_>, stored: Stored) -> Result<Option<(Array, Element)>, String> {
    let Some((dtype, None)) = kind_of(resolved, &stored)? else { return Ok(None) };
    let array = resolved.array(stored, dtype, false)?;
    let element = element_of(dtype, array.channels())?;
    Ok(element.map(|element| (array, element)))
}

fn request(clip: &Clip, why: &str) -> EncodeError {
    EncodeError::Request(format!("{}: {why}", clip.shown()))
}
