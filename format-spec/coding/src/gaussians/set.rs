//! Coding of one set of Gaussians (`SPEC.md` section 7.7.4).

use super::area::Area;
use super::card::Card;
use super::colours::Colours;
use super::integer::{cosine, direction, lg, root, root_of_small, sine};
use super::mixing::{Binary, Mixer, Price};
use super::model::{ANGLE_TREE_BITS, Model, Role, model, trained};
use super::neighbours::Neighbours;
use super::numbers::{Mixed, Numbers};
use super::positions::{Counts, morton};
use super::quantiser::{Quantiser, Symbols};
use crate::binary::{BinaryDecoder, BinaryEncoder};
use crate::error::{CodingError, Result, corrupt, invalid};
use std::cell::Cell;

/// Most Gaussians of a set.
pub const MAX_GAUSSIANS: usize = 65534;
/// Most cells of a set's area, per axis.
pub const MAX_CELLS: u32 = 2048;

/// Gaussians and their colours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GaussianSet {
    /// Place and form of each.
    pub symbols: Vec<Symbols>,
    /// Colour indices: those of all planes of a Gaussian follow each other.
    pub colours: Vec<i32>,
}

/// What the sets of an image have in common.
#[derive(Debug, Clone)]
pub struct Image {
    /// Steps.
    pub quantiser: Quantiser,
    /// Of each plane.
    pub roles: Vec<Role>,
}

/// Codes sets one after another, each after what the ones before have taught.
#[derive(Debug)]
pub struct SetCoder<'a> {
    image: &'a Image,
    /// `None` once it was given back.
    mixer: Option<Mixer>,
    /// It began as [`trained`] says.
    is_of_trained: bool,
    /// What the layers below have, for the next set.
    below: GaussianSet,
}

thread_local! {
    /// A mixer at the trained start: copying its megabyte takes as long as reading a small page.
    static AT_START: Cell<Option<Mixer>> = const { Cell::new(None) };
}

impl Drop for SetCoder<'_> {
    fn drop(&mut self) {
        if let Some(mut mixer) = self.mixer.take().filter(|_| self.is_of_trained) {
            mixer.start_over(trained());
            // A thread that ends keeps none.
            let _ = AT_START.try_with(|kept| kept.set(Some(mixer)));
        }
    }
}

impl<'a> SetCoder<'a> {
    /// A coder at the trained start.
    #[must_use]
    pub fn new(image: &'a Image) -> Self {
        let mixer = AT_START.try_with(Cell::take).ok().flatten().unwrap_or_else(|| trained().clone());
        Self { image, mixer: Some(mixer), is_of_trained: true, below: GaussianSet::default() }
    }

    /// A coder that goes on from `mixer`. For training.
    #[must_use]
    pub fn from_mixer(image: &'a Image, mixer: Mixer) -> Self {
        Self { image, mixer: Some(mixer), is_of_trained: false, below: GaussianSet::default() }
    }

    /// The next set lies over these Gaussians of layers below it, which its own are coded under: in order, layer after layer; those with a
    /// centre outside of its area do not count.
    pub fn lay_over(&mut self, below: GaussianSet) {
        self.below = below;
    }

    /// What has been learned.
    #[must_use]
    pub fn into_mixer(mut self) -> Mixer {
        self.mixer.take().unwrap_or_else(|| trained().clone())
    }

    /// Writes a set in canonical form (see [`canonical`]).
    ///
    /// # Errors
    ///
    /// [`CodingError::Invalid`] if it is not, or has Gaussians outside of `area` or too many.
    pub fn encode(&mut self, io: &mut BinaryEncoder, area: &Area, set: &GaussianSet) -> Result<()> {
        self.write(io, area, set)
    }

