//! `encode --recipe`, `decode --variant`, and what `info` says of both.

use crate::small_models::tensors_of;
use crate::workplace::Workplace;
use mcodec_tests::inputs::{Noise, safetensors, tensor};

/// A layer of a model: a feed-forward network of 64 hidden units, and an attention value.
fn layer() -> Vec<u8> {
    let mut noise = Noise(31);
    let mut of = |name: &str, rows: u64, columns: u64| {
        let bytes = noise.bf16((rows * columns) as usize);
        tensor(&format!("model.layers.0.{name}.weight"), "BF16", &[rows, columns], bytes)
    };
    let all = [
        of("mlp.gate_proj", 64, 48),
        of("mlp.up_proj", 64, 48),
        of("mlp.down_proj", 48, 64),
        of("self_attn.v_proj", 32, 48),
    ];
    safetensors(None, &all)
}

fn place() -> Workplace {
    let place = Workplace::new();
    place.write("m.safetensors", layer());
    place
}

#[test]
fn recipes_are_passes_in_order_or_a_file_of_them() {
    let place = place();
    let steps = ["--recipe", "prune:ratio=0.25,axis=units", "--recipe", "lowrank:rank=16,target=*v_proj*"];
    place.run(&[&["encode", "m.safetensors", "-o", "a.mcodec"], &steps[..]].concat()).done();
    place.write(
        "steps.recipe",
        "# two passes\nprune:ratio=0.25,axis=units\nlowrank:rank=16,target=*v_proj*\n",
    );
    place.run(&["encode", "m.safetensors", "-o", "b.mcodec", "--recipe", "steps.recipe"]).done();
    assert!(place.read("a.mcodec") == place.read("b.mcodec"), "one recipe, two files");
    place.run(&["verify", "--deep", "a.mcodec"]).done();
    place.run(&["decode", "a.mcodec", "--record", "recipe", "-o", "r.json"]).done();
    let recipe: serde_json::Value = serde_json::from_slice(&place.read("r.json")).unwrap();
    assert_eq!(recipe["passes"][0]["parameters"]["ratio"], 0.25);
    assert_eq!(recipe["passes"][1]["targets"][0], "*v_proj*");
    // The record as it is makes the same again.
    place.run(&["encode", "m.safetensors", "-o", "c.mcodec", "--recipe", "r.json"]).done();
    assert!(place.read("a.mcodec") == place.read("c.mcodec"), "a recipe and its record");
    place.run(&["decode", "a.mcodec", "-o", "back.safetensors"]).done();
    let (back, was) = (tensors_of(&place.read("back.safetensors")), tensors_of(&layer()));
    for (now, before) in back.iter().zip(&was) {
        assert_eq!((&now.0, &now.1), (&before.0, &before.1));
        assert!(now.2 != before.2, "{} is as it was", now.0);
    }
    let info = place.run(&["info", "a.mcodec", "--json"]).done().json();
    let asset = &info["assets"][0];
    assert_eq!((&asset["arrays"], &asset["bundles"]), (&5.into(), &1.into()));
    let representations: Vec<&str> =
        asset["tensors"].as_array().unwrap().iter().map(|t| t["representation"].as_str().unwrap()).collect();
    assert_eq!(representations, ["select", "select", "select", "low-rank"]);
    let ledger = &info["ledger"];
    assert_eq!(ledger["total"], info["bytes"]);
    for bad in ["nonsense:x=1", "prune:ratio=2", "missing.recipe"] {
        place.run(&["encode", "m.safetensors", "-o", "d.mcodec", "--recipe", bad]).refused(2, &["pass"]);
    }
    for (bad, parts) in [
        ("prune:ratio=0.1\nquant:seed=x\n", ["bad.recipe", "line 2"]),
        (r#"{"passes":[{"pass":"quant","bits":3}]}"#, ["bad.recipe", "line 1 column"]),
    ] {
        place.write("bad.recipe", bad);
        place
            .run(&["encode", "m.safetensors", "-o", "d.mcodec", "--recipe", "bad.recipe"])
            .refused(2, &parts);
    }
    place.run(&["encode", "-", "-o", "d.mcodec", "--recipe", "prune:ratio=0.1"]).refused(2, &["recipe"]);
}

#[test]
fn a_variant_is_read_as_a_smaller_model() {
    let place = place();
    let step = "lowrank:rank=32,step=8,factors=f32,target=*v_proj*";
    place.run(&["encode", "m.safetensors", "-o", "m.mcodec", "--recipe", step]).done();
    place.run(&["decode", "m.mcodec", "-o", "whole.safetensors"]).done();
    place.run(&["decode", "m.mcodec", "-o", "low.safetensors", "--variant", "rank-8"]).done();
    place.run(&["decode", "m.mcodec", "-o", "full.safetensors", "--variant", "rank-32"]).done();
    let of = |name: &str| tensors_of(&place.read(name));
    assert!(of("full.safetensors") == of("whole.safetensors"), "the greatest variant is the model");
    for (low, whole) in of("low.safetensors").iter().zip(of("whole.safetensors")) {
        assert_eq!(low.2 == whole.2, !low.0.contains("v_proj"), "{}", low.0);
    }
    let text = place.run(&["info", "m.mcodec"]).done();
    assert!(String::from_utf8_lossy(&text.out).contains("variant \"rank-8\""), "{:?}", text.out);
    let info = place.run(&["info", "m.mcodec", "--json"]).done().json();
    let variants = info["assets"][0]["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 4);
    assert!(variants[0]["bytes"].as_u64() < variants[3]["bytes"].as_u64());
    place
        .run(&["decode", "m.mcodec", "-o", "x.safetensors", "--variant", "none"])
        .refused(1, &["rank-8", "rank-32"]);
}
