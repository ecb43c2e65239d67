//! Images of hand-made Gaussians: sound files.

use crate::hand::{Draft, Shell, model, row};
use crate::vector::Vector;
use mcodec_coding::gaussians::{GaussianSet, Image, Symbols};
use mcodec_decode::images::{ImageHasher, coded_image};
use mcodec_encode::images::{CodedLayer, Profile, code_layer};
use mcodec_format::registry::{asset, asset_field, entry};
use mcodec_format::{ChannelGroup, Depth, GroupKind, ImageDescriptor, Layout, Transfer};
use mcodec_tests::inputs::Noise;
use std::fs;
use std::path::Path;

pub fn all() -> Vec<Vector> {
    vec![
        one_stream(),
        pages(),
        two_layers(),
        alpha(),
        data(),
        written_out(),
        empty_sets(),
        escapes(),
        crowd(),
        shapes(),
        described(),
        long_field(),
        fast(),
        fast_layers(),
    ]
}

/// A Gaussian in pixels, half turns and values of planes.
#[derive(Debug, Clone)]
pub struct Blob {
    pub centre: [f32; 2],
    pub sigma: [f32; 2],
    pub angle: f32,
    pub colour: Vec<f32>,
}

pub fn group(kind: GroupKind) -> ChannelGroup {
    ChannelGroup::of(kind)
}

/// An image of preset 0 whose means are zero.
pub fn image(width: u32, height: u32, groups: &[ChannelGroup]) -> ImageDescriptor {
    let planes = groups.iter().map(ChannelGroup::channel_count).sum();
    let (gains, means) = (vec![0; planes], vec![0; planes]);
    let constants = [80, 42, 80, 60, 75];
    ImageDescriptor { width, height, wraps: [false; 2], groups: groups.to_vec(), constants, gains, means }
}

/// The nearest that the quantiser has to these.
pub fn quantised(coded: &Image, blobs: &[Blob]) -> GaussianSet {
    let quantiser = &coded.quantiser;
    let mut set = GaussianSet::default();
    for blob in blobs {
        let far = |level: u8, sigma: f32| (quantiser.sigma(level) - sigma).abs();
        let nearest = |sigma: f32| {
            (0..quantiser.levels() as u8).min_by(|&a, &b| far(a, sigma).total_cmp(&far(b, sigma)))
        };
        let mut scales = blob.sigma.map(|sigma| nearest(sigma).expect("there are levels"));
        scales.sort_by(|a, b| b.cmp(a));
        let step = quantiser.position_step(scales);
        let [x, y] = blob.centre.map(|at| (at / step) as u32);
        let angles = 1u32 << quantiser.angle_bits(scales);
        let turn = (blob.angle * angles as f32).round() as i32;
        let angle = turn.rem_euclid(angles as i32) as u8;
        set.symbols.push(Symbols { x, y, scales, angle });
        for (plane, value) in blob.colour.iter().enumerate() {
            set.colours.push((value / quantiser.colour_step(scales, plane)).round() as i32);
        }
    }
    set
}

/// Codes an image's layers: of each the Gaussians, and the side of its pages.
pub fn layers(image: &ImageDescriptor, all: &[(Vec<Blob>, Option<u32>)]) -> Vec<CodedLayer> {
    layers_as(Profile::Dense, image, all)
}

/// The same, coded as this profile has it.
pub fn layers_as(
    profile: Profile,
    image: &ImageDescriptor,
    all: &[(Vec<Blob>, Option<u32>)],
) -> Vec<CodedLayer> {
    let coded = coded_image(image).expect("constants make steps");
    let mut made = Vec::new();
    for (blobs, page) in all {
        let layer = code_layer(&coded, image, &quantised(&coded, blobs), (*page, profile), &made);
        made.push(layer.expect("the layer is coded"));
    }
    made
}

/// A file of one image with these layers.
pub fn draft(image: &ImageDescriptor, layers: &[CodedLayer]) -> Draft {
    let mut hasher = ImageHasher::new(image);
    let mut asset = mcodec_format::Asset { kind: asset::IMAGE, ..model(0, "picture") };
    asset.fields.set(asset_field::IMAGE, true, image.to_bytes());
    for layer in layers {
        hasher.layer(&layer.descriptor);
        layer.sets.iter().flatten().for_each(|set| hasher.set(set));
    }
    asset.hash = hasher.finish();
    let mut draft = Draft::of(vec![asset]);
    for (id, layer) in (0u32..).zip(layers) {
        let row = row(id, entry::LAYER, &id.to_string(), layer.descriptor.to_fields());
        draft.add((row, layer.payloads.clone()));
    }
    draft
}

