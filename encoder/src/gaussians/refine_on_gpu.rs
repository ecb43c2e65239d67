//! The discrete descent on a GPU. Here, once in a sweep, what each Gaussian may become, what that costs in bits and which turns can be at
//! once; there, in rounds, what is tried, chosen and drawn. One buffer is mapped in a sweep.

use std::ops::ControlFlow;

use mcodec_coding::gaussians::{GaussianSet, Quantiser, Symbols};
use mcodec_decode::gaussians::{Splat, splat_of};
use mcodec_gpu::gaussians::{Candidate, Descent as Device, Shape, Sweep, Turn};
use mcodec_gpu::{Gpu, GpuError};
use rayon::prelude::*;

use super::fit::Progress;
use super::patch::Canvas;
use super::price::form_bits;
use super::quantise::values;
use super::refine::{DROPS, Descent, RefineOptions, Refined, SETTLED};
use super::target::Target;

/// As [`refine`](super::refine()), on a GPU; the set is as it was if that fails.
///
/// # Errors
/// What the device says.
pub fn refine_on(
    gpu: &Gpu,
    target: &Target,
    quantiser: &Quantiser,
    set: &mut GaussianSet,
    options: &RefineOptions<'_>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Refined, GpuError> {
    let mut refined = set.clone();
    let mut descent = Descent::on(&Canvas::default(), target, quantiser, &refined, options);
    let device = Device::new(gpu, &target.picture(), descent.views.len())?;
    let (mut before, mut after) = (None, 0.0);
    let mut sweeps = 0;
    let mut order = descent.order(&refined, options.frozen);
    while sweeps < options.sweeps {
        let worth = descent.list_prices(&refined) as f32;
        let (changed, errors) = sweep(&device, &mut descent, quantiser, &mut refined, &order, worth)?;
        sweeps += 1;
        before.get_or_insert(errors.0);
        after = errors.1;
        let psnr = target.psnr(after);
        let is_stopped = progress(Progress { done: sweeps, of: options.sweeps, psnr }).is_break();
        let surplus = refined.symbols.len().saturating_sub(options.keep.max(options.frozen));
        let dropped = if sweeps > DROPS { 0 } else { surplus.div_ceil(DROPS + 1 - sweeps) };
        if dropped > 0 && sweeps < options.sweeps {
            descent.drop_weakest(&mut refined, options.frozen, dropped);
            order = descent.order(&refined, options.frozen);
        }
        if is_stopped || surplus == 0 && (changed as f64) < SETTLED * refined.symbols.len() as f64 {
            break;
        }
    }
    let ends = descent.views[..options.prefixes.len()].iter().map(|view| view.end).collect();
    *set = refined;
    Ok(Refined { ends, before: before.unwrap_or_default(), after, sweeps })
}

/// One turn for each Gaussian of `order`; gives how many changed, and the squared error before and after.
fn sweep(
    device: &Device<'_>,
    descent: &mut Descent<'_>,
    quantiser: &Quantiser,
    set: &mut GaussianSet,
    order: &[usize],
    worth: f32,
) -> Result<(usize, (f64, f64)), GpuError> {
    let planes = quantiser.planes();
    let rounds = descent.rounds(set, order);
    let sizes: Vec<usize> = rounds.iter().map(Vec::len).collect();
    let turns: Vec<_> = rounds.into_iter().flatten().collect();
    let turns = turns.par_iter().map(|(index, _)| {
        let candidates = descent.candidates(&set.symbols[*index]);
        (turn(descent, quantiser, *index, &candidates), candidates)
    });
    let (turns, forms): (Vec<Turn>, Vec<Vec<(Symbols, Splat)>>) = turns.unzip();
    let shapes: Vec<Shape> =
        set.symbols.iter().map(|symbols| shape_of(&splat_of(quantiser, symbols))).collect();
    let colours = set.symbols.iter().zip(set.colours.chunks_exact(planes));
    let colours: Vec<f32> =
        colours.flat_map(|(symbols, colours)| values(quantiser, symbols.scales, colours)).collect();
    let views: Vec<_> = descent.views.iter().map(|view| (view.end, view.weight)).collect();
    let (shapes, colours) = (&shapes[..], &colours[..]);
    let swept =
        device.sweep(&Sweep { shapes, colours, turns: &turns, rounds: &sizes, views: &views, worth })?;
    let mut changed = 0;
    for ((turn, choice), forms) in turns.iter().zip(&swept.choices).zip(&forms) {
        let own = &mut set.colours[turn.gaussian * planes..][..planes];
        descent.saved[turn.gaussian] = f64::from(choice.saved);
        changed += usize::from(choice.candidate != 0 || own != choice.colours);
        own.copy_from_slice(&choice.colours);
        set.symbols[turn.gaussian] = forms[choice.candidate].0;
    }
    Ok((changed, (swept.before, swept.after)))
}

/// What a Gaussian may become, and what that costs.
fn turn(descent: &Descent<'_>, quantiser: &Quantiser, index: usize, candidates: &[(Symbols, Splat)]) -> Turn {
    let planes = 0..quantiser.planes();
    let card = descent.cards.get(index);
    let current = candidates[0].0;
    let candidate = |(symbols, splat): &(Symbols, Splat)| Candidate {
        shape: shape_of(splat),
        bits: card.map_or(0.0, |card| form_bits(quantiser, card, &current, symbols)),
        steps: planes.clone().map(|plane| quantiser.colour_step(symbols.scales, plane)).collect(),
    };
    let prices = card.into_iter().flat_map(|card| &card.colours);
    Turn {
        gaussian: index,
        candidates: candidates.iter().map(candidate).collect(),
        card: prices.flat_map(|colour| std::iter::once(colour.expected).chain(colour.bits)).collect(),
    }
}

fn shape_of(splat: &Splat) -> Shape {
    let shape = splat.shape();
    Shape {
        centre: [shape.x, shape.y],
        across: shape.across,
        along: shape.along,
        down: shape.down,
        covariance: shape.covariance,
        determinant: shape.determinant(),
        half: shape.half,
        weight: 1.0,
    }
}
