//! A process that is killed at any moment leaves what was there as it was.

use crate::small_models::{long, small};
use crate::workplace::Workplace;
use mcodec_tests::inputs::Noise;
use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Runs a command and kills it at a moment between 0 and a little more than it takes. Whether it was alive until then.
fn killed(place: &Workplace, line: &str, took: Duration, noise: &mut Noise) -> bool {
    let args: Vec<&str> = line.split(' ').collect();
    let mut child = place.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(took.mul_f64(noise.word() as f64 / u64::MAX as f64 * 1.1));
    let alive = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    alive
}

fn time(place: &Workplace, line: &str) -> Duration {
    let start = Instant::now();
    place.run(&line.split(' ').collect::<Vec<_>>()).done();
    start.elapsed()
}

#[test]
fn a_killed_command_leaves_its_target_as_it_was() {
    let place = Workplace::new();
    place.write("m.safetensors", long(12));
    place.run(&["encode", "m.safetensors", "-e1", "-o", "m.mcodec"]).done();
    let mut noise = Noise(std::process::id().into());
    for line in [
        "encode m.safetensors -f -o target",
        "decode m.mcodec -f -o target",
        "pack m.mcodec -f -o target",
        "recover m.mcodec -f -o target",
    ] {
        let took = time(&place, line);
        let whole = place.read("target");
        let mut alive = 0;
        for _ in 0..12 {
            place.write("target", "before");
            alive += usize::from(killed(&place, line, took, &mut noise));
            let now = place.read("target");
            assert!(now == b"before" || now == whole, "{line}: {} bytes", now.len());
            for name in place.everything() {
                let known = ["m.mcodec", "m.safetensors", "target"].contains(&name.as_str());
                let left = name.starts_with(".mcodec-") && name.ends_with(".tmp");
                assert!(known || left || name.starts_with("temporary: "), "{line} leaves {name}");
            }
        }
        assert!(alive > 3, "{line}: only {alive} of 12 were alive");
        place.shell("rm -f .mcodec-*.tmp").done();
    }
}

#[test]
fn a_killed_append_leaves_a_readable_file() {
    let place = Workplace::new();
    let target = place.encoded("m.safetensors", &small(1));
    let original = place.read(&target);
    place.write("more.safetensors", long(3));
    let line = format!("append -e1 {target} more.safetensors");
    let took = time(&place, &line);
    let mut noise = Noise(std::process::id().into());
    let (mut before, mut after, mut between) = (0, 0, 0);
    let mut attempts = 0;
    // The writes are short beside the coding before them: on a busy machine more kills are needed to hit one between them.
    while attempts < 60 || (between == 0 && attempts < 300) {
        attempts += 1;
        place.write(&target, &original);
        killed(&place, &line, took, &mut noise);
        let now = place.read(&target);
        let info = place.run(&["info", &target, "--json"]).done().json();
        let assets = info["assets"].as_array().unwrap().len();
        assert_eq!(assets as u64, info["generation"].as_u64().unwrap());
        assert!(place.run(&["decode", &target, "--asset", "m", "-o", "-"]).done().out == small(1));
        // The leftovers of an append are told by verify, and cost nothing.
        let sound = place.run(&["verify", &target]).code == 0;
        match (assets, now == original) {
            (1, true) => before += 1,
            (1, false) => between += usize::from(!sound),
            _ => after += usize::from(sound),
        }
        assert!(sound || (assets == 1 && now != original));
        if assets == 1 {
            place.run(&["append", &target, "more.safetensors"]).done();
        }
        place.run(&["verify", &target]).done();
        assert!(
            place.run(&["decode", &target, "--asset", "more", "-o", "-"]).done().out
                == place.read("more.safetensors")
        );
    }
    assert_eq!(before + after + between, attempts);
    assert!(between > 0, "{before} killed before the first write, {after} after the last, none between");
}

#[test]
fn a_killed_folder_decode_leaves_no_half_folder() {
    let place = Workplace::new();
    place.write("hf/model.safetensors", long(8));
    place.write("hf/config.json", "{}");
    place.run(&["encode", "hf", "-e1", "-o", "hf.mcodec"]).done();
    let took = time(&place, "decode hf.mcodec -o out");
    let mut noise = Noise(std::process::id().into());
    for _ in 0..12 {
        fs::remove_dir_all(place.path("out")).unwrap_or_default();
        killed(&place, "decode hf.mcodec -o out", took, &mut noise);
        if place.has("out") {
            assert!(place.read("out/model.safetensors") == place.read("hf/model.safetensors"));
            assert!(place.has("out/config.json"));
        }
    }
}
