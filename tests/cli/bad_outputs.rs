//! Outputs that cannot be, or must not be, written.

use crate::small_models::{long, small};
use crate::workplace::Workplace;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn place() -> Workplace {
    let place = Workplace::new();
    place.encoded("m.safetensors", &small(1));
    place.write("m.safetensors", small(1));
    place
}

#[test]
fn an_existing_output_needs_force() {
    let place = place();
    let (model, coded) = (small(1), place.read("m.mcodec"));
    for line in [
        "encode m.safetensors -o taken",
        "decode m.mcodec -o taken",
        "decode m.mcodec -o taken --tensor a.weight --format npy",
        "recover m.mcodec -o taken",
        "pack m.mcodec -o taken",
        "info m.mcodec -o taken",
        "verify m.mcodec -o taken",
        "diff m.mcodec m.safetensors -o taken",
        "completion fish -o taken",
        "man -o taken",
    ] {
        place.write("taken", "before");
        let before = place.everything();
        let mut words: Vec<&str> = line.split(' ').collect();
        place.run(&words).refused(2, &["taken exists", "-f"]);
        assert_eq!((place.everything(), place.read("taken")), (before.clone(), b"before".to_vec()), "{line}");
        words.push("-f");
        place.run(&words).done();
        assert_eq!(place.everything(), before, "{line}");
        assert_ne!(place.read("taken"), b"before", "{line}");
    }
    assert!(place.read("m.safetensors") == model && place.read("m.mcodec") == coded);
}

#[test]
fn an_output_that_is_a_folder_or_in_none_is_refused() {
    let place = place();
    fs::create_dir(place.path("dir")).unwrap();
    let before = place.everything();
    for line in [
        "encode m.safetensors",
        "decode m.mcodec --tensor a.weight --format npy",
        "recover m.mcodec",
        "pack m.mcodec",
        "info m.mcodec",
        "append m.mcodec m.safetensors",
    ] {
        for force in ["", " -f"] {
            let words = |to: &str| format!("{line} -o {to}{force}");
            let run = |to: &str| place.run(&words(to).split(' ').collect::<Vec<_>>());
            let ended = run("dir");
            assert!(ended.code == 2 || line.starts_with("append"), "{line}{force}: {ended:?}");
            assert!([1, 2].contains(&ended.code), "{line}{force}: {ended:?}");
            ended.refused(run("dir").code, &["dir"]);
            run("none/x").refused(1, &["none"]);
            run("/proc/mcodec-cannot-be").refused(1, &["/proc"]);
            assert_eq!(place.everything(), before, "{line}{force}");
        }
    }
}

#[test]
fn the_input_as_output_is_safe() {
    let place = place();
    let coded = place.read("m.mcodec");
    place.run(&["encode", "m.safetensors", "-o", "m.safetensors"]).refused(2, &["exists"]);
    place.run(&["decode", "m.mcodec", "-o", "m.mcodec"]).refused(2, &["exists"]);
    place.run(&["recover", "m.mcodec", "-o", "m.mcodec"]).refused(2, &["exists"]);
    assert!(place.read("m.safetensors") == small(1) && place.read("m.mcodec") == coded);
    // Forced, the new file takes the place of the old one only when it is whole.
    place.run(&["encode", "m.safetensors", "-f", "-o", "m.safetensors"]).done();
    place.run(&["verify", "--deep", "m.safetensors"]).done();
    place.run(&["decode", "m.safetensors", "-f", "-o", "m.safetensors"]).done();
    assert!(place.read("m.safetensors") == small(1));
    place.run(&["recover", "m.mcodec", "-f", "-o", "m.mcodec"]).done();
    assert!(place.read("m.mcodec") == coded);
    place.run(&["encode", "m.mcodec", "-f", "-o", "m.mcodec"]).done();
    place.run(&["decode", "m.mcodec", "-o", "-"]).done();
    place.run(&["pack", "m.mcodec", "-f", "-o", "m.mcodec"]).done();
    place.run(&["verify", "--deep", "m.mcodec"]).done();
    // A failure over itself leaves it.
    let mut bad = coded;
    let at = bad.len() - 20;
    bad[at] ^= 1;
    place.write("bad.mcodec", &bad);
    for line in
        ["encode bad.mcodec -f -o bad.mcodec", "decode bad.mcodec -f -o bad.mcodec", "pack bad.mcodec"]
    {
        place.run(&line.split(' ').collect::<Vec<_>>()).refused(1, &[]);
        assert!(place.read("bad.mcodec") == bad, "{line}");
    }
    assert_eq!(place.everything().len(), 3);
}

