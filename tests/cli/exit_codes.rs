//! The exit codes of every command: 0 done, 1 failure, 2 usage, 3 loss, 4 difference.

use crate::small_models::small;
use crate::workplace::Workplace;

/// `m.safetensors`, `m.mcodec`, the damaged `bad.mcodec`, `two.mcodec` with two assets, `taken` and `notes.json`.
fn place() -> Workplace {
    let place = Workplace::new();
    place.encoded("m.safetensors", &small(1));
    place.write("m.safetensors", small(1));
    place.write("other.safetensors", small(2));
    place.run(&["append", "m.mcodec", "other.safetensors", "-o", "two.mcodec"]).done();
    let mut bad = place.read("m.mcodec");
    let at = bad.len() - 20;
    bad[at] ^= 1;
    place.write("bad.mcodec", bad);
    place.write("taken", "taken");
    place.write("notes.json", "{}");
    place
}

/// Each line ends with its code; where that is not 0, nothing on disk has changed, whatever the line asks for.
#[track_caller]
fn check(lines: &[(i32, &str)]) {
    let place = place();
    let before = place.everything();
    for (code, line) in lines {
        let args: Vec<&str> = line.split(' ').collect();
        let ended = place.run(&args).with(*code);
        if *code == 1 || *code == 2 {
            assert_eq!(place.everything(), before, "{line}");
            assert_eq!(place.read("taken"), b"taken", "{line}");
            assert!(!ended.err.is_empty() || args[0] == "verify", "{line}");
        } else {
            place
                .everything()
                .difference(&before)
                .for_each(|new| std::fs::remove_file(place.path(new)).unwrap());
        }
    }
}

#[test]
fn exit_code_usage() {
    check(&[
        (0, "--help"),
        (0, "--version"),
        (0, "help encode"),
        (2, "frobnicate"),
        (2, "--frobnicate"),
        (2, "encode"),
        (2, "encode m.safetensors -o x -e 0"),
        (2, "encode m.safetensors -o x -e 10"),
        (2, "encode m.safetensors -o x -T many"),
        (2, "encode m.safetensors other.safetensors -o x"),
        (2, "encode m.safetensors -o x --as picture"),
        (2, "decode m.mcodec -o x --format tiff"),
        (2, "decode m.mcodec -o x --frobnicate"),
        (2, "verify m.mcodec --dep"),
    ]);
    let place = place();
    place.run(&[]).with(2);
}

#[test]
fn exit_code_encode() {
    check(&[
        (0, "encode m.safetensors -o x"),
        (0, "encode m.safetensors -o x --json"),
        (1, "encode none -o x"),
        (1, "encode notes.json --as model -o x"),
        (1, "encode bad.mcodec -o x"),
        (1, "encode m.safetensors -o none/x"),
        (2, "encode m.safetensors"),
        (2, "encode m.safetensors -o taken"),
        (2, "encode m.safetensors -o ."),
        (2, "encode m.safetensors -o . -f"),
        (2, "encode . --as blob -o x"),
        (1, "encode . -o x"),
    ]);
}

#[test]
fn exit_code_decode() {
    check(&[
        (0, "decode m.mcodec -o x"),
        (0, "decode two.mcodec --asset m -o x"),
        (0, "decode two.mcodec -o - --asset other"),
        (1, "decode none -o x"),
        (1, "decode m.safetensors -o x"),
        (1, "decode bad.mcodec -o x"),
        (1, "decode m.mcodec -o x --asset none"),
        (1, "decode m.mcodec -o x.npy --tensor none"),
        (1, "decode m.mcodec -o none/x"),
        (2, "decode m.mcodec"),
        (2, "decode m.mcodec -o taken"),
        (2, "decode m.mcodec -o taken --tensor b.bias --format raw"),
        (2, "decode two.mcodec -o taken"),
        (2, "decode two.mcodec -o -"),
        (2, "decode two.mcodec -o x.npy --tensor b.bias"),
        (2, "decode m.mcodec -o x --tensor b.bias"),
        (2, "decode m.mcodec -o x --format json"),
        (2, "decode m.mcodec -o x --record r --tensor b.bias"),
        (2, "decode m.mcodec -o x.npy --tensor b.bias --rows 9..10"),
        (2, "decode . -o x"),
    ]);
}

