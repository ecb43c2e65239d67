//! Reading an image: its layers, and the Gaussians that a region needs.

use super::planes::{channels_of_all, coded_image};
use super::sets::{Below, chunks_below, decode_sets, page_grid};
use crate::decode::payload;
use crate::gaussians::{Scene, View};
use crate::plan::chunk_spans;
use crate::{DecodeError, Entry, Plan, Planner, ReadAt, Reader, Result};
use mcodec_coding::gaussians::{GaussianSet, Image};
use mcodec_format::{
    Asset, EntryDescriptor, FormatError, ImageDescriptor, LayerDescriptor, MAX_PAGE, REACH_UNIT, registry,
};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Most layers of an image.
pub const MAX_LAYERS: usize = 16;

/// A rectangle of an image, in source pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Pixels across, at least 1.
    pub width: u32,
    /// Pixels down, at least 1.
    pub height: u32,
}

/// An image of a file.
#[derive(Debug)]
pub struct ImageReader<'r, S> {
    reader: &'r Reader<S>,
    asset: Asset,
    descriptor: ImageDescriptor,
    coded: Image,
    /// By level, the coarsest first.
    layers: Vec<(Entry, LayerDescriptor)>,
}

impl<'r, S: ReadAt> ImageReader<'r, S> {
    /// The image of this asset.
    ///
    /// # Errors
    /// If the asset is not an image, or what its index says is malformed or unsupported.
    pub fn new(reader: &'r Reader<S>, asset: &Asset) -> Result<Self> {
        let fail = |source| DecodeError::Entry { kind: "image", name: asset.name.clone(), source };
        let corrupt = |why: String| fail(FormatError::corrupt("image", 0, why));
        if asset.kind != registry::asset::IMAGE {
            return Err(DecodeError::Request(format!("asset {:?} is not an image", asset.name)));
        }
        let field = asset.fields.get(registry::asset_field::IMAGE);
        let field = field.ok_or_else(|| corrupt("it has no field that says what it is".into()))?;
        let descriptor = ImageDescriptor::parse(field, reader.limits()).map_err(fail)?;
        let coded = coded_image(&descriptor).map_err(fail)?;
        let mut layers = Vec::new();
        for row in reader.rows(&asset.name)? {
            if row.get().kind != registry::entry::LAYER {
                continue;
            }
            let entry = reader.resolve(row)?;
            let EntryDescriptor::Layer(layer) = entry.descriptor().clone() else { continue };
            if entry.name() != layers.len().to_string() {
                return Err(corrupt(format!("layer {} is called {:?}", layers.len(), entry.name())));
            }
            check_pages(&descriptor, &layer)
                .map_err(|why| corrupt(format!("layer {:?}: {why}", entry.name())))?;
            layers.push((entry, layer));
        }
        if layers.is_empty() {
            return Err(corrupt("it has no layers".into()));
        }
        if layers.len() > MAX_LAYERS {
            return Err(corrupt(format!("it has {} layers, more than {MAX_LAYERS}", layers.len())));
        }
        Ok(Self { reader, asset: asset.clone(), descriptor, coded, layers })
    }

    /// What it is.
    #[must_use]
    pub fn descriptor(&self) -> &ImageDescriptor {
        &self.descriptor
    }

    /// Steps and roles.
    #[must_use]
    pub fn coded(&self) -> &Image {
        &self.coded
    }

    /// The asset.
    #[must_use]
    pub fn asset(&self) -> &Asset {
        &self.asset
    }

