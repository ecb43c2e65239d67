//! Masks of block-sparse attention on the command line.

use crate::workplace::Workplace;
use mcodec_tests::inputs::{safetensors, tensor};

#[test]
fn masks_come_back_whole_and_plane_by_plane() {
    let place = Workplace::new();
    let bits: Vec<u8> =
        (0..2 * 3 * 2 * 64u32).map(|i| u8::from(i % 64 / 8 == i % 8 || i % 11 == 0)).collect();
    place
        .write("m.safetensors", safetensors(None, &[tensor("mask", "BOOL", &[2, 3, 2, 8, 8], bits.clone())]));
    let settings = "block=128,curve=gilbert,grid=4x16x16,sample=32,energy=0.95,ratio=0.05..0.2";
    place
        .run(&[
            "encode",
            "m.safetensors",
            "-o",
            "m.mcodec",
            "--as",
            "masks",
            "--mask-settings",
            settings,
            "--group",
            "2",
        ])
        .done();
    place.run(&["decode", "m.mcodec", "-o", "back.npy"]).done();
    assert!(place.read("back.npy").ends_with(&bits));
    place.run(&["decode", "m.mcodec", "--track", "mask", "--planes", "1,2,0", "-o", "one.npy"]).done();
    assert!(place.read("one.npy").ends_with(&bits[((3 + 2) * 2) * 64..][..64]));
    place.run(&["encode", "back.npy", "-o", "again.mcodec", "--as", "masks"]).done();
    place.run(&["decode", "again.mcodec", "--planes", "*,0..2,1..", "-o", "some.npy"]).done();
    let told = place.run(&["info", "m.mcodec"]).done();
    let text = told.text();
    for said in [
        "masks SLHQK: 2 steps, 3 layers, 2 heads of 8 x 8 blocks, groups of 2 planes",
        "schema \"masks\"",
        "curve gilbert",
        "energy 0.95",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let json = place.run(&["info", "m.mcodec", "--json"]).done().json();
    assert_eq!(json["assets"][0]["records"][0]["masks"]["sample"], 32);
    place.run(&["decode", "m.mcodec", "--planes", "2,0,0", "-o", "no.npy"]).refused(2, &["steps 2..3"]);
    place.run(&["decode", "m.mcodec", "--planes", "2,0", "-o", "no.npy"]).with(2);
    let line = ["encode", "m.safetensors", "-o", "no.mcodec", "--as", "masks", "--step", "0.5"];
    place.run(&line).refused(2, &["masks are kept as they are"]);
}

#[test]
fn masks_are_made_of_queries_and_keys() {
    let place = Workplace::new();
    let number = |i: u32| (((i.wrapping_mul(2_654_435_761)) >> 20) as f32 / 512.0 - 4.0).to_le_bytes();
    let vectors = |from: u32| (from..from + 2 * 96 * 4).flat_map(number).collect::<Vec<u8>>();
    let shape = [2u64, 96, 4];
    place.write("q.safetensors", safetensors(None, &[tensor("q", "F32", &shape, vectors(0))]));
    place.write("k.safetensors", safetensors(None, &[tensor("k", "F32", &shape, vectors(5000))]));
    let rule = ["--grid", "4,4,6", "--block", "8", "--sample", "4", "--ratio", "0.1..0.5"];
    let line =
        |out: &'static str| [&["mask", "q.safetensors", "k.safetensors", "-o", out][..], &rule[..]].concat();
    place.run(&line("m.npy")).done();
    place.run(&line("m.mcodec")).done();
    place.run(&["decode", "m.mcodec", "-o", "back.npy"]).done();
    assert!(place.read("back.npy") == place.read("m.npy"));
    let told = place.run(&["info", "m.mcodec"]).done();
    let text = told.text();
    for said in ["1 steps, 1 layers, 2 heads of 12 x 12 blocks", "grid [4,4,6]", "sample 4", "density 0."] {
        assert!(text.contains(said), "{said}: {text}");
    }
    place.run(&["mask", "q.safetensors", "k.safetensors", "-o", "no.npy"]).refused(2, &["--grid"]);
    let line = ["mask", "q.safetensors", "k.safetensors", "--grid", "1,2,3", "-o", "no.npy"];
    place.run(&line).refused(2, &["has not the 96 positions"]);
    place.run(&["mask", "q.safetensors", "--energy", "2", "-o", "no.npy"]).refused(2, &["energy"]);
}
