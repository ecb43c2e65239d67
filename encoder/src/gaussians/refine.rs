//! Discrete descent on quantised symbols: for each Gaussian in turn its neighbours on every grid are tried, each with the best colours
//! in closed form, and the best is taken (section 3.2). Every step lowers the squared error of the picture as it will be decoded.
//!
//! Gaussians whose areas do not meet do not see each other, so they are done at once; what comes out is exactly what one after another
//! would give.

use std::ops::ControlFlow;

use mcodec_coding::gaussians::{Card, GaussianSet, Quantiser, Symbols};
use mcodec_decode::gaussians::{Shape, Splat, splat_of};
use rayon::prelude::*;

use super::adam::of_moments;
use super::cloud::Cloud;
use super::fit::Progress;
use super::patch::{Area, Canvas, Patch, Trial, draw_rows};
use super::price::Pricing;
use super::quantise::{place, values};
use super::step::MOMENTS;
use super::target::Target;
use super::wrap::{brought_back, each_copy};
use mcodec_decode::gaussians::lanes::LANES;

/// Centres stay this far inside the image, pixels.
const INSIDE: f32 = 0.2;
/// Range of colours.
const COLOUR: (f32, f32) = (-2.6, 2.8);
/// Less than this part of Gaussians changed in a sweep: the descent is done.
pub(super) const SETTLED: f64 = 0.02;
/// Groups of pixels from which on one Gaussian's candidates are tried on several threads.
const LARGE: usize = 4096;
/// Sweeps after which surplus Gaussians are dropped: a descent of no more than these keeps some.
pub(crate) const DROPS: usize = 3;
/// Steps that a colour is tried from the best one towards the expected one.
const TOWARDS: i32 = 6;
/// How far above [`Target::most_sigma`] the nearest level may be.
const ROUNDED_UP: f32 = 1.15;
/// Moves of both scales.
const SCALE_MOVES: [(i32, i32); 6] = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)];

/// How much to refine.
#[derive(Debug, Clone, Copy)]
pub struct RefineOptions<'a> {
    /// Most sweeps over all Gaussians.
    pub sweeps: usize,
    /// So many Gaussians, the first, stay as they are.
    pub frozen: usize,
    /// Gaussians to keep, frozen ones counted: those that save least are dropped, a part after each of the first sweeps.
    pub keep: usize,
    /// Prefixes of the Gaussians that are to be good pictures too, beside all of them: how many Gaussians each has, and how much its squared
    /// error counts.
    pub prefixes: &'a [(usize, f32)],
    /// Of each prefix, and last of the whole, what is part of its picture and stays as it is; or empty.
    pub beneath: &'a [Cloud],
    /// What bits cost; without it errors alone count.
    pub pricing: Option<&'a Pricing<'a>>,
}

/// What a descent gives besides the symbols.
#[derive(Debug, Clone)]
pub struct Refined {
    /// How many Gaussians each prefix has after it.
    pub ends: Vec<usize>,
    /// Weighted squared error before it.
    pub before: f64,
    /// And after it.
    pub after: f64,
    /// Sweeps done.
    pub sweeps: usize,
}

/// Lowers the squared error of a quantised set. The same on any number of threads. `progress` is told after each sweep and may end it.
pub fn refine(
    target: &Target,
    quantiser: &Quantiser,
    set: &mut GaussianSet,
    options: &RefineOptions<'_>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Refined {
    let mut descent = Descent::new(target, quantiser, set, options);
    let before = descent.error();
    let mut sweeps = 0;
    let mut order = descent.order(set, options.frozen);
    while sweeps < options.sweeps {
        descent.price(set);
        let changed = descent.sweep(set, &order);
        sweeps += 1;
        descent.redraw(set);
        let psnr = target.psnr(descent.error());
        let is_stopped = progress(Progress { done: sweeps, of: options.sweeps, psnr }).is_break();
        let surplus = set.symbols.len().saturating_sub(options.keep.max(options.frozen));
        let dropped = if sweeps > DROPS { 0 } else { surplus.div_ceil(DROPS + 1 - sweeps) };
        if dropped > 0 && sweeps < options.sweeps {
            descent.drop_weakest(set, options.frozen, dropped);
            descent.redraw(set);
            order = descent.order(set, options.frozen);
        }
        if is_stopped || surplus == 0 && (changed as f64) < SETTLED * set.symbols.len() as f64 {
            break;
        }
    }
    let ends = descent.views[..options.prefixes.len()].iter().map(|view| view.end).collect();
    Refined { ends, before, after: descent.error(), sweeps }
}

