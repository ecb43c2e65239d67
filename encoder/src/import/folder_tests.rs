use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::folder::*;
use super::safetensors_tests::data;
use super::*;

fn model(tensors: &[&str]) -> Vec<u8> {
    let mut json = String::from("{");
    for (i, name) in tensors.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        json.push_str(&format!(
            "{comma}\"{name}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{i},{}]}}",
            i + 1
        ));
    }
    json.push('}');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes.extend((0..tensors.len()).map(|i| i as u8));
    bytes
}

fn put(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        put(dir.path(), name, bytes);
    }
    dir
}

fn sharded(index: &str) -> TempDir {
    folder(&[
        ("m-1.safetensors", &model(&["layers.10.w", "layers.2.w"])),
        ("m-2.safetensors", &model(&["layers.9.w", "head"])),
        (INDEX_NAME, index.as_bytes()),
    ])
}

fn open(dir: &TempDir) -> Result<ModelSource, ImportError> {
    ModelSource::open(dir.path(), &ImportOptions::default())
}

fn open_with(dir: &TempDir, all_files: bool, follow_links: bool) -> Result<ModelSource, ImportError> {
    ModelSource::open(dir.path(), &ImportOptions { all_files, follow_links, ..ImportOptions::default() })
}

fn names(source: &ModelSource) -> (Vec<&str>, Vec<&str>) {
    let shards = source.shards.iter().map(|shard| shard.name.as_str()).collect();
    (shards, source.files.iter().map(|file| file.name.as_str()).collect())
}

#[test]
fn a_file_by_itself() {
    let bytes = model(&["b", "a"]);
    let dir = folder(&[("x.y.safetensors", &bytes), ("config.json", b"{}")]);
    let path = dir.path().join("x.y.safetensors");
    let source = ModelSource::open(&path, &ImportOptions::default()).unwrap();
    assert_eq!((source.name.as_str(), source.is_folder), ("x.y", false));
    assert_eq!(names(&source), (vec!["x.y.safetensors"], vec![]));
    let shard = &source.shards[0];
    assert_eq!(shard.header_bytes, bytes[..bytes.len() - 2]);
    assert_eq!(shard.data_offset, bytes.len() as u64 - 2);
    let order = source.natural_tensors();
    assert_eq!(order, [TensorRef { shard: 0, index: 1 }, TensorRef { shard: 0, index: 0 }]);
    let (shard, entry) = source.tensor(order[0]).unwrap();
    let mut byte = [9];
    shard.open().unwrap().read_at(shard.data_offset + entry.begin, &mut byte).unwrap();
    assert_eq!((entry.name.as_str(), byte), ("a", [1]));
    assert!(source.tensor(TensorRef { shard: 0, index: 2 }).is_none());

    fs::write(&path, model(&["other"])).unwrap();
    assert!(matches!(source.shards[0].open(), Err(ImportError::Changed { path: p }) if p == path));

    put(dir.path(), "bad\nname.safetensors", &bytes);
    let source =
        ModelSource::open(&dir.path().join("bad\nname.safetensors"), &ImportOptions::default()).unwrap();
    assert_eq!((source.name.as_str(), source.notes.len()), ("model", 1));
    put(dir.path(), "bad.safetensors", "nonsense");
    let error =
        ModelSource::open(&dir.path().join("bad.safetensors"), &ImportOptions::default()).unwrap_err();
    assert!(matches!(error, ImportError::Header { .. }) && error.to_string().contains("bad.safetensors"));
    let missing = ModelSource::open(&dir.path().join("no"), &ImportOptions::default());
    assert!(matches!(missing, Err(ImportError::Io { .. })));
    let device = ModelSource::open(Path::new("/dev/null"), &ImportOptions::default());
    assert!(matches!(device, Err(ImportError::Special { .. })));
}