    /// What [`Self::encode`] would write, in bits.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn price(&mut self, area: &Area, set: &GaussianSet) -> Result<f64> {
        let mut io = Price::default();
        self.write(&mut io, area, set)?;
        Ok(io.bits)
    }

    fn write(&mut self, io: &mut impl Binary, area: &Area, set: &GaussianSet) -> Result<()> {
        check(self.image, set)?;
        let written = self.code(io, area, (Some(set), MAX_GAUSSIANS), None)?;
        if written != *set {
            return Err(invalid("set of Gaussians that is not in canonical form"));
        }
        Ok(())
    }

    /// Reads a set of at most `most` Gaussians.
    ///
    /// # Errors
    ///
    /// [`CodingError::Corrupt`] for what no encoder writes, [`CodingError::TooLarge`] above `most` Gaussians.
    pub fn decode(&mut self, io: &mut BinaryDecoder<'_>, area: &Area, most: usize) -> Result<GaussianSet> {
        self.code(io, area, (None, most), None)
    }

    /// The price list of each Gaussian of a set in canonical form.
    ///
    /// # Errors
    ///
    /// As [`Self::encode`].
    pub fn cards(&mut self, area: &Area, set: &GaussianSet) -> Result<Vec<Card>> {
        let mut cards = Vec::with_capacity(set.symbols.len());
        self.code(&mut Price::default(), area, (Some(set), MAX_GAUSSIANS), Some(&mut cards))?;
        Ok(cards)
    }

    fn code(
        &mut self,
        io: &mut impl Binary,
        area: &Area,
        limits: (Option<&GaussianSet>, usize),
        cards: Option<&mut Vec<Card>>,
    ) -> Result<GaussianSet> {
        let below = core::mem::take(&mut self.below);
        let mixer = self.mixer.get_or_insert_with(|| trained().clone());
        let mut numbers = Mixed { model: model(), mixer, io };
        code_set(self.image, &below, area, &mut numbers, limits, cards)
    }
}

/// That a set can be written at all.
pub(super) fn check(image: &Image, set: &GaussianSet) -> Result<()> {
    let planes = image.quantiser.planes();
    if set.symbols.len() > MAX_GAUSSIANS || set.colours.len() != set.symbols.len() * planes {
        return Err(invalid("number of Gaussians or of their colours"));
    }
    Ok(())
}

/// Codes a set over those `below` it: the given one, or one of at most `most` Gaussians that is read.
pub(super) fn code_set(
    image: &Image,
    below: &GaussianSet,
    area: &Area,
    numbers: &mut impl Numbers,
    (given, most): (Option<&GaussianSet>, usize),
    mut cards: Option<&mut Vec<Card>>,
) -> Result<GaussianSet> {
    if area.columns == 0 || area.rows == 0 || area.columns > MAX_CELLS || area.rows > MAX_CELLS {
        return Err(invalid("area of a set of Gaussians"));
    }
    let total = code_count(numbers, area, given.map_or(0, |set| set.symbols.len() as u32));
    if total as usize > most {
        return Err(CodingError::TooLarge {
            what: "Gaussians of a set",
            size: u64::from(total),
            limit: most as u64,
        });
    }
    let mut set = GaussianSet::default();
    if total == 0 {
        return Ok(set);
    }
    let mut counts = Counts::new(area.columns, area.rows);
    let (below, mut cells) = those_within(image, below, area);
    cells.iter().for_each(|&(x, y)| counts.add_below(x, y));
    let from = cells.len();
    for symbols in given.map_or(&[][..], |set| &set.symbols) {
        let (x, y) =
            area.cell(&image.quantiser, symbols).ok_or(invalid("Gaussian outside of its set's area"))?;
        counts.add(x, y);
    }
    counts.code(numbers, total)?;
    cells.extend(counts.cells());
    let neighbours = Neighbours::new(&cells, from);
    let mut forms = Forms { image, area, cells: &cells, neighbours: &neighbours, coded: below.symbols };
    forms.coded.reserve(cells.len() - from);
    for index in from..cells.len() {
        let given = given.map(|set| set.symbols[index - from]);
        if let (Some(cards), Some(given), Some((model, mixer))) = (&mut cards, given, numbers.known()) {
            cards.push(forms.card(model, mixer, index, given));
        }
        forms.code(numbers, index, given)?;
    }
    let mut symbols = forms.coded;
    let mut colours = Colours::new(image, &symbols, &neighbours, &below.colours);
    set.colours = colours.code(numbers, given.map(|set| &set.colours[..]), cards)?;
    set.symbols = symbols.split_off(from);
    Ok(set)
}

