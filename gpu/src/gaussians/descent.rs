//! The discrete descent: for each Gaussian the caller's candidates are tried, and the best is taken with its best colours. A sweep is one turn
//! for each Gaussian, in rounds of turns that do not see each other; what it chose is read back once, at its end.

use std::num::NonZeroU64;

use bytemuck::{Pod, Zeroable};
use wgpu::{BindingResource, Buffer, BufferBinding};

use super::MAX_CHANNELS;
use super::fit::{Picture, REACHED, goals};
use super::grid::Grid;
use super::kernel::{Bound, Text, Work, bind, bind_resources, prepare, storage, uniform, workgroups, zeros};
use super::render::BIN;
use crate::device::Gpu;
use crate::error::{GpuError, Result};

/// Candidates of a turn at most.
pub const MOST_CANDIDATES: usize = 13;
/// Views at most.
const MOST_VIEWS: usize = 17;
/// Turns that one dispatch has.
const MOST_AT_ONCE: usize = 65535;
/// Workgroups that share a large Gaussian, at most; pixels of a Gaussian's box for each, as the kernels have them; and trials of parts that there are of
/// a round, so that a round of many has few parts.
const MOST_SHARED: usize = 16;
const PART: f32 = 2048.0;
const MOST_TRIALS: usize = 1 << 20;
/// Parts that the error is summed up in.
const PARTS: u32 = 256;
/// Numbers of what was chosen before those of the turns.
const HEAD: usize = 4;
/// Bytes from one round to the next: every device can bind a buffer from there.
const ROUND_STRIDE: usize = size_of::<Round>().next_multiple_of(256);

const COMMON: &str = include_str!("descent.wgsl");
const CANVAS: Text = Text("canvas", &[include_str!("sums.wgsl"), include_str!("canvas.wgsl")]);
const ERROR: Text = Text("error of a canvas", &[COMMON, include_str!("canvas_error.wgsl")]);
const LAMBDA: Text = Text("worth of a bit", &[include_str!("lambda.wgsl")]);
const ATTEMPT: Text = Text("candidates", &[COMMON, REACHED, include_str!("attempt.wgsl")]);
const CHOOSE: Text = Text("choices", &[COMMON, REACHED, include_str!("choose.wgsl")]);
const REPLACE: Text = Text("replaced Gaussians", &[COMMON, REACHED, include_str!("replace.wgsl")]);

/// A Gaussian ready to be evaluated: its value at (dx, dy) from its centre is 2^-(u^2 + v^2) - exp(-4.5), at least 0, with u = `across` dx + `along`
/// dy and v = `down` dy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Shape {
    /// Centre.
    pub centre: [f32; 2],
    /// u per dx.
    pub across: f32,
    /// u per dy.
    pub along: f32,
    /// v per dy.
    pub down: f32,
    /// Covariance: xx, xy, yy.
    pub covariance: [f32; 3],
    /// Its determinant.
    pub determinant: f32,
    /// Half the width and half the height of the box of what it reaches.
    pub half: [f32; 2],
    /// What values are multiplied by.
    pub weight: f32,
}

/// What a Gaussian may become.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its form.
    pub shape: Shape,
    /// Bits of the form, apart from what all candidates have in common.
    pub bits: f32,
    /// Of each channel the step of its colour: colours are whole multiples.
    pub steps: Vec<f32>,
}

/// A turn of one Gaussian.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Which Gaussian.
    pub gaussian: usize,
    /// What it may become, 1 to [`MOST_CANDIDATES`]: as it is first.
    pub candidates: Vec<Candidate>,
    /// Of each channel the colour that is expected, then the bits of each difference from it in steps, from the most negative to the most
    /// positive: as many numbers for each channel of each turn. Empty: bits do not count.
    pub card: Vec<f32>,
}

/// What is done in a sweep.
#[derive(Debug, Clone, Copy)]
pub struct Sweep<'a> {
    /// All Gaussians as they are, in drawing order.
    pub shapes: &'a [Shape],
    /// And their colours.
    pub colours: &'a [f32],
    /// The turns, round after round.
    pub turns: &'a [Turn],
    /// Of each round how many turns it has. Those of one round do not reach a common pixel, whatever they choose: together all turns.
    pub rounds: &'a [usize],
    /// Pictures of the first Gaussians: how many Gaussians each has, and how much its squared error counts; the last of all.
    pub views: &'a [(usize, f32)],
    /// Squared error that a bit is worth, as a part of that of the last view.
    pub worth: f32,
}

