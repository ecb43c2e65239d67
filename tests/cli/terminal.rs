//! What is different on a terminal. `script` plays one; where it is missing, there is nothing to see.

use crate::small_models::{long, small};
use crate::workplace::{Ended, Workplace};

/// Runs a line on a terminal: what it shows, and its exit code.
fn on_terminal(place: &Workplace, line: &str) -> Option<Ended> {
    let found = place.shell("command -v script").code == 0;
    found.then(|| place.shell(&format!("script -qec {line:?} /dev/null < /dev/null")))
}

#[test]
fn binary_data_is_not_written_to_a_terminal() {
    let place = Workplace::new();
    let file = place.encoded("m.safetensors", &small(1));
    place.write("m.safetensors", small(1));
    for line in [format!("mcodec decode {file} -o -"), "mcodec encode m.safetensors -o -".into()] {
        let Some(ended) = on_terminal(&place, &line) else { return };
        let ended = ended.with(2);
        assert!(ended.text().contains("terminal"), "{}", ended.text());
    }
    let ended = on_terminal(&place, &format!("mcodec info {file}")).unwrap().done();
    assert!(ended.text().contains("2 tensors"));
}

#[test]
fn fits_tell_how_good_they_are() {
    let place = Workplace::new();
    // A picture of 96 x 64 floats: a slope with a disc.
    let pixel = |i: usize| {
        let (x, y) = ((i % 96) as f32, (i / 96) as f32);
        if (x - 40.0).hypot(y - 30.0) < 18.0 { 0.9 } else { (x + y) / 200.0 }
    };
    let mut hdr = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 64 +X 96\n".to_vec();
    (0..96 * 64).for_each(|i| hdr.extend([(pixel(i) * 255.0) as u8, 90, 60, 128]));
    place.write("p.hdr", hdr);
    let line = "mcodec encode p.hdr -f -T1 -o p.mcodec --gaussians 200 -e9";
    let Some(shown) = on_terminal(&place, line) else { return };
    let shown = shown.done().text().to_owned();
    assert!(shown.contains(" dB ") && shown.contains("step ") && !shown.contains("MiB/s"), "{shown:?}");
}

#[test]
fn progress_is_shown_on_a_terminal_unless_it_is_not_wanted() {
    let place = Workplace::new();
    place.write("long.safetensors", long(64));
    let encode = |flags: &str| {
        let line = format!("mcodec encode long.safetensors -f -T1 -o long.mcodec {flags}");
        Some(on_terminal(&place, &line)?.done().text().to_owned())
    };
    let Some(shown) = encode("") else { return };
    assert!(shown.contains("MiB/s") && shown.contains("64.0"), "{shown:?}");
    for flags in ["--no-progress", "--quiet"] {
        let shown = encode(flags).unwrap();
        assert!(!shown.contains("MiB/s") && !shown.contains('\u{1b}'), "{flags}: {shown:?}");
    }
}