/// A descent under way: the picture as it is.
pub(super) struct Descent<'a> {
    target: &'a Target,
    quantiser: &'a Quantiser,
    /// Of each prefix, and last of all Gaussians.
    pub(super) views: Vec<View>,
    beneath: &'a [Cloud],
    pricing: Option<&'a Pricing<'a>>,
    /// What each Gaussian's alternatives cost; empty if only errors count.
    pub(super) cards: Vec<Card>,
    /// Squared error that a bit is worth.
    lambda: f64,
    /// Of each Gaussian the squared error that it saved when last looked at.
    pub(super) saved: Vec<f64>,
}

/// The part of the picture that one copy of a Gaussian, or its alternatives, may reach, and how far the copy is from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    area: Area,
    shift: [f32; 2],
}

impl Piece {
    fn moved(&self, shape: &Shape) -> Shape {
        let mut moved = *shape;
        (moved.x, moved.y) = (shape.x + self.shift[0], shape.y + self.shift[1]);
        moved
    }
}

/// One Gaussian to be added to the views that have it, or taken from them.
struct Draw {
    index: usize,
    shape: Shape,
    colours: Vec<f32>,
    sign: f32,
}

/// A picture of the first Gaussians.
pub(super) struct View {
    canvas: Canvas,
    /// How many they are.
    pub(super) end: usize,
    /// What its squared error counts.
    pub(super) weight: f32,
}

impl View {
    /// Draws those below number `end` in order, bands of rows on all threads.
    fn draw(&mut self, draws: &[Draw], end: usize, planes: usize) {
        const ROWS: usize = 32;
        let canvas = &mut self.canvas;
        let (columns, height) = (canvas.columns, canvas.height);
        let stride = columns * (1 + planes);
        canvas.sums.par_chunks_mut(stride * ROWS).enumerate().for_each(|(band, sums)| {
            let rows = (band * ROWS, (band * ROWS + ROWS).min(height));
            for Draw { index, shape, colours, sign } in draws {
                if *index < end
                    && shape.y + shape.half[1] + 1.0 >= rows.0 as f32
                    && shape.y - shape.half[1] - 1.0 <= rows.1 as f32
                {
                    draw_rows(sums, columns, rows, shape, colours, *sign);
                }
            }
        });
    }
}

/// One Gaussian's turn: what it was, what it becomes.
struct Turn {
    index: usize,
    old: Shape,
    old_colours: Vec<f32>,
    symbols: Symbols,
    /// What it becomes; copies of both are drawn with it where the picture repeats.
    shape: Shape,
    colours: Vec<i32>,
    /// Squared error that it saves, against none in its place.
    saved: f64,
}

impl<'a> Descent<'a> {
    fn new(
        target: &'a Target,
        quantiser: &'a Quantiser,
        set: &GaussianSet,
        options: &RefineOptions<'a>,
    ) -> Self {
        let mut descent = Self::on(&Canvas::new(target), target, quantiser, set, options);
        descent.redraw(set);
        descent
    }

    /// With copies of this canvas, on which nothing is drawn.
    pub(super) fn on(
        canvas: &Canvas,
        target: &'a Target,
        quantiser: &'a Quantiser,
        set: &GaussianSet,
        options: &RefineOptions<'a>,
    ) -> Self {
        let views = options.prefixes.iter().copied().chain([(usize::MAX, 1.0)]);
        let views = views.map(|(end, weight)| View { canvas: canvas.clone(), end, weight }).collect();
        let (saved, pricing) = (vec![0.0; set.symbols.len()], options.pricing);
        let beneath = options.beneath;
        Self { target, quantiser, views, beneath, pricing, cards: Vec::new(), lambda: 0.0, saved }
    }

    /// The squared error of all Gaussians.
    fn error(&self) -> f64 {
        self.views.last().map_or(0.0, |view| view.canvas.squared_error())
    }

    /// Prices as they are now.
    fn price(&mut self, set: &GaussianSet) {
        let part = self.list_prices(set);
        self.lambda = part * self.error();
    }

