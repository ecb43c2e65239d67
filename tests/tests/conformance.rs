//! The registry, the vectors and their JSON twins agree with each other and with this reader.
//!
//! `MCODEC_BLESS=1` writes the vectors and twins anew. `MCODEC_TWINS=DIR` writes the twin of every file there.

#[path = "conformance/built.rs"]
mod built;
#[path = "conformance/coverage.rs"]
mod coverage;
#[path = "conformance/deltas.rs"]
mod deltas;
#[path = "conformance/encoded.rs"]
mod encoded;
#[path = "conformance/hand.rs"]
mod hand;
#[path = "conformance/hostile.rs"]
mod hostile;
#[path = "conformance/image_hostile.rs"]
mod image_hostile;
#[path = "conformance/image_twin.rs"]
mod image_twin;
#[path = "conformance/images.rs"]
mod images;
#[path = "conformance/labelled.rs"]
mod labelled;
#[path = "conformance/labelled_hostile.rs"]
mod labelled_hostile;
#[path = "conformance/latents.rs"]
mod latents;
#[path = "conformance/levels.rs"]
mod levels;
#[path = "conformance/masks.rs"]
mod masks;
#[path = "conformance/quant.rs"]
mod quant;
#[path = "conformance/raw_page.rs"]
mod raw_page;
#[path = "conformance/registry_doc.rs"]
mod registry_doc;
#[path = "conformance/sound.rs"]
mod sound;
#[path = "conformance/twin.rs"]
mod twin;
#[path = "conformance/vector.rs"]
mod vector;
#[path = "conformance/versions.rs"]
mod versions;
#[path = "conformance/walk.rs"]
mod walk;

use mcodec_decode::verify;
use mcodec_format::registry;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use vector::{Expect, Vector};

/// Greatest length of a vector, and of all together.
const MAX_VECTOR: usize = 5 << 10;
const MAX_ALL: usize = 150 << 10;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors")
}

/// All vectors, built once; where they are blessed, before any test reads one.
fn vectors() -> &'static [Vector] {
    static ALL: OnceLock<Vec<Vector>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = sound::all();
        all.extend(labelled::all());
        all.extend(deltas::all());
        all.extend(latents::all());
        all.extend(masks::all());
        all.extend(levels::all());
        all.extend(quant::all());
        all.extend(built::all());
        all.extend(versions::all());
        all.extend(hostile::all());
        all.extend(labelled_hostile::all());
        all.extend(images::all());
        all.extend(image_hostile::all());
        all.extend(encoded::all());
        if std::env::var_os("MCODEC_BLESS").is_some() {
            all.iter().for_each(bless);
        }
        all
    })
}

fn bless(vector: &Vector) {
    let path = folder().join(format!("{}.mcodec", vector.name));
    let mut twin = twin::of(&vector.bytes);
    twin["about"] = vector.about.into();
    let text = format!("{}\n", serde_json::to_string_pretty(&twin).expect("twin is JSON"));
    fs::write(path.with_extension("json"), text).expect("twin is written");
    fs::write(path, &vector.bytes).expect("vector is written");
}

fn read_twin(name: &str) -> Value {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).expect("the vector has a twin");
    serde_json::from_str(&text).expect("the twin is JSON")
}

