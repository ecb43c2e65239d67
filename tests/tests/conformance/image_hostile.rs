//! Images and layers that must be refused.

use crate::hand::{Draft, Shell, bytes_tensor, chunking, row};
use crate::images::{Blob, draft, group, image, layers};
use crate::vector::{Expect, Vector};
use crate::versions::good;
use mcodec_coding::binary::{BinaryDecoder, BinaryEncoder};
use mcodec_coding::gaussians::{Area, MAX_COLOUR, SetCoder};
use mcodec_decode::images::{areas_of_chunk, coded_image};
use mcodec_format::registry::{asset_field, coding, entry, field};
use mcodec_format::{ChannelGroup, Depth, GroupKind, ImageDescriptor, LayerDescriptor};
use mcodec_tests::inputs::Noise;

pub fn all() -> Vec<Vector> {
    let mut all = descriptors();
    all.extend(groups());
    all.extend(layer_fields());
    all.extend(whole_images());
    all.extend(payloads());
    all.push(tensor());
    all
}

/// Refused as damage, or as what a later version may define.
#[derive(Clone, Copy)]
enum Says {
    Damage(&'static str),
    Unsupported(&'static str),
}
use Says::{Damage, Unsupported};

impl Says {
    /// The named layers are refused with this, and the image where it `is_whole`.
    fn expect(self, layers: &[&'static str], is_whole: bool) -> Expect {
        let (Damage(text) | Unsupported(text)) = self;
        let entries: Vec<_> = layers.iter().map(|&name| (name, text)).collect();
        let mut expect = Expect { entries: Box::leak(entries.into_boxed_slice()), ..Expect::default() };
        let texts: &'static [&'static str] = Box::leak(Box::new([text]));
        match self {
            Damage(_) => expect.damage = texts,
            Unsupported(_) => expect.unknown = texts,
        }
        if is_whole {
            expect.assets = Box::leak(Box::new([("picture", text)]));
        }
        expect
    }
}

fn grey() -> ImageDescriptor {
    image(40, 24, &[group(GroupKind::Grey)])
}

fn blobs() -> Vec<Blob> {
    let one = |i: u32| {
        let at = i as f32;
        Blob {
            centre: [3.0 + 4.0 * at, 2.0 + 2.5 * at],
            sigma: [2.0, 1.0],
            angle: 0.1 * at,
            colour: vec![0.5],
        }
    };
    (0..9).map(one).collect()
}

/// An image of one layer in one chunk, of one in pages of 16 pixels.
fn sound(page: Option<u32>) -> Draft {
    draft(&grey(), &layers(&grey(), &[(blobs(), page)]))
}

/// The image's field as these bytes; its one layer and itself are refused.
fn with_field(name: &'static str, about: &'static str, field: Vec<u8>, says: Says) -> Vector {
    let mut draft = sound(None);
    draft.page.assets[0].fields.set(asset_field::IMAGE, true, field);
    Vector::opens(name, about, draft.finished(&Shell::default()), says.expect(&["0"], true))
}

/// The image's field, after this byte of it became another.
fn changed(name: &'static str, about: &'static str, at: usize, to: u8, says: Says) -> Vector {
    let mut field = grey().to_bytes();
    field[at] = to;
    with_field(name, about, field, says)
}

fn descriptors() -> Vec<Vector> {
    let said = |change: fn(&mut ImageDescriptor)| {
        let mut image = grey();
        change(&mut image);
        image.to_bytes()
    };
    let mut tail = grey().to_bytes();
    tail.push(0);
    // 40, 24, one group, its head, preset, mean.
    vec![
        changed("x_image_width", "no pixels across", 0, 0, Damage("not 1 to 16384 pixels")),
        with_field(
            "x_image_height",
            "16385 pixels down",
            said(|i| i.height = 16385),
            Damage("not 1 to 16384 pixels"),
        ),
        changed("x_image_groups", "no groups", 2, 0, Damage("no channels")),
        changed("x_image_kind", "a group of kind 5", 3, 5, Unsupported("channel group 5")),
        changed("x_image_transfer", "transfer 3", 3, 3 << 3, Unsupported("transfer function 3")),
        changed("x_image_depth", "depth 3", 3, 3 << 6, Unsupported("channel depth 3")),
        changed("x_image_preset", "preset 2", 4, 2, Unsupported("preset 2")),
        with_field(
            "x_image_constant",
            "a step of zero for angles",
            said(|i| i.constants = [80, 42, 0, 60, 75]),
            Damage("a step is zero"),
        ),
        with_field("x_image_gain", "a gain of 64", said(|i| i.gains[0] = 64), Damage("a gain is not")),
        with_field(
            "x_image_mean",
            "a mean above 8",
            said(|i| i.means[0] = (8 << 12) + 1),
            Damage("a mean is not"),
        ),
        with_field("x_image_cut", "no mean", grey().to_bytes()[..5].to_vec(), Damage("truncated")),
        with_field("x_image_tail", "bytes after the last mean", tail, Damage("bytes follow the means")),
    ]
}

fn groups() -> Vec<Vector> {
    let field = |groups: &[ChannelGroup]| image(40, 24, groups).to_bytes();
    let floats =
        |bounds: [f32; 2]| field(&[ChannelGroup { depth: Depth::Float, bounds, ..group(GroupKind::Grey) }]);
    let of =
        |channels: usize| ChannelGroup { channels: vec![String::new(); channels], ..group(GroupKind::Data) };
    let mut name = field(&[ChannelGroup { name: "n".into(), ..group(GroupKind::Grey) }]);
    name[5] = 0xFF;
    vec![
        with_field(
            "x_image_channels",
            "17 channels in two groups",
            field(&[of(16), group(GroupKind::Grey)]),
            Damage("more than 16 channels"),
        ),
        with_field("x_image_data", "a group of no channels", field(&[of(0)]), Damage("no channels")),
        with_field(
            "x_image_bounds",
            "bounds that are equal",
            floats([1.0, 1.0]),
            Damage("bounds of a group"),
        ),
        with_field(
            "x_image_nan",
            "a bound that is no number",
            floats([0.0, f32::NAN]),
            Damage("bounds of a group"),
        ),
        with_field(
            "x_image_infinite",
            "a bound without end",
            floats([f32::NEG_INFINITY, 0.0]),
            Damage("bounds of a group"),
        ),
        with_field("x_image_name", "a name that is not UTF-8", name, Damage("UTF-8")),
    ]
}

/// Fields of the one layer that are not what the image's pages ask for.
fn layer_fields() -> Vec<Vector> {
    let with = |name, about, page, change: fn(&mut mcodec_format::Fields), says: Says| {
        let mut draft = sound(page);
        change(&mut draft.page.rows[0].fields);
        Vector::opens(name, about, draft.finished(&Shell::default()), says.expect(&["0"], true))
    };
    let paged = Some(16);
    vec![
        with(
            "x_layer_page",
            "pages of no pixels",
            paged,
            |f| f.set_varint(field::PAGE, true, 0),
            Damage("not 8 to 4096 pixels"),
        ),
        with(
            "x_layer_page_large",
            "pages of 4104 pixels",
            paged,
            |f| f.set_varint(field::PAGE, true, 513),
            Damage("not 8 to 4096 pixels"),
        ),
        with(
            "x_layer_reach",
            "reaches of five pages for six, which have chunks",
            paged,
            |f| f.set(field::REACH, true, vec![0; 10]),
            Damage("7 chunks where its descriptor says 6"),
        ),
        with(
            "x_layer_reach_none",
            "pages without reaches",
            paged,
            |f| {
                let page = f.varint("layer", field::PAGE).expect("a number").expect("the page");
                *f = mcodec_format::Fields::default();
                f.set_varint(field::PAGE, true, page);
            },
            Damage("7 chunks where its descriptor says 1"),
        ),
        with(
            "x_layer_reach_odd",
            "half a reach",
            paged,
            |f| f.set(field::REACH, true, vec![0; 11]),
            Damage("reaches without a page each"),
        ),
        with(
            "x_layer_reach_alone",
            "a reach without pages",
            None,
            |f| f.set(field::REACH, true, vec![0; 2]),
            Damage("reaches without a page each"),
        ),
        with(
            "x_layer_coding",
            "a layer of coding raw",
            None,
            |f| f.set_varint(field::CODING, true, coding::RAW),
            Damage("not one of Gaussians"),
        ),
        with(
            "x_layer_coding_unknown",
            "a layer of coding 99",
            None,
            |f| f.set_varint(field::CODING, true, 99),
            Unsupported("coding 99"),
        ),
        with(
            "x_layer_field",
            "a critical field that is not known",
            None,
            |f| f.set(900, true, vec![1]),
            Unsupported("critical descriptor field 900"),
        ),
    ]
}

fn whole_images() -> Vec<Vector> {
    let finished = |name, about, draft: Draft, expect| {
        Vector::opens(name, about, draft.finished(&Shell::default()), expect)
    };
    let mut unsaid = sound(None);
    unsaid.page.assets[0].fields = mcodec_format::Fields::default();
    let bare = draft(&grey(), &[]);
    let three = || draft(&grey(), &layers(&grey(), &[(blobs(), None), (blobs(), None), (Vec::new(), None)]));
    let mut gap = three();
    gap.page.rows[1].name = "3".into();
    let mut zero = three();
    zero.page.rows[1].name = "01".into();
    let mut hash = sound(None);
    hash.page.assets[0].hash[0] ^= 1;
    let tall = image(8, 4097, &[group(GroupKind::Grey)]);
    let mut large = draft(&tall, &layers(&tall, &[(Vec::new(), Some(4096))]));
    large.page.rows[0].fields = mcodec_format::Fields::default();
    large.payloads[0].truncate(1);
    large.page.rows[0].lengths.truncate(1);
    let mut fewer = sound(Some(16));
    fewer.page.rows[0].fields.set(field::REACH, true, vec![0; 10]);
    let mut missing = sound(Some(16));
    missing.payloads[0].pop();
    missing.page.rows[0].lengths.pop();
    fewer.payloads[0].pop();
    fewer.page.rows[0].lengths.pop();
    vec![
        finished(
            "x_image_unsaid",
            "an image without the field that says what it is",
            unsaid,
            Damage("no field that says what it is").expect(&["0"], true),
        ),
        finished("x_image_bare", "an image without layers", bare, Damage("no layers").expect(&[], true)),
        finished(
            "x_layer_names",
            "layers 0, 2 and 3",
            gap,
            Damage("layer 1 is called").expect(&["0", "2", "3"], true),
        ),
        finished(
            "x_layer_name_zero",
            "a layer called 01",
            zero,
            Damage("layer 1 is called").expect(&["0", "01", "2"], true),
        ),
        finished(
            "x_layer_large",
            "4097 pixels in one chunk",
            large,
            Damage("one chunk of more than 4096 pixels").expect(&["0"], true),
        ),
        finished(
            "x_image_hash",
            "a content hash of something else",
            hash,
            Expect { damage: &["content hash of the asset differs"], ..Expect::default() },
        ),
        finished(
            "x_layer_pages",
            "chunks and reaches of five pages of six",
            fewer,
            Damage("reach of 5 pages, not of 6").expect(&["0"], true),
        ),
        finished(
            "x_layer_chunks",
            "a layer that lacks its last page",
            missing,
            Damage("chunk").expect(&["0"], false),
        ),
    ]
}

/// Whole chunks that are no sets of Gaussians. Another layer stays readable.
fn payloads() -> Vec<Vector> {
    let with = |name, about, change: &dyn Fn(&mut Vec<u8>), says: Says| {
        let mut draft = draft(&grey(), &layers(&grey(), &[(blobs(), None), (blobs(), None)]));
        change(&mut draft.payloads[1][0]);
        draft.page.rows[1].lengths = vec![draft.payloads[1][0].len() as u64];
        Vector::opens(name, about, draft.finished(&Shell::default()), says.expect(&["1"], false))
    };
    let becomes = |payload: Vec<u8>| move |old: &mut Vec<u8>| old.clone_from(&payload);
    vec![
        with(
            "x_gaussians_tail",
            "bytes after the last set",
            &|payload| payload.extend([0; 5]),
            Damage("bytes follow the last set"),
        ),
        with(
            "x_gaussians_colour",
            "a colour of 2^22 + 1 steps",
            &becomes(cut_off(MAX_COLOUR + 1)),
            Damage("colour of a Gaussian"),
        ),
        with(
            "x_gaussians_escape",
            "a number of more than 24 bits",
            &becomes(cut_off(i32::MAX)),
            Damage("number of a Gaussian too large"),
        ),
        with(
            "x_gaussians_levels",
            "a standard deviation below the least",
            &becomes(noise_that_says("scales of a Gaussian", &[])),
            Damage("scales of a Gaussian"),
        ),
        with(
            "x_gaussians_counts",
            "more Gaussians in half an area than in the whole of it",
            &becomes(noise_that_says("counts of Gaussians in cells", &crowded()[..2])),
            Damage("counts of Gaussians in cells"),
        ),
    ]
}

fn areas() -> Vec<Area> {
    areas_of_chunk(&grey(), &LayerDescriptor::new(None, Vec::new()), 0)
}

/// What an encoder has written when it comes to a colour that it must not write, in a layer over one of the same Gaussians.
fn cut_off(colour: i32) -> Vec<u8> {
    let coded = coded_image(&grey()).expect("constants make steps");
    let below = layers(&grey(), &[(blobs(), None)])[0].sets[0].clone();
    let mut sets = below.clone();
    sets[1].colours[0] = colour;
    let (mut io, mut coder) = (BinaryEncoder::new(), SetCoder::new(&coded));
    let mut outcomes = Vec::new();
    for ((area, set), below) in areas().iter().zip(&sets).zip(below) {
        coder.lay_over(below);
        outcomes.push(coder.encode(&mut io, area, set));
    }
    assert!(outcomes[0].is_ok() && outcomes[1].is_err(), "the colour is refused");
    io.finish()
}

/// A payload whose first set has 20 Gaussians in one cell.
fn crowded() -> Vec<u8> {
    let one = Blob { centre: [20.0, 20.0], sigma: [30.0, 30.0], angle: 0.0, colour: vec![0.5] };
    layers(&grey(), &[(vec![one; 20], None)])[0].payloads[0].clone()
}

/// Noise after `head` that is refused with this, whatever numbers are expected at the start.
fn noise_that_says(what: &str, head: &[u8]) -> Vec<u8> {
    let coded = coded_image(&grey()).expect("constants make steps");
    let says = |payload: &Vec<u8>| {
        let (mut io, mut coder) = (BinaryDecoder::new(payload), SetCoder::new(&coded));
        let error = areas().iter().find_map(|area| coder.decode(&mut io, area, 64).err());
        error.is_some_and(|error| error.to_string().contains(what))
    };
    let mut payloads = (0..1 << 16).map(|seed| [head, &Noise(seed).bytes(24)].concat());
    payloads.find(says).expect("some noise is refused so")
}

fn tensor() -> Vector {
    let mut draft = good("m");
    let descriptor = bytes_tensor(chunking(coding::GAUSSIANS, 4, 4));
    draft.add((row(1, entry::TENSOR, "x", descriptor.to_fields()), vec![vec![1, 2, 3, 4]]));
    let says = Damage("sets of Gaussians are no bytes");
    Vector::opens(
        "x_tensor_gaussians",
        "a tensor of coding 5",
        draft.finished(&Shell::default()),
        says.expect(&["x"], false),
    )
}