fn file(image: &ImageDescriptor, all: &[(Vec<Blob>, Option<u32>)]) -> Vec<u8> {
    draft(image, &layers(image, all)).finished(&Shell::default())
}

/// Noise as fractions, without functions that differ from machine to machine.
struct Dice(Noise);

impl Dice {
    fn below(&mut self, most: f32) -> f32 {
        (self.0.word() >> 40) as f32 / (1 << 24) as f32 * most
    }

    /// Between both, more often near the lesser.
    fn scale(&mut self, from: f32, to: f32) -> f32 {
        let part = self.below(1.0);
        from + (to - from) * part * part * part
    }
}

/// `n` Gaussians anywhere in an image, with standard deviations between both, of colours that change slowly.
fn scattered(image: &ImageDescriptor, n: usize, sigma: [f32; 2], seed: u64) -> Vec<Blob> {
    let mut dice = Dice(Noise(seed));
    let planes = image.channel_count();
    let one = |_| {
        let centre = [dice.below(image.width as f32), dice.below(image.height as f32)];
        let sigma = [dice.scale(sigma[0], sigma[1]), dice.scale(sigma[0], sigma[1])];
        let along = (centre[0] * 0.03 % 2.0 - 1.0).abs() * 0.6 - 0.3;
        let colour = (0..planes).map(|plane| along / (1 + plane) as f32 + 0.4 + dice.below(0.2)).collect();
        Blob { centre, sigma, angle: 0.006 * centre[1] + dice.below(0.1), colour }
    };
    (0..n).map(one).collect()
}

fn one_stream() -> Vector {
    let image = image(62, 47, &[group(GroupKind::Grey)]);
    let mut blobs = scattered(&image, 40, [0.5, 12.0], 1);
    blobs.extend(scattered(&image, 3, [21.0, 80.0], 2));
    Vector::sound(
        "image_stream",
        "a grey image of one layer in one chunk: large and small Gaussians",
        file(&image, &[(blobs, None)]),
    )
}

fn pages() -> Vector {
    let mut image = image(90, 75, &[group(GroupKind::Colour)]);
    image.constants = [60, 30, 60, 36, 75];
    let mut blobs = scattered(&image, 60, [0.5, 15.0], 3);
    // The last page is left empty, and one Gaussian lies in its page's last column of cells.
    blobs.retain(|blob| blob.centre[0] < 64.0 || blob.centre[1] < 64.0);
    blobs.push(Blob { centre: [63.9, 31.9], sigma: [1.0, 3.0], angle: 0.3, colour: vec![0.5, 0.1, -0.1] });
    blobs.extend(scattered(&image, 4, [21.0, 100.0], 4));
    Vector::sound(
        "image_pages",
        "a colour image in pages of 32 pixels, of which some reach into others, after a chunk of large Gaussians",
        file(&image, &[(blobs, Some(32))]),
    )
}

fn two_layers() -> Vector {
    let image = image(48, 64, &[group(GroupKind::Colour)]);
    let coarse = scattered(&image, 12, [4.0, 40.0], 5);
    let fine = scattered(&image, 40, [0.6, 6.0], 6);
    Vector::sound(
        "image_layers",
        "three layers: of one chunk, of pages of 24 pixels, of one page that is larger than the image",
        file(&image, &[(coarse, None), (fine[..30].to_vec(), Some(24)), (fine[30..].to_vec(), Some(4096))]),
    )
}

fn fast() -> Vector {
    let image = image(90, 75, &[group(GroupKind::ColourAlpha)]);
    let mut blobs = scattered(&image, 70, [0.5, 15.0], 31);
    // The last page is left empty; some colours are far from what is around them, and many lie in one cell.
    blobs.retain(|blob| blob.centre[0] < 64.0 || blob.centre[1] < 64.0);
    blobs.extend(scattered(&image, 4, [21.0, 100.0], 32));
    blobs.iter_mut().step_by(9).for_each(|blob| blob.colour[1] = -2.5);
    let crowd = scattered(&image, 30, [0.5, 4.0], 33);
    blobs.extend(crowd.into_iter().map(|blob| Blob { centre: [10.3, 12.9], ..blob }));
    let layers = layers_as(Profile::Fast, &image, &[(blobs, Some(32))]);
    Vector::sound(
        "image_fast",
        "colour with alpha in pages of 32 pixels under static tables, with escapes and an empty page",
        draft(&image, &layers).finished(&Shell::default()),
    )
}

