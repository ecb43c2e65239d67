//! Every pass that recipes can name: what it makes is read back, is sound, and is about what went in; and what each of the first three does.

use mcodec_coding::codes::Element;
use mcodec_decode::quantised::Counted;
use mcodec_decode::{ReadOptions, Reader, verify};
use mcodec_encode::recipes::{PassSpec, Recipe, RecipeInputs, encode_recipe, passes};
use mcodec_encode::{EncodeError, EncodeReport, Output, encode_path};
use mcodec_format::{EntryDescriptor, Limits, registry};
use mcodec_tests::counting::{Counting, bytes_of};
use mcodec_tests::files::options;
use mcodec_tests::inputs::{Noise, Tensor, safetensors, tensor};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn open(path: &Path) -> Reader<fs::File> {
    Reader::open(fs::File::open(path).expect("the file is there"), ReadOptions::default()).expect("it opens")
}

type Weights = BTreeMap<String, (Vec<u64>, Vec<f32>)>;

/// Matrices of which later rows, columns and singular values matter less.
fn model(dtype: &str) -> (Vec<Tensor>, Weights) {
    let mut noise = Noise(9);
    let mut draw = |n: usize| -> Vec<f32> {
        (0..n).map(|_| (noise.word() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    };
    let mut all = Vec::new();
    let mut weights = Weights::new();
    let mut add = |name: &str, shape: &[u64], values: Vec<f32>| {
        let element = Element::by_name(dtype).expect("a float");
        let bytes = element.round(&values);
        weights.insert(name.into(), (shape.to_vec(), element.values(&bytes)));
        all.push(tensor(name, dtype, shape, bytes));
    };
    for (layer, part, rows, columns) in (0..2)
        .flat_map(|l| {
            [(l, "mlp.gate_proj", 64, 96), (l, "mlp.up_proj", 64, 96), (l, "mlp.down_proj", 96, 64)]
        })
        .chain([(0, "self_attn.v_proj", 64, 96)])
    {
        let (u, v) = (draw(rows * 8), draw(8 * columns));
        let fall = |i: usize| 0.9f32.powi(i as i32);
        let at = |r: usize, c: usize| {
            let sum: f32 = (0..8).map(|k| fall(4 * k) * u[r * 8 + k] * v[k * columns + c]).sum();
            sum * if part.contains("down") { fall(c) } else { fall(r) }
        };
        let values = (0..rows * columns).map(|i| at(i / columns, i % columns)).collect();
        add(&format!("model.layers.{layer}.{part}.weight"), &[rows as u64, columns as u64], values);
    }
    let embedding = draw(6144);
    add("model.embed_tokens.weight", &[64, 96], embedding);
    add("model.norm.weight", &[96], vec![1.0; 96]);
    (all, weights)
}

fn input(dir: &Path, dtype: &str) -> (PathBuf, Weights) {
    let (tensors, weights) = model(dtype);
    let path = dir.join("model.safetensors");
    fs::write(&path, safetensors(None, &tensors)).expect("the input is written");
    (path, weights)
}

fn encoded(
    dir: &Path,
    steps: &[&str],
    inputs: &RecipeInputs,
    dtype: &str,
) -> Result<(PathBuf, EncodeReport, Weights), EncodeError> {
    let (input, weights) = input(dir, dtype);
    let passes = steps.iter().map(|step| PassSpec::parse(step)).collect::<Result<_, _>>()?;
    let path = dir.join("model.mcodec");
    let output = Output::File { path: path.clone(), force: true };
    let report = encode_recipe(&input, None, output, &Recipe { passes }, inputs, &options(2))?;
    Ok((path, report, weights))
}

fn made(dir: &Path, steps: &[&str]) -> (PathBuf, Weights) {
    let (path, _, weights) = encoded(dir, steps, &RecipeInputs::default(), "F32").expect("it is encoded");
    (path, weights)
}

/// The tensors of a file, which is sound.
fn decoded(path: &Path) -> Weights {
    let reader = open(path);
    let report = verify(&reader, true).expect("the file is read");
    assert!(report.damage.is_empty() && report.unknown.is_empty(), "{report:?}");
    let mut all = Weights::new();
    for entry in reader.select("model", "*").expect("tensors") {
        let t = entry.tensor().expect("a tensor");
        let bytes = reader.read_all(&entry).expect("it is read");
        let values = Element::by_name(&t.dtype_name).expect("a float").values(&bytes);
        all.insert(entry.name().into(), (t.shape.clone(), values));
    }
    all
}

fn error(found: &[f32], wanted: &[f32]) -> f64 {
    let squares = |list: &mut dyn Iterator<Item = f32>| list.map(|v| f64::from(v).powi(2)).sum::<f64>();
    let off = squares(&mut found.iter().zip(wanted).map(|(a, b)| a - b));
    (off / squares(&mut wanted.iter().copied())).sqrt()
}

/// The record of the recipe.
fn recipe_of(path: &Path) -> Recipe {
    let reader = open(path);
    let entry = reader.entry("model", registry::entry::RECORD, "recipe").expect("the record is there");
    Recipe::parse(&String::from_utf8(reader.read_all(&entry).expect("is read")).expect("text"))
        .expect("a recipe")
}

#[test]
fn every_pass_makes_a_model_that_is_about_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    for pass in passes() {
        assert!(!pass.about.is_empty() && !pass.parameters.is_empty(), "{}", pass.name);
        for dtype in ["F32", "BF16", "F16"] {
            let none = RecipeInputs::default();
            let (path, report, weights) =
                encoded(dir.path(), &[pass.example], &none, dtype).expect(pass.name);
            let found = decoded(&path);
            assert_eq!(found.keys().collect::<Vec<_>>(), weights.keys().collect::<Vec<_>>());
            let mut changed = 0;
            for (name, (shape, values)) in &weights {
                assert_eq!(&found[name].0, shape, "{name}");
                let off = error(&found[name].1, values);
                assert!(off < 0.6, "{}: {name} is off by {off}", pass.name);
                changed += usize::from(off > 0.0);
            }
            assert!(changed > 0, "{} changes nothing", pass.name);
            let kept = recipe_of(&path);
            assert_eq!(kept.passes, [PassSpec::parse(pass.example).expect("an example")]);
            // The ledger has all of it.
            let reader = open(&path);
            let rows = reader.rows("model").expect("rows");
            let counted = Counted::of(rows.iter().map(|row| (0, row.get())), 0);
            assert!(counted.tensors > 0 && counted.bits_per_weight() > 0.0, "{}", pass.name);
            assert!(report.output_bytes == fs::metadata(&path).expect("a file").len());
        }
        let unknown = format!("{},nonsense=1", pass.example);
        let e =
            encoded(dir.path(), &[&unknown], &RecipeInputs::default(), "F32").expect_err("no such parameter");
        assert!(e.to_string().contains("nonsense"), "{e}");
    }
}

#[test]
fn passes_follow_each_other_and_give_the_same_bytes_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let steps = ["prune:ratio=0.25,axis=units", "lowrank:share=0.5,target=*v_proj*", "quant:max-bytes=60000"];
    let (path, weights) = made(dir.path(), &steps);
    let first = fs::read(&path).expect("the file");
    let found = decoded(&path);
    for (name, (_, values)) in &weights {
        let off = error(&found[name].1, values);
        assert!(off < 0.25, "{name} is off by {off}");
    }
    assert!(first.len() <= 60_000, "{} bytes", first.len());
    made(dir.path(), &steps);
    assert!(fs::read(&path).expect("the file") == first, "another file of the same");
    assert_eq!(recipe_of(&path).passes.len(), 3);
    // What was made is copied as it is, when it is coded anew.
    let again = dir.path().join("again.mcodec");
    encode_path(&path, None, Output::File { path: again.clone(), force: true }, &options(1))
        .expect("it is copied");
    assert_eq!(decoded(&again), found);
}

