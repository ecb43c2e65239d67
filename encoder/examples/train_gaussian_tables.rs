//! Makes `format-spec/coding/src/gaussians/gaussians.tables`, what coding of Gaussians starts from, from pictures:
//! `cargo run --release -p mcodec-encode --features images --example train_gaussian_tables -- CACHE TABLES FAST IMAGE...`
//!
//! FAST is `fast.tables` beside it, the static tables of fast sets.
//!
//! Fits are kept in the folder CACHE, so that a change of the contexts needs no new ones. Pictures that any benchmark uses must not be among them.

use mcodec_coding::gaussians::mixing::Mixer;
use mcodec_coding::gaussians::{
    Area, CHROMA_FACTOR, Constants, FastEncoder, GaussianSet, Grain, Image, PLAIN_FACTOR, Quantiser, Role,
    SetCoder, Symbols, canonical, static_tables, training, untrained,
};
use mcodec_encode::gaussians::{
    Cloud, FitOptions, Paging, Pricing, RefineOptions, Target, fit, quantise, refine,
};
use mcodec_encode::images::import::read_picture;
use std::ops::ControlFlow;
use std::path::Path;

/// Gaussians for each 100,000 pixels, and steps.
const RATES: [(usize, Constants); 4] = [
    (250, Constants::LOW_RATE),
    (450, Constants::LOW_RATE),
    (900, Constants::LOW_RATE),
    (2400, Constants::HIGH_RATE),
];

/// One fit: the picture's size, and its sets.
struct Fit {
    image: Image,
    width: u32,
    height: u32,
    set: GaussianSet,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cache, tables, fast, images @ ..] = &arguments[..] else { panic!("CACHE TABLES FAST IMAGE...") };
    std::fs::create_dir_all(cache).expect("the folder of fits");
    let mut fits = Vec::new();
    for (number, path) in images.iter().enumerate() {
        for (rate, &(density, constants)) in RATES.iter().enumerate() {
            // The densest fits take long, and have the most to teach.
            if number % [2, 1, 1, 3][rate] != 0 {
                continue;
            }
            let stem = Path::new(path).file_stem().expect("a name").to_string_lossy();
            fits.push(one(
                &Path::new(cache).join(format!("{stem}-{rate}")),
                Path::new(path),
                density,
                constants,
            ));
        }
    }
    let mut mixer = untrained();
    for pass in 0..3 {
        let mut tally = vec![[0u32; 2]; mixer.states.len()];
        let (mut bits, mut gaussians) = (0.0, 0);
        for fit in &fits {
            mixer.tally = Some(tally);
            (mixer, tally) = learn(fit, mixer, &mut bits);
            gaussians += fit.set.symbols.len();
        }
        training::settle(&mut mixer, &tally);
        println!("pass {pass}: {:.2} bits for each of {gaussians} Gaussians", bits / gaussians as f64);
        if pass == 2 {
            let bytes = training::write(&mixer, &tally);
            println!("{} bytes of tables", bytes.len());
            std::fs::write(tables, bytes).expect("the tables");
        }
    }
    let bytes = static_tables::write(&met(&fits));
    println!("{} bytes of static tables", bytes.len());
    std::fs::write(fast, bytes).expect("the static tables");
}

/// How often each symbol of fast sets occurs, in whole images and in pages.
fn met(fits: &[Fit]) -> Vec<Vec<u32>> {
    const PAGE: u32 = 256;
    let mut tally = static_tables::tally();
    let mut count = |fit: &Fit, area: Area, set: &GaussianSet| {
        let Some(set) = canonical(&fit.image, &area, set) else { return };
        let mut coder = FastEncoder::new(&fit.image);
        coder.encode(&area, &set).expect("a sound set");
        coder
            .symbols()
            .iter()
            .for_each(|&(table, symbol)| tally[usize::from(table)][usize::from(symbol)] += 1);
    };
    for fit in fits {
        let grain =
            |grain: Grain| part(fit, |symbols| Grain::of(&fit.image.quantiser, symbols.scales) == grain);
        for kind in [Grain::Coarse, Grain::Fine] {
            count(fit, Area::whole(kind, fit.width, fit.height), &grain(kind));
        }
        let fine = grain(Grain::Fine);
        for y in 0..fit.height.div_ceil(PAGE) {
            for x in 0..fit.width.div_ceil(PAGE) {
                let area = Area::page(Grain::Fine, x, y, PAGE);
                let mut own = GaussianSet::default();
                for (symbols, colours) in fine.symbols.iter().zip(fine.colours.chunks_exact(3)) {
                    if area.cell(&fit.image.quantiser, symbols).is_some() {
                        own.symbols.push(*symbols);
                        own.colours.extend(colours);
                    }
                }
                count(fit, area, &own);
            }
        }
    }
    tally
}

