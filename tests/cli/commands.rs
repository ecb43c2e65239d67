//! The command lines that the manual shows, on real inputs.

use crate::small_models::{small, tensors_of};
use crate::workplace::Workplace;
use mcodec_tests::inputs::{models, moe_tiny};
use std::fs;

#[test]
fn every_model_at_hand_comes_back_identical() {
    for model in models() {
        let place = Workplace::new();
        let input = model.to_str().unwrap();
        let ended = place.run(&["encode", input, "-o", "model.mcodec"]).done();
        assert!(ended.err.contains(" -> ") && ended.out.is_empty(), "{}", ended.err);
        place.run(&["decode", "model.mcodec", "-o", "back.safetensors"]).done().silent();
        let original = fs::read(&model).unwrap();
        assert!(blake3::hash(&place.read("back.safetensors")) == blake3::hash(&original), "{input}");
        let coded = place.read("model.mcodec").len();
        assert!(coded < original.len() * 95 / 100, "{input}: {coded} of {}", original.len());
        for deep in [&["verify", "model.mcodec"][..], &["verify", "--deep", "model.mcodec"]] {
            assert!(place.run(deep).done().silent().text().contains("no damage"));
        }
        place.run(&["diff", "model.mcodec", input]).done();
        place.run(&["diff", "back.safetensors", "model.mcodec"]).done();
        // Whatever the name after -o is, these are the original bytes.
        place.run(&["decode", "model.mcodec", "-o", "back.npy"]).done();
        assert!(place.read("back.npy") == original);
    }
}

#[test]
fn efforts_and_threads_change_no_decoded_byte() {
    let model = models().into_iter().find(|m| m.ends_with("fracast.f32.safetensors")).unwrap();
    let (input, original) = (model.to_str().unwrap(), fs::read(&model).unwrap());
    let place = Workplace::new();
    let mut coded: Vec<Vec<u8>> = Vec::new();
    for flags in [["-e1", "-T1"], ["-e1", "-T2"], ["-e9", "-T1"], ["-e9", "-T0"]] {
        place.run(&["encode", input, "-f", "-o", "m.mcodec", flags[0], flags[1]]).done();
        place.run(&["decode", "m.mcodec", "-f", "-o", "back", flags[1]]).done();
        assert!(place.read("back") == original);
        coded.push(place.read("m.mcodec"));
    }
    assert!(coded[0] == coded[1] && coded[2] == coded[3]);
    assert!(coded[2].len() <= coded[0].len());
}

#[test]
fn an_unknown_file_and_a_model_as_a_blob_come_back_identical() {
    let place = Workplace::new();
    place.write("weights.ggml", b"ggjt\x03\0\0\0 and what follows".repeat(1000));
    let ended = place.run(&["encode", "weights.ggml", "-o", "g.mcodec"]).done();
    assert!(ended.err.contains("as a blob"), "{}", ended.err);
    place.run(&["decode", "g.mcodec", "-o", "g"]).done();
    assert!(place.read("g") == place.read("weights.ggml"));
    let model = moe_tiny().join("model.safetensors");
    place.run(&["encode", "--as", "blob", model.to_str().unwrap(), "-o", "b.mcodec"]).done();
    assert!(place.run(&["info", "b.mcodec"]).done().text().contains("blob \"model.safetensors\""));
    place.run(&["decode", "b.mcodec", "-o", "b.safetensors"]).done();
    assert!(place.read("b.safetensors") == fs::read(model).unwrap());
    place.write("empty", "");
    place.run(&["encode", "empty", "-o", "e.mcodec"]).done();
    place.run(&["verify", "--deep", "e.mcodec"]).done();
    place.run(&["decode", "e.mcodec", "-o", "e"]).done();
    assert!(place.read("e").is_empty());
}