#[test]
fn pruned_units_are_zeros_in_all_three_and_the_rest_is_untouched() {
    let dir = tempfile::tempdir().expect("a folder");
    for step in ["prune:ratio=0.4,axis=units", "prune:ratio=0.4,axis=units,scope=layer,block=2"] {
        let (path, weights) = made(dir.path(), &[step]);
        let found = decoded(&path);
        for layer in 0..2 {
            let of = |part: &str| format!("model.layers.{layer}.mlp.{part}.weight");
            let gone = |name: &str, by_rows: bool| -> Vec<usize> {
                let (shape, values) = &found[name];
                let columns = shape[1] as usize;
                let places = if by_rows { shape[0] as usize } else { columns };
                let mut zero = vec![true; places];
                for (at, (a, b)) in values.iter().zip(&weights[name].1).enumerate() {
                    let place = if by_rows { at / columns } else { at % columns };
                    zero[place] &= *a == 0.0;
                    assert!(*a == 0.0 || a.to_bits() == b.to_bits(), "{name}");
                }
                (0..places).filter(|p| zero[*p]).collect()
            };
            let (gate, up, down) =
                (gone(&of("gate_proj"), true), gone(&of("up_proj"), true), gone(&of("down_proj"), false));
            assert!((24..=25).contains(&gate.len()), "{step}");
            assert!(gate == up && up == down, "{step}: {gate:?} {up:?} {down:?}");
        }
        let reader = open(&path);
        let bundles = reader.bundles("model").expect("they fit").expect("they are there");
        assert_eq!(bundles.bundles.len(), 2);
    }
}

