//! The pass `quant`: matrices as integer codes of a size that is asked for (see [`crate::quantise`]).

use super::{Pass, PassSpec, Workbench};
use crate::Result;
use crate::quantise::{Method, Size};

/// See the module.
pub(super) struct Quant;

impl Pass for Quant {
    fn name(&self) -> &'static str {
        "quant"
    }

    fn about(&self) -> &'static str {
        "matrices as integer codes, entropy-coded, of a size that is asked for; the last pass"
    }

    fn parameters(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("bits", "bits per weight: of what the targets match, or without targets of the whole file"),
            ("max-bytes", "bytes of the whole file"),
            (
                "columns",
                "columns that are stored together, and can be read without the others (default: all)",
            ),
            ("feedback", "false: of what layers read only the diagonal is used, which takes less time"),
        ]
    }

    fn example(&self) -> &'static str {
        "quant:bits=6"
    }

    fn size(&self, spec: &PassSpec) -> Result<Option<(Size, Method)>> {
        let size = match (spec.number("bits")?, spec.count("max-bytes")?) {
            (Some(bits), None) => Size::BitsPerWeight(bits),
            (None, Some(bytes)) => Size::Bytes(bytes),
            _ => return spec.fail("it needs either bits or max-bytes"),
        };
        let feedback = spec.truth("feedback")?.unwrap_or(true);
        Ok(Some((size, Method { feedback, column_run: spec.count("columns")? })))
    }

    fn run(&self, _: &PassSpec, _: &mut Workbench<'_>) -> Result<()> {
        Ok(())
    }
}
