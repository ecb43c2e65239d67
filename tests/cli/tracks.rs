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
fn what_repeats_is_told_and_dropped() {
    let place = Workplace::new();
    let shape = [8u64, 4, 6, 6];
    // Each frame is a little off the one before.
    let drift = |i: usize| (i % 144 * 37 % 101) as f32 / 25.0 + (i / 144) as f32 * 0.05;
    let bytes: Vec<u8> = (0..8 * 144).flat_map(|i| drift(i).to_le_bytes()).collect();
    place.write("clip.safetensors", safetensors(None, &[tensor("x", "F32", &shape, bytes)]));
    let encode = |reduce: &str| {
        let line =
            ["encode", "clip.safetensors", "-o", "c.mcodec", "-f", "--as", "latents", "--reduce", reduce];
        place.run(&[&line[..], &["--json"]].concat())
    };
    let told = |line: &[&str]| {
        place.run(line).done().json()["assets"][0]["tensors"][0]["track"]["redundancy"].clone()
    };
    let report = encode("temporal:thr=0").done().json();
    assert_eq!(
        (&report["reduced"][0]["kept"], &report["reduced"][0]["snr"]),
        (&1.0.into(), &serde_json::Value::Null)
    );
    let plain = told(&["info", "c.mcodec", "--redundancy=0.1", "--json"]);
    assert_eq!((&plain["temporal"]["positions"], &plain["temporal"]["same"]), (&252.into(), &0.into()));
    assert_eq!((&plain["temporal"]["near"], &plain["within"]), (&252.into(), &0.1.into()));
    let before = place.read("c.mcodec").len();
    // Deviations are about 1.2: two frames of three are dropped.
    let report = encode("temporal:thr=0.1,spatial:rate=1").done().json();
    let (dropped, snr) = (&report["reduced"][0]["dropped"], report["reduced"][0]["snr"].as_f64().unwrap());
    assert!(dropped.as_u64().unwrap() >= 126 && snr > 20.0, "{report}");
    assert!(report["notes"][0].as_str().unwrap().contains("positions are kept"), "{report}");
    assert!(place.read("c.mcodec").len() < before);
    place.run(&["verify", "--deep", "c.mcodec"]).done();
    let less = told(&["info", "c.mcodec", "--redundancy", "--json"]);
    assert_eq!(&less["temporal"]["same"], dropped);
    assert!(place.run(&["info", "c.mcodec", "--redundancy"]).done().text().contains("as the frame before: "));
    assert!(told(&["info", "c.mcodec", "--json"]).is_null());
    let report = encode("spatial:rate=0.5").done().json();
    assert!((report["reduced"][0]["kept"].as_f64().unwrap() - 0.5).abs() < 0.03, "{report}");
    for bad in ["spatial:rate=2", "temporal", "thr=1"] {
        encode(bad).refused(2, &["--reduce"]);
    }
    place
        .run(&[
            "encode",
            "clip.safetensors",
            "-o",
            "no.mcodec",
            "--as",
            "tokens",
            "--vocab",
            "8",
            "--reduce",
            "temporal:thr=1",
        ])
        .refused(2, &["--reduce is for latents"]);
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

#[test]
fn compressed_arrays_and_columns_are_read() {
    let place = Workplace::new();
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/numpy");
    for name in ["arrays", "compressed"] {
        let file = data.join(name).with_extension("npz");
        let out = format!("{name}.mcodec");
        place.run(&["encode", &file.to_string_lossy(), "-o", &out, "--as", "latents"]).done();
        place.run(&["decode", &out, "-o", &format!("{name}.safetensors")]).done();
    }
    let sorted = |mut all: Vec<(String, Vec<u64>, Vec<u8>)>| {
        all.sort();
        all
    };
    let arrays = sorted(tensors_of(&place.read("arrays.safetensors")));
    assert!(arrays.len() > 5 && arrays == sorted(tensors_of(&place.read("compressed.safetensors"))));
    // A truncated member is told by its name.
    let mut damaged = std::fs::read(data.join("compressed.npz")).expect("file");
    damaged[60..90].fill(0xA5);
    place.write("damaged.npz", damaged);
    let line = ["encode", "damaged.npz", "-o", "no.mcodec", "--as", "latents"];
    place.run(&line).refused(2, &["damaged.npz: member \"layer/w.npy\""]);
    // 2 x 3 x 4 x 5 by columns: element (t, c, h, w) is t + 2 (c + 3 (h + 4 w)).
    let mut head = b"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3, 4, 5), }".to_vec();
    head.resize(118 - 1, b' ');
    head.push(b'\n');
    let array = |numbers: &mut dyn Iterator<Item = usize>| {
        numbers.flat_map(|n| (n as f32).to_le_bytes()).collect::<Vec<u8>>()
    };
    let columns = [&b"\x93NUMPY\x01\0\x76\0"[..], &head, &array(&mut (0..120))].concat();
    place.write("columns.npy", columns);
    place.run(&["encode", "columns.npy", "-o", "columns.mcodec", "--as", "latents"]).done();
    place.run(&["decode", "columns.mcodec", "-o", "rows.npy"]).done();
    let places = (0..120usize).map(|i| (i / 60, i / 20 % 3, i / 5 % 4, i % 5));
    let rows = array(&mut places.map(|(t, c, h, w)| t + 2 * (c + 3 * (h + 4 * w))));
    assert!(place.read("rows.npy").ends_with(&rows));
}

#[test]
fn latents_are_decoded_up_to_a_level() {
    let place = Workplace::new();
    let shape = [4u64, 3, 5, 6];
    place.write("clip.safetensors", safetensors(None, &[tensor("x", "F32", &shape, floats(360))]));
    let line = ["encode", "clip.safetensors", "-o", "c.mcodec", "--as", "latents", "--progressive", "3"];
    place.run(&line).done();
    place.run(&["decode", "c.mcodec", "-o", "whole.npy"]).done();
    assert!(place.read("whole.npy").ends_with(&floats(360)));
    let error = |level: &str| {
        let out = format!("{level}.npy");
        place.run(&["decode", "c.mcodec", "--level", level, "-o", &out]).done();
        let bytes = place.read(&out);
        let float = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("four bytes"));
        let pairs = bytes[bytes.len() - 1440..]
            .chunks(4)
            .zip(floats(360).chunks_exact(4).map(<[u8]>::to_vec).collect::<Vec<_>>())
            .map(|(a, b)| float(a) - float(&b))
            .collect::<Vec<_>>();
        pairs.iter().map(|e| e * e).sum::<f32>()
    };
    let (coarse, fine, all) = (error("0"), error("1"), error("2"));
    assert!(all == 0.0 && 0.0 < fine && fine < coarse, "{all} {fine} {coarse}");
    let told = place.run(&["info", "c.mcodec"]).done();
    assert!(told.text().contains("a coarser level of precision"), "{}", told.text());
    let line = [
        "encode",
        "clip.safetensors",
        "-o",
        "no.mcodec",
        "--as",
        "tokens",
        "--vocab",
        "9",
        "--progressive",
        "2",
    ];
    place.run(&line).refused(2, &["--progressive is for latents"]);
}