#[test]
fn the_full_rank_is_the_matrix_and_a_lower_one_a_prefix_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let target = "target=*v_proj*,factors=f32";
    let (path, weights) = made(dir.path(), &[&format!("lowrank:rank=64,step=16,{target}")]);
    let name = "model.layers.0.self_attn.v_proj.weight";
    let whole = decoded(&path).remove(name).expect("it is there").1;
    assert!(error(&whole, &weights[name].1) < 1e-6);
    let reader =
        Reader::open(fs::File::open(&path).expect("a file"), ReadOptions::default()).expect("it opens");
    let entry = reader.tensor("model", name).expect("it is there");
    let bundle = &reader.bundles("model").expect("they fit").expect("they are there").bundles[0];
    assert_eq!((bundle.unit, &bundle.levels[..]), (64, &[16, 32, 48, 64][..]));
    let levels = mcodec_decode::built::Levels::default().with_rank(0, entry.id(), 16);
    let block = mcodec_decode::built::Block::all(&entry).expect("a block");
    let low = reader.read_block(&entry, &block, &levels).expect("it is read");
    let (other, _) = made(dir.path(), &[&format!("lowrank:rank=16,{target}")]);
    let wanted = decoded(&other).remove(name).expect("it is there").1;
    assert_eq!(Element::F32.values(&low), wanted);
}

#[test]
fn a_pair_shares_its_basis_and_its_product_is_that_of_the_first_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let dim = |name: &str, rows: usize, columns: usize, seed: u64| {
        let mut noise = Noise(seed);
        let draw: Vec<f32> =
            (0..rows * columns).map(|_| (noise.word() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect();
        (tensor(name, "F32", &[rows as u64, columns as u64], Element::F32.round(&draw)), draw)
    };
    // Two heads of 16 dimensions, each read by two blocks of columns.
    let (v, of_v) = dim("l.0.v_proj.weight", 32, 48, 4);
    let (o, of_o) = dim("l.0.o_proj.weight", 40, 64, 5);
    let path = dir.path().join("model.safetensors");
    fs::write(&path, safetensors(None, &[o, v])).expect("the input is written");
    let passes = vec![
        PassSpec::parse("lowrank:rank=12,block=16,step=4,factors=f32,target=*v_proj*,pair=o_proj")
            .expect("a step"),
    ];
    let out = dir.path().join("model.mcodec");
    let output = Output::File { path: out.clone(), force: true };
    let none = RecipeInputs::default();
    encode_recipe(&path, None, output, &Recipe { passes }, &none, &options(1)).expect("it is encoded");
    let found = decoded(&out);
    let (v, o) = (&found["l.0.v_proj.weight"].1, &found["l.0.o_proj.weight"].1);
    assert!(error(v, &of_v) > 0.1 && error(o, &of_o) > 0.1);
    let product = |o: &[f32], v: &[f32]| -> Vec<f32> {
        let mut all = Vec::new();
        for (block, row) in (0..4).flat_map(|b| (0..40).map(move |r| (b, r))) {
            for column in 0..48 {
                let at = |k: usize| o[row * 64 + block * 16 + k] * v[(block / 2 * 16 + k) * 48 + column];
                all.push((0..16).map(at).sum());
            }
        }
        all
    };
    assert!(error(&product(o, v), &product(&of_o, v)) < 1e-5);
    let reader = open(&out);
    let bundles = reader.bundles("model").expect("they fit").expect("they are there").bundles;
    assert_eq!((bundles.len(), bundles[0].members.len(), bundles[0].unit), (1, 2 + 4, 12));
}

#[test]
fn a_gram_matrix_turns_the_error_to_where_little_is_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let name = "model.layers.0.self_attn.v_proj.weight";
    let n = 96usize;
    let mut gram = vec![0f32; n * n];
    (0..n).for_each(|i| gram[i * n + i] = if i < 12 { 100.0 } else { 0.01 });
    let path = dir.path().join("stats.safetensors");
    let stats = tensor(&format!("{name}.gram"), "F32", &[96, 96], Element::F32.round(&gram));
    fs::write(&path, safetensors(None, &[stats])).expect("statistics are written");
    let weighted = |found: &[f32], wanted: &[f32]| -> f64 {
        let off = |(at, (a, b)): (usize, (&f32, &f32))| {
            f64::from(a - b).powi(2) * f64::from(gram[at % n * (n + 1)])
        };
        found.iter().zip(wanted).enumerate().map(off).sum()
    };
    let step = ["lowrank:rank=4,target=*v_proj*"];
    let mut errors = Vec::new();
    for statistics in [None, Some(path)] {
        let inputs = RecipeInputs { statistics, ..RecipeInputs::default() };
        let (file, _, weights) = encoded(dir.path(), &step, &inputs, "F32").expect("it is encoded");
        errors.push(weighted(&decoded(&file)[name].1, &weights[name].1));
        assert_eq!(recipe_of(&file).passes[0].statistics.is_some(), inputs.statistics.is_some());
    }
    assert!(errors[1] < 0.8 * errors[0], "{errors:?}");
}

