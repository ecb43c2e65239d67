//! Which matrices share classes, and the classes of each set.

use mcodec_coding::labelled::{CLASSES, Classes, FloatFormat};
use mcodec_coding::{CodingError, Result};
use rayon::prelude::*;

use super::fit::Labelling;
use super::histogram::{ByClass, Histogram};
use super::matrix::Matrix;
use super::model::Model;
use super::refine::refine;
use super::signs::{self, SignCounts};
use super::{PHASES, Settings};
use crate::SymbolCodes;

/// About what a set takes as an entry of its own beside its bytes, in bits.
const ENTRY_BITS: f64 = 8.0 * 64.0;
/// Rounds of moving matrices between the common set and their own.
const ROUNDS: usize = 3;

/// Classes that some matrices share.
#[derive(Debug)]
pub(crate) struct ClassSet {
    /// As they are stored.
    pub(crate) classes: Classes,
    /// The label sum that is class 0.
    pub(super) first: i32,
}

/// A matrix with its labels.
#[derive(Debug)]
pub(crate) struct Member {
    /// The matrix.
    pub(crate) matrix: Matrix,
    /// Its labels.
    pub(crate) labels: Labelling,
}

/// The sets that code `members` shortest, and which set each member belongs to.
///
/// # Errors
/// [`CodingError`] if a table cannot be made, which would be a defect.
pub(crate) fn share_classes(
    members: &mut [Member],
    effort: u8,
    codes: SymbolCodes,
) -> Result<(Vec<ClassSet>, Vec<usize>)> {
    let settings = Settings::of(effort).with(codes);
    let mut sets = Vec::new();
    let mut set_of = vec![0; members.len()];
    for format in [FloatFormat::Bf16, FloatFormat::F16, FloatFormat::F32, FloatFormat::F64] {
        let of_format: Vec<usize> =
            (0..members.len()).filter(|&i| members[i].matrix.format == format).collect();
        for group in grouped(members, &of_format, &settings) {
            group.iter().for_each(|&i| set_of[i] = sets.len());
            sets.push(group);
        }
    }
    // Each member is in one set: take them out, so that sets can be made side by side.
    let mut places: Vec<Option<&mut Member>> = members.iter_mut().map(Some).collect();
    let owned: Vec<Vec<&mut Member>> =
        sets.iter().map(|set| set.iter().filter_map(|&i| places[i].take()).collect()).collect();
    let mut sets =
        owned.into_par_iter().map(|members| make_set(members, &settings)).collect::<Result<Vec<_>>>()?;
    if codes == SymbolCodes::Prefix {
        // What is best for rANS is as good as best for these.
        sets.iter_mut().for_each(|set| set.classes = set.classes.with_prefix_codes());
    }
    Ok((sets, set_of))
}

