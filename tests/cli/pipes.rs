//! Streams: through pipes in both directions, also those that close early.

use crate::small_models::{long, small};
use crate::workplace::Workplace;
use mcodec_tests::inputs::models;
use std::fs;

#[test]
fn through_both_pipes_and_back() {
    for model in models() {
        let place = Workplace::new();
        place.write("model.safetensors", fs::read(&model).unwrap());
        let line = "cat model.safetensors | mcodec encode - -o - | mcodec decode - -o - > back.safetensors";
        place.shell(line).done();
        assert!(place.read("back.safetensors") == place.read("model.safetensors"), "{}", model.display());
    }
}

#[test]
fn every_mix_of_files_and_pipes() {
    let place = Workplace::new();
    place.write("in.safetensors", small(1));
    for script in [
        "mcodec encode in.safetensors -o - | mcodec decode - -o out",
        "mcodec encode - -o x.mcodec < in.safetensors && mcodec decode x.mcodec -o out",
        "cat in.safetensors | mcodec encode - -o x.mcodec && cat x.mcodec | mcodec decode - -o - > out",
        "mcodec encode in.safetensors -o x.mcodec && cat x.mcodec | mcodec decode - -o out",
        "mcodec encode in.safetensors -o - > x.mcodec && mcodec decode x.mcodec -o - | cat > out",
        "mcodec encode - -o - --as blob < in.safetensors | mcodec decode - -o out",
        "mcodec encode in.safetensors -o - > x.mcodec && mcodec pack x.mcodec && mcodec decode x.mcodec -o out",
        "mcodec encode in.safetensors -o - | mcodec encode - -o - | mcodec decode - -o out",
        "mcodec encode --mappable in.safetensors -o x.mcodec && mcodec decode - -o - < x.mcodec > out",
        "mcodec encode in.safetensors -o /dev/stdout | cat | mcodec decode - -o out",
    ] {
        place.shell(&format!("rm -f out x.mcodec; {script}")).done();
        assert!(place.read("out") == small(1), "{script}");
    }
    let left: Vec<String> = place.everything().into_iter().collect();
    assert_eq!(left, ["in.safetensors", "out"]);
}

#[test]
fn reading_commands_take_a_pipe() {
    let place = Workplace::new();
    let file = place.encoded("m.safetensors", &small(1));
    place.write("m.safetensors", small(1));
    let stream = place.run(&["encode", "m.safetensors", "-o", "-"]).done().out;
    for bytes in [place.read(&file), stream] {
        assert!(place.feed(&["info", "-"], &bytes).done().text().contains("2 tensors"));
        place.feed(&["verify", "-", "--deep"], &bytes).done();
        place.feed(&["diff", "-", &file], &bytes).done();
        place.feed(&["diff", "m.safetensors", "-"], &bytes).done();
        place.feed(&["decode", "-", "-o", "x.npy", "-f", "--tensor", "b.bias"], &bytes).done().silent();
    }
    place.run(&["diff", "-", "-"]).refused(2, &["standard input"]);
    for line in [
        &["pack", "-"][..],
        &["recover", "-", "-o", "x"],
        &["append", &file, "-"],
        &["append", "-", "m.safetensors"],
    ] {
        place.run(line).with(2);
    }
}

#[test]
fn the_name_of_a_stream() {
    let place = Workplace::new();
    for (line, name) in [
        (&["encode", "-", "-o", "llm.mcodec"][..], "llm"),
        (&["encode", "-", "-o", "x.mcodec", "--name", "given"], "given"),
    ] {
        place.feed(line, &small(1)).done();
        assert_eq!(place.run(&["info", line[3], "--json"]).done().json()["assets"][0]["name"], name);
    }
    place.run(&["encode", "llm.mcodec", "-o", "y", "--name", "n"]).refused(2, &["--name"]);
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let place = Workplace::new();
    place.write("long.safetensors", long(8));
    place.run(&["encode", "long.safetensors", "-o", "long.mcodec"]).done();
    for line in [
        "mcodec decode long.mcodec -o - | head -c 10 > /dev/null",
        "mcodec encode long.safetensors -o - 2>/dev/null | head -c 10 > /dev/null",
        "cat long.safetensors | mcodec encode - -o - 2>/dev/null | head -c 10 > /dev/null",
        "mcodec info -v long.mcodec | head -c 10 > /dev/null",
        "mcodec info --json long.mcodec | head -c 10 > /dev/null",
        "mcodec man | head -c 10 > /dev/null",
        "mcodec completion bash | head -c 10 > /dev/null",
        "mcodec --help | head -c 10 > /dev/null",
        "mcodec verify long.mcodec | true",
        "mcodec diff long.mcodec long.safetensors | true",
        "mcodec decode long.mcodec --tensor layers.0.weight --format npy --quiet -o - | head -c 10 > /dev/null",
    ] {
        // Bash tells the code of mcodec itself; cat may well die of the pipe.
        let script = format!("{line}; codes=(${{PIPESTATUS[@]}}); echo ${{codes[-2]}}");
        let ended = place.shell(&script).done().silent();
        assert_eq!(ended.text(), "0\n", "{line}");
    }
}

#[test]
fn a_stream_that_is_cut_leaves_nothing() {
    let place = Workplace::new();
    place.write("m.safetensors", long(1));
    let stream = place.run(&["encode", "m.safetensors", "-o", "-"]).done().out;
    let before = place.everything();
    for len in [0, 1, 50, 96, 97, 130, stream.len() / 2, stream.len() - 40, stream.len() - 1] {
        place.feed(&["decode", "-", "-o", "out"], &stream[..len]).refused(1, &[]);
        place.feed(&["decode", "-", "-o", "-"], &stream[..len]).refused(1, &[]);
        place.feed(&["info", "-"], &stream[..len]).refused(1, &[]);
    }
    let input = place.read("m.safetensors");
    for len in [20, 100, input.len() / 2, input.len() - 1] {
        place.feed(&["encode", "-", "-o", "out.mcodec"], &input[..len]).refused(1, &[]);
        place.feed(&["encode", "-", "-o", "-"], &input[..len]).refused(1, &[]);
    }
    assert_eq!(place.everything(), before);
    // A flipped bit anywhere in the stream is found before it ends; a file appears only when it is whole.
    for at in (96..stream.len()).step_by(stream.len() / 40) {
        let mut broken = stream.clone();
        broken[at] ^= 4;
        place.feed(&["decode", "-", "-o", "out"], &broken).refused(1, &[]);
        assert!(!place.has("out"), "{at}");
    }
}
