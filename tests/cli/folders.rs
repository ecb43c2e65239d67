//! Folders: what is taken, and how they come back.

use crate::small_models::{lay_out, sharded, small};
use crate::workplace::Workplace;
use mcodec_tests::inputs::moe_tiny;
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn the_committed_model_folder_comes_back() {
    let place = Workplace::new();
    let folder = moe_tiny();
    let ended = place.run(&["encode", folder.to_str().unwrap(), "-o", "model.mcodec"]).done();
    assert!(ended.err.contains("left out") && ended.err.contains("README.md"), "{}", ended.err);
    place.run(&["decode", "model.mcodec", "-o", "back"]).done().silent();
    let names: Vec<String> = place.everything().into_iter().collect();
    assert_eq!(names, ["back/config.json", "back/model.safetensors", "model.mcodec"]);
    for name in ["config.json", "model.safetensors"] {
        assert!(place.read(&format!("back/{name}")) == fs::read(folder.join(name)).unwrap(), "{name}");
    }
    place.run(&["diff", "model.mcodec", folder.to_str().unwrap()]).done();
}

#[test]
fn every_shard_of_a_sharded_folder_comes_back() {
    let place = Workplace::new();
    let files = sharded();
    lay_out(&place, "hf", &files);
    let ended = place.run(&["encode", "hf", "-o", "hf.mcodec"]).done();
    assert!(ended.err.contains("left out (--all-files takes them): README.md"), "{}", ended.err);
    place.run(&["decode", "hf.mcodec", "-o", "back"]).done();
    for (name, bytes) in &files[..files.len() - 1] {
        assert!(place.read(&format!("back/{name}")) == *bytes, "{name}");
    }
    assert!(!place.has("back/README.md"));
    place.run(&["diff", "hf.mcodec", "back"]).done();
    let ended = place.run(&["encode", "hf", "--all-files", "-o", "all.mcodec"]).done();
    assert!(!ended.err.contains("left out"), "{}", ended.err);
    place.run(&["decode", "all.mcodec", "-o", "all/"]).done();
    for (name, bytes) in &files {
        assert!(place.read(&format!("all/{name}")) == *bytes, "{name}");
    }
    assert_eq!(place.run(&["diff", "hf.mcodec", "all.mcodec"]).code, 4);
    // Through a pipe, too.
    place.shell("mcodec encode hf --all-files -o - | mcodec decode - -o piped").done();
    for (name, bytes) in &files {
        assert!(place.read(&format!("piped/{name}")) == *bytes, "{name}");
    }
    // Tensors lie in natural order, whatever shard they come from.
    let info = place.run(&["info", "--json", "hf.mcodec"]).done().json();
    let tensors = info["assets"][0]["tensors"].as_array().unwrap();
    let names: Vec<&str> = tensors.iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert_eq!(names[1], "model.layers.2.norm.weight");
    assert_eq!(names[4], "model.layers.10.q_proj.weight");
}

#[test]
fn a_broken_folder_is_refused() {
    for (spoil, says) in [
        ("rm hf/model-00002-of-00002.safetensors", "model-00002-of-00002.safetensors"),
        ("echo '{' > hf/model.safetensors.index.json", "model.safetensors.index.json"),
        ("echo '{\"weight_map\":{\"a\":\"../../x\"}}' > hf/model.safetensors.index.json", "../../x"),
        ("truncate -s -1 hf/model-00001-of-00002.safetensors", "model-00001-of-00002.safetensors"),
        ("rm hf/*", "hf"),
    ] {
        let place = Workplace::new();
        lay_out(&place, "hf", &sharded());
        place.shell(spoil).done();
        place.run(&["encode", "hf", "-o", "x.mcodec"]).refused(1, &[says]);
        assert!(!place.has("x.mcodec"));
    }
}

