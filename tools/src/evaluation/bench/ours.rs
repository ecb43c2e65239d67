//! What this codec makes of the model, at the sizes asked for, with all that can be known of it.

use super::Work;
use crate::cli::{BenchQuant, Common};
use anyhow::Context;
use mcodec_encode::Output;
use mcodec_encode::quantise::{Method, QuantiseOptions, Size, encode_quantised};
use mcodec_evaluation::{Statistics, open_weights};
use std::path::{Path, PathBuf};

/// Encodes and judges.
pub(super) fn measure(
    work: &mut Work<'_>,
    args: &BenchQuant,
    (keep, common): (&[String], &Common),
    statistics: Option<&mut Statistics>,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("a folder for encoded models")?;
    let mut modes: Vec<(&str, Option<PathBuf>)> = vec![("mcodec data-free", None)];
    if let Some(statistics) = statistics {
        let path = folder.path().join("all.safetensors");
        let has_fisher = statistics.has_fisher();
        if has_fisher {
            write(statistics, &path)?;
            statistics.forget_fisher();
        }
        let gram = folder.path().join("gram.safetensors");
        write(statistics, &gram)?;
        modes.push(("mcodec Hessian", Some(gram)));
        if has_fisher {
            modes.push(("mcodec Hessian+Fisher", Some(path)));
        }
    }
    for (series, statistics) in modes {
        for &bits in &args.bits {
            let name = format!("{series} {bits}");
            if !work.is_wanted(&name) {
                continue;
            }
            let path = folder.path().join("model.mcodec");
            let quantise = QuantiseOptions {
                size: Size::BitsPerWeight(bits),
                statistics: statistics.clone(),
                keep: keep.to_vec(),
                method: Method::default(),
            };
            let options = work.console.encode_options(common);
            let output = Output::File { path: path.clone(), force: true };
            let report = encode_quantised(&args.model, None, output, &quantise, &options)?;
            let found = report.quantised.map_or(0.0, |q| q.bits_per_weight);
            let model = open_weights(&path, None, common.threads())?;
            work.row(series, name, true, found, &*model)?;
        }
    }
    Ok(())
}

fn write(statistics: &mut Statistics, path: &Path) -> anyhow::Result<()> {
    let mut file = std::fs::File::create(path).context("writing statistics")?;
    Ok(statistics.write(&mut file)?)
}