/// The Gaussians of the layers below with a centre in this area, and their cells.
fn those_within(image: &Image, all: &GaussianSet, area: &Area) -> (GaussianSet, Vec<(u32, u32)>) {
    let planes = image.quantiser.planes();
    let (mut below, mut cells) = (GaussianSet::default(), Vec::new());
    for (symbols, colours) in all.symbols.iter().zip(all.colours.chunks_exact(planes)) {
        if let Some(cell) = area.cell(&image.quantiser, symbols) {
            below.symbols.push(*symbols);
            below.colours.extend_from_slice(colours);
            cells.push(cell);
        }
    }
    (below, cells)
}

fn code_count(numbers: &mut impl Numbers, area: &Area, count: u32) -> u32 {
    let bits = numbers.octave((count + 1).ilog2(), area.grain as usize);
    let rest = numbers.raw(count + 1, bits) & ((1 << bits) - 1);
    (rest | 1 << bits) - 1
}

/// Puts a set into the order and form that is written: the greater scale first, cells in Morton order, large Gaussians first in a cell.
#[must_use]
pub fn canonical(image: &Image, area: &Area, set: &GaussianSet) -> Option<GaussianSet> {
    Some(canonical_order(image, area, set)?.0)
}

/// A set in canonical form, and of each of its Gaussians the number that it had.
#[must_use]
pub fn canonical_order(image: &Image, area: &Area, set: &GaussianSet) -> Option<(GaussianSet, Vec<usize>)> {
    let planes = image.quantiser.planes();
    let mut keyed = Vec::with_capacity(set.symbols.len());
    for (index, symbols) in set.symbols.iter().enumerate() {
        let mut symbols = *symbols;
        let angles = 1u32 << image.quantiser.angle_bits(symbols.scales);
        if symbols.scales[0] < symbols.scales[1] {
            symbols.scales.swap(0, 1);
            symbols.angle = ((u32::from(symbols.angle) + angles / 2) % angles) as u8;
        }
        let (x, y) = area.cell(&image.quantiser, &symbols)?;
        let size = u32::from(symbols.scales[0]) + u32::from(symbols.scales[1]);
        keyed.push((
            (morton(x, y), u32::MAX - size, symbols.scales, symbols.x, symbols.y, symbols.angle),
            index,
            symbols,
        ));
    }
    keyed.sort_by_key(|(key, index, _)| (*key, *index));
    let colours =
        keyed.iter().flat_map(|&(_, index, _)| &set.colours[index * planes..][..planes]).copied().collect();
    let order = keyed.iter().map(|&(_, index, _)| index).collect();
    Some((
        GaussianSet { symbols: keyed.into_iter().map(|(_, _, symbols)| symbols).collect(), colours },
        order,
    ))
}

/// Scales, places in cells, and angles, one Gaussian after another.
struct Forms<'a> {
    image: &'a Image,
    area: &'a Area,
    cells: &'a [(u32, u32)],
    neighbours: &'a Neighbours,
    coded: Vec<Symbols>,
}

/// A distance in units of 1/16 pixel as one of 31 classes, a third of an octave each.
fn distance_class(distance: u64) -> usize {
    ((3 * (lg(distance) - (4 << 16)) + (1 << 15)) >> 16).clamp(0, 30) as usize
}

/// `round(a / b)` for b > 0, halves up.
pub(super) fn rounded(a: i64, b: i64) -> i64 {
    (2 * a + b).div_euclid(2 * b)
}