#[test]
fn links_out_of_a_folder_are_followed_only_if_wanted() {
    let place = Workplace::new();
    place.write("blobs/1", small(1));
    place.write("hf/config.json", "{}");
    symlink("../blobs/1", place.path("hf/model.safetensors")).unwrap();
    place
        .run(&["encode", "hf", "-o", "x.mcodec"])
        .refused(1, &["model.safetensors", "leads out of the folder"]);
    place.run(&["encode", "hf", "--follow-links", "-o", "x.mcodec"]).done();
    place.run(&["decode", "x.mcodec", "-o", "back"]).done();
    assert!(place.read("back/model.safetensors") == small(1));
}

fn encoded() -> Workplace {
    let place = Workplace::new();
    place.write("hf/config.json", "{}");
    place.write("hf/model.safetensors", small(1));
    place.run(&["encode", "hf", "-o", "hf.mcodec"]).done();
    place
}

#[test]
fn an_existing_folder_needs_force_which_replaces_only_those_files() {
    let place = encoded();
    place.write("out/config.json", "mine");
    place.write("out/other.txt", "other");
    place.write("out/sub/more.txt", "more");
    let before = place.everything();
    place.run(&["decode", "hf.mcodec", "-o", "out"]).refused(2, &["out exists", "-f"]);
    assert_eq!((place.everything(), place.read("out/config.json")), (before, b"mine".to_vec()));
    place.run(&["decode", "hf.mcodec", "-f", "-o", "out"]).done();
    assert_eq!(place.read("out/config.json"), b"{}");
    assert!(place.read("out/model.safetensors") == small(1));
    assert_eq!(
        (place.read("out/other.txt"), place.read("out/sub/more.txt")),
        (b"other".into(), b"more".into())
    );
    assert_eq!(place.everything().iter().filter(|n| n.starts_with("out/")).count(), 4);
    // Even an empty one.
    fs::create_dir(place.path("empty")).unwrap();
    place.run(&["decode", "hf.mcodec", "-o", "empty"]).refused(2, &["empty exists"]);
    place.write("file", "x");
    place.run(&["decode", "hf.mcodec", "-f", "-o", "file"]).refused(2, &["file is not a folder"]);
    place.run(&["decode", "hf.mcodec", "-o", "-"]).refused(2, &["2 files", "folder"]);
}

#[test]
fn nothing_is_written_through_a_link_in_the_output_folder() {
    let place = Workplace::new();
    lay_out(&place, "hf", &[("model.safetensors", small(1)), ("sub/a.json", b"{}".to_vec())]);
    place.run(&["encode", "hf", "--all-files", "-o", "hf.mcodec"]).done();
    place.run(&["decode", "hf.mcodec", "-o", "plain"]).done();
    assert_eq!(place.read("plain/sub/a.json"), b"{}");
    place.write("outside/keep", "kept");
    fs::create_dir(place.path("out")).unwrap();
    symlink("../outside", place.path("out/sub")).unwrap();
    place.run(&["decode", "hf.mcodec", "-f", "-o", "out"]).refused(1, &["symbolic link"]);
    assert!(!place.has("outside/a.json") && !place.has("out/model.safetensors"));
    // A link where a file is to be is replaced, and what it leads to is left as it is.
    fs::remove_file(place.path("out/sub")).unwrap();
    symlink("../outside/keep", place.path("out/model.safetensors")).unwrap();
    place.run(&["decode", "hf.mcodec", "-f", "-o", "out"]).done();
    assert!(place.read("out/model.safetensors") == small(1));
    assert_eq!(place.read("outside/keep"), b"kept");
    // The folder itself may be one.
    symlink("outside", place.path("link")).unwrap();
    place.run(&["decode", "hf.mcodec", "-f", "-o", "link"]).done();
    assert!(place.read("outside/model.safetensors") == small(1));
    symlink("nowhere", place.path("dangling")).unwrap();
    place.run(&["decode", "hf.mcodec", "-f", "-o", "dangling"]).refused(2, &["leads nowhere"]);
}