#[test]
fn the_index_decides_and_companions_travel() {
    let dir = sharded(
        "{\"metadata\":{\"total_size\":4},\"weight_map\":{\"layers.9.w\":\"m-2.safetensors\",\"head\":\"m-2.safetensors\",\"layers.2.w\":\"m-1.safetensors\",\"layers.10.w\":\"m-1.safetensors\"}}",
    );
    for name in [
        "config.json",
        "tokenizer.model",
        "a.tiktoken",
        "vocab.txt",
        "merges.txt",
        "spiece.model",
        "sentencepiece.bpe.model",
    ] {
        put(dir.path(), name, name);
    }
    for name in
        ["t.jinja", "chat_template.txt", "special_tokens_map.txt", "added_tokens.x", "tokenizer.model.v3"]
    {
        put(dir.path(), name, name);
    }
    for name in ["README.md", "model.safetensors", "train.log", "eval/x.json", "bert.model", "vocab.txt.bak"]
    {
        put(dir.path(), name, "?");
    }
    let source = open(&dir).unwrap();
    let (shards, files) = names(&source);
    assert_eq!(shards, ["m-1.safetensors", "m-2.safetensors"]);
    assert_eq!(files.len(), 13);
    assert!(files.contains(&INDEX_NAME) && files.is_sorted());
    assert_eq!(
        source.left_out,
        ["README.md", "bert.model", "eval/", "model.safetensors", "train.log", "vocab.txt.bak"]
    );
    assert!(source.notes.is_empty() && source.is_folder);
    let order: Vec<&str> =
        source.natural_tensors().into_iter().map(|at| source.tensor(at).unwrap().1.name.as_str()).collect();
    assert_eq!(order, ["head", "layers.2.w", "layers.9.w", "layers.10.w"]);

    let file = &source.files[1];
    assert_eq!((file.name.as_str(), file.len), ("added_tokens.x", 14));
    assert_eq!(file.open().unwrap().len(), 14);
    fs::write(&file.path, "longer than before").unwrap();
    assert!(matches!(file.open(), Err(ImportError::Changed { .. })));
}

#[test]
fn all_files() {
    let dir = folder(&[
        ("model.safetensors", &model(&["w"])),
        ("tuned.safetensors", &model(&["w"])),
        ("README.md", b"r"),
        (".gitattributes", b"g"),
        (".git/config", b"c"),
        ("eval/deep/x.txt", b"x"),
    ]);
    let source = open(&dir).unwrap();
    assert_eq!(names(&source), (vec!["model.safetensors"], vec![]));
    assert_eq!(source.left_out, [".git/", ".gitattributes", "README.md", "eval/", "tuned.safetensors"]);
    let source = open_with(&dir, true, false).unwrap();
    assert_eq!(names(&source).1, [".gitattributes", "README.md", "eval/deep/x.txt", "tuned.safetensors"]);
    assert_eq!((source.left_out, source.notes.len()), (vec![".git/".to_string()], 1));

    put(dir.path(), "a\\b", "");
    assert!(open(&dir).is_ok());
    assert!(matches!(open_with(&dir, true, false), Err(ImportError::Name { name, .. }) if name == "a\\b"));
    fs::remove_file(dir.path().join("a\\b")).unwrap();
    use std::os::unix::ffi::OsStrExt as _;
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xFF")), "").unwrap();
    assert!(open(&dir).is_ok());
    assert!(matches!(open_with(&dir, true, false), Err(ImportError::Name { .. })));
}

#[test]
fn special_files_are_refused() {
    let dir = folder(&[("model.safetensors", &model(&["w"]))]);
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
    assert_eq!(open(&dir).unwrap().left_out, ["s"]);
    assert!(matches!(open_with(&dir, true, false), Err(ImportError::Special { .. })));
    let _other = std::os::unix::net::UnixListener::bind(dir.path().join("config.json")).unwrap();
    assert!(matches!(open(&dir), Err(ImportError::Special { path }) if path.ends_with("config.json")));
}

#[test]
fn a_folder_without_its_model() {
    let dir = folder(&[]);
    assert!(matches!(open(&dir), Err(ImportError::NoModel { found, .. }) if found == "nothing"));
    put(dir.path(), "only.safetensors", model(&["w"]));
    let source = open(&dir).unwrap();
    assert_eq!((names(&source).0, source.notes.len()), (vec!["only.safetensors"], 1));
    put(dir.path(), "other.safetensors", model(&["w"]));
    fs::create_dir(dir.path().join("sub")).unwrap();
    match open(&dir) {
        Err(ImportError::NoModel { found, .. }) => {
            assert_eq!(found, "\"only.safetensors\", \"other.safetensors\", \"sub/\"");
        }
        other => panic!("{other:?}"),
    }
    for i in 0..30 {
        put(dir.path(), &format!("{i}.safetensors"), "");
    }
    assert!(open(&dir).unwrap_err().to_string().contains("and 13 more"));
}

