//! Levels of precision: whole numbers with larger steps, of which each finer level tells what is left.

use super::array::Array;
use super::asset::{Made, Maker, Parts};
use super::content::{Refined, Tells, TrackContent, coder_of, numbers_of};
use super::shared::Need;
use mcodec_coding::latents::{Element, Level, Statistics};
use mcodec_format::registry::{self, Dtype};
use mcodec_format::track::Track;
use std::sync::Arc;

/// The step of the finest level below a track that keeps everything, in deviations.
const FINEST: f32 = 0.125;
/// Levels at most.
const MOST: u8 = 6;

/// The track that levels are of.
pub(super) struct LevelSource<'a> {
    pub(super) array: &'a Array,
    pub(super) element: Element,
    pub(super) group: usize,
    pub(super) track: &'a Track,
    pub(super) name: &'a str,
}

impl Maker<'_> {
    /// Adds the coarser levels of a track, `levels` with itself. Returns the last of them: its entry, its numbers, and what these are worth.
    pub(super) fn add_levels(
        &mut self,
        source: &LevelSource<'_>,
        content: &TrackContent,
        counted: &Statistics,
        levels: u8,
        parts: &mut Parts,
    ) -> Result<(Need, Vec<u8>, Level), String> {
        if !(2..=MOST).contains(&levels) {
            return Err(format!("{levels} levels of precision: 2 to {MOST}"));
        }
        // Numbers of the finest level that is told of, and how often the coarsest is halved.
        let (numbers, step, statistics, least) = match content.rounded() {
            Some(rounded) => (rounded.numbers.clone(), rounded.step, rounded.statistics.clone(), 1),
            None => {
                let numbers = numbers_of(source.array, source.element, FINEST, counted)?;
                (numbers, FINEST, counted.clone(), 0)
            }
        };
        let dtype = Dtype::by_name("I16").ok_or("no type for levels")?;
        let mut last: Option<(Need, Arc<Vec<u8>>, Level)> = None;
        for at in 0..levels - 1 {
            let halvings = levels - 2 - at + least;
            let level = Level::new(step, halvings, statistics.clone()).map_err(|e| e.to_string())?;
            let coarse = numbers.iter().flat_map(|n| (n >> halvings).to_le_bytes());
            let bytes = Arc::new(coarse.collect::<Vec<u8>>());
            let array = Array { name: String::new(), dtype, bytes: bytes.to_vec(), ..source.array.clone() };
            let track = Track {
                // The source had no such array.
                key: Some(String::new()),
                role: None,
                normalisation: None,
                ..source.track.clone()
            };
            let coder = coder_of(self.options.effort);
            let mut content = TrackContent::lossless(&array, Element::I16, source.group, track, coder);
            if let Some((track, tokens, tells)) = last.take() {
                let need = self.objects.need(registry::entry::LEVEL, tells.to_bytes());
                content.refine(Refined { track, tokens, tells: Tells::Level(tells) }, need);
            }
            let need = self.objects.need(registry::entry::LEVEL, level.to_bytes());
            content.level = Some(content.told(need));
            last = Some((Need::Track(parts.made.len() as u32), bytes, level));
            parts.made.push(Made::Track(array, format!("{}.level{at}", source.name), Box::new(content)));
        }
        let (need, bytes, level) = last.ok_or("no level")?;
        Ok((need, Arc::unwrap_or_clone(bytes), level))
    }
}
