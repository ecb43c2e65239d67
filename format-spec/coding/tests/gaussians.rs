//! Sets of Gaussians come back as they were, and any bytes give a set or an error.

use mcodec_coding::binary::{BinaryDecoder, BinaryEncoder};
use mcodec_coding::gaussians::{
    Area, CHROMA_FACTOR, Constants, FastDecoder, FastEncoder, GaussianSet, Grain, Image, MAX_GAUSSIANS,
    PLAIN_FACTOR, Quantiser, Role, SetCoder, Symbols, canonical,
};
use proptest::prelude::*;

fn image(planes: usize) -> Image {
    let factors: Vec<u8> =
        (0..planes).map(|plane| if plane == 0 { PLAIN_FACTOR } else { CHROMA_FACTOR }).collect();
    let roles = [Role::Luma, Role::BlueRed, Role::GreenMagenta, Role::Other];
    Image {
        quantiser: Quantiser::new(Constants::LOW_RATE, &factors),
        roles: (0..planes).map(|plane| roles[plane.min(3)]).collect(),
    }
}

/// A set made of arbitrary numbers, of Gaussians within `area`.
fn set(image: &Image, area: &Area, numbers: &[(u32, u32, u8, u8, u8, i32)]) -> GaussianSet {
    let planes = image.quantiser.planes();
    let mut set = GaussianSet::default();
    for &(x, y, a, b, angle, colour) in numbers {
        let levels = image.quantiser.levels() as u8;
        let scales = [a % levels, b % levels];
        let bits = image.quantiser.position_bits(scales);
        let each = 1u32 << (area.grain.cell_bits() - 1 - bits);
        let place = |index: u32, first: u32, count: u32| first * each + index % (count * each);
        let angles = 1u32 << image.quantiser.angle_bits(scales);
        set.symbols.push(Symbols {
            x: place(x, area.left, area.columns),
            y: place(y, area.top, area.rows),
            scales,
            angle: (u32::from(angle) % angles) as u8,
        });
        set.colours.extend((0..planes as i32).map(|plane| colour.wrapping_mul(plane + 1) % 3000));
    }
    set
}

fn numbers() -> impl Strategy<Value = Vec<(u32, u32, u8, u8, u8, i32)>> {
    prop::collection::vec(
        (any::<u32>(), any::<u32>(), any::<u8>(), any::<u8>(), any::<u8>(), any::<i32>()),
        0..150,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn sets_come_back(planes in 1usize..7, coarse in any::<bool>(), left in 0u32..50, first in numbers(), second in numbers(), third in numbers()) {
        let image = image(planes);
        let grain = if coarse { Grain::Coarse } else { Grain::Fine };
        let whole = Area::whole(Grain::Fine, 201, 77);
        let areas = [Area { grain, left, top: 3, columns: 60, rows: 33 }, whole, whole];
        // The third set lies over the second, and over what is not in its area.
        let sets = [(&areas[0], &first), (&areas[1], &second), (&areas[2], &third)].map(|(area, numbers)| canonical(&image, area, &set(&image, area, numbers)).unwrap());
        let mut io = BinaryEncoder::new();
        let mut coder = SetCoder::new(&image);
        let mut below = sets[0].clone();
        below.symbols.extend(&sets[1].symbols);
        below.colours.extend(&sets[1].colours);
        let lay = |coder: &mut SetCoder<'_>, at: usize| coder.lay_over(if at == 2 { below.clone() } else { GaussianSet::default() });
        for (at, (area, set)) in areas.iter().zip(&sets).enumerate() {
            lay(&mut coder, at);
            coder.encode(&mut io, area, set).unwrap();
        }
        let learned = coder.into_mixer();
        let bytes = io.finish();
        let mut io = BinaryDecoder::new(&bytes);
        let mut coder = SetCoder::new(&image);
        for (at, (area, set)) in areas.iter().zip(&sets).enumerate() {
            lay(&mut coder, at);
            prop_assert_eq!(&coder.decode(&mut io, area, MAX_GAUSSIANS).unwrap(), set);
        }
        prop_assert!(coder.into_mixer() == learned);
        prop_assert!(io.is_drained());
        let mut coder = FastEncoder::new(&image);
        for (at, (area, set)) in areas.iter().zip(&sets).enumerate() {
            coder.lay_over(if at == 2 { below.clone() } else { GaussianSet::default() });
            coder.encode(area, set).unwrap();
        }
        let bytes = coder.finish();
        let mut coder = FastDecoder::new(&image, &bytes).unwrap();
        for (at, (area, set)) in areas.iter().zip(&sets).enumerate() {
            coder.lay_over(if at == 2 { below.clone() } else { GaussianSet::default() });
            prop_assert_eq!(&coder.decode(area, MAX_GAUSSIANS).unwrap(), set);
        }
        coder.finish().unwrap();
        for end in (0..bytes.len()).step_by(7) {
            let read = FastDecoder::new(&image, &bytes[..end]).and_then(|mut coder| {
                areas.iter().try_for_each(|area| coder.decode(area, MAX_GAUSSIANS).map(drop)).and_then(|()| coder.finish())
            });
            prop_assert!(read.is_err() || end == 0);
        }
    }

    #[test]
    fn any_bytes_give_a_set_or_an_error(planes in 1usize..5, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let image = image(planes);
        let area = Area::page(Grain::Fine, 1, 2, 128);
        if let Ok(set) = SetCoder::new(&image).decode(&mut BinaryDecoder::new(&bytes), &area, 3000) {
            prop_assert_eq!(canonical(&image, &area, &set).unwrap().symbols.len(), set.symbols.len());
            prop_assert_eq!(set.colours.len(), set.symbols.len() * planes);
        }
        if let Ok(set) = FastDecoder::new(&image, &bytes).and_then(|mut coder| coder.decode(&area, 3000)) {
            prop_assert_eq!(canonical(&image, &area, &set).unwrap().symbols.len(), set.symbols.len());
        }
    }
}

#[test]
fn what_is_not_canonical_is_refused() {
    let image = image(3);
    let area = Area::whole(Grain::Fine, 64, 64);
    let mut wrong = set(&image, &area, &[(5, 5, 3, 9, 0, 4)]);
    assert!(SetCoder::new(&image).encode(&mut BinaryEncoder::new(), &area, &wrong).is_err());
    wrong = canonical(&image, &area, &wrong).unwrap();
    SetCoder::new(&image).encode(&mut BinaryEncoder::new(), &area, &wrong).unwrap();
    wrong.symbols[0].x = 100_000;
    assert!(SetCoder::new(&image).encode(&mut BinaryEncoder::new(), &area, &wrong).is_err());
    assert_eq!(canonical(&image, &area, &wrong), None);
}
