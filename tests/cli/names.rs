//! Names that would do harm if they were believed.

use crate::hand::{Draft, Shell, blob, file, model, raw_tensor};
use crate::small_models::small;
use crate::workplace::Workplace;
use mcodec_decode::{ReadOptions, Reader};
use mcodec_format::registry;
use mcodec_tests::inputs::{safetensors, tensor};
use std::fs;

const ESCAPES: &str = "evil\u{1b}[2J\u{1b}]0;owned\u{7}\nline\r\u{202e}gnp\u{9b}31m";

fn harmless(text: &str) {
    let bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(bad), "{text:?}");
    assert!(!text.contains("\nline"), "{text:?}");
}

#[test]
fn terminal_escapes_in_names_are_shown_escaped() {
    let place = Workplace::new();
    let named = |seed: u8| {
        let metadata = r#"{"note":"\u001b[31mred\u0007"}"#;
        safetensors(
            Some(metadata),
            &[tensor(ESCAPES, "U8", &[9], vec![seed; 9]), tensor("b", "U8", &[1], vec![1])],
        )
    };
    let (one, two) =
        (place.encoded("one.safetensors", &named(1)), place.encoded("two.safetensors", &named(2)));
    let odd =
        place.encoded("odd.safetensors", &safetensors(None, &[tensor("c", "X\\u001b4", &[2], vec![1; 5])]));
    place.write("record.json", "{}");
    place.run(&["attach", &one, "record.json", "--name", "r", "--schema", "s\u{1b}[31m"]).done();
    let mut bad = place.read(&two);
    let reader = Reader::open(bad.clone(), ReadOptions::default()).unwrap();
    let entry = reader.tensor("two", ESCAPES).unwrap();
    bad[entry.content().get().offset as usize + 2] ^= 1;
    place.write("bad.mcodec", bad);
    for (line, says) in [
        (&["info", &one, "-v"][..], "evil\\u{1b}[2J"),
        (&["info", &odd], "X\\u{1b}4"),
        (&["diff", &one, &two], "evil"),
        (&["diff", &one, &odd], "evil"),
        (&["verify", "--deep", "bad.mcodec"], "evil"),
        (&["decode", "bad.mcodec", "-o", "x"], "evil"),
        (&["recover", "bad.mcodec", "-o", "saved.mcodec", "-v"], "evil"),
        (&["decode", &one, "-o", "x", "--tensor", "no\u{1b}[31m", "--format", "raw"], "no"),
        (&["decode", &one, "-o", "x", "--asset", "no\u{1b}[31m"], "no"),
        (&["info", "no\u{1b}[31m"], "no"),
        (&["verify", "no\u{1b}[31m"], "no"),
        (&["encode", "no\u{1b}[31m", "-o", "x"], "no"),
        (&["diff", "no\u{1b}[31m", &one], "no"),
    ] {
        let ended = place.run(line);
        let all = format!("{}{}", ended.text(), ended.err);
        assert!(all.contains(says), "{line:?}: {all}");
        harmless(ended.text());
        harmless(&ended.err);
    }
    // In JSON they are escaped as JSON escapes them, and come back whole.
    let ended = place.run(&["info", &one, "--json"]).done();
    let json = ended.json();
    let names = json["assets"][0]["tensors"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap());
    assert!(names.into_iter().any(|n| n == ESCAPES));
    assert!(!ended.text().contains('\u{1b}'));
    // Such a name can be asked for, and the file comes back.
    place.run(&["decode", &one, "-o", "t.bin", "--tensor", ESCAPES]).done();
    assert_eq!(place.read("t.bin"), [1; 9]);
    assert!(place.run(&["decode", &one, "-o", "-"]).done().out == named(1));
}

#[test]
fn escapes_in_file_names_are_shown_escaped() {
    let place = Workplace::new();
    let name = "in\u{1b}[31m.safetensors";
    place.write(name, small(1));
    for line in [
        &["encode", name, "-o", "out\u{1b}[31m", "-v"][..],
        &["info", "out\u{1b}[31m"],
        &["verify", "out\u{1b}[31m"],
        &["diff", name, "out\u{1b}[31m"],
        &["decode", "out\u{1b}[31m", "-o", "back\u{1b}[31m", "-v"],
        &["decode", "out\u{1b}[31m", "-o", "back\u{1b}[31m"],
        &["pack", "out\u{1b}[31m"],
        &["append", "out\u{1b}[31m", name],
    ] {
        let ended = place.run(line);
        harmless(ended.text());
        harmless(&ended.err);
    }
}