/// What a turn chose.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Which of its candidates.
    pub candidate: usize,
    /// How much squared error it saves, against none in its place.
    pub saved: f32,
    /// Its colours, in steps.
    pub colours: Vec<i32>,
}

/// What a sweep gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Swept {
    /// Of each turn.
    pub choices: Vec<Choice>,
    /// Weighted squared error before it.
    pub before: f64,
    /// And after it.
    pub after: f64,
}

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Round {
    width: u32,
    height: u32,
    first: u32,
    end: u32,
    views: u32,
    most: u32,
    is_priced: u32,
    priced: u32,
    parts: u32,
    padding: [u32; 3],
    of_views: [[u32; 4]; MOST_VIEWS],
}

impl Round {
    /// Trials of parts of candidates.
    fn trials(&self) -> usize {
        (self.end - self.first) as usize * (self.most * self.parts) as usize
    }
}

/// The rounds of a sweep; turns of a large one may as well come one after another.
fn rounds_of(round: &Round, sweep: &Sweep<'_>) -> Vec<Round> {
    let mut rounds = Vec::with_capacity(sweep.rounds.len());
    let mut turns = sweep.turns;
    for &size in sweep.rounds {
        let (own, rest) = turns.split_at(size);
        turns = rest;
        for own in own.chunks(MOST_AT_ONCE) {
            let first = rounds.last().map_or(0, |round: &Round| round.end);
            let areas = own.iter().flat_map(|turn| &turn.candidates).map(|candidate| {
                let [across, down] = candidate.shape.half;
                4.0 * across * down
            });
            let largest = areas.fold(0.0, f32::max);
            let most = (MOST_TRIALS / (own.len() * MOST_CANDIDATES)).clamp(1, MOST_SHARED);
            let parts = ((largest / PART) as usize).clamp(1, most) as u32;
            rounds.push(Round { first, end: first + own.len() as u32, parts, ..*round });
        }
    }
    rounds
}

/// What a sweep's turns are, on the device.
struct Listed {
    turns: Buffer,
    /// Candidates of each turn, [`MOST_CANDIDATES`] of them.
    shapes: Buffer,
    /// Colours of each turn's Gaussian.
    olds: Buffer,
    cards: Buffer,
    prices: Buffer,
    /// Residuals of a colour that are priced.
    priced: usize,
}

impl Listed {
    fn new(gpu: &Gpu, channels: usize, sweep: &Sweep<'_>) -> Result<Self> {
        let all = sweep.turns.len() * MOST_CANDIDATES;
        let (mut turns, mut shapes) = (Vec::new(), Vec::with_capacity(all));
        let mut prices = Vec::with_capacity(all * (1 + channels));
        let (mut olds, mut cards) = (Vec::new(), Vec::new());
        for turn in sweep.turns {
            turns.extend([turn.gaussian as u32, turn.candidates.len() as u32]);
            olds.extend_from_slice(&sweep.colours[turn.gaussian * channels..][..channels]);
            cards.extend_from_slice(&turn.card);
            for candidate in &turn.candidates {
                shapes.push(candidate.shape);
                prices.push(candidate.bits);
                prices.extend_from_slice(&candidate.steps);
            }
            let missing = MOST_CANDIDATES - turn.candidates.len();
            shapes.extend(std::iter::repeat_n(Shape::default(), missing));
            prices.extend(std::iter::repeat_n(0.0, missing * (1 + channels)));
        }
        let upload = |what, floats: &[f32]| storage(gpu, what, bytemuck::cast_slice(floats));
        Ok(Self {
            turns: storage(gpu, "turns", bytemuck::cast_slice(&turns))?,
            shapes: storage(gpu, "candidates", bytemuck::cast_slice(&shapes))?,
            olds: upload("colours", &olds)?,
            cards: upload("prices of colours", &cards)?,
            prices: upload("prices", &prices)?,
            priced: sweep.turns.first().map_or(0, |turn| (turn.card.len() / channels).saturating_sub(1)),
        })
    }
}

/// A picture for sweeps.
pub struct Descent<'g> {
    gpu: &'g Gpu,
    width: usize,
    height: usize,
    channels: usize,
    views: usize,
    goals: Buffer,
    centres: Buffer,
    canvas: Buffer,
    errors: Buffer,
}

