//! Mixtures of experts: each position goes to some of them.

use crate::architecture::{Architecture, ExpertNames};
use crate::layer::{Gated, Linear, probabilities};
use crate::{Observer, Result, Weights};
use candle_core::{Device, Tensor};

/// A router, its experts, and what all positions go through beside them.
pub(crate) struct Mixture {
    router: Linear,
    experts: Vec<Gated>,
    shared: Option<(Gated, Linear)>,
}

impl Mixture {
    pub(crate) fn load(
        weights: &dyn Weights,
        name: &str,
        names: ExpertNames,
        of: &Architecture,
    ) -> Result<Self> {
        let router = Linear::load(weights, &format!("{name}.gate"), of.hidden)?;
        let parts = match names {
            ExpertNames::Mixtral => ["w1", "w3", "w2"],
            ExpertNames::Qwen => ["gate_proj", "up_proj", "down_proj"],
        };
        let expert = |e| Gated::load(weights, &format!("{name}.experts.{e}"), parts, of);
        let experts = (0..router.outputs()?).map(expert).collect::<Result<_>>()?;
        let gate = format!("{name}.shared_expert_gate");
        let shared = match weights.shape(&format!("{gate}.weight")) {
            Some(_) => {
                let expert = Gated::load(weights, &format!("{name}.shared_expert"), parts, of)?;
                Some((expert, Linear::load(weights, &gate, of.hidden)?))
            }
            None => None,
        };
        Ok(Self { router, experts, shared })
    }

    /// Of `[n, hidden]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        of: &Architecture,
        observer: &mut dyn Observer,
    ) -> Result<Tensor> {
        let shares = probabilities(&self.router.forward(x)?)?;
        let mut routed: Vec<(Vec<u32>, Vec<f32>)> = vec![Default::default(); self.experts.len()];
        for (position, shares) in shares.iter().enumerate() {
            let chosen = largest(shares, of.experts_per_token);
            let sum: f32 = chosen.iter().map(|&e| shares[e]).sum();
            for e in chosen {
                let share = if of.normalise_shares { shares[e] / sum } else { shares[e] };
                routed[e].0.push(position as u32);
                routed[e].1.push(share);
            }
        }
        let mut found = x.zeros_like()?;
        let counts: Vec<u64> = routed.iter().map(|(positions, _)| positions.len() as u64).collect();
        let mut energies = vec![0.0; self.experts.len()];
        for (e, (positions, shares)) in routed.into_iter().enumerate() {
            if positions.is_empty() {
                continue;
            }
            let count = positions.len();
            let positions = Tensor::from_vec(positions, count, &Device::Cpu)?;
            let shares = Tensor::from_vec(shares, (count, 1), &Device::Cpu)?;
            let y = self.experts[e].forward(&x.index_select(&positions, 0)?, observer)?;
            let y = y.broadcast_mul(&shares)?;
            if observer.is_interested() {
                energies[e] = f64::from(y.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
            found = found.index_add(&positions, &y, 0)?;
        }
        observer.routing(&self.router.name, &counts, &energies);
        if let Some((expert, gate)) = &self.shared {
            let share = candle_nn::ops::sigmoid(&gate.forward(x)?)?;
            found = (found + expert.forward(x, observer)?.broadcast_mul(&share)?)?;
        }
        Ok(found)
    }
}

/// The places of the `count` largest, the first of equal ones first.
fn largest(values: &[f32], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    places.truncate(count);
    places
}

#[cfg(test)]
mod tests {
    use super::largest;

    #[test]
    fn of_equal_shares_the_first_are_taken() {
        assert_eq!(largest(&[0.1, 0.4, 0.4, 0.1], 2), [1, 2]);
        assert_eq!(largest(&[0.1, 0.4, 0.4, 0.1], 9), [1, 2, 0, 3]);
    }
}
