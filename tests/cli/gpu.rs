//! `--device`, and `bench gpu`.

use crate::workplace::Workplace;
use std::path::{Path, PathBuf};

fn moe_tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/moe-tiny/model.safetensors")
}

#[test]
fn wrong_devices_are_usage_errors() {
    let place = Workplace::new();
    for device in ["tpu", "gpu:", ""] {
        let device = format!("--device={device}");
        let ended = place.run(&["decode", "m", "-o", "x", &device]).with(2);
        assert!(ended.err.contains("--device"), "{ended:?}");
    }
}

#[cfg(not(feature = "gpu"))]
#[test]
fn without_the_feature_it_is_said() {
    let place = Workplace::new();
    let input = moe_tiny();
    place.run(&["encode", input.to_str().unwrap(), "-e1", "-o", "m"]).done();
    place.run(&["decode", "m", "-o", "x", "--device", "gpu"]).refused(2, &["feature \"gpu\""]);
    place.run(&["bench", "gpu", "m"]).refused(2, &["feature \"gpu\""]);
    place
        .run(&["encode", input.to_str().unwrap(), "-o", "x", "--gpu", "on"])
        .refused(2, &["feature \"gpu\""]);
    assert!(!place.has("x"));
}

#[cfg(feature = "gpu")]
#[test]
fn a_gpu_decodes_what_the_cpu_decodes() {
    let place = Workplace::new();
    let input = moe_tiny();
    place.run(&["encode", input.to_str().unwrap(), "-e1", "-o", "m"]).done();
    place.run(&["decode", "m", "-o", "x", "--device", "gpu:there is none"]).refused(1, &["no GPU"]);
    assert!(!place.has("x"));
    let ended = place.run(&["decode", "m", "-o", "x", "--device", "gpu"]);
    if ended.code == 1 && ended.err.contains("no GPU") {
        assert!(std::env::var_os("MCODEC_REQUIRE_GPU").is_none(), "{ended:?}");
        eprintln!("SKIPPED: no GPU decoded anything: {}", ended.err);
        return;
    }
    assert!(ended.done().err.contains("decoding on "));
    let original = std::fs::read(&input).unwrap();
    assert!(place.read("x") == original);
    let coded = place.read("m");
    place.feed(&["decode", "-", "-o", "y", "--device", "gpu"], &coded).done();
    assert!(place.read("y") == original);
    for (device, out) in [("cpu", "r.npy"), ("gpu", "s.npy")] {
        let rows = ["--tensor", "lm_head.weight", "--rows", "3..40"];
        place.run(&[&["decode", "m", "-o", out, "--device", device][..], &rows].concat()).done();
    }
    assert!(place.read("r.npy") == place.read("s.npy"));
    let report = place.run(&["bench", "gpu", "m", "--reps", "1", "--json"]).done().json();
    assert_eq!(report["files"][0]["exact"], true);
    assert!(report["files"][0]["gpu_bytes"].as_u64().unwrap() > 0, "{report}");
    let table = place.run(&["bench", "gpu", "m", "--reps", "1", "--copies", "2", "--binding", "1"]).done();
    assert!(table.text().contains("GPU, with upload"), "{}", table.text());
}
