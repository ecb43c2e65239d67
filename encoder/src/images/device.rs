//! Pictures on a device: on the CPU, or on a GPU if there is one.

use crate::gaussians::{
    Cloud, FitOptions, Fitted, Progress, RefineOptions, Refined, Target, fit, fit_prefixes, refine,
};
use crate::{Device, Result};
use mcodec_coding::gaussians::{GaussianSet, Quantiser};
use std::ops::ControlFlow;

type Watch<'w> = &'w mut dyn FnMut(Progress) -> ControlFlow<()>;

impl Device {
    pub(super) fn fit(
        &self,
        target: &Target,
        options: &FitOptions,
        frozen: &Cloud,
        watch: Watch<'_>,
    ) -> Result<Fitted> {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = self.open()? {
            let made = crate::gaussians::fit_on(&gpu, target, options, frozen, watch);
            if let Some(made) = self.or_cpu(made)? {
                return Ok(made);
            }
        }
        Ok(fit(target, options, frozen, watch))
    }

    pub(super) fn fit_prefixes(
        &self,
        target: &Target,
        cloud: Cloud,
        prefixes: &[(usize, f32)],
        steps: usize,
        watch: Watch<'_>,
    ) -> Result<Cloud> {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = self.open()? {
            let made = crate::gaussians::fit_prefixes_on(&gpu, target, &cloud, prefixes, steps, watch);
            if let Some(made) = self.or_cpu(made)? {
                return Ok(made);
            }
        }
        Ok(fit_prefixes(target, cloud, (prefixes, &[]), steps, watch))
    }

    pub(super) fn refine(
        &self,
        target: &Target,
        quantiser: &Quantiser,
        set: &mut GaussianSet,
        options: &RefineOptions<'_>,
        watch: Watch<'_>,
    ) -> Result<Refined> {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = self.open()? {
            let made = crate::gaussians::refine_on(&gpu, target, quantiser, set, options, watch);
            if let Some(made) = self.or_cpu(made)? {
                return Ok(made);
            }
        }
        Ok(refine(target, quantiser, set, options, watch))
    }
}