fn fast_layers() -> Vector {
    let image = image(48, 64, &[group(GroupKind::Grey)]);
    let coarse = scattered(&image, 12, [4.0, 40.0], 34);
    let fine = scattered(&image, 40, [0.6, 6.0], 35);
    let layers = layers_as(Profile::Fast, &image, &[(coarse, None), (fine, Some(24))]);
    Vector::sound(
        "image_fast_layers",
        "two layers under static tables: one chunk, then pages of 24 pixels over it",
        draft(&image, &layers).finished(&Shell::default()),
    )
}

fn alpha() -> Vector {
    let mut image = image(40, 40, &[group(GroupKind::ColourAlpha), group(GroupKind::GreyAlpha)]);
    image.wraps = [true, false];
    image.groups[0].name = "front".into();
    image.groups[1].transfer = Transfer::Linear;
    image.groups[1].depth = Depth::Unorm16;
    image.means = vec![3563, -120, 164, 3300, 2048, 0];
    Vector::sound(
        "image_alpha",
        "colour with alpha, grey with alpha of 16 bits; one of the two has a name; repeats along x",
        file(&image, &[(scattered(&image, 30, [0.8, 25.0], 7), None)]),
    )
}

fn data() -> Vector {
    let floats = ChannelGroup {
        transfer: Transfer::Log2,
        depth: Depth::Float,
        name: "light".into(),
        bounds: [-12.5, 7.25],
        ..group(GroupKind::Colour)
    };
    let normals = ChannelGroup {
        transfer: Transfer::Linear,
        depth: Depth::Float,
        name: "normals".into(),
        channels: vec!["x".into(), "y".into(), String::new()],
        bounds: [-1.0, 1.0],
        ..group(GroupKind::Data)
    };
    let rest = ChannelGroup { channels: vec!["ö".into(); 10], ..group(GroupKind::Data) };
    let mut image = image(33, 50, &[floats, normals, rest]);
    image.wraps = [false, true];
    image.means[15] = 8 << 12;
    image.means[14] = -8 << 12;
    (image.means[0], image.means[1]) = (8 << 18, -8 << 18);
    image.gains = (0..16).map(|plane| 4 * plane - 30).collect();
    (image.gains[0], image.gains[15]) = (-63, 63);
    Vector::sound(
        "image_data",
        "16 channels in three groups: logarithms and floats with bounds, named channels of data, gains; repeats along y",
        file(&image, &[(scattered(&image, 24, [0.8, 9.0], 8), Some(16))]),
    )
}

fn written_out() -> Vector {
    let mut image = image(130, 20, &[group(GroupKind::Grey), group(GroupKind::Colour)]);
    image.constants = [255, 255, 255, 255, 0];
    image.means = vec![500, 2900, -2600, 2600];
    image.gains = vec![3, 0, 0, -9];
    let mut blobs = scattered(&image, 30, [0.5, 30.0], 9);
    blobs.extend(scattered(&image, 2, [30.0, 100.0], 10));
    Vector::sound(
        "image_written_out",
        "step constants that are written out: the greatest, and no effect of the area",
        file(&image, &[(blobs, None)]),
    )
}

fn empty_sets() -> Vector {
    let image = image(1, 16384, &[group(GroupKind::Grey)]);
    let single = Blob { centre: [0.5, 16383.5], sigma: [2.0, 2.0], angle: 0.0, colour: vec![0.25] };
    Vector::sound(
        "image_empty",
        "an image of one column of 16384 pixels: a layer without Gaussians, and one with one",
        file(&image, &[(Vec::new(), Some(4096)), (vec![single], Some(4096))]),
    )
}

fn escapes() -> Vector {
    let mut image = image(120, 100, &[group(GroupKind::Colour)]);
    // Levels are near to each other, so that their sums are large; steps are small.
    image.constants = [44, 1, 1, 1, 255];
    let mut blobs = scattered(&image, 10, [0.5, 0.6], 11);
    blobs.extend(scattered(&image, 10, [90.0, 109.0], 12));
    blobs.extend(scattered(&image, 5, [0.5, 100.0], 13));
    for (at, blob) in blobs.iter_mut().enumerate() {
        blob.colour[at % 3] += [0.0, 3.0, -7.5, 0.01][at % 4];
        if at % 5 == 0 {
            (blob.sigma[0], blob.sigma[1]) = (0.5, 105.0);
        }
    }
    Vector::sound(
        "image_escapes",
        "sums, differences and colours beyond what they have decisions for, angles with raw bits",
        file(&image, &[(blobs, None)]),
    )
}