/// A file with a folder asset of these files.
fn folder_of(asset: &str, names: &[&str]) -> Vec<u8> {
    let mut draft = Draft::of(vec![model(0, asset)]);
    for (id, name) in (0..).zip(names) {
        draft.add(file(id, name, registry::file_layout::BYTES, b"{\"pwned\": true}"));
    }
    draft.hash(0, &[]);
    draft.finished(&Shell::default())
}

const UNSAFE: [&str; 14] = [
    "../escaped",
    "..",
    ".",
    "a/../../escaped",
    "a/../b",
    "/tmp/mcodec-escaped",
    "a//b",
    "a/",
    "/",
    "C:\\escaped",
    "C:escaped",
    "..\\escaped",
    "a\nb",
    "a\u{1b}[31m",
];

#[test]
fn unsafe_file_names_are_refused_and_nothing_is_written() {
    for name in UNSAFE {
        let place = Workplace::new();
        fs::create_dir_all(place.path("here")).unwrap();
        place.write("here/x.mcodec", folder_of("folder", &["safe.json", name]));
        let before = place.everything();
        for script in [
            "mcodec decode x.mcodec -o out",
            "mkdir keep; mcodec decode x.mcodec -f -o keep; code=$?; rmdir keep && exit $code",
            "cat x.mcodec | mcodec decode - -o out",
        ] {
            let ended = place.shell(&format!("cd here; {script}")).refused(1, &[]);
            harmless(&ended.err);
            assert_eq!(place.everything(), before, "{name:?}: {script}");
        }
        // A file that names no folder to leave is still one to look at.
        harmless(place.shell("mcodec info here/x.mcodec").text());
    }
    assert!(!std::path::Path::new("/tmp/mcodec-escaped").exists());
    // The same file with safe names decodes.
    let place = Workplace::new();
    place.write("x.mcodec", folder_of("folder", &["safe.json", "sub/safe.json"]));
    place.run(&["decode", "x.mcodec", "-o", "out"]).done();
    assert!(place.has("out/safe.json") && place.has("out/sub/safe.json"));
}

#[test]
fn unsafe_asset_names_are_refused_where_they_would_be_folders() {
    for name in ["../escaped", "/tmp/mcodec-escaped", "a/../../escaped", "..", ""] {
        let place = Workplace::new();
        let mut draft = Draft::of(vec![model(0, name), blob(1, "other", b"bytes")]);
        draft.add(file(0, "a.json", registry::file_layout::BYTES, b"{}"));
        draft.add(file(1, "b.json", registry::file_layout::BYTES, b"{}"));
        draft.hash(0, &[]);
        draft.add_of(1, file(0, "", registry::file_layout::BYTES, b"bytes"));
        place.write("here/x.mcodec", draft.finished(&Shell::default()));
        let before = place.everything();
        let ended = place.shell("cd here; mcodec decode x.mcodec -o out").refused(1, &[]);
        harmless(&ended.err);
        assert_eq!(place.everything(), before, "{name:?}");
        place.shell("cd here; mcodec decode x.mcodec --asset other -o out").done();
        assert_eq!(place.read("here/out"), b"bytes");
    }
}

#[test]
fn files_that_collide_are_refused() {
    let place = Workplace::new();
    place.write("x.mcodec", folder_of("folder", &["a", "a/b"]));
    let before = place.everything();
    place.run(&["decode", "x.mcodec", "-o", "out"]).refused(1, &[]);
    assert_eq!(place.everything(), before);
}

#[test]
fn tensor_names_are_no_paths() {
    let place = Workplace::new();
    let mut draft = Draft::of(vec![model(0, "m")]);
    draft.add(raw_tensor(0, "../../etc/passwd", b"abc"));
    draft.hash(0, &[("../../etc/passwd", "U8", &[3], b"abc")]);
    place.write("x.mcodec", draft.finished(&Shell::default()));
    place.run(&["decode", "x.mcodec", "-o", "t.bin", "--tensor", "../../etc/passwd"]).done();
    assert_eq!(place.read("t.bin"), b"abc");
    assert_eq!(place.everything().len(), 2);
}