#[test]
fn info_says_what_is_there_and_its_ledger_adds_up() {
    let place = Workplace::new();
    let folder = moe_tiny();
    place.run(&["encode", folder.to_str().unwrap(), "-o", "model.mcodec"]).done();
    let text = place.run(&["info", "model.mcodec"]).done().silent();
    for part in ["model \"moe-tiny\"", "223 tensors, 5224128 parameters", "nothing was verified", "ledger of"]
    {
        assert!(text.text().contains(part), "{part}: {}", text.text());
    }
    let all = place.run(&["info", "-v", "model.mcodec"]).done();
    assert!(all.text().lines().count() > 223);
    let stream = place.shell("cat model.mcodec | mcodec decode - -o - --tensor 'model.*' --format safetensors | mcodec encode - -o -");
    place.write("stream.mcodec", &stream.done().out);
    place.run(&["append", "stream.mcodec", folder.join("model.safetensors").to_str().unwrap()]).done();
    for name in ["model.mcodec", "stream.mcodec"] {
        let info = place.run(&["info", name, "--json"]).done().silent().json();
        let len = place.read(name).len() as u64;
        assert_eq!(info["bytes"], len);
        let ledger = info["ledger"].as_object().unwrap();
        let layers = ledger.values().filter_map(|layer| layer.as_object());
        let sum: u64 = layers.flat_map(|layer| layer.values()).map(|n| n.as_u64().unwrap()).sum();
        assert_eq!((sum, &info["ledger"]["total"]), (len, &len.into()), "{ledger:?}");
        assert_eq!(ledger["coding"]["unread"], 0);
        for asset in info["assets"].as_array().unwrap() {
            let tensors = asset["tensors"].as_array().unwrap();
            assert_eq!(asset["tensor_count"], tensors.len());
            // The tensors of an asset that was in the file before are those.
            let is_stored = |t: &serde_json::Value| {
                t["representation"] == "same" || t["coded_bytes"].as_u64().unwrap() > 0
            };
            assert!(tensors.iter().all(|t| t["dtype"] == "BF16" && is_stored(t)));
        }
    }
}

#[test]
fn diff_tells_equal_from_different() {
    let place = Workplace::new();
    let (one, two) =
        (place.encoded("one.safetensors", &small(1)), place.encoded("two.safetensors", &small(2)));
    place.write("one.safetensors", small(1));
    place.run(&["diff", &one, &one]).done();
    assert!(place.run(&["diff", &one, "one.safetensors"]).done().text().contains("equal"));
    let ended = place.run(&["diff", &one, &two]).with(4);
    assert!(ended.text().contains("\"a.weight\"") && ended.text().contains("differ"), "{}", ended.text());
    let json = place.run(&["diff", "--json", &two, "one.safetensors"]).with(4).silent().json();
    assert_eq!(json["equal"], false);
    let content = json["pairs"][0]["content"].as_array().unwrap();
    let names: Vec<_> = content.iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a.weight", "b.bias"]);
    let folder = moe_tiny();
    let structure = place.run(&["diff", &one, folder.to_str().unwrap(), "--json"]).with(4).json();
    assert_eq!(structure["equal"], false);
    assert!(structure["pairs"][0]["structure"].as_array().unwrap().len() >= 225);
}

#[test]
fn recover_saves_what_is_whole() {
    let place = Workplace::new();
    let input = moe_tiny().join("model.safetensors");
    place.run(&["encode", input.to_str().unwrap(), "-o", "model.mcodec"]).done();
    let good = place.read("model.mcodec");
    place.run(&["recover", "model.mcodec", "-o", "whole.mcodec"]).done();
    place.run(&["decode", "whole.mcodec", "-o", "whole"]).done();
    assert!(place.read("whole") == fs::read(&input).unwrap());
    place.write("broken.mcodec", &good[..good.len() / 2]);
    place.run(&["verify", "broken.mcodec"]).with(1);
    let json = place.run(&["recover", "broken.mcodec", "-o", "saved.mcodec", "--json"]).with(3).json();
    assert_eq!(json["complete"], false);
    let (saved, lost) = (json["saved"].as_array().unwrap(), json["lost"].as_array().unwrap());
    assert!(saved.len() > 90 && lost.len() > 90, "{} saved, {} lost", saved.len(), lost.len());
    place.run(&["verify", "--deep", "saved.mcodec"]).done();
    // What was saved is what it was; the file it was a part of is not claimed.
    let note = place.run(&["decode", "saved.mcodec", "-o", "saved.safetensors"]).done().err;
    assert!(note.contains("does not hold the files it was made from"), "{note}");
    let original = tensors_of(&fs::read(&input).unwrap());
    let back = tensors_of(&place.read("saved.safetensors"));
    assert!(back.len() > 90 && back.iter().all(|t| original.contains(t)));
    assert_eq!(place.run(&["diff", "saved.mcodec", input.to_str().unwrap()]).code, 4);
}

