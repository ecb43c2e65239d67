//! Recipes: ordered passes that change how a model is represented before it is stored.
//!
//! A pass turns tensors into what the format knows: products, selections, tiers, codes. The file keeps the recipe as a record, which nothing
//! is decoded by. To add one, write a file beside the others and name it in `PASSES`: command line, record, and the tests of all passes
//! (`tests/tests/recipes.rs`) then have it.

mod bench;
mod factors;
mod jacobi;
mod low_rank;
mod prune;
mod quant;
mod spec;

pub use spec::{PassSpec, Recipe};

pub(crate) use bench::{Spool, Workbench};

use crate::build::ModelBuilder;
use crate::encode::{add_asset_with, open_model};
use crate::inputs::{AssetInput, bytes_item, find_duplicates};
use crate::items::{Content, Item};
use crate::options::{AssetKind, EncodeOptions, EncodeReport, Output};
use crate::quantise::{
    Before, KnownArrays, Method, QuantiseOptions, Size, Statistics, encode_quantised_with,
};
use crate::writer::ContainerWriter;
use crate::{EncodeError, Result};
use mcodec_format::{Bundle, Bundles, CutAxis, Variant};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A step that a recipe can name.
pub(crate) trait Pass: Sync {
    /// Its name in recipes.
    fn name(&self) -> &'static str;
    /// What it does, in a line.
    fn about(&self) -> &'static str;
    /// Its parameters, and what they are.
    fn parameters(&self) -> &'static [(&'static str, &'static str)];
    /// A step for a small model: matrices of 64 rows and 96 columns.
    fn example(&self) -> &'static str;
    /// The size that it brings all that is left to, and how, if it is a quantiser.
    fn size(&self, _: &PassSpec) -> Result<Option<(Size, Method)>> {
        Ok(None)
    }
    /// Changes the model.
    fn run(&self, spec: &PassSpec, bench: &mut Workbench<'_>) -> Result<()>;
}

/// All passes.
const PASSES: [&dyn Pass; 3] = [&low_rank::LowRankPass, &prune::Prune, &quant::Quant];

/// What there is to know of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassInfo {
    /// Its name in recipes.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Its parameters, and what they are.
    pub parameters: &'static [(&'static str, &'static str)],
    /// A step in the short form, for a model of matrices of 64 rows and 96 columns.
    pub example: &'static str,
}

/// The passes that recipes can name.
#[must_use]
pub fn passes() -> Vec<PassInfo> {
    let info = |pass: &&dyn Pass| PassInfo {
        name: pass.name(),
        about: pass.about(),
        parameters: pass.parameters(),
        example: pass.example(),
    };
    PASSES.iter().map(info).collect()
}

/// What recipes need besides themselves.
#[derive(Debug, Clone, Default)]
pub struct RecipeInputs {
    /// A safetensors file of statistics: see `runtimes/python/stats.py`.
    pub statistics: Option<PathBuf>,
    /// Patterns of names of tensors that stay lossless whatever the passes say.
    pub keep: Vec<String>,
}

/// Passes that change how tensors are built, to be run on each attempt to meet a size.
pub(crate) struct Structure {
    recipe: Recipe,
    statistics: Option<Statistics>,
    keep: globset::GlobSet,
    spool: Arc<Spool>,
}

impl Structure {
    /// Runs all passes but quantisers. What is then cut together, and what is known of the arrays that were made.
    pub(crate) fn apply(
        &self,
        asset: &mut AssetInput<'static>,
        options: &EncodeOptions,
    ) -> Result<(Bundles, KnownArrays)> {
        let model = ModelBuilder::over(&asset.name, std::mem::take(&mut asset.items));
        let spool = Arc::clone(&self.spool);
        let mut bench = Workbench::new(model, self.statistics.as_ref(), options, spool, &self.keep);
        for spec in &self.recipe.passes {
            pass_of(spec)?.run(spec, &mut bench)?;
        }
        asset.notes.append(&mut bench.notes);
        asset.items = bench.model.items;
        let mut bundles = bench.model.bundles;
        name_ranks(&mut bundles);
        Ok((bundles, bench.known))
    }

    /// What is done.
    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }
}

/// The schema of the record that says what was done to a model, which is its name too.
pub const RECIPE_RECORD: &str = "recipe";

