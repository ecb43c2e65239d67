//! Inputs that are not what they should be.

use crate::small_models::small;
use crate::workplace::Workplace;
use std::fs;
use std::path::Path;

/// Every command that reads an mcodec file.
const READERS: [&str; 13] = [
    "decode x.mcodec -o out",
    "decode x.mcodec -o out.npy --tensor a.weight",
    "decode x.mcodec -o out --record r",
    "info x.mcodec",
    "info x.mcodec --json",
    "verify x.mcodec",
    "verify x.mcodec --deep --json",
    "diff x.mcodec good.mcodec",
    "diff good.mcodec x.mcodec",
    "recover x.mcodec -o out",
    "append x.mcodec more.safetensors",
    "pack x.mcodec",
    "attach x.mcodec notes.json --name r",
];

fn place() -> (Workplace, Vec<u8>) {
    let place = Workplace::new();
    place.encoded("good.safetensors", &small(1));
    place.write("more.safetensors", small(2));
    place.write("notes.json", "{}");
    let good = place.read("good.mcodec");
    (place, good)
}

#[test]
fn what_is_no_mcodec_file_is_refused_by_every_reader() {
    let (place, good) = place();
    let mangled: Vec<u8> =
        good.iter().flat_map(|&b| if b == b'\n' { vec![13, 10] } else { vec![b] }).collect();
    assert!(mangled != good);
    let text = String::from_utf8_lossy(&good).into_owned().into_bytes();
    let cases: [(&str, &[u8]); 9] = [
        ("empty", b""),
        ("one byte", &good[..1]),
        ("magic", &good[..8]),
        ("preamble", &good[..96]),
        ("garbage", &[0x5a; 5000]),
        ("zeros", &[0; 5000]),
        ("CRLF", &mangled),
        ("UTF-8", &text),
        ("later major", &fs::read(vectors().join("v_major_2.mcodec")).unwrap()),
    ];
    for (case, bytes) in cases {
        place.write("x.mcodec", bytes);
        let before = place.everything();
        // Of recover and a later major version, see below.
        for line in READERS.iter().filter(|line| case != "later major" || !line.starts_with("recover")) {
            let ended = place.run(&line.split(' ').collect::<Vec<_>>());
            // A file that is no mcodec file is one to compare, byte by byte; verify reports damage as its result.
            let other = line.starts_with("diff") && !bytes.starts_with(&good[..8]);
            if line.starts_with("recover") && ended.code == 3 {
                // It looks for what is left behind a broken magic.
                place.run(&["verify", "--deep", "out"]).done();
                fs::remove_file(place.path("out")).unwrap();
            } else if other {
                ended.with(4);
            } else if ended.err.is_empty() && line.starts_with("verify") {
                assert!(!ended.with(1).out.is_empty(), "{case}: {line}");
            } else {
                let ended = ended.refused(1, &[]);
                let name = ended.err.contains("x.mcodec");
                assert!(name, "{case}: {line}: the message does not name the file: {}", ended.err);
                if case == "CRLF" {
                    assert!(ended.err.contains("text"), "{line}: {}", ended.err);
                }
            }
            assert_eq!(place.everything(), before, "{case}: {line}");
            assert!(place.read("x.mcodec") == bytes, "{case}: {line}");
        }
    }
}

#[test]
fn of_a_truncated_file_nothing_is_made_but_by_recover() {
    let (place, good) = place();
    for len in (97..good.len()).step_by(37).chain([good.len() - 1]) {
        place.write("x.mcodec", &good[..len]);
        let before = place.everything();
        for line in READERS.iter().filter(|line| !line.starts_with("recover")) {
            place.run(&line.split(' ').collect::<Vec<_>>()).with(1);
            assert_eq!(place.everything(), before, "{len}: {line}");
        }
        let code = place.run(&["recover", "x.mcodec", "-o", "out"]).code;
        assert!([1, 3].contains(&code), "{len}: {code}");
        assert_eq!(place.has("out"), code == 3);
        if code == 3 {
            place.run(&["verify", "--deep", "out"]).done();
            fs::remove_file(place.path("out")).unwrap();
        }
    }
}

#[test]
fn a_file_with_a_zip_after_it_is_warned_about() {
    let (place, good) = place();
    place.write("x.mcodec", [&good[..], b"PK\x03\x04 and what follows"].concat());
    let info = place.run(&["info", "x.mcodec"]).done();
    assert!(info.text().contains("warning: ") && info.text().contains("bytes follow"), "{}", info.text());
    assert_eq!(
        place.run(&["info", "x.mcodec", "--json"]).done().json()["ledger"]["container"]["trailing"],
        21
    );
    assert!(place.run(&["verify", "x.mcodec"]).with(1).text().contains("21 bytes follow"));
    let decode = place.run(&["decode", "x.mcodec", "-o", "out"]).done();
    assert!(decode.err.contains("warning"), "{}", decode.err);
    assert!(place.read("out") == small(1));
    place.run(&["recover", "x.mcodec", "-o", "clean.mcodec"]).done();
    assert!(place.read("clean.mcodec") == good);
    // An append cuts it off.
    place.run(&["append", "x.mcodec", "more.safetensors"]).done();
    place.run(&["verify", "x.mcodec"]).done();
}