#[test]
fn append_then_pack() {
    let place = Workplace::new();
    let more = moe_tiny();
    let target = place.encoded("first.safetensors", &small(1));
    let before = place.read(&target);
    place.run(&["append", &target, more.to_str().unwrap()]).done();
    let after = place.read(&target);
    assert!(after[96..before.len()] == before[96..], "what was there is not rewritten");
    let json = place.run(&["info", "--json", &target]).done().json();
    assert_eq!((&json["form"], &json["generation"]), (&"appended".into(), &2.into()));
    place.run(&["verify", "--deep", &target]).done();
    let decode = |name: &str, to: &str| {
        place.run(&["decode", name, "--asset", "first", "-o", &format!("{to}.safetensors")]).done();
        place.run(&["decode", name, "--asset", "moe-tiny", "-o", to]).done();
        assert!(place.read(&format!("{to}.safetensors")) == small(1));
        let model = fs::read(more.join("model.safetensors")).unwrap();
        assert!(place.read(&format!("{to}/model.safetensors")) == model);
    };
    decode(&target, "appended");
    place.run(&["pack", &target, "-o", "packed.mcodec"]).done();
    assert!(place.read(&target) == after);
    place.run(&["pack", &target]).done();
    assert!(place.read(&target) == place.read("packed.mcodec"));
    assert!(place.read(&target).len() <= after.len());
    let json = place.run(&["info", "--json", &target]).done().json();
    assert_eq!((&json["form"], &json["generation"]), (&"finished".into(), &1.into()));
    decode(&target, "packed");
    // Both at once, each under its own name.
    place.run(&["decode", &target, "-o", "both"]).done();
    assert!(place.read("both/first.safetensors") == small(1));
    assert!(place.has("both/moe-tiny/config.json"));
}

#[test]
fn append_with_an_output_leaves_the_file_alone() {
    let place = Workplace::new();
    let target = place.encoded("first.safetensors", &small(1));
    let before = place.read(&target);
    place.write("more.safetensors", small(2));
    place.run(&["append", &target, "more.safetensors", "-o", "sum.mcodec"]).done();
    assert!(place.read(&target) == before);
    place.run(&["decode", "sum.mcodec", "--asset", "more", "-o", "more"]).done();
    assert!(place.read("more") == small(2));
    assert_eq!(place.run(&["info", "--json", "sum.mcodec"]).done().json()["generation"], 2);
}

#[test]
fn an_mcodec_file_is_coded_anew() {
    let place = Workplace::new();
    let one = place.encoded("one.safetensors", &small(1));
    place.run(&["encode", &one, "-e9", "-o", "anew.mcodec"]).done();
    place.run(&["decode", "anew.mcodec", "-o", "back"]).done();
    assert!(place.read("back") == small(1));
}

#[test]
fn completions_and_manuals() {
    let place = Workplace::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completion", shell]).done().silent();
        assert!(script.text().contains("mcodec") && script.text().contains("verify"), "{shell}");
    }
    place.shell("mcodec completion bash > it && bash -n it").done().silent();
    let manual = place.run(&["man"]).done().silent();
    for command in [
        "", "-encode", "-decode", "-info", "-verify", "-diff", "-recover", "-append", "-pack", "-attach",
        "-detach",
    ] {
        assert!(manual.text().contains(&format!(".TH mcodec{command} 1")), "{command}");
    }
    place.run(&["man", "--dir", "pages"]).done().silent();
    assert!(place.has("pages/mcodec.1") && place.has("pages/mcodec-bench-models.1"));
    place.run(&["man", "--dir", "pages"]).refused(2, &["pages exists"]);
    assert!(place.run(&["--version"]).done().text().starts_with("mcodec 0.1.0"));
}