/// What was done, as the last item of an asset: a record that is bound to what the others hash to.
pub(crate) fn record_of(json: Vec<u8>) -> Item<'static> {
    let content = Content::Record { schema: RECIPE_RECORD.into(), bound: [0; 32], required: false };
    bytes_item(RECIPE_RECORD.into(), content, json)
}

/// Variants for bundles of ranks: of each rank that some bundle can be cut at, all are cut there or at their next lower level.
fn name_ranks(bundles: &mut Bundles) {
    let is_rank = |bundle: &Bundle| bundle.members.iter().all(|member| member.axis == CutAxis::Rank);
    let ranks: BTreeSet<u64> =
        bundles.bundles.iter().filter(|b| is_rank(b)).flat_map(|b| b.levels.iter().copied()).collect();
    if ranks.len() < 2 || ranks.len() > 64 {
        return;
    }
    for rank in ranks {
        let level = |bundle: &Bundle| {
            if is_rank(bundle) {
                bundle.levels.partition_point(|level| *level <= rank).saturating_sub(1) as u64
            } else {
                bundle.levels.len() as u64 - 1
            }
        };
        let levels = bundles.bundles.iter().map(level).collect();
        bundles.variants.push(Variant { name: format!("rank-{rank}"), bytes: 0, levels });
    }
}

fn pass_of(spec: &PassSpec) -> Result<&'static dyn Pass> {
    let Some(pass) = PASSES.iter().find(|pass| pass.name() == spec.pass) else {
        let names: Vec<&str> = PASSES.iter().map(|pass| pass.name()).collect();
        return spec.fail(&format!("there is no such pass; there are {}", names.join(", ")));
    };
    let known = |key: &String| pass.parameters().iter().any(|(name, _)| name == key);
    if let Some(key) = spec.parameters.keys().find(|key| !known(key)) {
        let names: Vec<&str> = pass.parameters().iter().map(|(name, _)| *name).collect();
        return spec.fail(&format!("it has no parameter {key:?}; it has {}", names.join(", ")));
    }
    Ok(*pass)
}

/// Encodes a model by a recipe.
///
/// # Errors
/// If the recipe names what there is not, or does not fit the model; as [`crate::encode_path`]. The output is then as it was.
pub fn encode_recipe(
    input: &Path,
    kind: Option<AssetKind>,
    output: Output,
    recipe: &Recipe,
    inputs: &RecipeInputs,
    options: &EncodeOptions,
) -> Result<EncodeReport> {
    let mut recipe = recipe.clone();
    let mut size = None;
    for (at, spec) in recipe.passes.iter().enumerate() {
        if let Some(found) = pass_of(spec)?.size(spec)? {
            if at + 1 != recipe.passes.len() {
                return spec.fail("it is not the last pass");
            }
            size = Some((found, spec.targets.clone()));
        }
    }
    let statistics = inputs.statistics.as_deref().map(Statistics::open).transpose()?;
    if let Some(path) = &inputs.statistics {
        let hash = crate::quantise::hash_of_file(path)?;
        recipe.used(&hash);
    }
    let keep = PassSpec { targets: inputs.keep.clone(), ..PassSpec::parse("keep")? }.globs(&[])?;
    let structure = Structure { recipe, statistics, keep, spool: Arc::new(Spool::new()?) };
    match size {
        Some(((size, method), targets)) => {
            let (statistics, keep) = (inputs.statistics.clone(), inputs.keep.clone());
            let quantise = QuantiseOptions { size, statistics, keep, method };
            let before = Before::Passes(&structure, targets);
            encode_quantised_with(input, kind, output, &quantise, before, options)
        }
        None => {
            let (mut asset, notes) = open_model(input, kind, options)?;
            let mut writer = ContainerWriter::create(output)?;
            let aliases = find_duplicates(&mut asset.items, 0, options.threads)?;
            let (bundles, _) = in_pool(options, || structure.apply(&mut asset, options))?;
            asset.items.push(record_of(structure.recipe.to_json()?));
            asset.notes.splice(0..0, notes);
            let mut report = add_asset_with(&mut writer, 0, asset, false, None, bundles, options)?;
            report.aliases = aliases;
            report.output_bytes = writer.finish(options)?;
            Ok(report)
        }
    }
}

fn in_pool<T: Send>(options: &EncodeOptions, job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let pool =
        pool.map_err(|e| EncodeError::Request(format!("cannot start {} threads: {e}", options.threads)))?;
    pool.install(job)
}
