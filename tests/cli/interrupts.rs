//! Ctrl-C: the command stops soon, with exit code 1, and leaves no trace.

use crate::small_models::{lay_out, long, small};
use crate::workplace::{Ended, Workplace, end};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn signal(child: &Child, name: &str) {
    let done = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap();
    assert!(done.success(), "the command ended before the signal");
}

/// Runs a command that is given no end to its input, or enough work, and interrupts it after `wait`.
fn interrupted(place: &Workplace, line: &str, wait: Duration) -> Ended {
    let args: Vec<&str> = line.split(' ').collect();
    let child = place.command(&args).stdin(Stdio::piped()).spawn().unwrap();
    sleep(wait);
    signal(&child, "INT");
    let sent = Instant::now();
    let ended = end(line.into(), child);
    assert!(sent.elapsed() < Duration::from_secs(5), "{line} went on for {:?}", sent.elapsed());
    ended
}

/// How long a command takes when it is left alone; what it makes is removed.
fn time(place: &Workplace, line: &str) -> Duration {
    let before = place.everything();
    let start = Instant::now();
    place.run(&line.split(' ').collect::<Vec<_>>()).done();
    let time = start.elapsed();
    place.everything().difference(&before).for_each(|new| fs::remove_file(place.path(new)).unwrap());
    time
}

#[test]
fn an_interrupted_command_leaves_no_trace() {
    let place = Workplace::new();
    place.write("long.safetensors", long(40));
    place.run(&["encode", "long.safetensors", "-e1", "-o", "long.mcodec"]).done();
    place.write("target", "before");
    lay_out(&place, "folder", &[("model.safetensors", small(1))]);
    let coded = place.read("long.mcodec");
    let before = place.everything();
    for line in [
        "encode long.safetensors -o fresh -T1",
        "encode long.safetensors -o target -f -T1",
        "encode long.mcodec -o target -f -T1",
        "decode long.mcodec -o fresh -T1",
        "decode long.mcodec -o target -f -T1",
        "decode long.mcodec -o fresh.safetensors --tensor layers.* -T1",
        "verify long.mcodec --deep -T1",
        "diff long.mcodec long.safetensors -T1",
        "pack long.mcodec -o target -f",
        "recover long.mcodec -o target -f",
    ] {
        let took = time(&place, &line.replace("target -f", "fresh"));
        // Too late, and the command is done: then earlier.
        let caught = (2..12u32).any(|part| {
            let ended = interrupted(&place, line, took / part);
            if ended.code == 0 {
                place.write("target", "before");
                place.shell("rm -f fresh fresh.safetensors").done();
                return false;
            }
            assert_eq!((ended.code, ended.err.as_str()), (1, "mcodec: interrupted\n"), "{line}");
            true
        });
        assert!(caught, "{line} takes {took:?} and was never caught");
        assert_eq!(place.everything(), before, "{line}");
        assert!(place.read("target") == b"before" && place.read("long.mcodec") == coded, "{line}");
    }
}

/// Interrupts an append as soon as it has written something.
fn interrupted_append(place: &Workplace, target: &str) {
    let before = place.read(target).len() as u64;
    let child = place.command(&["append", target, "long.safetensors", "-T1"]).spawn().unwrap();
    while fs::metadata(place.path(target)).unwrap().len() == before {
        sleep(Duration::from_millis(1));
    }
    signal(&child, "INT");
    end("append".into(), child).refused(1, &["interrupted"]);
}

#[test]
fn an_interrupted_append_leaves_the_file_readable() {
    let place = Workplace::new();
    place.write("long.safetensors", long(64));
    let target = place.encoded("m.safetensors", &small(1));
    interrupted_append(&place, &target);
    assert!(place.run(&["decode", &target, "-o", "-"]).done().out == small(1));
    place.run(&["append", &target, "long.safetensors"]).done();
    place.run(&["verify", "--deep", &target]).done();
}

#[test]
fn an_interrupted_or_failed_append_leaves_no_partial_output() {
    let place = Workplace::new();
    place.write("long.safetensors", long(64));
    let target = place.encoded("m.safetensors", &small(1));
    let before = place.read(&target);
    interrupted_append(&place, &target);
    assert!(place.read(&target) == before);
    let limited = format!("trap '' XFSZ; ulimit -f 1024; mcodec append {target} long.safetensors");
    place.shell(&limited).refused(1, &[]);
    assert!(place.read(&target) == before);
}

#[test]
fn waiting_for_input_is_interrupted_too() {
    let place = Workplace::new();
    place.write("target", "before");
    let before = place.everything();
    let stream = {
        place.write("m.safetensors", small(1));
        let stream = place.run(&["encode", "m.safetensors", "-o", "-"]).done().out;
        fs::remove_file(place.path("m.safetensors")).unwrap();
        stream
    };
    for (line, head) in [
        ("encode - -o target -f", &small(1)[..small(1).len() - 9]),
        ("encode - -o fresh", &[][..]),
        ("encode - -o fresh --as blob", b"some bytes"),
        ("decode - -o target -f", &stream[..stream.len() - 9]),
        ("decode - -o fresh", &[]),
        ("info -", &stream[..100]),
        ("verify -", &stream[..100]),
    ] {
        use std::io::Write;
        let args: Vec<&str> = line.split(' ').collect();
        let mut child = place.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(head).unwrap();
        sleep(Duration::from_millis(150));
        signal(&child, "INT");
        sleep(Duration::from_millis(300));
        // Whoever waits may need a second one: that must not leave anything behind, either.
        let twice = child.try_wait().unwrap().is_none();
        if twice {
            signal(&child, "INT");
        }
        let ended = end(line.into(), child);
        drop(pipe);
        assert_eq!(ended.code, 1, "{line}: {}", ended.err);
        assert_eq!(place.read("target"), b"before", "{line}");
        assert_eq!(place.everything(), before, "{line} (interrupted {} times)", 1 + u8::from(twice));
    }
}

/// A picture whose fit takes a while: what there is when it is interrupted is kept if that is wished.
#[test]
fn an_interrupted_fit_is_kept_if_that_is_wished() {
    let place = Workplace::new();
    let mut hdr = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 400 +X 600\n".to_vec();
    for i in 0..600 * 400u32 {
        let (x, y) = (i % 600, i / 600);
        hdr.extend([(x * y / 941) as u8 | 16, 20 + (x / 3) as u8, (y / 2) as u8, 128]);
    }
    place.write("p.hdr", hdr);
    let line = "encode p.hdr -o p.mcodec -e9 --gaussians 4000";
    let ended = interrupted(&place, line, Duration::from_secs(2)).with(1);
    assert!(ended.out.is_empty() && !place.path("p.mcodec").exists());
    interrupted(&place, &format!("{line} --on-interrupt save"), Duration::from_secs(2)).done();
    place.run(&["verify", "--deep", "p.mcodec"]).done();
    place.run(&["decode", "p.mcodec", "-o", "p.exr"]).done();
}
