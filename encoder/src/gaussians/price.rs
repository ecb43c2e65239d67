//! What the coder would charge for a Gaussian and for what is next to it on the grids: bits beside errors in the descent.

use mcodec_coding::gaussians::{
    Area, Card, GaussianSet, Grain, Image, Quantiser, SetCoder, Symbols, canonical_order,
};
use rayon::prelude::*;

use super::pages::Paging;

/// Bits that the place of a Gaussian takes, about: only what is dropped depends on it.
const PLACE_BITS: f64 = 11.0;

/// Where prices come from.
#[derive(Debug, Clone, Copy)]
pub struct Pricing<'a> {
    /// How the Gaussians are coded.
    pub image: &'a Image,
    /// Pixels across and down.
    pub size: [u32; 2],
    /// How they are cut into pages, each of which is coded by itself.
    pub paging: Paging,
    /// What a bit is worth: this part of the squared error of the whole divided by its bits.
    pub strength: f64,
}

impl Pricing<'_> {
    /// The price list of each Gaussian of layers that end at these numbers.
    pub(super) fn cards(&self, set: &GaussianSet, ends: &[usize]) -> Vec<Card> {
        let count = set.symbols.len();
        let mut cards: Vec<Option<Card>> = vec![None; count];
        let mut start = 0;
        for end in ends.iter().map(|&end| end.min(count)) {
            self.layer(set, start..end, &mut cards);
            start = end;
        }
        cards.into_iter().map(|card| card.unwrap_or_else(|| self.free())).collect()
    }

    /// A card on which nothing costs anything.
    fn free(&self) -> Card {
        Card { scales: [[0.0; 3]; 3], angle: [0.0; 3], colours: Vec::new() }
    }

    fn layer(&self, set: &GaussianSet, range: std::ops::Range<usize>, cards: &mut [Option<Card>]) {
        let quantiser = &self.image.quantiser;
        let planes = quantiser.planes();
        let side = self.paging.side(self.size, range.len());
        let whole = self.size[0].max(self.size[1]).next_multiple_of(8);
        let page = side.unwrap_or(whole).max(8);
        let columns = self.size[0].div_ceil(page);
        let place_of = |symbols: &Symbols| {
            let at = |index| quantiser.centre_fixed(symbols.scales, index) as u32 / 8 / page;
            match Grain::of(quantiser, symbols.scales) {
                Grain::Coarse => 0,
                Grain::Fine => 1 + (at(symbols.y) * columns + at(symbols.x)) as usize,
            }
        };
        let count = 1 + (columns * self.size[1].div_ceil(page)) as usize;
        let mut below = vec![GaussianSet::default(); count];
        for (symbols, colours) in set.symbols.iter().zip(set.colours.chunks_exact(planes)).take(range.start) {
            let Some(below) = below.get_mut(place_of(symbols)) else { continue };
            let mut symbols = *symbols;
            if symbols.scales[0] < symbols.scales[1] {
                let angles = 1u32 << quantiser.angle_bits(symbols.scales);
                symbols.scales.swap(0, 1);
                symbols.angle = ((u32::from(symbols.angle) + angles / 2) % angles) as u8;
            }
            below.symbols.push(symbols);
            below.colours.extend_from_slice(colours);
        }
        let mut sets = vec![Vec::new(); count];
        for i in range {
            if let Some(set) = sets.get_mut(place_of(&set.symbols[i])) {
                set.push(i);
            }
        }
        let area = |at: usize| match (at.checked_sub(1), side) {
            (None, _) => Area::whole(Grain::Coarse, self.size[0], self.size[1]),
            (Some(_), None) => Area::whole(Grain::Fine, self.size[0], self.size[1]),
            (Some(at), Some(side)) => Area::page(Grain::Fine, at as u32 % columns, at as u32 / columns, side),
        };
        let parts = sets.iter().zip(below).enumerate().filter(|(_, (numbers, _))| !numbers.is_empty());
        let parts: Vec<_> = parts.map(|(at, (numbers, below))| (area(at), numbers, below)).collect();
        let lists: Vec<Vec<(usize, Card)>> = match side {
            // Both sets are in one chunk.
            None => {
                let mut coder = SetCoder::new(self.image);
                let own = parts.into_iter().map(|part| self.cards_of(&mut coder, set, part));
                own.collect()
            }
            Some(_) => parts
                .into_par_iter()
                .map(|part| self.cards_of(&mut SetCoder::new(self.image), set, part))
                .collect(),
        };
        lists.into_iter().flatten().for_each(|(i, card)| cards[i] = Some(card));
    }

    /// The price lists of the Gaussians of these numbers, which are the set of an area over what is below it.
    fn cards_of(
        &self,
        coder: &mut SetCoder<'_>,
        set: &GaussianSet,
        (area, numbers, below): (Area, &Vec<usize>, GaussianSet),
    ) -> Vec<(usize, Card)> {
        let planes = self.image.quantiser.planes();
        let mut part = GaussianSet::default();
        for &i in numbers {
            part.symbols.push(set.symbols[i]);
            part.colours.extend_from_slice(&set.colours[i * planes..][..planes]);
        }
        let Some((part, order)) = canonical_order(self.image, &area, &part) else { return Vec::new() };
        coder.lay_over(below);
        let Ok(list) = coder.cards(&area, &part) else { return Vec::new() };
        let own = |(&place, mut card): (&usize, Card)| {
            let i = numbers[place];
            if set.symbols[i].scales[0] < set.symbols[i].scales[1] {
                let scales = card.scales;
                card.scales = core::array::from_fn(|a| core::array::from_fn(|b| scales[b][a]));
            }
            (i, card)
        };
        order.iter().zip(list).map(own).collect()
    }

    /// What a Gaussian costs as it is.
    pub(super) fn bits(&self, card: &Card) -> f64 {
        PLACE_BITS + f64::from(card.scales[1][1] + card.angle[1]) + 4.0 * card.colours.len() as f64
    }
}

/// What a candidate's form costs in bits, apart from what all candidates have in common.
pub(super) fn form_bits(quantiser: &Quantiser, card: &Card, current: &Symbols, candidate: &Symbols) -> f32 {
    let by = |axis: usize| {
        let by = i32::from(candidate.scales[axis]) - i32::from(current.scales[axis]);
        (1 + by.clamp(-1, 1)) as usize
    };
    let (scales, places) = (candidate.scales, quantiser.position_bits(candidate.scales));
    let mut bits = card.scales[by(0)][by(1)] - 2.0 * places as f32;
    let (now, was) = (quantiser.angle_bits(scales), quantiser.angle_bits(current.scales));
    if now > 0 && was > 0 {
        let turn = (u32::from(candidate.angle) + (1 << now) - (u32::from(current.angle) << now >> was))
            & ((1 << now) - 1);
        let turn = if scales != current.scales {
            1
        } else if turn == 1 {
            2
        } else if turn == 0 {
            1
        } else {
            0
        };
        bits += card.angle[turn] + now as f32 - was as f32;
    } else {
        bits += now as f32;
    }
    bits
}