impl Forms<'_> {
    /// A distance between cells in units of 1/16 pixel.
    fn distance(&self, cells: u64) -> u64 {
        // A cell is 2^(bits - 3) pixels.
        let square = cells << (2 * (self.area.grain.cell_bits() + 1));
        u32::try_from(square).map_or_else(|_| root(square), |square| u64::from(root_of_small(square)))
    }

    /// Earlier neighbours and the squares of their distances in cells, nearest first.
    fn earlier(&self, index: usize) -> impl Iterator<Item = (Symbols, u64)> {
        let near = self.neighbours.of(index).iter().filter(move |near| near.index() < index);
        near.map(|near| (self.coded[near.index()], near.distance()))
    }

    fn code(&mut self, numbers: &mut impl Numbers, index: usize, given: Option<Symbols>) -> Result<()> {
        let given = given.unwrap_or_default();
        let scales = self.scales(numbers, index, given.scales)?;
        let quantiser = &self.image.quantiser;
        let position_bits = quantiser.position_bits(scales);
        let sub_bits = self.area.sub_bits(position_bits);
        let mut place = |cell: u32, index: u32| {
            let sub = numbers.raw(index, sub_bits) & ((1 << sub_bits) - 1);
            cell << sub_bits | sub
        };
        let (x, y) = self.cells[index];
        let (x, y) = (place(self.area.left + x, given.x), place(self.area.top + y, given.y));
        let angle = self.angle(numbers, index, scales, given.angle);
        self.coded.push(Symbols { x, y, scales, angle });
        Ok(())
    }

    /// What is around a Gaussian, for the contexts of its scales.
    fn around(&self, index: usize) -> Around {
        let near = self.neighbours.of(index);
        let cell = 16u64 << (self.area.grain.cell_bits() - 3);
        let third = match near {
            [a, b, c, ..] => {
                (self.distance(a.distance()) + self.distance(b.distance()) + self.distance(c.distance())) / 3
            }
            _ => 8 * cell,
        };
        let eighth = near.get(7).map_or(12 * cell, |near| self.distance(near.distance()));
        let (mut weights, mut sums, mut differences) = (0, 0, 0);
        for (symbols, distance) in self.earlier(index).take(4) {
            let weight = ((1 << 20) / (32 + self.distance(distance))) as i64;
            weights += weight;
            sums += weight * (i64::from(symbols.scales[0]) + i64::from(symbols.scales[1]));
            differences += weight * (i64::from(symbols.scales[0]) - i64::from(symbols.scales[1]));
        }
        let (average, difference) = match weights {
            0 => (64, 30),
            _ => (rounded(sums, 2 * weights).min(63) as usize, rounded(differences, weights) as usize),
        };
        Around { third: distance_class(third), eighth: distance_class(eighth), average, difference }
    }

    fn scales(&self, numbers: &mut impl Numbers, index: usize, given: [u8; 2]) -> Result<[u8; 2]> {
        let around = self.around(index);
        let sum = numbers.sum(u32::from(given[0]) + u32::from(given[1]), around.of_sum())?;
        let half = u32::from(given[0].saturating_sub(given[1])) / 2;
        let half = numbers.difference(half, around.of_difference(sum))?;
        let levels = self.image.quantiser.levels() as u32;
        let greater = sum.div_ceil(2) + half;
        if greater > sum || greater >= levels {
            return Err(corrupt("scales of a Gaussian"));
        }
        Ok([greater as u8, (sum - greater) as u8])
    }

    /// Prices of a Gaussian's form; those of its colours come later.
    fn card(&self, model: &Model, mixer: &Mixer, index: usize, given: Symbols) -> Card {
        let around = self.around(index);
        let levels = self.image.quantiser.levels() as i32;
        let mut scales = [[f32::INFINITY; 3]; 3];
        let least = u32::from(given.scales[0]) + u32::from(given.scales[1]);
        let least = least.saturating_sub(2);
        let mut sums = [0.0; 5];
        model.sum.bits(mixer, least, around.of_sum(), &mut sums);
        for (a, row) in (-1i32..).zip(&mut scales) {
            for (b, bits) in (-1i32..).zip(row) {
                let [k0, k1] = [i32::from(given.scales[0]) + a, i32::from(given.scales[1]) + b];
                if !(0..levels).contains(&k0) || !(0..levels).contains(&k1) {
                    continue;
                }
                let (sum, half) = ((k0 + k1) as u32, k0.abs_diff(k1) / 2);
                let mut difference = [0.0];
                model.difference.bits(mixer, half, around.of_difference(sum), &mut difference);
                *bits = sums[(sum - least) as usize] + difference[0];
            }
        }
        let bits = self.image.quantiser.angle_bits(given.scales);
        let mut angle = [0.0; 3];
        if bits > 0 {
            let expected = self.expected_angle(index, bits);
            for (turn, price) in (-1i32..).zip(&mut angle) {
                let turned = i32::from(given.angle) + turn;
                let turned = expected.turned(turned as u32 & ((1 << bits) - 1));
                let top = bits.min(ANGLE_TREE_BITS);
                let tree = model.angle.bits(mixer, turned >> (bits - top), top, expected.contexts());
                *price = tree + (bits - top) as f32;
            }
        }
        Card { scales, angle, colours: Vec::new() }
    }

    /// What an angle of so many bits is expected to be.
    fn expected_angle(&self, index: usize, bits: u32) -> ExpectedAngle {
        let quantiser = &self.image.quantiser;
        let (mut x, mut y, mut weights) = (0i64, 0i64, 0i64);
        let elongation = |symbols: &Symbols| {
            let [major, minor] = symbols.scales.map(|level| quantiser.lg_sigma(level));
            i64::from(major - minor)
        };
        // At least 0.05 in natural logarithms.
        let near = self.earlier(index).map(|(symbols, distance)| (symbols, distance, elongation(&symbols)));
        for (symbols, distance, elongation) in near.filter(|&(.., elongation)| elongation >= 4727).take(5) {
            let weight = (elongation.min(141_822) << 16) / (48 + self.distance(distance) as i64).pow(2);
            let twice = u32::from(symbols.angle) << (8 - quantiser.angle_bits(symbols.scales));
            x += weight * i64::from(cosine(twice));
            y += weight * i64::from(sine(twice));
            weights += weight;
        }
        let (x, y) = (x >> 14, y >> 14);
        let coherence = if weights == 0 { 0 } else { root((x * x + y * y) as u64) as i64 * 256 / weights };
        let class = match coherence {
            _ if weights == 0 => 0,
            ..90 => 1,
            90..166 => 2,
            166..218 => 3,
            218.. => 4,
        };
        let angles = 1u32 << bits;
        let index = if weights == 0 { 0 } else { ((direction(x, y) * angles + 128) >> 8) % angles };
        ExpectedAngle { bits, index, class, coherence }
    }

    fn angle(&self, numbers: &mut impl Numbers, index: usize, scales: [u8; 2], given: u8) -> u8 {
        let bits = self.image.quantiser.angle_bits(scales);
        if bits == 0 {
            return 0;
        }
        let expected = self.expected_angle(index, bits);
        let angles = 1u32 << bits;
        let turned = expected.turned(u32::from(given));
        let top = bits.min(ANGLE_TREE_BITS);
        let rest = bits - top;
        let high = numbers.angle(turned >> rest, top, expected.contexts());
        let low = numbers.raw(turned, rest) & ((1 << rest) - 1);
        ((high << rest | low) + expected.index + angles - angles / 2) as u8 & (angles - 1) as u8
    }
}