#[test]
fn bad_indexes_are_refused() {
    let refused = |index: &str, part: &str| match open(&sharded(index)) {
        Err(ImportError::Index { reason, path, .. }) => {
            assert!(path.ends_with(INDEX_NAME) && reason.contains(part), "{reason}");
        }
        other => panic!("{index}: {other:?}"),
    };
    refused("", "EOF");
    refused("[]", "a JSON object");
    refused("{}", "no weight_map");
    refused("{\"weight_map\":{}}", "empty");
    refused("{\"weight_map\":[]}", "a JSON object");
    refused("{\"weight_map\":{\"w\":1}}", "shard of \"w\" is not a string");
    refused("{\"weight_map\":{\"w\":\"a\",\"w\":\"a\"}}", "twice");
    refused("{\"weight_map\":{\"w\":\"a\"},\"weight_map\":{}}", "twice");
    refused(&format!("{{\"weight_map\":{}", "{\"a\":".repeat(100_000)), "nesting");
    for name in [
        "../x",
        "/etc/x",
        "C:\\\\x",
        "a/../../b",
        "\\u0000",
        "a\\nb",
        "",
        ".",
        "./m-1.safetensors",
        INDEX_NAME,
    ] {
        let error = open(&sharded(&format!("{{\"weight_map\":{{\"w\":\"{name}\"}}}}"))).unwrap_err();
        assert!(matches!(error, ImportError::Name { .. }), "{name}: {error}");
        assert!(!error.to_string().contains(char::is_control));
    }
    let absent = open(&sharded("{\"weight_map\":{\"w\":\"absent.safetensors\"}}")).unwrap_err();
    assert!(matches!(absent, ImportError::Io { path, .. } if path.ends_with("absent.safetensors")));
    let dir = sharded("{\"weight_map\":{\"w\":\"sub\"}}");
    fs::create_dir(dir.path().join("sub")).unwrap();
    assert!(matches!(open(&dir), Err(ImportError::Special { .. })));
    let dir = sharded("{\"weight_map\":{\"a\":\"s\",\"b\":\"s\"}}");
    let limits = HeaderLimits { tensors: 1, ..HeaderLimits::default() };
    let many = ModelSource::open(dir.path(), &ImportOptions { limits, ..ImportOptions::default() });
    assert!(matches!(many, Err(ImportError::Index { reason, .. }) if reason == "more than 1 tensors"));
    let large = sharded("");
    fs::File::create(large.path().join(INDEX_NAME)).unwrap().set_len(100_000_001).unwrap();
    assert!(matches!(open(&large), Err(ImportError::Limit { what: "index length", .. })));
}