#[test]
fn a_link_is_followed_and_stays_a_link() {
    let place = place();
    place.write("real/target", "before");
    std::os::unix::fs::symlink("real/target", place.path("link")).unwrap();
    place.run(&["decode", "m.mcodec", "-o", "link"]).refused(2, &["exists"]);
    place.run(&["decode", "m.mcodec", "-f", "-o", "link"]).done();
    assert!(place.read("real/target") == small(1));
    assert!(place.path("link").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn a_full_device_is_a_failure() {
    let place = Workplace::new();
    place.write("m.safetensors", long(1));
    place.run(&["encode", "m.safetensors", "-o", "m.mcodec"]).done();
    let before = place.everything();
    for line in [
        "mcodec encode m.safetensors -o /dev/full",
        "mcodec encode m.safetensors -o - > /dev/full",
        "mcodec encode - -o - < m.safetensors > /dev/full",
        "mcodec decode m.mcodec -o /dev/full",
        "mcodec decode m.mcodec -o - > /dev/full",
        "mcodec encode m.safetensors -o - | mcodec decode - -o - > /dev/full",
        "mcodec decode m.mcodec -o /dev/full --tensor layers.0.weight --format npy --quiet",
        "mcodec pack m.mcodec -o /dev/full",
        "mcodec recover m.mcodec -o /dev/full",
        "mcodec info m.mcodec > /dev/full",
        "mcodec info m.mcodec --json > /dev/full",
        "mcodec verify m.mcodec > /dev/full",
        "mcodec diff m.mcodec m.safetensors > /dev/full",
        "mcodec man > /dev/full",
        "mcodec completion zsh > /dev/full",
    ] {
        let ended = place.shell(line).with(1);
        assert!(
            ended.err.contains("No space left") && ended.err.starts_with("mcodec: "),
            "{line}: {}",
            ended.err
        );
    }
    assert_eq!(place.everything(), before);
    assert!(fs::metadata("/dev/full").is_ok());
}

#[test]
fn a_disk_that_fills_up_leaves_nothing() {
    // A limit on the size of files is as good as a full disk.
    let place = Workplace::new();
    place.write("m.safetensors", long(4));
    place.run(&["encode", "m.safetensors", "-o", "m.mcodec"]).done();
    place.write("target", "before");
    let (coded, before) = (place.read("m.mcodec"), place.everything());
    for line in [
        "mcodec encode m.safetensors -f -o target",
        "mcodec encode m.safetensors -o fresh",
        "mcodec decode m.mcodec -f -o target",
        "mcodec decode - -o fresh < m.mcodec",
        "mcodec pack m.mcodec -f -o target",
        "mcodec recover m.mcodec -f -o target",
        "mcodec pack m.mcodec",
        "mcodec append m.mcodec m.safetensors -o fresh",
    ] {
        // The signal that comes with it is ignored, so that the write fails as it does on a full disk.
        place.shell(&format!("trap '' XFSZ; ulimit -f 1024; {line}")).refused(1, &["arge"]);
        assert_eq!(place.everything(), before, "{line}");
        assert!(place.read("target") == b"before" && place.read("m.mcodec") == coded, "{line}");
    }
    // An append that fails leaves the file readable, and the next one succeeds.
    let small_target = place.encoded("s.safetensors", &small(1));
    let line = format!("trap '' XFSZ; ulimit -f 1024; mcodec append {small_target} m.safetensors");
    place.shell(&line).with(1);
    assert!(place.run(&["decode", &small_target, "-o", "-"]).done().out == small(1));
    place.run(&["append", &small_target, "m.safetensors"]).done();
    place.run(&["verify", "--deep", &small_target]).done();
}

#[test]
fn a_new_file_has_the_mode_of_any_new_file() {
    let place = place();
    for script in [
        "mcodec encode m.safetensors -o x",
        "mcodec decode m.mcodec -o x",
        "mcodec recover m.mcodec -o x",
        "mcodec info m.mcodec -o x",
    ] {
        place.shell(&format!("umask 022; rm -f x; {script}")).done();
        assert_eq!(fs::metadata(place.path("x")).unwrap().permissions().mode() & 0o777, 0o644, "{script}");
    }
}