/// What is around a Gaussian.
struct Around {
    /// Classes of the distances of the first three and of the eighth.
    third: usize,
    eighth: usize,
    /// Of the levels of those that are coded, and of their differences.
    average: usize,
    difference: usize,
}

impl Around {
    /// Contexts of the sum of levels.
    fn of_sum(&self) -> [usize; 3] {
        let (third, eighth) = (self.third, self.eighth);
        [third / 2 * 32 + eighth / 2, self.average, (third + eighth) / 3 * 33 + self.average / 2]
    }

    /// Contexts of half their difference.
    fn of_difference(&self, sum: u32) -> [usize; 3] {
        [
            sum as usize / 2,
            16 * (sum & 1) as usize + self.difference.min(15),
            self.third / 2 * 22 + sum.min(63) as usize / 3,
        ]
    }
}

/// What an angle is expected to be.
struct ExpectedAngle {
    bits: u32,
    index: u32,
    /// How much the angles around agree: as one of five classes, and in units of 1/256.
    class: usize,
    coherence: i64,
}

impl ExpectedAngle {
    fn contexts(&self) -> [usize; 3] {
        let b = self.bits as usize;
        [
            b * 8 + self.class,
            b * 8 + ((self.coherence * 6) >> 8).min(7) as usize,
            b * 16 + ((16 * self.index) >> self.bits) as usize,
        ]
    }

    /// What is coded for an angle: how far it is turned from the expected, which is in the middle.
    fn turned(&self, angle: u32) -> u32 {
        let angles = 1u32 << self.bits;
        (angle + angles - self.index + angles / 2) % angles
    }
}