/// Codes a fit as one stream and as pages, and gives back what was learned.
fn learn(fit: &Fit, mut mixer: Mixer, bits: &mut f64) -> (Mixer, Vec<[u32; 2]>) {
    let grain = |grain: Grain| part(fit, |symbols| Grain::of(&fit.image.quantiser, symbols.scales) == grain);
    for kind in [Grain::Coarse, Grain::Fine] {
        let area = Area::whole(kind, fit.width, fit.height);
        let set = canonical(&fit.image, &area, &grain(kind)).expect("within the picture");
        let mut coder = SetCoder::from_mixer(&fit.image, mixer);
        *bits += coder.price(&area, &set).expect("a sound set");
        mixer = coder.into_mixer();
    }
    let tally = mixer.tally.take().expect("a tally");
    (mixer, tally)
}

fn part(fit: &Fit, keep: impl Fn(&Symbols) -> bool) -> GaussianSet {
    let mut set = GaussianSet::default();
    for (symbols, colours) in
        fit.set.symbols.iter().zip(fit.set.colours.chunks_exact(3)).filter(|(symbols, _)| keep(symbols))
    {
        set.symbols.push(*symbols);
        set.colours.extend(colours);
    }
    set
}

fn one(cache: &Path, path: &Path, density: usize, constants: Constants) -> Fit {
    let picture = read_picture(path).expect("a picture").picture;
    assert_eq!(picture.channels.len(), 3, "{}", path.display());
    let (width, height) = (picture.width as usize, picture.height as usize);
    let pixels = width * height;
    let mut planes = picture.planes();
    for plane in planes.chunks_exact_mut(pixels) {
        let mean = plane.iter().map(|&value| f64::from(value)).sum::<f64>() / pixels as f64;
        plane.iter_mut().for_each(|value| *value -= mean as f32);
    }
    let target = Target::new(width, height, planes, None);
    let quantiser = Quantiser::new(constants, &[PLAIN_FACTOR, CHROMA_FACTOR, CHROMA_FACTOR]);
    let image = Image { quantiser, roles: vec![Role::Luma, Role::BlueRed, Role::GreenMagenta] };
    let set = match std::fs::read(cache) {
        Ok(bytes) => from_bytes(&bytes),
        Err(_) => {
            let options = FitOptions { gaussians: density * pixels / 100_000, steps: 400 };
            let fitted = fit(&target, &options, &Cloud::new(3), &mut |_| ControlFlow::Continue(()));
            let mut set = quantise(&fitted.cloud, &image.quantiser);
            let (size, paging) = ([width as u32, height as u32], Paging::Whole);
            let pricing = Pricing { image: &image, size, paging, strength: 1.0 };
            let pricing = Some(&pricing);
            let options = RefineOptions {
                sweeps: 4,
                frozen: 0,
                keep: set.symbols.len(),
                prefixes: &[],
                beneath: &[],
                pricing,
            };
            let refined =
                refine(&target, &image.quantiser, &mut set, &options, &mut |_| ControlFlow::Continue(()));
            println!(
                "{}: {} Gaussians, {:.2} dB",
                path.display(),
                set.symbols.len(),
                target.psnr(refined.after)
            );
            std::fs::write(cache, to_bytes(&set)).expect("a fit");
            set
        }
    };
    Fit { image, width: width as u32, height: height as u32, set }
}

fn to_bytes(set: &GaussianSet) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (symbols, colours) in set.symbols.iter().zip(set.colours.chunks_exact(3)) {
        let words = [symbols.x as i32, symbols.y as i32, colours[0], colours[1], colours[2]];
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes.extend([symbols.scales[0], symbols.scales[1], symbols.angle]);
    }
    bytes
}

fn from_bytes(bytes: &[u8]) -> GaussianSet {
    let mut set = GaussianSet::default();
    for one in bytes.as_chunks::<23>().0 {
        let word = |i: usize| i32::from_le_bytes(one[4 * i..4 * i + 4].try_into().expect("four bytes"));
        set.symbols.push(Symbols {
            x: word(0) as u32,
            y: word(1) as u32,
            scales: [one[20], one[21]],
            angle: one[22],
        });
        set.colours.extend([word(2), word(3), word(4)]);
    }
    set
}