fn crowd() -> Vector {
    let image = image(70, 30, &[group(GroupKind::Grey)]);
    let mut blobs = scattered(&image, 60, [0.5, 5.0], 14);
    let mut dice = Dice(Noise(15));
    for blob in &mut blobs[..40] {
        // One cell of the fine grid, and one of the coarse one.
        blob.centre = [52.0 + dice.below(1.99), 10.0 + dice.below(1.99)];
    }
    let mut large = scattered(&image, 30, [21.0, 60.0], 16);
    for blob in &mut large {
        blob.centre = [64.0 + dice.below(5.9), 24.0 + dice.below(5.9)];
    }
    blobs.extend(large);
    Vector::sound(
        "image_crowd",
        "cells of more than 12 Gaussians, and more neighbours than are looked at",
        file(&image, &[(blobs, None)]),
    )
}

fn shapes() -> Vector {
    let mut image = image(200, 200, &[group(GroupKind::Colour)]);
    image.constants = [80, 255, 3, 90, 75];
    let mut blobs = scattered(&image, 50, [0.5, 18.0], 17);
    for (at, blob) in blobs.iter_mut().enumerate() {
        match at % 3 {
            0 => blob.sigma[1] = blob.sigma[0],
            1 => blob.sigma = [blob.sigma[0].min(1.0), 18.0],
            _ => {}
        }
        blob.angle = (at % 7) as f32 * 0.02 + if at % 2 == 0 { 0.45 } else { 0.95 };
    }
    Vector::sound(
        "image_shapes",
        "round and long Gaussians with fine angles, on a coarse grid of positions",
        file(&image, &[(blobs, Some(104))]),
    )
}

fn described() -> Vector {
    let image = image(20, 20, &[group(GroupKind::Grey)]);
    let mut draft = draft(&image, &layers(&image, &[(scattered(&image, 9, [0.5, 4.0], 18), Some(8))]));
    draft.page.rows[0].layout = Layout::Described;
    let stream = crate::hand::streaming_file(draft, &[]);
    Vector::sound("image_described", "an image in a streaming file", stream)
}

/// The field says what it need not: no names, the constants of preset 0 and a gain of 1.
fn long_field() -> Vector {
    let image = image(20, 20, &[group(GroupKind::Grey)]);
    let mut draft = draft(&image, &layers(&image, &[(scattered(&image, 5, [0.5, 4.0], 19), None)]));
    let field = vec![20, 20, 0x81, 0, 0, 255, 80, 42, 80, 60, 75, 0, 0];
    draft.page.assets[0].fields.set(asset_field::IMAGE, true, field);
    Vector::sound(
        "image_long_field",
        "what the image is, said at greater length than its content hash has it",
        draft.finished(&Shell::default()),
    )
}

/// Images too large for a vector, for the independent reader.
pub fn write_images(dir: &Path) {
    let mut colour = image(700, 500, &[group(GroupKind::Colour)]);
    let mut blobs = scattered(&colour, 700, [0.5, 12.0], 21);
    blobs.extend(scattered(&colour, 40, [15.0, 110.0], 22));
    let write = |name: &str, bytes: Vec<u8>| fs::write(dir.join(name), bytes).expect("image is written");
    write("image-pages.mcodec", file(&colour, &[(blobs.clone(), Some(128)), (blobs.clone(), None)]));
    colour.constants = [60, 30, 60, 36, 75];
    write("image-stream.mcodec", file(&colour, &[(blobs, None)]));
    let mut dice = Dice(Noise(23));
    for seed in 24..36 {
        let kinds = [GroupKind::Grey, GroupKind::Colour, GroupKind::GreyAlpha, GroupKind::ColourAlpha];
        let sides = [dice.scale(1.0, 900.0) as u32, dice.scale(1.0, 900.0) as u32];
        let mut image = image(sides[0], sides[1], &[group(kinds[seed as usize % 4])]);
        image.constants = core::array::from_fn(|_| 1 + dice.below(255.0) as u8);
        image.means.iter_mut().for_each(|mean| *mean = dice.below(4000.0) as i32 - 2000);
        let n = dice.scale(4.0, 250.0) as usize;
        let most = dice.scale(3.0, 110.0);
        let blobs = scattered(&image, n, [0.5, most], seed);
        let page = (seed % 3 != 0).then_some(8 << (seed % 5));
        write(&format!("image-{seed}.mcodec"), file(&image, &[(blobs, page)]));
    }
}