#[test]
fn exit_code_info() {
    check(&[
        (0, "info m.mcodec"),
        (0, "info two.mcodec --json"),
        (0, "info bad.mcodec"),
        (1, "info none"),
        (1, "info notes.json"),
        (2, "info"),
        (2, "info ."),
        (2, "info m.mcodec -o taken"),
    ]);
}

#[test]
fn exit_code_verify() {
    check(&[
        (0, "verify m.mcodec"),
        (0, "verify two.mcodec --deep"),
        (1, "verify bad.mcodec"),
        (1, "verify bad.mcodec --deep"),
        (1, "verify bad.mcodec --json"),
        (1, "verify none"),
        (1, "verify notes.json"),
        (2, "verify"),
        (2, "verify ."),
    ]);
}

#[test]
fn exit_code_diff() {
    check(&[
        (0, "diff m.mcodec m.safetensors"),
        (0, "diff two.mcodec two.mcodec"),
        (0, "diff two.mcodec other.safetensors --asset other"),
        (0, "diff notes.json notes.json"),
        (4, "diff m.mcodec other.safetensors"),
        (4, "diff m.mcodec two.mcodec"),
        (4, "diff m.mcodec two.mcodec --json"),
        (4, "diff notes.json taken"),
        (1, "diff m.mcodec none"),
        (1, "diff none m.mcodec"),
        (1, "diff bad.mcodec m.safetensors"),
        (1, "diff m.mcodec m.safetensors --asset none"),
        (2, "diff m.mcodec"),
    ]);
}

#[test]
fn exit_code_recover() {
    check(&[
        (0, "recover m.mcodec -o x"),
        (3, "recover bad.mcodec -o x"),
        (3, "recover bad.mcodec -o - --json"),
        (1, "recover none -o x"),
        (1, "recover notes.json -o x"),
        (1, "recover m.mcodec -o none/x"),
        (2, "recover m.mcodec"),
        (2, "recover m.mcodec -o taken"),
        (2, "recover m.mcodec -o ."),
        (2, "recover . -o x"),
    ]);
}

#[test]
fn exit_code_append() {
    check(&[
        (0, "append m.mcodec other.safetensors -o x"),
        (1, "append none other.safetensors"),
        (1, "append m.mcodec none"),
        (1, "append notes.json other.safetensors"),
        (2, "append m.mcodec"),
        (2, "append m.mcodec m.safetensors"),
        (2, "append two.mcodec m.mcodec"),
        (2, "append m.mcodec other.safetensors -o taken"),
        (2, "append m.mcodec other.safetensors -o -"),
    ]);
}

#[test]
fn exit_code_pack() {
    check(&[
        (0, "pack m.mcodec"),
        (0, "pack two.mcodec -o x"),
        (1, "pack none"),
        (1, "pack notes.json"),
        (1, "pack bad.mcodec"),
        (2, "pack"),
        (2, "pack m.mcodec -o taken"),
        (2, "pack ."),
    ]);
}

#[test]
fn exit_code_attach_and_detach() {
    check(&[
        (0, "attach m.mcodec notes.json --name r -o x"),
        (1, "attach none notes.json --name r"),
        (1, "attach m.mcodec none --name r"),
        (1, "attach notes.json notes.json --name r"),
        (1, "attach m.mcodec notes.json --name r --tensors none"),
        (2, "attach m.mcodec notes.json"),
        (2, "attach m.mcodec m.safetensors --name r"),
        (2, "attach m.mcodec notes.json --name r --for none"),
        (2, "attach two.mcodec notes.json --name r"),
        (2, "attach m.mcodec notes.json --name r -o taken"),
        (1, "detach none --name r"),
        (2, "detach m.mcodec"),
        (2, "detach m.mcodec --name none"),
    ]);
}

#[test]
fn exit_code_of_the_rest() {
    check(&[
        (0, "completion bash"),
        (2, "completion"),
        (2, "completion tcsh"),
        (2, "completion bash -o taken"),
        (0, "man"),
        (2, "man -o taken"),
        (1, "man -o none/x"),
        (2, "bench"),
        (2, "bench models"),
        (1, "bench models none"),
        (2, "bench images none"),
        (2, "bench latents none"),
    ]);
}
