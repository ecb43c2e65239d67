//! Pictures: what is typed for one, a folder of them, a stack; and what comes back.

use crate::workplace::Workplace;

/// A PNG of `width` x `height` pixels, by hand: no filter, stored blocks. `channels` is 1, 3 or 4.
fn png(width: u32, height: u32, channels: u8, value: impl Fn(u32, u32, u8) -> u8) -> Vec<u8> {
    let mut raw = Vec::new();
    for y in 0..height {
        raw.push(0);
        for x in 0..width {
            raw.extend((0..channels).map(|c| value(x, y, c)));
        }
    }
    let mut zlib = vec![0x78, 0x01];
    let mut blocks = raw.chunks(65535).peekable();
    while let Some(block) = blocks.next() {
        zlib.push(u8::from(blocks.peek().is_none()));
        let len = block.len() as u16;
        zlib.extend(len.to_le_bytes());
        zlib.extend((!len).to_le_bytes());
        zlib.extend(block);
    }
    let (a, b) = raw.iter().fold((1u32, 0u32), |(a, b), &byte| {
        ((a + u32::from(byte)) % 65521, (b + a + u32::from(byte)) % 65521)
    });
    zlib.extend((b << 16 | a).to_be_bytes());
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        out.extend((data.len() as u32).to_be_bytes());
        let body = [&kind[..], data].concat();
        out.extend(&body);
        out.extend(crc(&body).to_be_bytes());
    };
    let colour = match channels {
        1 => 0,
        3 => 2,
        _ => 6,
    };
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, colour, 0, 0, 0]].concat());
    chunk(b"IDAT", &zlib);
    chunk(b"IEND", &[]);
    out
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    })
}

fn smooth(x: u32, y: u32, c: u8) -> u8 {
    (128.0 + 90.0 * (f64::from(x) * 0.05 + f64::from(c)).sin() * (f64::from(y) * 0.07).cos()) as u8
}

