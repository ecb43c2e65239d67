//! Texts as people see them, kept in `golden/`. `MCODEC_BLESS=1` rewrites them.

use crate::small_models::small;
use crate::workplace::{Ended, Workplace};
use std::fs;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/golden").join(format!("{name}.txt"))
}

/// What is on the screen after these commands, with their exit codes.
fn check(name: &str, screen: &str) {
    let path = golden(name);
    if std::env::var_os("MCODEC_BLESS").is_some() {
        fs::write(path, screen).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        screen == wanted,
        "{name} differs; MCODEC_BLESS=1 rewrites it.\nnow:\n{screen}\nwanted:\n{wanted}"
    );
}

fn screen(line: &str, ended: &Ended) -> String {
    let mut screen = format!("$ mcodec {line}\n");
    for (mark, text) in [("", ended.text()), ("! ", ended.err.as_str())] {
        text.lines().for_each(|l| screen.push_str(&format!("{mark}{}\n", l.trim_end())));
    }
    screen + &format!("= {}\n\n", ended.code)
}

fn session(place: &Workplace, lines: &[&str]) -> String {
    lines.iter().map(|line| screen(line, &place.run(&line.split(' ').collect::<Vec<_>>()))).collect()
}

#[test]
fn help() {
    let place = Workplace::new();
    for command in [
        "",
        "encode",
        "decode",
        "info",
        "verify",
        "diff",
        "recover",
        "append",
        "pack",
        "attach",
        "detach",
        "train-prior",
        "mask",
        "bench",
        "bench models",
        "bench gpu",
        "bench deltas",
        "bench latents",
        "bench quant",
        "eval",
        "stats",
        "completion",
        "man",
    ] {
        let line = format!("{command} --help");
        let words: Vec<&str> = line.split_whitespace().collect();
        let ended = place.run(&words).done().silent();
        check(&format!("help {command}").trim().replace(' ', "_"), &screen(line.trim(), &ended));
    }
}

/// Small files whose bytes do not depend on how well we compress: `m.mcodec` and what is wrong with others.
fn place() -> Workplace {
    let place = Workplace::new();
    place.write("m.safetensors", small(1));
    place.write("n.safetensors", small(2));
    place.write("record.json", r#"{"score":1}"#);
    place.write("hf/config.json", "{}");
    place.write("hf/model.safetensors", small(1));
    place.write("hf/README.md", "A model");
    for line in [
        "encode m.safetensors -o m.mcodec",
        "encode n.safetensors -o n.mcodec",
        "encode hf -o hf.mcodec",
        "append hf.mcodec m.safetensors",
        "attach hf.mcodec record.json --name eval/1 --for hf --schema lab.score",
    ] {
        place.run(&line.split(' ').collect::<Vec<_>>()).done();
    }
    let good = place.read("m.mcodec");
    let mut flipped = good.clone();
    let at = good.len() - 20;
    flipped[at] ^= 1;
    place.write("flipped.mcodec", flipped);
    place.write("cut.mcodec", &good[..good.len() - 20]);
    place.write("headless.mcodec", &good[..150]);
    place.write("zipped.mcodec", [&good[..], b"PK\x03\x04 and so on"].concat());
    place.write("text.mcodec", "just text");
    place
}

#[test]
fn results() {
    let place = place();
    check(
        "info",
        &session(
            &place,
            &[
                "info m.mcodec",
                "info -v --ledger hf.mcodec",
                "info zipped.mcodec",
                "info cut.mcodec",
                "info text.mcodec",
            ],
        ),
    );
    check(
        "verify",
        &session(
            &place,
            &[
                "verify m.mcodec",
                "verify --deep hf.mcodec",
                "verify flipped.mcodec",
                "verify --deep flipped.mcodec",
                "verify zipped.mcodec",
                "verify cut.mcodec",
                "verify headless.mcodec",
                "verify text.mcodec",
                "verify none.mcodec",
                "verify flipped.mcodec --json",
            ],
        ),
    );
    check(
        "diff",
        &session(
            &place,
            &[
                "diff m.mcodec m.safetensors",
                "diff m.mcodec n.mcodec",
                "diff hf.mcodec m.mcodec",
                "diff hf.mcodec hf",
                "diff hf record.json",
                "diff m.mcodec flipped.mcodec",
                "diff m.mcodec n.safetensors --json",
            ],
        ),
    );
    check(
        "recover",
        &session(
            &place,
            &[
                "recover m.mcodec -o whole.mcodec",
                "recover flipped.mcodec -o saved.mcodec",
                "recover -v cut.mcodec -o saved2.mcodec",
                "recover zipped.mcodec -o saved3.mcodec",
                "recover headless.mcodec -o saved4.mcodec",
                "recover text.mcodec -o saved5.mcodec",
                "recover flipped.mcodec -o saved.mcodec",
            ],
        ),
    );
}

#[test]
fn encoding_and_decoding() {
    let place = place();
    check(
        "encode_and_decode",
        &session(
            &place,
            &[
                "encode hf -o a.mcodec",
                "encode m.safetensors -v -o b.mcodec",
                "encode record.json -o c.mcodec",
                "encode m.safetensors -o m.mcodec",
                "encode none -o d.mcodec",
                "decode m.mcodec -o back.safetensors",
                "decode m.mcodec -v -o back.npy --tensor a.weight",
                "decode m.mcodec -o back.safetensors",
                "decode m.mcodec -o x.npy --tensor a.wieght",
                "decode hf.mcodec -o x.npy --tensor a.weight",
                "decode hf.mcodec -o -",
                "decode flipped.mcodec -o x",
                "decode zipped.mcodec -o y",
                "decode m.mcodec",
                "decode m.mcodec -o x --frobnicate",
            ],
        ),
    );
}

#[test]
fn bases() {
    let place = place();
    // One weight of the first tensor moved.
    let mut tuned = small(1);
    let at = tuned.len() - 40;
    tuned[at] ^= 1;
    place.write("tuned.safetensors", tuned);
    check(
        "bases",
        &session(
            &place,
            &[
                "encode tuned.safetensors --base m.safetensors -v -o tuned.mcodec",
                "info tuned.mcodec",
                "decode tuned.mcodec -o back.safetensors",
                "decode tuned.mcodec --base n.mcodec -o back.safetensors",
                "decode tuned.mcodec --base none -o back.safetensors",
                "decode tuned.mcodec --base m.mcodec -o back.safetensors",
                "diff tuned.mcodec tuned.safetensors --base m.mcodec",
                "diff tuned.mcodec tuned.safetensors",
                "verify tuned.mcodec",
                "verify --deep tuned.mcodec",
                "verify --deep tuned.mcodec --base m.safetensors",
                "encode tuned.safetensors --base m.safetensors --mappable -o x.mcodec",
                "encode tuned.safetensors --base record.json -o x.mcodec",
                "encode tuned.safetensors --base hf.mcodec --base-asset none -o x.mcodec",
                "append m.mcodec tuned.safetensors -v",
                "append m.mcodec n.safetensors --base-asset none -v",
                "append m.mcodec hf --base-asset frob -v",
                "decode m.mcodec --asset tuned -o back2.safetensors",
                "verify --deep m.mcodec",
            ],
        ),
    );
}