    /// Lists prices as they are now, and gives what a bit is worth as a part of the squared error.
    pub(super) fn list_prices(&mut self, set: &GaussianSet) -> f64 {
        let Some(pricing) = self.pricing else { return 0.0 };
        let ends: Vec<usize> = self.views.iter().map(|view| view.end).collect();
        self.cards = pricing.cards(set, &ends);
        let bits: f64 = self.cards.iter().map(|card| pricing.bits(card)).sum();
        pricing.strength / bits.max(1.0)
    }

    fn colours_of<'s>(&self, set: &'s GaussianSet, index: usize) -> &'s [i32] {
        &set.colours[index * self.quantiser.planes()..][..self.quantiser.planes()]
    }

    /// Draws all anew, so that no rounding adds up.
    fn redraw(&mut self, set: &GaussianSet) {
        self.views.iter_mut().for_each(|view| view.canvas.clear(&self.target.mean));
        for view in 0..self.beneath.len() {
            let cloud = &self.beneath[view];
            let mut draws = Vec::with_capacity(cloud.len());
            for index in 0..cloud.len() {
                let (shape, colours) = (cloud.splat(index).shape(), cloud.colours(index).to_vec());
                self.push(&mut draws, Draw { index, shape, colours, sign: 1.0 });
            }
            self.views[view].draw(&draws, usize::MAX, self.quantiser.planes());
        }
        let mut draws = Vec::with_capacity(set.symbols.len());
        for (index, symbols) in set.symbols.iter().enumerate() {
            let colours = values(self.quantiser, symbols.scales, self.colours_of(set, index));
            let shape = splat_of(self.quantiser, symbols).shape();
            self.push(&mut draws, Draw { index, shape, colours, sign: 1.0 });
        }
        self.draw(&draws);
    }

    /// Adds what is to be drawn, and its copies.
    fn push(&self, draws: &mut Vec<Draw>, draw: Draw) {
        each_copy(&draw.shape, self.target.periods(), |shape| {
            draws.push(Draw { shape, colours: draw.colours.clone(), ..draw });
        });
        draws.push(draw);
    }

    /// Draws in order.
    fn draw(&mut self, draws: &[Draw]) {
        let planes = self.quantiser.planes();
        self.views.iter_mut().for_each(|view| view.draw(draws, view.end, planes));
    }

    /// The order of turns: small Gaussians first.
    pub(super) fn order(&self, set: &GaussianSet, frozen: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (frozen..set.symbols.len()).collect();
        let size = |i: &usize| {
            set.symbols[*i].scales.map(|level| self.quantiser.sigma(level)).iter().product::<f32>()
        };
        order.sort_by(|a, b| size(a).total_cmp(&size(b)));
        order
    }

    /// Drops Gaussians that save least.
    pub(super) fn drop_weakest(&mut self, set: &mut GaussianSet, frozen: usize, count: usize) {
        let mut weakest: Vec<usize> = (frozen..set.symbols.len()).collect();
        weakest.sort_by(|&a, &b| self.saved[a].total_cmp(&self.saved[b]));
        let mut is_kept = vec![true; set.symbols.len()];
        weakest.iter().take(count).for_each(|&index| is_kept[index] = false);
        for view in &mut self.views {
            let end = view.end.min(is_kept.len());
            view.end -= is_kept[..end].iter().filter(|kept| !**kept).count();
        }
        let planes = self.quantiser.planes();
        let mut kept = is_kept.iter();
        set.symbols.retain(|_| *kept.next().expect("one each"));
        let mut kept = is_kept.iter();
        self.saved.retain(|_| *kept.next().expect("one each"));
        let mut kept = is_kept.iter().flat_map(|kept| std::iter::repeat_n(kept, planes));
        set.colours.retain(|_| *kept.next().expect("one each"));
    }

    /// One turn for each Gaussian; gives how many changed.
    fn sweep(&mut self, set: &mut GaussianSet, order: &[usize]) -> usize {
        let mut changed = 0;
        for round in self.rounds(set, order) {
            let turns: Vec<Turn> =
                round.par_iter().map(|(index, pieces)| self.turn(set, *index, pieces)).collect();
            let mut draws = Vec::with_capacity(2 * turns.len());
            for turn in turns {
                self.saved[turn.index] = turn.saved;
                let planes = self.quantiser.planes();
                let own = &mut set.colours[turn.index * planes..][..planes];
                if turn.symbols == set.symbols[turn.index] && turn.colours == own {
                    continue;
                }
                changed += 1;
                let index = turn.index;
                self.push(&mut draws, Draw { index, shape: turn.old, colours: turn.old_colours, sign: -1.0 });
                let colours = values(self.quantiser, turn.symbols.scales, &turn.colours);
                self.push(&mut draws, Draw { index, shape: turn.shape, colours, sign: 1.0 });
                own.copy_from_slice(&turn.colours);
                set.symbols[turn.index] = turn.symbols;
            }
            self.draw(&draws);
        }
        changed
    }

    /// Gaussians that can have their turns at once, round by round, each with the areas that its candidates reach. Of two whose areas meet, the
    /// first in the order comes in an earlier round.
    pub(super) fn rounds(&self, set: &GaussianSet, order: &[usize]) -> Vec<Vec<(usize, Vec<Piece>)>> {
        const CELL: usize = 8;
        let columns = self.target.width.div_ceil(LANES);
        let mut next = vec![0u32; columns * self.target.height.div_ceil(CELL)];
        let mut rounds: Vec<Vec<(usize, Vec<Piece>)>> = Vec::new();
        let pieces = order.par_iter().map(|&index| self.pieces(&self.candidates(&set.symbols[index])));
        for (&index, pieces) in order.iter().zip(pieces.collect::<Vec<_>>()) {
            let cells = pieces.iter().flat_map(|Piece { area, .. }| {
                let (left, right) = (area.left, area.right);
                (area.top / CELL..area.bottom.div_ceil(CELL))
                    .flat_map(move |row| (left..right).map(move |column| row * columns + column))
            });
            let round = cells.clone().map(|cell| next[cell]).max().unwrap_or(0);
            cells.for_each(|cell| next[cell] = round + 1);
            rounds.resize_with(rounds.len().max(round as usize + 1), Vec::new);
            rounds[round as usize].push((index, pieces));
        }
        rounds
    }

    /// What a Gaussian may become: as it is first, then its neighbours on each grid.
    pub(super) fn candidates(&self, symbols: &Symbols) -> Vec<(Symbols, Splat)> {
        let quantiser = self.quantiser;
        let mut out = Vec::with_capacity(13);
        out.push(*symbols);
        out.push(Symbols { x: symbols.x + 1, ..*symbols });
        out.extend(symbols.x.checked_sub(1).map(|x| Symbols { x, ..*symbols }));
        out.push(Symbols { y: symbols.y + 1, ..*symbols });
        out.extend(symbols.y.checked_sub(1).map(|y| Symbols { y, ..*symbols }));
        let angles = 1u32 << quantiser.angle_bits(symbols.scales);
        if angles > 1 {
            let turned = |by: u32| ((u32::from(symbols.angle) + by) % angles) as u8;
            out.push(Symbols { angle: turned(1), ..*symbols });
            out.push(Symbols { angle: turned(angles - 1), ..*symbols });
        }
        let current = splat_of(quantiser, symbols);
        let [a, b] = symbols.scales.map(i32::from);
        for (da, db) in SCALE_MOVES {
            let in_range = |level: i32| (0..quantiser.levels() as i32).contains(&level);
            if in_range(a + da) && in_range(b + db) {
                out.push(place(quantiser, [(a + da) as u8, (b + db) as u8], &current));
            }
        }
        let periods = self.target.periods();
        if periods != [None, None] {
            self.bring_back(symbols, &mut out);
        }
        let (width, height) = (self.target.width as f32, self.target.height as f32);
        let is_inside = |at: f32, size: f32, axis: usize| {
            periods[axis].is_some() || (INSIDE..=size - INSIDE).contains(&at)
        };
        let splats = out.into_iter().map(|symbols| (symbols, splat_of(quantiser, &symbols)));
        let most = self.target.most_sigma * ROUNDED_UP;
        let is_allowed = |splat: &Splat| {
            is_inside(splat.x, width, 0)
                && is_inside(splat.y, height, 1)
                && (splat.sigma[0].max(splat.sigma[1]) <= most)
        };
        let current = *symbols;
        splats.filter(|(s, splat)| *s == current || is_allowed(splat)).collect()
    }

    /// Brings candidates that went over an edge back at the other one.
    fn bring_back(&self, current: &Symbols, candidates: &mut Vec<Symbols>) {
        let periods = self.target.periods();
        // There is no number below the first: such a step goes straight to the other edge.
        let step = self.quantiser.position_step(current.scales);
        let splat = splat_of(self.quantiser, current);
        if current.x == 0 {
            candidates.extend(periods[0].map(|period| {
                place(self.quantiser, current.scales, &Splat { x: splat.x - step + period, ..splat })
            }));
        }
        if current.y == 0 {
            candidates.extend(periods[1].map(|period| {
                place(self.quantiser, current.scales, &Splat { y: splat.y - step + period, ..splat })
            }));
        }
        // The first is the current one, which stays what it is.
        for candidate in candidates.iter_mut().skip(1) {
            let splat = splat_of(self.quantiser, candidate);
            let (x, y) = (brought_back(splat.x, periods[0]), brought_back(splat.y, periods[1]));
            if (x, y) != (splat.x, splat.y) {
                *candidate = place(self.quantiser, candidate.scales, &Splat { x, y, ..splat });
            }
        }
    }

    /// What the candidates reach.
    fn pieces(&self, candidates: &[(Symbols, Splat)]) -> Vec<Piece> {
        let (width, height) = (self.target.width, self.target.height);
        let shapes: Vec<Shape> = candidates.iter().map(|(_, splat)| splat.shape()).collect();
        let shifts = |period: Option<f32>| match period {
            None => vec![0.0],
            Some(period) => vec![-period, 0.0, period],
        };
        let [across, down] = self.target.periods().map(shifts);
        let mut pieces = Vec::new();
        for &y in &down {
            for &x in &across {
                let mut piece = Piece { area: Area::default(), shift: [x, y] };
                let areas = shapes.iter().map(|shape| Area::of(&piece.moved(shape), width, height));
                let areas = areas.filter(|area| area.groups() > 0);
                if let Some(area) = areas.reduce(Area::union) {
                    piece.area = area;
                    pieces.push(piece);
                }
            }
        }
        pieces
    }

    /// The best of a Gaussian's candidates.
    fn turn(&self, set: &GaussianSet, index: usize, pieces: &[Piece]) -> Turn {
        thread_local! {
            static PATCHES: std::cell::Cell<Vec<Patch>> = const { std::cell::Cell::new(Vec::new()) };
        }
        let symbols = set.symbols[index];
        let mut candidates = self.candidates(&symbols);
        let old = candidates[0].1.shape();
        let old_colours = values(self.quantiser, symbols.scales, self.colours_of(set, index));
        let mut patches = PATCHES.take();
        let views: Vec<&View> = self.views.iter().filter(|view| index < view.end).collect();
        patches.resize_with(patches.len().max(views.len() * pieces.len()), Patch::default);
        let places = views.iter().flat_map(|view| pieces.iter().map(move |piece| (view, piece)));
        for ((view, piece), patch) in places.clone().zip(&mut patches) {
            view.canvas.cut(piece.area, Some((&piece.moved(&old), &old_colours)), patch);
        }
        if self.target.periods() == [None, None] {
            let mut moments = [0.0; MOMENTS];
            for ((view, _), patch) in places.clone().zip(&patches) {
                moments.iter_mut().zip(patch.moments).for_each(|(sum, m)| *sum += view.weight * m);
            }
            let price = |candidate: &Symbols| self.form_price(index, &symbols, candidate);
            promising(&mut candidates, &moments, price);
        }
        let judge = |(candidate, splat): &(Symbols, Splat)| {
            let shape = splat.shape();
            let mut trial = Trial::default();
            for ((view, piece), patch) in places.clone().zip(&patches) {
                trial.add(&patch.try_out(&piece.moved(&shape)), view.weight);
            }
            let price = self.form_price(index, &symbols, candidate);
            let (error, colours) = self.colour(index, candidate, &trial);
            (error + price, shape, colours)
        };
        let judged: Vec<_> = if pieces.iter().map(|piece| piece.area.groups()).sum::<usize>() >= LARGE {
            candidates.par_iter().map(judge).collect()
        } else {
            candidates.iter().map(judge).collect()
        };
        PATCHES.set(patches);
        let mut best = 0;
        for (i, (error, ..)) in judged.iter().enumerate() {
            if *error < judged[best].0 {
                best = i;
            }
        }
        let (error, shape, colours) = judged.into_iter().nth(best).expect("the current one is always there");
        Turn { index, old, old_colours, symbols: candidates[best].0, shape, colours, saved: -error }
    }

    /// What a candidate's form costs, as a squared error.
    fn form_price(&self, index: usize, current: &Symbols, candidate: &Symbols) -> f64 {
        let Some(card) = self.cards.get(index) else { return 0.0 };
        let bits = super::price::form_bits(self.quantiser, card, current, candidate);
        self.lambda * f64::from(bits)
    }

    /// The best colours, and by how much the squared error (and what they cost) is then above that without the Gaussian.
    fn colour(&self, gaussian: usize, symbols: &Symbols, trial: &Trial) -> (f64, Vec<i32>) {
        let curve = trial.curve.max(1e-6);
        let mut error = f64::from(trial.rise);
        let card = self.cards.get(gaussian);
        let colours = (0..self.quantiser.planes()).map(|plane| {
            let step = self.quantiser.colour_step(symbols.scales, plane);
            let (least, most) = ((COLOUR.0 / step) as i32, (COLOUR.1 / step) as i32);
            let nearest = ((trial.pull[plane] / curve / step).round() as i32).clamp(least, most);
            let cost = |index: i32| {
                let value = f64::from(index as f32 * step);
                let error =
                    f64::from(trial.curve) * value * value - 2.0 * value * f64::from(trial.pull[plane]);
                error
                    + card.map_or(0.0, |card| self.lambda * f64::from(card.colours[plane].bits(index, step)))
            };
            let mut best = (cost(nearest), nearest);
            if let Some(card) = card {
                // On the way to what is expected.
                let expected = (card.colours[plane].expected / step).round() as i32;
                let way = (expected - nearest).signum();
                for i in 1..=(expected - nearest).abs().min(TOWARDS) {
                    let index = nearest + i * way;
                    let one = cost(index);
                    if one < best.0 {
                        best = (one, index);
                    }
                }
            }
            error += best.0;
            best.1
        });
        let colours = colours.collect();
        (error, colours)
    }
}