#[test]
fn every_vector_is_what_its_twin_says() {
    let mut total = 0;
    let mut failures = Vec::new();
    for vector in vectors() {
        let path = folder().join(format!("{}.mcodec", vector.name));
        let stored =
            fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; MCODEC_BLESS=1 writes it", path.display()));
        if !vector.encoded && stored != vector.bytes {
            failures.push(format!("{}: the file differs from what its builder makes", vector.name));
        }
        let mut twin = twin::of(&stored);
        twin["about"] = vector.about.into();
        if read_twin(vector.name) != twin {
            failures.push(format!("{}: the parse differs from its twin", vector.name));
        }
        failures.extend(
            check(&vector.expect, &stored, &twin).into_iter().map(|f| format!("{}: {f}", vector.name)),
        );
        assert!(stored.len() <= MAX_VECTOR, "{} has {} bytes", vector.name, stored.len());
        total += stored.len();
    }
    assert!(total <= MAX_ALL, "the vectors have {total} bytes");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What differs from the expectation.
fn check(expect: &Expect, bytes: &[u8], twin: &Value) -> Vec<String> {
    let mut failures = Vec::new();
    let refused = twin["refused"].as_str();
    if let Some(error) = expect.refused {
        if !refused.is_some_and(|found| found.contains(error)) {
            failures.push(format!("it should be refused with {error:?}, not {refused:?}"));
        }
        return failures;
    }
    if let Some(found) = refused {
        failures.push(format!("it is refused: {found}"));
        return failures;
    }
    let reader = twin::open(bytes).expect("its twin says that it opens");
    let report = verify(&reader, true).expect("bytes in memory are read");
    let warnings: Vec<String> = reader.warnings().iter().map(ToString::to_string).collect();
    let unknown: Vec<String> = report.unknown.iter().map(|u| u.what.clone()).collect();
    let damage: Vec<String> = report.damage.iter().map(|d| d.what.clone()).collect();
    for (what, expected, found) in [
        ("warning", expect.warnings, warnings),
        ("unknown", expect.unknown, unknown),
        ("damage", expect.damage, damage),
    ] {
        for text in expected.iter().filter(|text| !found.iter().any(|f| f.contains(**text))) {
            failures.push(format!("no {what} says {text:?}: {found:?}"));
        }
        if what != "unknown" && expected.is_empty() && !found.is_empty() {
            failures.push(format!("unexpected {what}: {found:?}"));
        }
    }
    failures.extend(check_refusals("entry", expect.entries, &twin["entries"]));
    failures.extend(check_refusals("asset", expect.assets, &twin["assets"]));
    failures
}

fn check_refusals(what: &str, expected: &[(&str, &str)], found: &Value) -> Vec<String> {
    let mut failures = Vec::new();
    let list = found.as_array().map(Vec::as_slice).unwrap_or_default();
    for one in list {
        let name = one["name"].as_str().unwrap_or_default();
        let text = one["refused"].as_str();
        match (expected.iter().find(|e| e.0 == name), text) {
            (None, Some(text)) => failures.push(format!("{what} {name:?} is refused: {text}")),
            (Some((_, error)), Some(text)) if !text.contains(error) => {
                failures.push(format!("{what} {name:?} is refused with {text:?}, not {error:?}"));
            }
            (Some((_, error)), None) => {
                failures.push(format!("{what} {name:?} is not refused: {error:?}"));
            }
            _ => {}
        }
    }
    failures
}

#[test]
fn no_vector_is_left_over() {
    let made: BTreeSet<String> = vectors().iter().map(|v| v.name.to_owned()).collect();
    let mut found = BTreeSet::new();
    for file in fs::read_dir(folder()).expect("vectors are there") {
        let path = file.expect("folder is read").path();
        found.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    }
    assert_eq!(made, found);
}

/// What the encoder makes now of the same input reads like the committed vector.
#[test]
fn encoder_vectors_keep_their_content() {
    for vector in vectors().iter().filter(|v| v.encoded) {
        let stored = read_twin(vector.name);
        let built = twin::of(&vector.bytes);
        let contents = |twin: &Value| {
            let list = twin["entries"].as_array().cloned().unwrap_or_default();
            let own = |e: &&Value| ["tensor", "file", "record"].iter().any(|kind| e["kind"] == *kind);
            list.iter().filter(own).map(|e| (e["name"].clone(), e["content"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(contents(&stored), contents(&built), "{}", vector.name);
        assert_eq!(stored["assets"], built["assets"], "{}", vector.name);
    }
}

#[test]
fn the_document_and_the_code_have_the_same_ids() {
    let doc = registry_doc::tables();
    let same = |heading: &str, base: u32, code: Vec<(u64, &str)>| {
        let code: Vec<(u64, String)> = code.into_iter().map(|(id, name)| (id, name.to_owned())).collect();
        assert_eq!(registry_doc::ids(&doc, heading, base), code, "{heading}");
    };
    for (heading, table) in coverage::named_tables() {
        same(heading, 10, table.iter().map(|n| (n.id, n.name)).collect());
    }
    same("Part modes", 10, registry::PART_MODES.iter().map(|m| (m.id, m.name)).collect());
    same("Row layouts", 10, vec![(0, "indexed"), (1, "gathered"), (2, "described")]);
    same("Frame tags", 16, coverage::TAGS.iter().map(|(tag, name)| (u64::from(tag.0), *name)).collect());
    let mut dtypes = vec![(registry::OPAQUE_DTYPE, "opaque")];
    dtypes.extend(registry::DTYPES.iter().map(|d| (d.id, d.name)));
    same("Element types", 10, dtypes);
    for (row, dtype) in doc["Element types"].iter().skip(1).zip(registry::DTYPES) {
        assert_eq!(row[2], dtype.bits.to_string(), "{}", dtype.name);
    }
    same("Block types", 10, registry::BLOCKS.iter().map(|d| (d.id, d.name)).collect());
    for (row, dtype) in doc["Block types"].iter().zip(registry::BLOCKS) {
        let code = (dtype.block.to_string(), dtype.block_bytes().unwrap_or_default().to_string());
        assert_eq!((row[2].clone(), row[3].clone()), code, "{}", dtype.name);
    }
    same("Entry descriptor fields", 10, registry::field::ALL.iter().map(|f| (f.0, f.1)).collect());
    for (row, code) in doc["Entry descriptor fields"].iter().zip(registry::field::ALL) {
        assert_eq!(row[2] == "critical", code.2, "{}", code.1);
    }
    let asset_fields: Vec<u64> = registry_doc::ids(&doc, "Asset fields", 10).iter().map(|f| f.0).collect();
    assert_eq!(asset_fields, registry::asset_field::IDS);
    // The encoder writes it so, and the registry has no criticality for it.
    assert_eq!(doc["Asset fields"][0][2], "critical");
    let schemas: Vec<&str> = doc["Record schemas"].iter().map(|row| row[0].as_str()).collect();
    assert_eq!(schemas, registry::SCHEMAS);
}

#[test]
fn every_registered_id_has_a_vector() {
    let names: BTreeSet<&str> = vectors().iter().map(|v| v.name).collect();
    let twins: Vec<Value> = names.iter().map(|name| read_twin(name)).collect();
    let missing = coverage::missing(&twins);
    assert!(missing.is_empty(), "no vector has {missing:?}");
}

#[test]
fn twins_on_request() {
    if let Some(folder) = std::env::var_os("MCODEC_TWINS") {
        write_twins(Path::new(&folder));
    }
}

/// Writes the twin of every file of a folder.
fn write_twins(folder: &Path) {
    for file in fs::read_dir(folder).expect("folder is read") {
        let path = file.expect("folder is read").path();
        if path.extension().is_some_and(|e| e == "mcodec") {
            let twin = twin::of(&fs::read(&path).expect("file is read"));
            let text = serde_json::to_string_pretty(&twin).expect("twin is JSON");
            fs::write(path.with_extension("json"), text).expect("twin is written");
        }
    }
}

/// Runs where `python3` has the packages that the reader needs, and must run where `MCODEC_PYTHON` names one (as CI does).
#[test]
fn the_independent_reader_agrees() {
    let named = std::env::var_os("MCODEC_PYTHON");
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let packages = Command::new(&python).args(["-c", "import numpy, xxhash, blake3, zstandard"]).output();
    if !packages.is_ok_and(|out| out.status.success()) {
        assert!(named.is_none(), "{} lacks numpy, xxhash, blake3 or zstandard", python.display());
        eprintln!("left out: {} lacks numpy, xxhash, blake3 or zstandard", python.display());
        return;
    }
    let dir = tempfile::tempdir().expect("folder is made");
    encoded::write_models(dir.path());
    images::write_images(dir.path());
    write_twins(dir.path());
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("independent_reader.py");
    for folder in [dir.path(), &folder()] {
        let out =
            Command::new(&python).arg(&reader).arg("--vectors").arg(folder).output().expect("reader runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }
    // With its base, a file that is told against another is read too, and its content hash is right.
    let (base, delta) = (dir.path().join("run.mcodec"), dir.path().join("delta.mcodec"));
    let out =
        Command::new(&python).arg(&reader).arg("--base").arg(base).arg(delta).output().expect("reader runs");
    let twin: Value = serde_json::from_slice(&out.stdout).expect("the twin is JSON");
    assert_eq!(twin["damage"], serde_json::json!([]));
    let entries = twin["entries"].as_array().expect("entries");
    assert!(entries.iter().all(|e| e["refused"].is_null() && !e["content"].is_null()));
    assert!(entries.iter().any(|e| e["descriptor"]["representation"][0] == "delta"));
}