    /// Its layers, the coarsest first.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = (&Entry, &LayerDescriptor)> {
        self.layers.iter().map(|(entry, layer)| (entry, layer))
    }

    /// The whole of it.
    #[must_use]
    pub fn whole(&self) -> Region {
        Region { x: 0, y: 0, width: self.descriptor.width, height: self.descriptor.height }
    }

    /// The chunks of each layer up to `level` (absent: all) that have Gaussians which may reach `region`, drawn `scale` times as large:
    /// smaller, every Gaussian is wider; and those that they are coded under.
    ///
    /// # Errors
    /// [`DecodeError::Request`] if there is no such level, or the region is empty or not within the image.
    pub fn chunks(
        &self,
        region: Region,
        scale: f64,
        level: Option<usize>,
    ) -> Result<Vec<(usize, Range<u64>)>> {
        let (width, height) = (self.descriptor.width, self.descriptor.height);
        let ends = (region.x.checked_add(region.width), region.y.checked_add(region.height));
        let within = ends.0.is_some_and(|end| end <= width) && ends.1.is_some_and(|end| end <= height);
        if region.width == 0 || region.height == 0 || !within {
            return Err(DecodeError::Request(format!(
                "{region:?} is empty or not within {width} x {height} pixels"
            )));
        }
        let last = self.layers.len() - 1;
        let level = level.unwrap_or(last);
        if level > last {
            return Err(DecodeError::Request(format!("there is no level {level}: levels are 0 to {last}")));
        }
        let margin = View::scaled(region.x, region.y, region.width, region.height, scale).margin();
        let mut all = Vec::new();
        for (at, (_, layer)) in self.layers.iter().enumerate().take(level + 1) {
            match layer.page {
                None => all.push((at, 0..1)),
                Some(side) => {
                    all.extend(
                        self.pages(layer, side, region, margin).into_iter().map(|chunks| (at, chunks)),
                    );
                }
            }
        }
        Ok(self.with_below(&all))
    }

    /// Runs of chunks of layers, and of those that they are coded under, layer after layer.
    fn with_below(&self, wanted: &[(usize, Range<u64>)]) -> Vec<(usize, Range<u64>)> {
        let mut chunks: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); self.layers.len()];
        for (layer, run) in wanted {
            chunks[*layer].extend(run.clone());
        }
        for at in (0..self.layers.len()).rev() {
            let (lower, upper) = chunks.split_at_mut(at);
            for (below, (_, descriptor)) in lower.iter_mut().zip(&self.layers) {
                for &chunk in &upper[0] {
                    below.extend(chunks_below(&self.descriptor, descriptor, &self.layers[at].1, chunk));
                }
            }
        }
        let mut runs: Vec<(usize, Range<u64>)> = Vec::new();
        for (layer, chunks) in chunks.iter().enumerate() {
            for &chunk in chunks {
                match runs.last_mut() {
                    Some((of, run)) if *of == layer && run.end == chunk => run.end += 1,
                    _ => runs.push((layer, chunk..chunk + 1)),
                }
            }
        }
        runs
    }

    /// The coarse chunk, and runs of those pages that reach the region.
    fn pages(&self, layer: &LayerDescriptor, side: u32, region: Region, margin: u32) -> Vec<Range<u64>> {
        let (columns, _) = page_grid(&self.descriptor, side);
        let [across, down] = self.descriptor.wraps;
        let across =
            Axis { from: region.x, len: region.width, period: across.then_some(self.descriptor.width) };
        let down =
            Axis { from: region.y, len: region.height, period: down.then_some(self.descriptor.height) };
        let mut runs: Vec<Range<u64>> = core::iter::once(0..1).collect();
        for (page, reach) in layer.reach.iter().enumerate() {
            let (x, y) = (page as u32 % columns * side, page as u32 / columns * side);
            let [left, right, up, low] = reach.map(|units| i64::from(u32::from(units) * REACH_UNIT + margin));
            let span = |start: u32, before: i64, after: i64| {
                i64::from(start) - before..i64::from(start + side) + after
            };
            if !across.is_reached(span(x, left, right)) || !down.is_reached(span(y, up, low)) {
                continue;
            }
            let chunk = page as u64 + 1;
            match runs.last_mut() {
                Some(run) if run.end == chunk => run.end += 1,
                _ => runs.push(chunk..chunk + 1),
            }
        }
        runs
    }

    /// What to read for a region up to a level.
    ///
    /// # Errors
    /// As [`ImageReader::chunks`], or if the index is damaged there.
    pub fn plan(&self, region: Region, scale: f64, level: Option<usize>) -> Result<Plan> {
        let mut planner = Planner::new(0);
        for (layer, chunks) in self.chunks(region, scale, level)? {
            for (part, chunks) in self.reader.parts(&self.layers[layer].0, chunks)? {
                planner.add(&part, chunks)?;
            }
        }
        Ok(planner.finish())
    }

    /// The sets of a run of chunks of a layer: of each chunk, those of [`areas_of_chunk`](super::areas_of_chunk). What they are coded under is
    /// read too.
    ///
    /// # Errors
    /// If they cannot be read or are damaged.
    pub fn read_chunks(&self, layer: usize, chunks: Range<u64>) -> Result<Vec<Vec<GaussianSet>>> {
        let Some((entry, _)) = self.layers.get(layer) else {
            return Err(DecodeError::Request(format!("there is no layer {layer}")));
        };
        if chunks.end > entry.byte_len() || chunks.start > chunks.end {
            return Err(DecodeError::Request(format!("layer {layer} has no chunks {chunks:?}")));
        }
        let mut all = self.read_runs(&self.with_below(&[(layer, chunks.clone())]))?;
        Ok(chunks.filter_map(|chunk| all.remove(&(layer, chunk))).collect())
    }

    /// The sets of runs of chunks that are in the order of layers, with all that they are coded under.
    fn read_runs(&self, runs: &[(usize, Range<u64>)]) -> Result<BTreeMap<(usize, u64), Vec<GaussianSet>>> {
        let mut all: BTreeMap<(usize, u64), Vec<GaussianSet>> = BTreeMap::new();
        let mut below = None;
        for (layer, chunks) in runs {
            let (entry, descriptor) = &self.layers[*layer];
            let below = match &mut below {
                Some((of, below)) if of == layer => below,
                other => {
                    let chunks = all.iter().map(|(&(at, chunk), sets)| (&self.layers[at].1, chunk, sets));
                    let chunks = chunks.filter(|_| *layer > 0);
                    &mut other
                        .insert((*layer, Below::new(&self.coded, &self.descriptor, descriptor, chunks)))
                        .1
                }
            };
            let below = &*below;
            for (part, chunks) in self.reader.parts(entry, chunks.clone())? {
                let fetched = self.reader.fetch_for(&part, chunks.clone())?;
                let memory = self.reader.limits().memory / 4;
                let one = |span: mcodec_format::ChunkSpan| {
                    let bytes = payload(&span, part.kind_name(), part.name(), &fetched)?;
                    let chunk = span.place.chunk;
                    let sets =
                        decode_sets(&self.coded, &self.descriptor, (descriptor, chunk), bytes, memory, below);
                    let sets = sets.map_err(|source| DecodeError::Coding {
                        name: part.name().to_owned(),
                        place: span.place,
                        source,
                    })?;
                    Ok(((*layer, chunk), sets))
                };
                let spans = chunk_spans(&part, &chunks)?;
                let sets: Result<Vec<_>> = self.reader.in_pool(|parallel| {
                    if parallel {
                        spans.into_par_iter().map(one).collect()
                    } else {
                        spans.into_iter().map(one).collect()
                    }
                });
                all.extend(sets?);
            }
        }
        Ok(all)
    }

    /// The Gaussians that a region needs, up to a level, in the order in which they are added up: layer after layer, and in each chunk
    /// after chunk.
    ///
    /// # Errors
    /// As [`ImageReader::chunks`] and [`ImageReader::read_chunks`].
    pub fn load(&self, region: Region, scale: f64, level: Option<usize>) -> Result<GaussianSet> {
        let mut all = GaussianSet::default();
        for set in self.read_runs(&self.chunks(region, scale, level)?)?.into_values().flatten() {
            all.symbols.extend(set.symbols);
            all.colours.extend(set.colours);
        }
        Ok(all)
    }

    /// A scene of this image's planes, without Gaussians.
    ///
    /// # Errors
    /// As [`Scene::new`].
    pub fn empty_scene(&self) -> Result<Scene> {
        Scene::new(self.descriptor.plane_means())?.with_gains(&self.descriptor.plane_gains())
    }

    /// The Gaussians that a region needs, up to a level, ready to be drawn.
    ///
    /// # Errors
    /// As [`ImageReader::load`].
    pub fn scene(&self, region: Region, scale: f64, level: Option<usize>) -> Result<Scene> {
        let mut scene = self.empty_scene()?;
        scene.add(&self.coded.quantiser, &self.load(region, scale, level)?)?;
        let margin = View::scaled(region.x, region.y, region.width, region.height, scale).margin();
        let size = [self.descriptor.width, self.descriptor.height];
        scene.repeat(size, self.descriptor.wraps, margin as f32)?;
        Ok(scene)
    }

    /// Draws a region, `scale` times as large, up to a level: the channels of each pixel, row by row, as
    /// [`channels_of`](super::channels_of) gives them, and the pixels across and down.
    ///
    /// # Errors
    /// As [`ImageReader::load`], or if the output is above the limits.
    pub fn draw(&self, region: Region, scale: f64, level: Option<usize>) -> Result<(Vec<f32>, [usize; 2])> {
        let view = View::scaled(region.x, region.y, region.width, region.height, scale);
        let samples = self.draw_view(&view, &self.scene(region, scale, level)?)?;
        Ok((samples, [view.width, view.height]))
    }

    /// Draws a region of a scene as so many pixels across and down: the channels of each pixel, as [`ImageReader::draw`]. The scene is of that region and of
    /// a scale that is no larger, so that one serves all mip levels.
    ///
    /// # Errors
    /// If the output is above the limits.
    pub fn draw_sized(&self, scene: &Scene, region: Region, size: [u32; 2]) -> Result<Vec<f32>> {
        let step = |source: u32, pixels: u32| f64::from(source) / f64::from(pixels.max(1));
        let view = View {
            left: f64::from(region.x),
            top: f64::from(region.y),
            step: [step(region.width, size[0]), step(region.height, size[1])],
            width: size[0].max(1) as usize,
            height: size[1].max(1) as usize,
        };
        self.draw_view(&view, scene)
    }

    fn render(&self, view: &View, scene: &Scene) -> Result<Vec<f32>> {
        #[cfg(feature = "gpu")]
        if let Some((gpu, or_cpu)) = &self.reader.drawing {
            let drawn = scene.on_gpu(gpu).and_then(|scene| scene.render(view, self.reader.limits()));
            if !(*or_cpu && matches!(drawn, Err(DecodeError::Gpu(_)))) {
                return drawn;
            }
        }
        self.reader.in_pool(|_| scene.render(view, self.reader.limits()))
    }

    fn draw_view(&self, view: &View, scene: &Scene) -> Result<Vec<f32>> {
        let mut samples = self.render(view, scene)?;
        channels_of_all(&self.descriptor, &mut samples);
        Ok(samples)
    }
}

