//! Every variant of every error is produced by some test: each is named, as `Enum::Variant`, in test code.

use std::fs;
use std::path::{Path, PathBuf};

/// Files that define errors.
const ERRORS: [&str; 12] = [
    "format-spec/src/error.rs",
    "format-spec/coding/src/error.rs",
    "decoder/src/error.rs",
    "decoder/src/gpu.rs",
    "decoder/src/layout.rs",
    "encoder/src/error.rs",
    "encoder/src/import/error.rs",
    "encoder/src/import/numpy.rs",
    "encoder/src/import/torch/pickle.rs",
    "encoder/src/import/zip.rs",
    "encoder/src/import/gguf/error.rs",
    "gpu/src/error.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The variants of the error enums in a file, as `Enum::Variant`.
fn variants(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut name = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("pub enum ") {
            let enum_name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            name = enum_name.ends_with("Error").then(|| enum_name.to_owned());
        } else if line == "}" {
            name = None;
        } else if let (Some(name), Some(rest)) = (&name, line.strip_prefix("    "))
            && rest.starts_with(|c: char| c.is_ascii_uppercase())
        {
            let variant = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            all.push(format!("{name}::{variant}"));
        }
    }
    all
}

/// All test code: integration tests, `*_tests.rs`, and what follows `#[cfg(test)]` in sources.
fn test_code(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                test_code(&path, out);
            }
        } else if name.ends_with(".rs") && name != "error_variants.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let whole = path.components().any(|c| c.as_os_str() == "tests")
                || name.ends_with("_tests.rs")
                || name == "tests.rs";
            let from = if whole { Some(0) } else { text.find("#[cfg(test)]") };
            out.push_str(&text[from.unwrap_or(text.len())..]);
        }
    }
}

#[test]
fn every_error_variant_is_produced_by_some_test() {
    let mut code = String::new();
    test_code(&root(), &mut code);
    let mut count = 0;
    let mut missing = Vec::new();
    for file in ERRORS {
        for variant in variants(&fs::read_to_string(root().join(file)).unwrap()) {
            count += 1;
            if !code.contains(&variant) {
                missing.push(variant);
            }
        }
    }
    assert!(count > 30, "{count} variants found");
    assert!(missing.is_empty(), "no test produces {missing:?}");
}