#[test]
fn codes_of_factors_follow_statistics() {
    let dir = tempfile::tempdir().expect("a folder");
    let (name, rows, n) = ("l.0.v_proj.weight", 128usize, 160usize);
    let mut noise = Noise(12);
    let values: Vec<f32> =
        (0..rows * n).map(|_| (noise.word() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect();
    let whole = tensor(name, "F32", &[rows as u64, n as u64], Element::F32.round(&values));
    let input = dir.path().join("model.safetensors");
    fs::write(&input, safetensors(None, &[whole])).expect("the input is written");
    // Inputs that nearly agree, and of which some are large; every other output matters.
    let scale = |j: usize| if j.is_multiple_of(3) { 8.0f32 } else { 1.0 };
    let at = |a: usize, b: usize| scale(a) * scale(b) * if a == b { 1.0 } else { 0.8 };
    let gram: Vec<f32> = (0..n * n).map(|i| at(i / n, i % n)).collect();
    let fisher: Vec<f32> = (0..rows).map(|i| if i % 2 == 0 { 1.0 } else { 1e-3 }).collect();
    let path = dir.path().join("stats.safetensors");
    let stats = [
        tensor(&format!("{name}.gram"), "F32", &[n as u64, n as u64], Element::F32.round(&gram)),
        tensor(&format!("{name}.fisher"), "F32", &[rows as u64], Element::F32.round(&fisher)),
    ];
    fs::write(&path, safetensors(None, &stats)).expect("statistics are written");
    let counts = |found: &[f32]| -> f64 {
        let rows = found.chunks(n).zip(values.chunks(n)).zip(&fisher);
        rows.map(|((a, b), f)| {
            let e: Vec<f64> = a.iter().zip(b).map(|(a, b)| f64::from(a - b)).collect();
            let all = (0..n * n).map(|i| e[i / n] * e[i % n] * f64::from(gram[i])).sum::<f64>();
            all * f64::from(*f)
        })
        .sum()
    };
    for cut in ["", ",step=32"] {
        let steps = [format!("lowrank:rank=128,factors=f32,target=*v_proj*{cut}"), "quant:bits=12".into()];
        let passes: Vec<PassSpec> = steps.iter().map(|step| PassSpec::parse(step).expect("a step")).collect();
        let errors = [None, Some(path.clone())].map(|statistics| {
            let inputs = RecipeInputs { statistics, ..RecipeInputs::default() };
            let file = dir.path().join("model.mcodec");
            let output = Output::File { path: file.clone(), force: true };
            encode_recipe(&input, None, output, &Recipe { passes: passes.clone() }, &inputs, &options(2))
                .expect("it is encoded");
            counts(&decoded(&file)[name].1)
        });
        assert!(errors[1] < 0.3 * errors[0], "{cut:?}: {errors:?}");
    }
}

#[test]
fn a_rank_of_codes_fetches_its_share() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut noise = Noise(4);
    let values: Vec<f32> =
        (0..256 * 320).map(|_| (noise.word() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect();
    let name = "l.0.v_proj.weight";
    let input = dir.path().join("model.safetensors");
    let whole = tensor(name, "F32", &[256, 320], Element::F32.round(&values));
    fs::write(&input, safetensors(None, &[whole])).expect("the input is written");
    let steps = ["lowrank:rank=64,step=16,factors=f32,target=*v_proj*", "quant:bits=1.5"];
    let passes = steps.iter().map(|step| PassSpec::parse(step).expect("a step")).collect();
    let path = dir.path().join("model.mcodec");
    let output = Output::File { path: path.clone(), force: false };
    encode_recipe(&input, None, output, &Recipe { passes }, &RecipeInputs::default(), &options(2))
        .expect("it is encoded");
    let file = || Counting::new(fs::File::open(&path).expect("the file is there"));
    let plain = Reader::open(file(), ReadOptions::default()).expect("it opens");
    let mut bytes = [0u64; 2];
    for row in plain.rows("model").expect("rows") {
        let of_codes = row.get().kind == registry::entry::ARRAY;
        bytes[usize::from(of_codes)] += row.get().lengths.iter().sum::<u64>();
    }
    for rank in [16, 32, 48] {
        let fresh = Reader::open(file(), ReadOptions::default()).expect("it opens");
        let (levels, _) = fresh.variant("model", &format!("rank-{rank}")).expect("the variant is there");
        let cut = fresh.with_levels(levels);
        let entry = cut.tensor("model", name).expect("it is there");
        _ = cut.source().take();
        cut.read_all(&entry).expect("it is read");
        let fetched = bytes_of(&cut.source().take()) as f64;
        let most = 1.1 * f64::from(rank) / 64.0 * bytes[1] as f64 + bytes[0] as f64;
        assert!(fetched <= most, "rank {rank}: {fetched} of {bytes:?}");
    }
}

#[test]
fn kept_tensors_stay_and_bad_recipes_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let keep = RecipeInputs { keep: vec!["*layers.0*".into()], ..RecipeInputs::default() };
    let (path, _, weights) = encoded(dir.path(), &["prune:ratio=0.5"], &keep, "F32").expect("it is encoded");
    for (name, (_, values)) in decoded(&path) {
        let same = values == weights[&name].1;
        assert_eq!(same, !name.contains("layers.1"), "{name}");
    }
    for (steps, text) in [
        (&["nonsense:a=1"][..], "there are lowrank, prune, quant"),
        (&["prune:axis=rows"], "needs a ratio"),
        (&["prune:ratio=1"], "needs a ratio"),
        (&["prune:ratio=0.5,axis=planes"], "axis is one of"),
        (&["prune:ratio=0.5,target=*nothing*"], "no matrix of floats"),
        (&["prune:ratio=0.5,axis=units,target=*v_proj*"], "gate, up and down"),
        (&["lowrank:rank=4,share=0.5"], "a rank, or a share"),
        (&["lowrank:rank=0"], "above 0"),
        (&["lowrank:rank=4,block=7,target=*v_proj*"], "not whole blocks"),
        (&["lowrank:rank=4,target=[", "quant:bits=4"], "pattern"),
        (&["quant:bits=4", "prune:ratio=0.5"], "not the last"),
        (&["quant"], "either bits or max-bytes"),
        (&["quant:bits=4,feedback=no"], "true or false"),
        (&["quant:bits=4,columns=0"], "above 0"),
    ] {
        let e = encoded(dir.path(), steps, &RecipeInputs::default(), "F32").expect_err("it is refused");
        assert!(e.to_string().contains(text), "{steps:?}: {e}");
    }
}

#[test]
fn arrays_are_no_tensors_of_the_model() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, weights) = made(dir.path(), &["lowrank:rank=4", "prune:ratio=0.5,target=*embed*"]);
    let reader = open(&path);
    assert_eq!(reader.select("model", "*").expect("tensors").len(), weights.len());
    let rows = reader.rows("model").expect("rows");
    let arrays: Vec<_> = rows.iter().filter(|row| row.get().kind == registry::entry::ARRAY).collect();
    assert_eq!(arrays.len(), 2 * 7 + 1);
    for row in arrays {
        let parsed = EntryDescriptor::parse(row.get().kind, &row.get().fields, &Limits::default());
        assert!(matches!(parsed, Ok(EntryDescriptor::Tensor(_))), "{}", row.get().name);
        assert!(reader.tensor("model", &row.get().name).is_err());
    }
}
