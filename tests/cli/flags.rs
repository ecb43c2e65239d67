//! The common flags.

use crate::small_models::{long, small};
use crate::workplace::Workplace;

#[test]
fn flags_stand_in_any_position() {
    let place = Workplace::new();
    place.write("x", small(1));
    for line in [
        "encode x -o y",
        "-f encode x -o y",
        "encode -o y x -f",
        "-o y -f encode x",
        "-f -o y encode x",
        "encode -foy x",
        "encode x --output=y --force",
        "-e9 encode x -f -T 1 -o y -v --quiet --no-progress",
        "--effort 3 --threads=2 -f -vv encode -o y x",
    ] {
        place.run(&line.split(' ').collect::<Vec<_>>()).done();
        place.run(&["-f", "decode", "y", "-o", "z"]).done();
        assert!(place.read("z") == small(1), "{line}");
    }
    place.run(&["--json", "info", "y"]).done().json();
    place.run(&["info", "y", "--json"]).done().json();
    // After the double dash, names may look like flags.
    place.write("-f", small(2));
    place.run(&["encode", "-o", "w", "--", "-f"]).done();
}

#[test]
fn quiet_is_quiet() {
    let place = Workplace::new();
    place.write("hf/model.safetensors", small(1));
    place.write("hf/README.md", "left out");
    place.write("more.safetensors", small(2));
    place.write("notes.json", "{}");
    for line in [
        "encode hf -o m.mcodec",
        "decode m.mcodec -o back",
        "decode m.mcodec -o r.npy --tensor a.weight",
        "append m.mcodec more.safetensors",
        "pack m.mcodec",
        "attach m.mcodec notes.json --name r --for more",
        "detach m.mcodec --name r --for more",
        "recover m.mcodec -o r.mcodec",
        "verify m.mcodec",
        "info m.mcodec",
        "diff m.mcodec r.mcodec",
    ] {
        let line: Vec<&str> = line.split(' ').chain(["--quiet"]).collect();
        place.run(&line).done().silent();
    }
    // Errors and losses by their codes are told all the same.
    place.run(&["decode", "none", "-o", "x", "--quiet"]).refused(1, &["none"]);
    place.run(&["decode", "m.mcodec", "-o", "back", "--quiet"]).refused(2, &["back exists"]);
    let mut bytes = place.read("r.mcodec");
    let len = bytes.len();
    bytes.truncate(len - 30);
    place.write("bad.mcodec", bytes);
    place.run(&["recover", "bad.mcodec", "-o", "s.mcodec", "--quiet"]).with(3).silent();
}

#[test]
fn no_progress_where_there_is_no_terminal() {
    let place = Workplace::new();
    place.write("long.safetensors", long(16));
    let encode = place.run(&["encode", "long.safetensors", "-o", "long.mcodec"]).done();
    assert_eq!(encode.err.lines().count(), 1, "{}", encode.err);
    assert!(encode.out.is_empty() && !encode.err.contains(['\r', '\u{1b}']));
    for line in
        ["decode long.mcodec -o back", "verify --deep long.mcodec", "diff long.mcodec long.safetensors"]
    {
        place.run(&line.split(' ').collect::<Vec<_>>()).done().silent();
    }
}

#[test]
fn json_is_exactly_one_document() {
    let place = Workplace::new();
    place.write("hf/model.safetensors", small(1));
    place.write("hf/README.md", "left out");
    place.write("more.safetensors", small(2));
    place.write("notes.json", "{}");
    for (line, key) in [
        ("encode hf -o m.mcodec", "content_hash"),
        ("decode m.mcodec -o back", "files"),
        ("append m.mcodec more.safetensors", "asset"),
        ("pack m.mcodec", "output_bytes"),
        ("attach m.mcodec notes.json --name r --for more", "attached"),
        ("detach m.mcodec --name r --for more", "attached"),
        ("recover m.mcodec -o r.mcodec", "complete"),
        ("verify m.mcodec", "ok"),
        ("verify m.mcodec --deep", "deep"),
        ("info m.mcodec", "assets"),
        ("diff m.mcodec r.mcodec", "equal"),
    ] {
        let line: Vec<&str> = line.split(' ').chain(["--json"]).collect();
        let json = place.run(&line).done().json();
        assert!(!json[key].is_null(), "{line:?}: {json}");
    }
    // Where the data goes to the standard output, the document goes to the other one.
    let ended = place.run(&["encode", "more.safetensors", "-o", "-", "--json"]).done();
    let json: serde_json::Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!(json["tensors"], 2);
    place.feed(&["verify", "-"], &ended.out).done();
    // A result may have an output of its own.
    place.run(&["info", "m.mcodec", "--json", "-o", "info.json"]).done();
    serde_json::from_slice::<serde_json::Value>(&place.read("info.json")).unwrap();
    // Of a failure, there is no half of a document.
    assert!(place.run(&["info", "none", "--json"]).refused(1, &["none"]).out.is_empty());
}