impl std::fmt::Debug for Descent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descent").field("channels", &self.channels).field("views", &self.views).finish()
    }
}

impl<'g> Descent<'g> {
    /// Uploads a picture; sweeps will have so many views.
    ///
    /// # Errors
    /// [`GpuError::Input`] if numbers of values do not match; [`GpuError::TooLarge`] if the picture is above what the device binds at once; what the
    /// device says.
    pub fn new(gpu: &'g Gpu, picture: &Picture<'_>, views: usize) -> Result<Self> {
        let (width, height, channels) = (picture.width, picture.height, picture.mean.len());
        if !picture.is_sound() || !(1..=MOST_VIEWS).contains(&views) {
            return Err(GpuError::Input("a picture to refine"));
        }
        prepare(gpu, channels, &[BIN, CANVAS, ERROR, LAMBDA, ATTEMPT, CHOOSE, REPLACE]);
        let centre = |i: usize| i as f32 + 0.5;
        let centres: Vec<f32> = (0..width).map(centre).chain((0..height).map(centre)).collect();
        Ok(Self {
            gpu,
            width,
            height,
            channels,
            views,
            goals: storage(gpu, "what is fitted", bytemuck::cast_slice(&goals(picture)))?,
            centres: storage(gpu, "pixels", bytemuck::cast_slice(&centres))?,
            canvas: zeros(gpu, "pixels of a descent", width * height * (1 + channels) * views)?,
            errors: zeros(gpu, "errors of parts", PARTS as usize)?,
        })
    }

    /// One sweep. One buffer is mapped.
    ///
    /// # Errors
    /// [`GpuError::Input`] if numbers of values do not match; what the device says.
    pub fn sweep(&self, sweep: &Sweep<'_>) -> Result<Swept> {
        self.check(sweep)?;
        let (gpu, channels) = (self.gpu, self.channels);
        let mut work = Work::new(gpu);
        self.draw(&mut work, sweep)?;
        let count = sweep.turns.len();
        let listed = Listed::new(gpu, channels, sweep)?;
        let out = zeros(gpu, "choices", HEAD + count * (2 + channels))?;
        let round = Round {
            width: self.width as u32,
            height: self.height as u32,
            first: 0,
            end: 0,
            views: self.views as u32,
            most: MOST_CANDIDATES as u32,
            is_priced: u32::from(listed.priced > 0),
            priced: listed.priced as u32,
            parts: 1,
            padding: [0; 3],
            of_views: std::array::from_fn(|i| {
                let (end, weight) = sweep.views.get(i).copied().unwrap_or_default();
                [u32::try_from(end).unwrap_or(u32::MAX), weight.to_bits(), 0, 0]
            }),
        };
        self.error(&mut work, &round, &out, sweep.worth, false)?;
        self.take_turns(&mut work, &round, sweep, &listed, &out)?;
        self.error(&mut work, &round, &out, sweep.worth, true)?;
        work.submit()?;
        let bytes = gpu.read(&out, 0..4 * (HEAD + count * (2 + channels)) as u64)?;
        let floats: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let choice = |(of, turn): (&[f32], &Turn)| Choice {
            candidate: (of[0] as usize).min(turn.candidates.len() - 1),
            saved: of[1],
            colours: of[2..].iter().map(|&index| index as i32).collect(),
        };
        let choices = floats[HEAD..].chunks_exact(2 + channels).zip(sweep.turns).map(choice).collect();
        Ok(Swept { choices, before: f64::from(floats[1]), after: f64::from(floats[2]) })
    }