/// Members of one format in groups: those that repay classes of their own alone, the others together.
fn grouped(members: &[Member], of_format: &[usize], settings: &Settings) -> Vec<Vec<usize>> {
    struct Candidate {
        member: usize,
        counts: ByClass,
        phases: [Histogram; PHASES as usize],
        own_cost: f64,
    }
    let candidates: Vec<Candidate> = of_format
        .par_iter()
        .map(|&member| {
            let counts =
                ByClass::count(&members[member].matrix, &members[member].labels, settings.mode_sample);
            // A set of its own has about a table for each phase.
            let of_tables = if settings.weighs_models {
                Model::new(&counts, settings).cost()
            } else {
                counts.phase_cost()
            };
            let own_cost = of_tables + ENTRY_BITS;
            Candidate { member, phases: counts.phases(), counts, own_cost }
        })
        .collect();
    // The common set's window of classes: around the middle of its members.
    let mut middles: Vec<i32> =
        candidates.iter().map(|c| c.counts.first + c.counts.classes.len() as i32 / 2).collect();
    middles.sort_unstable();
    let middle = middles.get(middles.len() / 2).copied().unwrap_or(0);
    let first = (middle - CLASSES as i32 / 2).div_euclid(PHASES) * PHASES;
    let fits = |c: &Candidate| {
        c.counts.first >= first && c.counts.first + c.counts.classes.len() as i32 <= first + CLASSES as i32
    };
    let mut common: Vec<bool> = candidates.iter().map(fits).collect();
    for _ in 0..ROUNDS {
        let mut pooled: [Histogram; PHASES as usize] = Default::default();
        for (candidate, _) in candidates.iter().zip(&common).filter(|(_, common)| **common) {
            for (pooled, phase) in pooled.iter_mut().zip(&candidate.phases) {
                pooled.add(phase, 0);
            }
        }
        for (candidate, common) in candidates.iter().zip(&mut common).filter(|(_, common)| **common) {
            let shared: f64 = candidate.phases.iter().zip(&pooled).map(|(own, of)| own.cost_under(of)).sum();
            *common = shared < candidate.own_cost;
        }
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let together: Vec<usize> =
        candidates.iter().zip(&common).filter(|(_, common)| **common).map(|(c, _)| c.member).collect();
    if !together.is_empty() {
        groups.push(together);
    }
    groups
        .extend(candidates.iter().zip(&common).filter(|(_, common)| !**common).map(|(c, _)| vec![c.member]));
    groups
}

fn stride(member: &Member, settings: &Settings) -> usize {
    (member.matrix.highs.len() / settings.sample.max(1)).max(1)
}

fn make_set(mut members: Vec<&mut Member>, settings: &Settings) -> Result<ClassSet> {
    for member in &mut members {
        // Seven of ten bits of a weight are incompressible: the rest is what gains are measured against.
        let least = settings.least_sign_gain
            * member.matrix.highs.len() as f64
            * 8.0
            * member.matrix.format.bytes() as f64;
        member.labels.biases = signs::biases(&member.matrix, least, settings.fitted_rows);
    }
    let mut set = count_set(&members, settings)?;
    for _ in 0..settings.refinements {
        members
            .par_iter_mut()
            .for_each(|member| refine(&member.matrix, &mut member.labels, &set.classes, set.first));
        set = count_set(&members, settings)?;
    }
    Ok(set)
}

/// Classes from the members' counts under their present labels.
fn count_set(members: &[&mut Member], settings: &Settings) -> Result<ClassSet> {
    let low = members.iter().map(|m| m.labels.range().0).min().unwrap_or(0);
    let high = members.iter().map(|m| m.labels.range().1).max().unwrap_or(0);
    let first = low.div_euclid(PHASES) * PHASES;
    let count = (high - first + 1) as usize;
    if count > CLASSES {
        return Err(CodingError::Invalid { what: "labels of a set span more than 64 classes" });
    }
    let counted: Vec<ByClass> =
        members.par_iter().map(|m| ByClass::count(&m.matrix, &m.labels, settings.sample)).collect();
    let mut pooled = ByClass { first, classes: vec![Histogram::default(); count] };
    for counts in &counted {
        for (class, histogram) in counts.classes.iter().enumerate() {
            pooled.classes[class + (counts.first - first) as usize].add(histogram, 0);
        }
    }
    let model = Model::new(&pooled, settings);
    let format = members.first().map_or(FloatFormat::Bf16, |m| m.matrix.format);
    let classes = model.classes(first, format, settings.precision, None)?;
    let biased: Vec<&&mut Member> = members.iter().filter(|m| !m.labels.biases.is_empty()).collect();
    if biased.is_empty() {
        return Ok(ClassSet { classes, first });
    }
    let first_octave = model.own_octave().saturating_sub(4);
    let mut counts = SignCounts::default();
    for member in biased {
        counts.add(&member.matrix, &member.labels, &classes, first, first_octave, stride(member, settings));
    }
    let classes = model.classes(first, format, settings.precision, Some(counts.costs(first_octave)))?;
    Ok(ClassSet { classes, first })
}