/// The samples of a `.npy` of f32 that mcodec wrote.
fn samples(npy: &[u8]) -> Vec<f32> {
    let head = 10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    npy[head..].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[test]
fn a_picture_goes_in_and_comes_out_in_whatever_form_is_asked_for() {
    let place = Workplace::new();
    place.write("p.png", png(96, 64, 3, smooth));
    let report =
        place.run(&["encode", "p.png", "-o", "p.mcodec", "--bpp", "1", "-e", "3", "--json"]).done().json();
    assert_eq!((&report["image"]["width"], &report["image"]["height"]), (&96.into(), &64.into()));
    assert!(report["output_bytes"].as_u64().unwrap() * 8 <= 96 * 64);
    place.run(&["verify", "--deep", "p.mcodec"]).done();
    for name in ["p.out.png", "p.exr", "p.jpg", "p.webp", "p.npy"] {
        place.run(&["decode", "p.mcodec", "-o", name]).done();
    }
    let whole = samples(&place.read("p.npy"));
    assert_eq!(whole.len(), 96 * 64 * 3);
    let error: f64 = whole
        .iter()
        .enumerate()
        .map(|(i, v)| {
            let (pixel, c) = ((i / 3) as u32, (i % 3) as u8);
            (f64::from(*v) - f64::from(smooth(pixel % 96, pixel / 96, c)) / 255.0).powi(2)
        })
        .sum();
    assert!(error / (whole.len() as f64) < 1e-3, "{error}");
    place.run(&["decode", "p.mcodec", "-o", "r.npy", "--region", "10,20,30,5", "--scale", "2"]).done();
    assert_eq!(samples(&place.read("r.npy")).len(), 60 * 10 * 3);
    let info = place.run(&["info", "p.mcodec", "--ledger"]).done().out;
    let info = String::from_utf8(info).unwrap();
    assert!(info.contains("96 x 64 pixels") && info.contains("Gaussians"), "{info}");
    // Through pipes, and coded anew.
    let stream = place
        .feed(&["encode", "-", "-o", "-", "--gaussians", "20", "-e1"], &png(32, 32, 1, smooth))
        .done()
        .out;
    let back = place.feed(&["decode", "-", "-o", "-"], &stream).done().out;
    assert!(back.starts_with(b"\x89PNG"));
    place.run(&["encode", "p.mcodec", "-o", "again.mcodec"]).done();
    assert!(place.read("again.mcodec") == place.read("p.mcodec"));
}

#[test]
fn a_picture_repeats_and_is_coded_as_is_asked_for() {
    let place = Workplace::new();
    place.write("p.png", png(64, 48, 3, smooth));
    let wrap = ["--wrap", "repeat,clamp", "--profile", "fast", "--gaussians", "40", "-e1"];
    place.run(&[&["encode", "p.png", "-o", "p.mcodec"][..], &wrap].concat()).done();
    let info = String::from_utf8(place.run(&["info", "p.mcodec"]).done().out).unwrap();
    assert!(info.contains("repeats along x") && info.contains("gaussians-fast"), "{info}");
    // Coded anew it stays what it is.
    place.run(&["encode", "p.mcodec", "-o", "again.mcodec"]).done();
    assert!(place.read("again.mcodec") == place.read("p.mcodec"));
    place
        .run(&["encode", "p.png", "-o", "q.mcodec", "--wrap", "repeat,clamp,repeat"])
        .refused(2, &["--wrap"]);
    let pages = String::from_utf8(place.run(&["bench", "pages", "p.mcodec"]).done().out).unwrap();
    assert!(
        pages.contains("| p | gaussians-fast | whole | ") && pages.contains("(+0.0%) | 0.0% | "),
        "{pages}"
    );
}

#[test]
fn a_folder_is_a_pack_and_several_pictures_are_a_stack() {
    let place = Workplace::new();
    place.write("pack/wall/base.png", png(40, 40, 3, smooth));
    place.write(
        "pack/leaf.png",
        png(32, 24, 4, |x, y, c| if c == 3 { (x * 8) as u8 } else { smooth(x, y, c) }),
    );
    place.run(&["encode", "pack", "-o", "pack.mcodec", "--gaussians", "20", "-e1"]).done();
    let info = String::from_utf8(place.run(&["info", "pack.mcodec"]).done().out).unwrap();
    assert_eq!(info.matches("level 2: ").count(), 2, "pictures of packs have three levels: {info}");
    place.run(&["decode", "pack.mcodec", "-o", "all/"]).done();
    assert!(
        place.read("all/wall/base.png").starts_with(b"\x89PNG")
            && place.read("all/leaf.png").starts_with(b"\x89PNG")
    );
    place.run(&["decode", "pack.mcodec", "--asset", "wall/base", "-o", "one.png"]).done();
    assert!(place.read("one.png") == place.read("all/wall/base.png"));
    place.write("more.png", png(16, 16, 3, smooth));
    place.run(&["append", "pack.mcodec", "more.png", "-e1"]).done();
    place.run(&["verify", "--deep", "pack.mcodec"]).done();
    place.write("s/base.png", png(40, 40, 3, smooth));
    place.write("s/height.png", png(40, 40, 1, |x, _, _| (x * 5) as u8));
    place
        .run(&[
            "encode",
            "s/base.png",
            "s/height.png",
            "--stack",
            "-o",
            "s.mcodec",
            "--gaussians",
            "40",
            "-e1",
        ])
        .done();
    place.run(&["decode", "s.mcodec", "--channels", "height", "-o", "height.png"]).done();
    place.run(&["decode", "s.mcodec", "-o", "stack/"]).done();
    assert!(place.read("stack/s/height.png") == place.read("height.png"));
    place.run(&["decode", "s.mcodec", "-o", "two.png"]).refused(2, &["base", "height"]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let place = Workplace::new();
    place.write("p.png", png(16, 16, 3, smooth));
    place.write("q.png", png(16, 17, 3, smooth));
    place.write("broken.png", b"\x89PNG\r\n\x1a\nxxxxxxxxxxxxxxxxxxxx");
    let says = |arguments: &[&str], code: i32, text: &str| {
        place.run(arguments).refused(code, &[text]);
    };
    says(&["encode", "broken.png", "-o", "x.mcodec"], 1, "broken.png");
    says(&["encode", "p.png", "-o", "x.mcodec", "--bpp", "0.5"], 2, "too small");
    says(&["encode", "p.png", "q.png", "-o", "x.mcodec"], 2, "--stack");
    says(&["encode", "p.png", "q.png", "--stack", "-o", "x.mcodec"], 2, "q.png");
    says(&["encode", "p.png", "-o", "x.mcodec", "--page", "12"], 2, "multiple of 8");
    place.run(&["encode", "p.png", "-o", "x.mcodec", "--bpp", "1", "--psnr", "30"]).with(2);
    place.run(&["encode", "p.png", "-o", "p.mcodec", "--gaussians", "5", "-e1"]).done();
    says(&["decode", "p.mcodec", "-o", "x.png", "--region", "10,10,10,10"], 2, "16 x 16");
    says(&["decode", "p.mcodec", "-o", "x.png", "--level", "1"], 2, "level");
    place.run(&["decode", "p.mcodec", "-o", "x.png", "--region", "1,2,3"]).with(2);
    says(&["decode", "p.mcodec", "-o", "x.png", "--tensor", "w"], 2, "is an image");
    place.run(&["encode", "p.png", "-o", "blob.mcodec", "--as", "blob"]).done();
    says(&["decode", "blob.mcodec", "-o", "x.png", "--scale", "2"], 2, "images");
    assert!(!place.has("x.mcodec") && !place.has("x.png"));
}

#[test]
fn pictures_are_compared_by_what_is_seen() {
    let place = Workplace::new();
    place.write("p.png", png(200, 190, 3, smooth));
    place.write("opaque.png", png(200, 190, 4, |x, y, c| if c == 3 { 255 } else { smooth(x, y, c) }));
    place.write("other.png", png(200, 190, 3, |x, y, c| smooth(x, y, c) ^ u8::from(x == 7)));
    place.write("small.png", png(8, 8, 3, smooth));
    place.run(&["diff", "p.png", "p.png"]).done();
    place.run(&["diff", "p.png", "opaque.png"]).done();
    let report = place.run(&["diff", "p.png", "other.png", "--json", "--heatmap", "h.png"]).with(4).json();
    assert!(
        report["psnr"].as_f64().unwrap() > 60.0 && report["ms_ssim"].as_f64().unwrap() > 0.99,
        "{report}"
    );
    assert!(place.read("h.png").starts_with(b"\x89PNG"));
    place.run(&["encode", "p.png", "-o", "p.mcodec", "--bpp", "0.5", "-e1"]).done();
    let told = place.run(&["diff", "p.png", "p.mcodec"]).with(4);
    assert!(told.text().contains("PSNR") && told.text().contains("blue"), "{}", told.text());
    place.run(&["diff", "p.png", "small.png"]).refused(2, &["8 x 8"]);
}

/// The number at a place of a KTX2 file's header.
fn header(ktx2: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(ktx2[at..at + 4].try_into().unwrap())
}

#[test]
fn textures_come_out_with_mip_levels_and_go_in_again() {
    let place = Workplace::new();
    place.write("wall.png", png(50, 34, 3, smooth));
    place.write("wall_normal.png", png(50, 34, 3, |x, y, c| if c == 2 { 230 } else { smooth(y, x, c) }));
    place.run(&["encode", "wall.png", "-o", "wall.mcodec", "--bpp", "4", "-e2"]).done();
    place.run(&["decode", "wall.mcodec", "-o", "wall.out.png"]).done();
    for (form, vulkan) in [("bc7", 146), ("bc1", 132), ("rgba8", 43), ("f16", 97), ("bc6h", 143)] {
        let name = format!("{form}.ktx2");
        place.run(&["decode", "wall.mcodec", "-o", &name, "--format", form]).done();
        let texture = place.read(&name);
        let numbers = [12, 20, 24, 40].map(|at| header(&texture, at));
        assert_eq!(numbers, [vulkan, 50, 34, 6], "{form}");
    }
    for form in ["bc7", "rgba8"] {
        let (name, again) = (format!("{form}.ktx2"), format!("{form}.png"));
        place.run(&["encode", &name, "-o", "again.mcodec", "--bpp", "8", "-e2", "-f"]).done();
        place.run(&["decode", "again.mcodec", "-o", &again]).done();
        let report = place.run(&["diff", "wall.out.png", &again, "--json"]).with(4).json();
        assert!(report["psnr"].as_f64().unwrap() > 38.0, "{form}: {report}");
    }
    // A stack is an array; what its names say of the channels is known.
    let stack = ["encode", "wall.png", "wall_normal.png", "--stack", "-o", "s.mcodec", "--gaussians", "60"];
    place.run(&[&stack[..], &["-e1"]].concat()).done();
    let info = place.run(&["info", "s.mcodec"]).done();
    assert!(info.text().contains("x, y, z, linear"), "{}", info.text());
    place.run(&["decode", "s.mcodec", "-o", "s.ktx2"]).done();
    assert_eq!([12, 32].map(|at| header(&place.read("s.ktx2"), at)), [145, 2]);
    place.run(&["encode", "s.ktx2", "-o", "x.mcodec"]).refused(1, &["s.ktx2", "2 layers"]);
    place.run(&["decode", "s.mcodec", "-o", "n.ktx2", "--channels", "wall_normal", "--format", "bc5"]).done();
    assert_eq!([12, 32].map(|at| header(&place.read("n.ktx2"), at)), [141, 0]);
    // A pack is a folder of textures.
    place.run(&["merge", "wall.mcodec", "s.mcodec", "-o", "pack.mcodec"]).done();
    place.run(&["decode", "pack.mcodec", "-o", "all/", "--format", "bc7"]).done();
    assert!(place.has("all/wall.ktx2") && place.has("all/s.ktx2"));
    place.run(&["decode", "s.mcodec", "-o", "x.ktx2", "--format", "png"]).refused(2, &["KTX2"]);
}

#[cfg(feature = "gpu")]
#[test]
fn a_gpu_makes_and_draws_them() {
    let place = Workplace::new();
    place.write("a.png", png(64, 48, 3, smooth));
    let ended = place.run(&["encode", "a.png", "-o", "a", "--gaussians", "60", "-e1", "--gpu", "on"]);
    if ended.code == 1 && ended.err.contains("no GPU") {
        assert!(std::env::var_os("MCODEC_REQUIRE_GPU").is_none(), "{ended:?}");
        eprintln!("SKIPPED: no GPU made anything: {}", ended.err);
        return;
    }
    assert!(ended.done().err.contains("used "));
    assert!(place.run(&["decode", "a", "-o", "on.npy", "--gpu", "on"]).done().err.contains("drawing on "));
    place.run(&["decode", "a", "-o", "off.npy", "--gpu", "off"]).done();
    let (on, off) = (samples(&place.read("on.npy")), samples(&place.read("off.npy")));
    assert_eq!((on.len(), off.len()), (64 * 48 * 3, 64 * 48 * 3));
    assert!(on.iter().zip(&off).all(|(a, b)| (a - b).abs() < 1.0 / 255.0));
    place.run(&["encode", "a.png", "-o", "b", "--gaussians", "60", "-e1", "--gpu", "on"]).done();
    assert!(place.read("a") == place.read("b"), "the same file each time");
}