    /// All rounds, one after another.
    fn take_turns(
        &self,
        work: &mut Work<'_>,
        round: &Round,
        sweep: &Sweep<'_>,
        listed: &Listed,
        out: &Buffer,
    ) -> Result<()> {
        let (gpu, channels) = (self.gpu, self.channels);
        let rounds = rounds_of(round, sweep);
        let most = rounds.iter().map(Round::trials).max().unwrap_or(0);
        let trials = zeros(gpu, "trials", most * (2 + channels))?;
        let mut bytes = vec![0; rounds.len() * ROUND_STRIDE];
        for (round, bytes) in rounds.iter().zip(bytes.chunks_exact_mut(ROUND_STRIDE)) {
            bytes[..size_of::<Round>()].copy_from_slice(bytemuck::bytes_of(round));
        }
        let uniforms = uniform(gpu, "rounds", &bytes)?;
        let Listed { turns, shapes, olds, cards, prices, .. } = listed;
        for (at, round) in rounds.iter().enumerate() {
            let own = BindingResource::Buffer(BufferBinding {
                buffer: &uniforms,
                offset: (at * ROUND_STRIDE) as u64,
                size: NonZeroU64::new(size_of::<Round>() as u64),
            });
            let bound = |text, buffers: &[&Buffer]| {
                let others = buffers.iter().map(|buffer| buffer.as_entire_binding());
                let all: Vec<_> = std::iter::once(own.clone()).chain(others).collect();
                bind_resources(gpu, text, channels, &all)
            };
            let (size, parts) = (round.end - round.first, round.parts);
            work.run([
                (
                    &bound(ATTEMPT, &[turns, shapes, olds, &self.canvas, &self.goals, &trials])?,
                    [round.most * parts, size],
                ),
                (
                    &bound(CHOOSE, &[turns, shapes, &trials, cards, out, prices])?,
                    workgroups(size as usize, 1),
                ),
                (
                    &bound(REPLACE, &[turns, shapes, olds, &self.canvas, out, prices])?,
                    workgroups((size * parts) as usize, 1),
                ),
            ]);
        }
        Ok(())
    }

    /// Draws all views anew.
    fn draw(&self, work: &mut Work<'_>, sweep: &Sweep<'_>) -> Result<()> {
        let (gpu, count) = (self.gpu, sweep.shapes.len());
        let shapes = storage(gpu, "Gaussians", bytemuck::cast_slice(sweep.shapes))?;
        let colours = storage(gpu, "colours", bytemuck::cast_slice(sweep.colours))?;
        let counts = storage(gpu, "number of Gaussians", bytemuck::bytes_of(&(count as u32)))?;
        let grid = Grid::new(self.width, self.height, count.max(1));
        let lists = zeros(gpu, "lists of Gaussians", grid.words())?;
        for (view, &(end, _)) in sweep.views.iter().enumerate() {
            // The kernel finds the view's place there.
            let own = Grid { end: end.min(count) as u32, not_last: view as u32, ..grid };
            let own = uniform(gpu, "grid", bytemuck::bytes_of(&own))?;
            let bin = bind(gpu, BIN, self.channels, &[&own, &self.centres, &counts, &shapes, &lists])?;
            let canvas = [&own, &self.centres, &lists, &shapes, &colours, &self.goals, &self.canvas];
            let canvas = bind(gpu, CANVAS, self.channels, &canvas)?;
            work.run([(&bin, grid.squares), (&canvas, grid.tiles)]);
        }
        Ok(())
    }

    /// Sums up the error.
    fn error(&self, work: &mut Work<'_>, round: &Round, out: &Buffer, part: f32, is_end: bool) -> Result<()> {
        let round = uniform(self.gpu, "round", bytemuck::bytes_of(round))?;
        let error: Bound =
            bind(self.gpu, ERROR, self.channels, &[&round, &self.canvas, &self.goals, &self.errors])?;
        let worth = [part.to_bits(), PARTS, u32::from(is_end), 0];
        let worth = uniform(self.gpu, "worth", bytemuck::cast_slice(&worth))?;
        let lambda = bind(self.gpu, LAMBDA, self.channels, &[&worth, &self.errors, out])?;
        work.run([(&error, [PARTS, 1]), (&lambda, [1, 1])]);
        Ok(())
    }

    fn check(&self, sweep: &Sweep<'_>) -> Result<()> {
        let count = sweep.shapes.len();
        let card = sweep.turns.first().map_or(0, |turn| turn.card.len());
        let is_turn = |turn: &Turn| {
            turn.gaussian < count
                && (1..=MOST_CANDIDATES).contains(&turn.candidates.len())
                && turn.candidates.iter().all(|candidate| candidate.steps.len() == self.channels)
                && turn.card.len() == card
        };
        let is_sound = sweep.colours.len() == count * self.channels
            && sweep.views.len() == self.views
            && sweep.rounds.iter().sum::<usize>() == sweep.turns.len()
            && card.is_multiple_of(self.channels)
            && self.channels <= MAX_CHANNELS
            && sweep.turns.iter().all(is_turn);
        if is_sound { Ok(()) } else { Err(GpuError::Input("a sweep")) }
    }
}
