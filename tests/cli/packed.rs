//! Weights that another quantiser packed: told, coded as codes, given back byte for byte.

use crate::workplace::Workplace;
use mcodec_tests::inputs::{Noise, safetensors, tensor};

/// Codes of 6 bits about their middle, one after another.
fn codes(noise: &mut Noise, count: usize) -> Vec<u8> {
    let (mut out, mut waiting, mut held) = (Vec::new(), 0u32, 0);
    for _ in 0..count {
        let code = (0..4).fold(0, |sum, _| sum + (noise.word() >> 32) % 16);
        waiting |= (code as u32 & 63) << held;
        held += 6;
        while held >= 8 {
            out.push(waiting as u8);
            waiting >>= 8;
            held -= 8;
        }
    }
    out
}

#[test]
fn codes_of_a_folder_are_told_and_come_back() {
    let place = Workplace::new();
    let mut noise = Noise(31);
    let scales = || tensor("a.scales", "F16", &[512, 8], vec![0x20; 512 * 16]);
    let tensors = [
        tensor("a.biases", "F16", &[512, 8], vec![0x21; 512 * 16]),
        scales(),
        tensor("a.weight", "U32", &[512, 48], codes(&mut noise, 512 * 256)),
        tensor("b.weight", "U32", &[512, 48], noise.bytes(512 * 48 * 4)),
    ];
    let file = safetensors(None, &tensors);
    std::fs::create_dir(place.path("m")).unwrap();
    place.write("m/model.safetensors", &file);
    // Groups of 32, where those of 64 would mean 3 bits.
    place.write("m/config.json", br#"{"quantization": {"group_size": 32, "bits": 6}}"#);
    place.run(&["encode", "m", "-o", "m.mcodec"]).done();
    let json = place.run(&["info", "--json", "m.mcodec"]).done().json();
    let tensors = json["assets"][0]["tensors"].as_array().unwrap();
    let of = |name: &str| tensors.iter().find(|t| t["name"] == name).unwrap();
    assert_eq!(of("a.weight")["packed"], serde_json::json!({"scheme": "MLX", "bits": 6}));
    assert!(of("b.weight")["packed"].is_null() && of("a.scales")["packed"].is_null());
    // The sum of four takes 5.25 bits of 6.
    let share = |name: &str| of(name)["coded_bytes"].as_f64().unwrap() / of(name)["bytes"].as_f64().unwrap();
    assert!(
        share("a.weight") < 0.885 && share("b.weight") > 0.99,
        "{} {}",
        share("a.weight"),
        share("b.weight")
    );
    let shown = place.run(&["info", "m.mcodec"]).done();
    let text = shown.text();
    assert!(text.contains("codes of 6 bits (MLX)"), "{text}");
    place.run(&["decode", "m.mcodec", "-o", "back"]).done();
    assert!(place.read("back/model.safetensors") == file);
    place.run(&["verify", "--deep", "m.mcodec"]).done();
}