/// A region along one axis, and after how many pixels the image repeats there.
struct Axis {
    from: u32,
    len: u32,
    period: Option<u32>,
}

impl Axis {
    /// Whether what lies in this span reaches the region.
    fn is_reached(&self, span: Range<i64>) -> bool {
        let (from, end) = (i64::from(self.from), i64::from(self.from) + i64::from(self.len));
        let hits = |shift: i64| span.start + shift < end && from < span.end + shift;
        match self.period.map(i64::from) {
            None => hits(0),
            Some(period) => span.end - span.start >= period || [-period, 0, period].into_iter().any(hits),
        }
    }
}

/// Whether a layer's pages are those of the image.
fn check_pages(image: &ImageDescriptor, layer: &LayerDescriptor) -> Result<(), String> {
    match layer.page {
        None if image.width.max(image.height) > MAX_PAGE => {
            Err(format!("it is one chunk of more than {MAX_PAGE} pixels"))
        }
        None => Ok(()),
        Some(side) => {
            let (columns, rows) = page_grid(image, side);
            let pages = u64::from(columns) * u64::from(rows);
            if layer.reach.len() as u64 == pages {
                Ok(())
            } else {
                Err(format!("it states the reach of {} pages, not of {pages}", layer.reach.len()))
            }
        }
    }
}