fn vectors() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors")
}

#[test]
fn of_the_conformance_vectors_none_does_harm() {
    let mut count = 0;
    for file in fs::read_dir(vectors()).unwrap().flatten() {
        let name = file.file_name().into_string().unwrap();
        if !name.ends_with(".mcodec") {
            continue;
        }
        count += 1;
        let place = Workplace::new();
        place.write("x.mcodec", fs::read(file.path()).unwrap());
        let twin = fs::read(file.path().with_extension("json")).unwrap();
        let twin: serde_json::Value = serde_json::from_slice(&twin).unwrap();
        let refused = !twin["refused"].is_null();
        let damaged = twin["damage"].as_array().is_some_and(|d| !d.is_empty());
        let info = place.run(&["info", "x.mcodec"]);
        let verify = place.run(&["verify", "--deep", "x.mcodec"]);
        let decode = place.run(&["decode", "x.mcodec", "-o", "out"]);
        let recover = place.run(&["recover", "x.mcodec", "-o", "saved.mcodec"]);
        for (ended, codes) in
            [(&info, &[0, 1][..]), (&verify, &[0, 1]), (&decode, &[0, 1, 2]), (&recover, &[0, 1, 3])]
        {
            assert!(codes.contains(&ended.code), "{name}: {ended:?}");
            assert!(
                ended.code == 0 || ended.code == 3 || !ended.err.is_empty() || !ended.out.is_empty(),
                "{name}"
            );
        }
        assert_eq!(info.code, i32::from(refused), "{name}: {info:?}");
        if refused || damaged || !name.starts_with("x_") {
            assert_eq!(verify.code, i32::from(refused || damaged), "{name}: {verify:?}");
        }
        if recover.code == 0 || recover.code == 3 {
            place.run(&["info", "saved.mcodec"]).done();
        }
    }
    assert!(count > 60, "{count} vectors");
}

#[test]
fn a_newer_file_is_read_as_far_as_it_can_be() {
    let place = Workplace::new();
    place.write("x.mcodec", fs::read(vectors().join("v_newer_minor.mcodec")).unwrap());
    let info = place.run(&["info", "x.mcodec"]).done();
    assert!(info.text().contains("unknown: field 900 of tensor \"good\""), "{}", info.text());
    let verify = place.run(&["verify", "x.mcodec"]).done();
    assert!(verify.text().contains("unknown, passed over"), "{}", verify.text());
    place.run(&["decode", "x.mcodec", "-o", "good.bin", "--tensor", "good"]).done();
    place.write("y.mcodec", fs::read(vectors().join("v_major_2.mcodec")).unwrap());
    place.run(&["info", "y.mcodec"]).refused(1, &["version 2.0", "2.3"]);
    place.run(&["verify", "y.mcodec"]).refused(1, &["version 2.0", "2.3"]);
}

#[test]
fn a_newer_file_is_not_recovered_as_an_older_one() {
    let place = Workplace::new();
    for vector in ["v_major_2", "v_least_minor", "v_required_feature"] {
        place.write("x.mcodec", fs::read(vectors().join(vector).with_extension("mcodec")).unwrap());
        place.run(&["recover", "x.mcodec", "-o", "out"]).refused(1, &["unsupported", "reader"]);
        assert!(!place.has("out"), "{vector}");
    }
}

#[test]
fn a_malformed_model_is_refused_with_its_name() {
    let place = Workplace::new();
    let good = small(1);
    let mut lying = good.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = [&(deep.len() as u64).to_le_bytes()[..], deep.as_bytes()].concat();
    for bytes in [&b""[..], b"x", &good[..good.len() - 1], &[&good[..], b"x"].concat(), &lying, &nested] {
        place.write("m.safetensors", bytes);
        for line in [
            "encode m.safetensors -o x.mcodec",
            "encode m.safetensors -o - --as model",
            "diff m.safetensors m.safetensors",
        ] {
            let ended = place.run(&line.split(' ').collect::<Vec<_>>()).refused(1, &["m.safetensors"]);
            assert!(ended.err.len() < 400, "{}", ended.err);
        }
        assert_eq!(place.everything().len(), 1);
        // As opaque bytes, anything goes.
        place.run(&["encode", "m.safetensors", "--as", "blob", "-o", "x.mcodec"]).done();
        assert!(place.run(&["decode", "x.mcodec", "-o", "-"]).done().out == bytes);
        fs::remove_file(place.path("x.mcodec")).unwrap();
    }
}

#[test]
fn what_cannot_be_opened_is_said() {
    let place = Workplace::new();
    place.shell("mkfifo fifo; ln -s loop loop").done();
    place.run(&["info", "loop"]).refused(1, &["loop"]);
    place.run(&["encode", "loop", "-o", "x"]).refused(1, &["loop"]);
    place.run(&["decode", "no/such/folder/x", "-o", "x"]).refused(1, &["no/such/folder/x"]);
    for line in ["encode fifo/x -o y", "info fifo/x"] {
        place.run(&line.split(' ').collect::<Vec<_>>()).refused(1, &["fifo/x"]);
    }
    let few = place.shell("ulimit -n 3; mcodec info loop");
    assert!(few.code != 0, "{few:?}");
    assert_eq!(place.everything().len(), 2);
}
