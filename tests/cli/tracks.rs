//! Tracks of latents on the command line: what a person types, what comes out.

use crate::small_models::tensors_of;
use crate::workplace::Workplace;
use mcodec_tests::inputs::{safetensors, tensor};

/// Smooth numbers as f32.
fn floats(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|i| ((i % 13) as f32 * 0.25 + (i / 13 % 7) as f32 * 0.5 - 2.0).to_le_bytes())
        .collect()
}

#[test]
fn a_sample_of_named_tracks_comes_back_as_it_was() {
    let place = Workplace::new();
    let all = [
        tensor("moments", "F32", &[4, 8, 8], floats(256)),
        tensor("semantics", "F32", &[6, 4, 4], floats(96)),
        tensor("cls", "F32", &[48], floats(48)),
    ];
    place.write("sample.safetensors", safetensors(None, &all));
    let tracks = [
        "--track",
        "vae=moments:CHW,role=distribution",
        "--track",
        "sem=semantics:CHW",
        "--track",
        "cls=cls:C",
    ];
    let line = [&["encode", "sample.safetensors", "-o", "s.mcodec", "--as", "latents"], &tracks[..]].concat();
    place.run(&line).done();
    place.run(&["decode", "s.mcodec", "-o", "back.safetensors"]).done();
    let sorted = |mut all: Vec<(String, Vec<u64>, Vec<u8>)>| {
        all.sort();
        all
    };
    let source = sorted(tensors_of(&place.read("sample.safetensors")));
    assert!(sorted(tensors_of(&place.read("back.safetensors"))) == source);
    // Through a file of NumPy arrays, too.
    place.run(&["decode", "s.mcodec", "-o", "back.npz"]).done();
    place.run(&["encode", "back.npz", "-o", "again.mcodec", "--as", "latents"]).done();
    place.run(&["decode", "again.mcodec", "-o", "again.safetensors"]).done();
    assert!(sorted(tensors_of(&place.read("again.safetensors"))) == source);
    place.run(&["decode", "s.mcodec", "--track", "vae", "-o", "vae.npy"]).done();
    assert!(place.read("vae.npy").ends_with(&floats(256)));
    let told = place.run(&["info", "s.mcodec"]).done();
    let text = told.text();
    assert!(text.contains("axes CHW: 1 x 4 x 8 x 8, role distribution, from \"moments\""), "{text}");
    for (bad, why) in [
        ("vae=moment:CHW", "no array is called \"moment\""),
        ("vae=moments:TCHW", "names 4"),
        ("vae=moments:CHW,roll=x", "is none of role"),
    ] {
        let line = ["encode", "sample.safetensors", "-o", "no.mcodec", "--as", "latents", "--track", bad];
        place.run(&line).refused(2, &[why]);
        assert!(!place.has("no.mcodec"));
    }
}

#[test]
fn files_are_merged_and_listed() {
    let place = Workplace::new();
    for (name, count) in [("a", 96), ("b", 192)] {
        let array = tensor("x", "F32", &[count / 48, 3, 4, 4], floats(count as usize));
        place.write(&format!("{name}.safetensors"), safetensors(None, &[array]));
        let (input, output) = (format!("{name}.safetensors"), format!("{name}.mcodec"));
        let line =
            ["encode", &input, "-o", &output, "--as", "latents", "--quantise", "fsq:8,5,5", "--step", "0.5"];
        place.run(&line).done();
    }
    place.run(&["merge", "a.mcodec", "b.mcodec", "-o", "both.mcodec"]).done();
    place.run(&["verify", "--deep", "both.mcodec"]).done();
    for name in ["a", "b"] {
        let out = format!("{name}.npy");
        place.run(&["decode", "both.mcodec", "--asset", name, "--track", "x", "-o", &out]).done();
        let alone = format!("{name}-alone.npy");
        place.run(&["decode", &format!("{name}.mcodec"), "-o", &alone]).done();
        assert!(place.read(&out) == place.read(&alone));
    }
    let rough = ["decode", "both.mcodec", "--asset", "b", "--track", "x", "--from-tokens", "-o", "rough.npy"];
    place.run(&rough).done();
    assert_eq!(place.read("rough.npy").len(), place.read("b.npy").len());
    place
        .run(&["merge", "a.mcodec", "both.mcodec", "-o", "no.mcodec"])
        .refused(2, &["a.mcodec", "both.mcodec", "\"a\""]);
    place.run(&["manifest", "both.mcodec", "a.mcodec", "-o", "all.json"]).done();
    let listing: serde_json::Value = serde_json::from_slice(&place.read("all.json")).unwrap();
    assert_eq!((&listing["samples"], &listing["files"][1]["first"]), (&3.into(), &2.into()));
    assert_eq!(listing["files"][0]["samples"][1]["tensors"][0]["shape"], serde_json::json!([4, 3, 4, 4]));
}
