//! Files of PyTorch and NumPy at the command line.

use crate::workplace::Workplace;
use std::fs;
use std::path::{Path, PathBuf};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

#[test]
fn files_come_back_and_their_tensors_are_read() {
    let place = Workplace::new();
    for (name, tensor, npy) in [
        ("torch/state.pt", "emb.weight", 128 + 96),
        ("torch/legacy.pt", "emb.weight", 128 + 96),
        ("numpy/arrays.npz", "layer/w", 128 + 120),
        ("numpy/single.npy", "single", 128 + 120),
    ] {
        let file = name.split_once('/').unwrap().1;
        let original = fs::read(data(name)).unwrap();
        fs::write(place.path(file), &original).unwrap();
        place.run(&["encode", file, "-o", "m.mcodec", "-f"]).done();
        place.run(&["verify", "m.mcodec", "--deep"]).done();
        place.run(&["decode", "m.mcodec", "-o", "back", "-f"]).done().silent();
        assert!(place.read("back") == original, "{name}");
        place.run(&["decode", "m.mcodec", "-o", "t.npy", "--tensor", tensor, "-f"]).done().silent();
        assert_eq!(place.read("t.npy").len(), npy, "{name}");
        place.run(&["diff", "m.mcodec", file]).done();
        place.shell(&format!("cat {file} | mcodec encode - -o - | mcodec decode - -o piped -f")).done();
        assert!(place.read("piped") == original, "{name}, piped");
        // A name of another form does not convert; that is told, and so is what does.
        let ended = place.run(&["decode", "m.mcodec", "-o", "back.safetensors", "-f"]).done();
        assert!(ended.err.contains("--format safetensors converts"), "{}", ended.err);
        assert!(place.read("back.safetensors") == original, "{name}");
        place.run(&["decode", "m.mcodec", "-o", "back.safetensors", "-f", "--format", "safetensors"]).done();
        let ended = place.run(&["info", "--json", "m.mcodec"]).done();
        assert!(ended.text().contains(tensor), "{}", ended.text());
        place.run(&["diff", "m.mcodec", "back.safetensors"]).done();
    }
}

#[test]
fn a_folder_of_pytorch_shards_comes_back() {
    let place = Workplace::new();
    let folder = data("torch/shards");
    place.run(&["encode", folder.to_str().unwrap(), "-o", "m.mcodec"]).done();
    place.run(&["decode", "m.mcodec", "-o", "back"]).done();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(place.read(&format!("back/{name}")) == fs::read(&path).unwrap(), "{name}");
    }
    place.run(&["diff", "m.mcodec", folder.to_str().unwrap()]).done();
}

#[test]
fn dtypes_that_safetensors_does_not_have_are_told() {
    let place = Workplace::new();
    place.run(&["encode", data("numpy/odd.npz").to_str().unwrap(), "-o", "m.mcodec"]).done();
    let ended = place.run(&["decode", "m.mcodec", "-o", "t.safetensors", "--format", "safetensors"]).done();
    assert!(ended.err.contains("3 tensors have a dtype that is not of safetensors"), "{}", ended.err);
    place.run(&["decode", "m.mcodec", "-o", "one.safetensors", "--tensor", "column"]).done().silent();
}

#[test]
fn what_is_not_taken_apart_says_why() {
    let place = Workplace::new();
    let file = data("numpy/compressed.npz");
    let ended = place.run(&["encode", file.to_str().unwrap(), "-o", "m.mcodec"]).done();
    assert!(ended.err.contains("compressed arrays") && ended.err.contains("as a blob"), "{}", ended.err);
    place.run(&["decode", "m.mcodec", "-o", "back"]).done();
    assert!(place.read("back") == fs::read(&file).unwrap());
}