/// Of each two candidates that are opposite moves, leaves the one that the gradient at the current one and the prices speak for.
fn promising(
    candidates: &mut Vec<(Symbols, Splat)>,
    moments: &[f32; MOMENTS],
    price: impl Fn(&Symbols) -> f64,
) {
    const PAIRS: usize = 6;
    let (current, splat) = candidates[0];
    let [s0, s1] = splat.sigma.map(f32::ln);
    let gradient = of_moments(s0, s1, splat.angle, moments);
    let pair = |other: &Symbols| match [0, 1].map(|axis| other.scales[axis] != current.scales[axis]) {
        [true, true] => 0,
        [true, false] => 1,
        [false, true] => 2,
        _ if other.x != current.x => 3,
        _ if other.y != current.y => 4,
        _ => 5,
    };
    let expected = |(symbols, moved): &(Symbols, Splat)| {
        let turn = moved.angle - splat.angle;
        let half_turns = (turn / std::f32::consts::PI).round();
        let by = [
            moved.x - splat.x,
            moved.y - splat.y,
            (moved.sigma[0] / splat.sigma[0]).ln(),
            (moved.sigma[1] / splat.sigma[1]).ln(),
            turn - half_turns * std::f32::consts::PI,
        ];
        let rise: f32 = gradient.iter().zip(by).map(|(slope, by)| slope * by).sum();
        f64::from(rise) + price(symbols)
    };
    let mut best: [Option<(f64, usize)>; PAIRS] = [None; PAIRS];
    for (i, candidate) in candidates.iter().enumerate().skip(1) {
        let (best, rise) = (&mut best[pair(&candidate.0)], expected(candidate));
        if best.is_none_or(|(least, _)| rise < least) {
            *best = Some((rise, i));
        }
    }
    let mut number = 0;
    candidates.retain(|_| {
        number += 1;
        number == 1 || best.iter().flatten().any(|&(_, i)| i == number - 1)
    });
}
