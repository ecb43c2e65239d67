//! `attach` and `detach`.

use crate::small_models::small;
use crate::workplace::Workplace;

fn place() -> Workplace {
    let place = Workplace::new();
    place.encoded("m.safetensors", &small(1));
    place.write("notes.json", r#"{"score": 0.5}"#);
    place
}

fn records(place: &Workplace) -> Vec<serde_json::Value> {
    place.run(&["info", "m.mcodec", "--json"]).done().json()["assets"][0]["records"]
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn a_record_is_attached_read_and_detached() {
    let place = place();
    let attach = ["attach", "m.mcodec", "notes.json", "--name", "eval/2026-11", "--for", "m"];
    let ended = place.run(&attach).done();
    assert!(ended.err.contains("\"eval/2026-11\" attached"), "{}", ended.err);
    let all = records(&place);
    assert_eq!((all.len(), &all[0]["name"], &all[0]["schema"]), (1, &"eval/2026-11".into(), &"json".into()));
    assert_eq!((&all[0]["bound"], &all[0]["required"]), (&true.into(), &false.into()));
    place.run(&["decode", "m.mcodec", "--record", "eval/2026-11", "-o", "-"]).done().silent();
    place.run(&["decode", "m.mcodec", "--record", "eval/2026-11", "-o", "back.json"]).done();
    assert_eq!(place.read("back.json"), place.read("notes.json"));
    place.run(&["verify", "--deep", "m.mcodec"]).done();
    // It survives a rewrite, a new coding, a recovery and an append, and the model is what it was.
    place.write("more.safetensors", small(2));
    for script in [
        "mcodec pack m.mcodec -o x.mcodec",
        "mcodec encode m.mcodec -o x.mcodec",
        "mcodec recover m.mcodec -o x.mcodec",
        "mcodec append m.mcodec more.safetensors -o x.mcodec",
    ] {
        place.shell(&format!("rm -f x.mcodec; {script}")).done();
        let json = ["decode", "x.mcodec", "--asset", "m", "--record", "eval/2026-11", "-o", "-"];
        assert_eq!(place.run(&json).done().out, place.read("notes.json"), "{script}");
        assert!(
            place.run(&["decode", "x.mcodec", "--asset", "m", "-o", "-"]).done().out == small(1),
            "{script}"
        );
    }
    place.run(&attach).refused(2, &["already"]);
    place.run(&["detach", "m.mcodec", "--name", "eval/2026-11", "--for", "m"]).done();
    assert_eq!(records(&place).len(), 0);
    place.run(&["decode", "m.mcodec", "--record", "eval/2026-11", "-o", "-"]).refused(1, &["eval/2026-11"]);
    place.run(&["verify", "--deep", "m.mcodec"]).done();
}

#[test]
fn schema_tensors_and_content_hash() {
    let place = place();
    place.write("prompt.safetensors", small(3));
    let info = place.run(&["info", "m.mcodec", "--json"]).done().json();
    let hash = info["assets"][0]["content_hash"].as_str().unwrap().to_owned();
    let ended = place.feed(
        &[
            "attach",
            "m.mcodec",
            "-",
            "--name",
            "soft",
            "--for",
            &hash,
            "--schema",
            "lab.prompt",
            "--tensors",
            "prompt.safetensors",
        ],
        b"[1, 2]",
    );
    ended.done();
    let all = records(&place);
    assert_eq!((&all[0]["schema"], &all[0]["known"]), (&"lab.prompt".into(), &false.into()));
    let tensors = place.run(&["decode", "m.mcodec", "--tensor", "soft/*", "-o", "soft.safetensors"]);
    assert!(tensors.code == 0 || tensors.code == 2, "{}", tensors.err);
    place.run(&["decode", "m.mcodec", "--tensor", "soft/b.bias", "-o", "soft.npy"]).done();
    assert!(place.run(&["decode", "m.mcodec", "-o", "-"]).done().out == small(1));
    place.run(&["detach", "m.mcodec", "--name", "soft"]).done();
    place.run(&["decode", "m.mcodec", "--tensor", "soft/b.bias", "-o", "x.npy"]).refused(1, &["soft/b.bias"]);
}

#[test]
fn an_unknown_required_record_refuses_the_asset_but_can_be_detached() {
    let place = place();
    let line = ["attach", "m.mcodec", "notes.json", "--name", "r", "--schema", "lab.secret", "--required"];
    place.run(&line).done();
    assert_eq!(records(&place)[0]["required"], true);
    place.run(&["decode", "m.mcodec", "-o", "x"]).refused(1, &["lab.secret"]);
    place.run(&["diff", "m.mcodec", "m.mcodec"]).refused(1, &["lab.secret"]);
    place.run(&["verify", "m.mcodec"]).done();
    place.run(&["info", "m.mcodec"]).done();
    assert!(!place.has("x"));
    place.run(&["detach", "m.mcodec", "--name", "r"]).done();
    place.run(&["decode", "m.mcodec", "-o", "x"]).done();
    assert!(place.read("x") == small(1));
}

#[test]
fn wrong_records_are_refused_and_change_nothing() {
    let place = place();
    let before = place.read("m.mcodec");
    place.write("bad.json", "{not json");
    let all = place.everything();
    place.run(&["attach", "m.mcodec", "bad.json", "--name", "r"]).refused(2, &["not JSON"]);
    place.run(&["attach", "m.mcodec", "notes.json", "--name", "../r"]).refused(2, &["../r"]);
    place
        .run(&["attach", "m.mcodec", "notes.json", "--name", "r", "--for", "n"])
        .refused(2, &["\"n\"", "\"m\""]);
    place
        .run(&["attach", "m.mcodec", "notes.json", "--name", "r", "--for", "blake3:00"])
        .refused(2, &["blake3:00"]);
    place.run(&["attach", "m.mcodec", "none.json", "--name", "r"]).refused(1, &["none.json"]);
    place.run(&["attach", "none.mcodec", "notes.json", "--name", "r"]).refused(1, &["none.mcodec"]);
    place.run(&["attach", "notes.json", "notes.json", "--name", "r"]).refused(1, &["not an mcodec file"]);
    place.run(&["detach", "m.mcodec", "--name", "r"]).refused(2, &["no record \"r\""]);
    assert!(place.read("m.mcodec") == before);
    assert_eq!(place.everything(), all);
}
