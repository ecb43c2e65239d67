//! Sets of Gaussians, what an image asset says, and what its layers say. The first byte says which.

use mcodec_coding::CodingError;
use mcodec_coding::binary::{BinaryDecoder, BinaryEncoder};
use mcodec_coding::gaussians::{
    Area, Constants, FastDecoder, FastEncoder, Grain, Image, Quantiser, Role, SetCoder, canonical,
};
use mcodec_decode::images::{coded_image, plane_roles};
use mcodec_format::registry::entry;
use mcodec_format::{EntryDescriptor, Fields, ImageDescriptor, Limits};

/// Most Gaussians of a set here: their number alone makes no bytes.
const MOST: usize = 1000;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    match how % 4 {
        0 => sets(rest),
        3 => fast_sets(rest),
        1 => image(rest),
        _ => layer(rest),
    }
}

/// The image as sets of it are coded: number of planes, constants; bits of the number say what the planes are.
#[must_use]
pub fn coded(planes: u8, constants: [u8; 5]) -> Image {
    let of = |at: u8| match (at + (planes >> 4)) % 4 {
        0 => Role::Luma,
        1 => Role::BlueRed,
        2 => Role::GreenMagenta,
        _ => Role::Other,
    };
    let roles: Vec<Role> = (0..=planes & 15).map(of).collect();
    let factors: Vec<u8> = roles.iter().map(|role| if *role == Role::Luma { 60 } else { 78 }).collect();
    let constants = Constants::from_bytes(constants.map(|byte| byte.max(1))).expect("no step is zero");
    Image { quantiser: Quantiser::new(constants, &factors), roles }
}

/// The areas of two sets: a coarse one of an image, and a fine one of it or of a page.
#[must_use]
pub fn areas(width: u8, height: u8, page: u8) -> [Area; 2] {
    let (width, height) = (1 + 9 * u32::from(width), 1 + 9 * u32::from(height));
    let side = u32::from(page & 15) * 8;
    let fine = match page & 15 {
        0 => Area::whole(Grain::Fine, width, height),
        _ => Area::page(Grain::Fine, u32::from(page >> 4), u32::from(page >> 5), side),
    };
    [Area::whole(Grain::Coarse, width, height), fine]
}

/// Planes, constants, width, height, page (9 bytes), then a payload of two sets.
fn sets(bytes: &[u8]) {
    let Some((&[planes, a, b, c, d, e, width, height, page], payload)) = bytes.split_first_chunk() else {
        return;
    };
    let image = coded(planes, [a, b, c, d, e]);
    let areas = areas(width, height, page);
    let decode = |payload: &[u8]| {
        let (mut io, mut coder) = (BinaryDecoder::new(payload), SetCoder::new(&image));
        let sets: Result<Vec<_>, _> = areas.iter().map(|area| coder.decode(&mut io, area, MOST)).collect();
        sets.map(|sets| (sets, io.is_drained()))
    };
    let found = decode(payload);
    assert_eq!(found, decode(payload), "the same bytes give other Gaussians");
    let Ok((sets, _)) = found else { return };
    for (area, set) in areas.iter().zip(&sets) {
        assert_eq!(set.colours.len(), set.symbols.len() * image.quantiser.planes());
        for symbols in &set.symbols {
            assert!(area.cell(&image.quantiser, symbols).is_some(), "{symbols:?} is outside of its area");
            let angles = 1u32 << image.quantiser.angle_bits(symbols.scales);
            assert!(u32::from(symbols.angle) < angles, "{symbols:?}: there is no such angle");
        }
    }
    let ordered: Option<Vec<_>> =
        areas.iter().zip(&sets).map(|(area, set)| canonical(&image, area, set)).collect();
    let ordered = ordered.expect("all lie in their areas");
    let (mut io, mut coder) = (BinaryEncoder::new(), SetCoder::new(&image));
    for (area, set) in areas.iter().zip(&ordered) {
        coder.encode(&mut io, area, set).expect("what was decoded is coded");
    }
    let again = decode(&io.finish());
    assert_eq!(again, Ok((ordered, true)), "Gaussians come back differently");
}

/// The same under static tables.
fn fast_sets(bytes: &[u8]) {
    let Some((&[planes, a, b, c, d, e, width, height, page], payload)) = bytes.split_first_chunk() else {
        return;
    };
    let image = coded(planes, [a, b, c, d, e]);
    let areas = areas(width, height, page);
    let decode = |payload: &[u8]| {
        let mut coder = FastDecoder::new(&image, payload)?;
        let sets = areas.iter().map(|area| coder.decode(area, MOST)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, CodingError>((sets, coder.finish().is_ok()))
    };
    let found = decode(payload);
    assert_eq!(found, decode(payload), "the same bytes give other Gaussians");
    let Ok((sets, _)) = found else { return };
    let ordered: Option<Vec<_>> =
        areas.iter().zip(&sets).map(|(area, set)| canonical(&image, area, set)).collect();
    let ordered = ordered.expect("all lie in their areas");
    let mut coder = FastEncoder::new(&image);
    for (area, set) in areas.iter().zip(&ordered) {
        coder.encode(area, set).expect("what was decoded is coded");
    }
    assert_eq!(decode(&coder.finish()), Ok((ordered, true)), "Gaussians come back differently");
}

/// What an image is, is written and read again alike, and makes steps.
fn image(bytes: &[u8]) {
    let Ok(image) = ImageDescriptor::parse(bytes, &Limits::strict()) else { return };
    assert_eq!(ImageDescriptor::parse(&image.to_bytes(), &Limits::strict()).as_ref(), Ok(&image));
    let coded = coded_image(&image).expect("no step is zero");
    assert_eq!(coded.quantiser.planes(), image.channel_count());
    assert_eq!(plane_roles(&image).len(), image.channel_count());
}

/// The fields of a layer.
fn layer(bytes: &[u8]) {
    let Ok(fields) = Fields::parse("layer", bytes) else { return };
    let Ok(EntryDescriptor::Layer(layer)) = EntryDescriptor::parse(entry::LAYER, &fields, &Limits::strict())
    else {
        return;
    };
    let again = EntryDescriptor::parse(entry::LAYER, &layer.to_fields(), &Limits::strict());
    assert_eq!(again, Ok(EntryDescriptor::Layer(layer)));
}
