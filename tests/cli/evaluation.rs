//! What runs language models: `eval`, `stats`, `encode --calib` and `bench quant`.

use crate::workplace::Workplace;

#[cfg(not(feature = "eval"))]
#[test]
fn without_the_feature_it_is_said() {
    let place = Workplace::new();
    place.write("t", "text");
    place.run(&["eval", "m", "--text", "t"]).refused(2, &["feature \"eval\""]);
    place.run(&["stats", "m", "--calib", "t", "-o", "s"]).refused(2, &["feature \"eval\""]);
    place.run(&["bench", "quant", "m", "--text", "t"]).refused(2, &["feature \"eval\""]);
    place.write("m", [0u8; 64]);
    place.run(&["encode", "m", "--bits", "3", "--calib", "t", "-o", "x"]).refused(2, &["feature \"eval\""]);
    assert!(!place.has("x") && !place.has("s"));
}

#[cfg(feature = "eval")]
mod with {
    use super::Workplace;
    use std::path::Path;

    fn data(name: &str) -> String {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name).to_str().unwrap().to_owned()
    }

    fn near(value: &serde_json::Value, wanted: f64, within: f64) {
        let found = value.as_f64().unwrap();
        assert!((found - wanted).abs() <= within, "{found} is not {wanted}");
    }

    /// By `evaluate.py . --bytes 2049` of moe-tiny, in torch.
    const REFERENCE: [(&str, f64, f64, f64); 4] = [
        ("kjv", 2.2448, 4.7398, 0.5698),
        ("pydoc", 1.8089, 3.5037, 0.6401),
        ("pysrc", 3.5643, 11.8296, 0.3940),
        ("all", 2.5393, 5.8132, 0.5347),
    ];

    #[test]
    fn bits_per_byte_are_those_of_the_reference() {
        let place = Workplace::new();
        let texts: Vec<String> = REFERENCE[..3].iter().map(|t| data(&format!("texts/{}.txt", t.0))).collect();
        let texts: Vec<&str> = texts.iter().flat_map(|t| ["--text", t]).collect();
        let model = data("moe-tiny");
        place.run(&["encode", &model, "-e1", "-o", "m.mcodec"]).done();
        for of in [&model, "m.mcodec"] {
            let found = place.run(&[&["eval", of, "--json"][..], &texts].concat()).done().json();
            for (at, (name, bits, perplexity, top1)) in REFERENCE.into_iter().enumerate() {
                let score = if name == "all" { &found["all"] } else { &found["texts"][at] };
                near(&score["bits_per_byte"], bits, 1e-4);
                near(&score["perplexity"], perplexity, 1e-3);
                if name != "all" {
                    near(&score["top1"], top1, 1e-3);
                    assert_eq!(score["predictions"], 2048);
                }
            }
            assert_eq!(found["protocol"]["window"], 256);
            assert_eq!(found["protocol"]["tokens"], "bytes");
        }
        place
            .run(&["encode", &model, "--bits", "3", "--keep", "*embed*", "--keep", "*lm_head*", "-o", "q"])
            .done();
        let against = ["eval", "q", "--against", &model, "--text", texts[3], "--record", "--json"];
        let found = place.run(&against).done().json();
        let kl = found["all"]["against"]["kl"].as_f64().unwrap();
        assert!((1e-4..0.1).contains(&kl), "{kl}");
        near(&found["all"]["against"]["bits_per_byte"], 1.8089, 1e-4);
        near(&found["model"]["quantised"]["bits_per_weight"], 3.0, 0.0);
        let record = place.run(&["decode", "q", "--record", "evaluation", "-o", "-"]).done();
        let record: serde_json::Value = serde_json::from_slice(&record.out).unwrap();
        assert_eq!(record, found);
    }

    #[test]
    fn statistics_help() {
        let place = Workplace::new();
        let (model, text, other) = (data("moe-tiny"), data("texts/kjv.txt"), data("texts/pysrc.txt"));
        let few = ["--calib", &text, "--calib", &other, "--calib-tokens", "2048"];
        place.run(&[&["stats", &model, "-o", "s.safetensors"][..], &few].concat()).done();
        let keep = ["--keep", "*embed*", "--keep", "*lm_head*"];
        place.run(&[&["encode", &model, "--bits", "2.5", "-o", "free"][..], &keep].concat()).done();
        let with = ["encode", &model, "--bits", "2.5", "--stats", "s.safetensors", "-o", "given"];
        place.run(&[&with[..], &keep].concat()).done();
        place.run(&[&["encode", &model, "--bits", "2.5", "-o", "made"][..], &keep, &few].concat()).done();
        let kl = |name: &str| {
            let found =
                place.run(&["eval", name, "--against", &model, "--text", &text, "--json"]).done().json();
            (found["all"]["against"]["kl"].as_f64().unwrap(), found["model"]["quantised"].clone())
        };
        let (free, given, made) = (kl("free"), kl("given"), kl("made"));
        assert!(given.0 < 0.8 * free.0, "{} {}", given.0, free.0);
        assert_eq!(given, made);
        assert!(made.1["calibration"].as_str().unwrap().starts_with("blake3:"), "{}", made.1);
        let both = ["encode", &model, "--bits", "3", "--stats", "s.safetensors", "--calib", &text, "-o", "x"];
        place.run(&both).refused(2, &["one of the two"]);
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        let place = Workplace::new();
        let (model, text) = (data("moe-tiny"), data("texts/kjv.txt"));
        place.write("short", "x");
        place.run(&["eval", &model, "--text", "short"]).refused(1, &["less than two tokens"]);
        place.run(&["eval", &model, "--text", "none"]).refused(1, &["none"]);
        place.run(&["eval", &model, "--text", &text, "--window", "600"]).refused(2, &["512"]);
        place.run(&["eval", &model, "--text", &text, "--window", "8", "--stride", "9"]).refused(1, &["once"]);
        place.run(&["eval", &model, "--text", &text, "--record"]).refused(2, &["no mcodec file"]);
        place.run(&["eval", &data("models"), "--text", &text]).with(1);
        place.run(&["stats", &model, "-o", "s"]).refused(2, &["--calib"]);
        place.run(&["stats", &model, "--calib", "short", "-o", "s"]).refused(1, &["no 256 tokens"]);
        assert!(!place.has("s"));
    }

    #[test]
    fn quantisers_are_compared() {
        let place = Workplace::new();
        let (model, text, other) = (data("moe-tiny"), data("texts/kjv.txt"), data("texts/pydoc.txt"));
        let args = [
            "bench",
            "quant",
            &model,
            "--calib",
            &other,
            "--text",
            &text,
            "--bits",
            "3",
            "--only",
            "mcodec,rtn 3 bit g64,gptq 3",
            "--results",
            "rows.jsonl",
            "--predictions",
            "512",
            "--svg",
            "plot.svg",
            "--json",
        ];
        let found = place.run(&args).done().json();
        let rows = found["rows"].as_array().unwrap();
        let kl = |name: &str| {
            let row = rows.iter().find(|r| r["name"] == name).unwrap();
            (row["all"]["against"]["kl"].as_f64().unwrap(), row["bits_per_weight"].as_f64().unwrap())
        };
        let (plain, gptq, ours) = (kl("rtn 3 bit g64"), kl("gptq 3 bit g128"), kl("mcodec Hessian 3"));
        assert!(ours.0 < gptq.0 && gptq.0 < plain.0 && ours.1 <= 3.0, "{ours:?} {gptq:?} {plain:?}");
        assert!((3.1..3.5).contains(&plain.1), "{plain:?}");
        assert!(place.read("plot.svg").starts_with(b"<svg"));
        // What is known is not measured again.
        let kept = place.read("rows.jsonl");
        assert_eq!(place.run(&args).done().json()["rows"], found["rows"]);
        assert_eq!(place.read("rows.jsonl"), kept);
    }
}