#[test]
fn shards_and_index_must_agree() {
    let full = "\"layers.9.w\":\"m-2.safetensors\",\"layers.2.w\":\"m-1.safetensors\"";
    let source = open(&sharded(&format!("{{\"weight_map\":{{{full}}}}}"))).unwrap();
    assert_eq!(source.notes.len(), 2);
    assert!(
        source.notes[0].contains("1 tensors") && source.notes[0].contains("layers.10.w"),
        "{}",
        source.notes[0]
    );
    for (tensor, shard) in [("no", "m-1.safetensors"), ("head", "m-1.safetensors")] {
        let dir = sharded(&format!("{{\"weight_map\":{{{full},\"{tensor}\":\"{shard}\"}}}}"));
        match open(&dir) {
            Err(ImportError::Missing { tensor: t, shard: s, .. }) => assert_eq!((&*t, &*s), (tensor, shard)),
            other => panic!("{other:?}"),
        }
    }
    let dir = sharded(&format!("{{\"weight_map\":{{{full}}}}}"));
    put(dir.path(), "m-1.safetensors", model(&["layers.2.w", "head"]));
    match open(&dir) {
        Err(ImportError::Duplicate { tensor, first, second }) => {
            assert_eq!((&*tensor, &*first, &*second), ("head", "m-1.safetensors", "m-2.safetensors"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn links_must_stay_inside() {
    let outside = folder(&[("w.safetensors", &model(&["w"])), ("c.json", b"{}"), ("sub/x.txt", b"x")]);
    let dir = folder(&[("real/model.bin", &model(&["w"])), ("real/y.txt", b"y")]);
    symlink("real/model.bin", dir.path().join("model.safetensors")).unwrap();
    assert_eq!(names(&open(&dir).unwrap()).0, ["model.safetensors"]);
    // The folder itself may be reached through a link.
    let link = outside.path().join("link");
    symlink(dir.path(), &link).unwrap();
    assert_eq!(names(&ModelSource::open(&link, &ImportOptions::default()).unwrap()).0, ["model.safetensors"]);
    fs::remove_file(link).unwrap();

    symlink(outside.path().join("c.json"), dir.path().join("config.json")).unwrap();
    assert!(matches!(open(&dir), Err(ImportError::Link { path, .. }) if path.ends_with("config.json")));
    assert_eq!(names(&open_with(&dir, false, true).unwrap()).1, ["config.json"]);
    fs::remove_file(dir.path().join("config.json")).unwrap();

    // A shard, directly and through a linked folder.
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    symlink(outside.path().join("w.safetensors"), dir.path().join("model.safetensors")).unwrap();
    assert!(matches!(open(&dir), Err(ImportError::Link { .. })));
    assert!(open_with(&dir, false, true).is_ok());
    symlink(outside.path(), dir.path().join("out")).unwrap();
    put(dir.path(), INDEX_NAME, "{\"weight_map\":{\"w\":\"out/w.safetensors\"}}");
    assert!(matches!(open(&dir), Err(ImportError::Link { path, .. }) if path.ends_with("out/w.safetensors")));
    assert_eq!(names(&open_with(&dir, false, true).unwrap()).0, ["out/w.safetensors"]);

    // Linked folders: refused, taken on demand, and never without end.
    assert!(matches!(open_with(&dir, true, false), Err(ImportError::Link { .. })));
    symlink(dir.path(), outside.path().join("back")).unwrap();
    symlink(outside.path(), outside.path().join("sub/again")).unwrap();
    symlink("real", dir.path().join("same")).unwrap();
    let source = open_with(&dir, true, true).unwrap();
    let expected =
        ["model.safetensors", INDEX_NAME, "out/c.json", "out/sub/x.txt", "real/model.bin", "real/y.txt"];
    assert_eq!(names(&source).1, expected);
    assert_eq!(source.left_out, ["out/back/", "out/sub/again/", "same/"]);

    let dangling = folder(&[("model.safetensors", &model(&["w"]))]);
    symlink("nowhere", dangling.path().join("note.txt")).unwrap();
    assert!(open(&dangling).is_ok());
    symlink("nowhere", dangling.path().join("config.json")).unwrap();
    assert!(matches!(open(&dangling), Err(ImportError::Io { .. })));
}

#[test]
fn folders_that_are_too_deep() {
    let dir = folder(&[("model.safetensors", &model(&["w"]))]);
    put(dir.path(), &format!("{}x", "d/".repeat(64)), "");
    assert!(open_with(&dir, true, false).is_ok());
    put(dir.path(), &format!("{}x", "d/".repeat(65)), "");
    assert!(matches!(open_with(&dir, true, false), Err(ImportError::Limit { what: "folder depth", .. })));
}

#[test]
fn the_bundled_model() {
    let Some(path) = data("models/moe-tiny") else { return };
    let source = ModelSource::open(&path, &ImportOptions::default()).unwrap();
    assert_eq!(source.name, "moe-tiny");
    assert_eq!(names(&source), (vec!["model.safetensors"], vec!["config.json"]));
    assert!(source.left_out.contains(&"tuned-100steps.safetensors".to_string()));
    let order = source.natural_tensors();
    assert_eq!(order.len(), source.shards[0].header.tensors.len());
}
