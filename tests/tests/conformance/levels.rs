//! Levels of precision: grids that refine grids; grids that ask what is beside.

use crate::hand::{Draft, Shell, bytes_tensor, chunking, model, row};
use crate::labelled::shared_object;
use crate::vector::Vector;
use mcodec_coding::latents::{
    Base, Coder, Digits, Element, Grid, GridContent, Level, Quantiser, Shape, SharedObjects, Statistics,
    TokenModel, Told, decode_refined, encode_refined,
};
use mcodec_format::registry::{Dtype, asset, coding, entry, field};
use mcodec_format::{Asset, Dependency, Representation, TensorDescriptor};

const SHAPE: Shape = Shape { frames: 4, channels: 2, height: 3, width: 3 };
/// Elements of a frame.
const FRAME: usize = 18;
/// Frames of a chunk.
const GROUP: usize = 3;

pub fn all() -> Vec<Vector> {
    vec![levels()]
}

struct Shared<'a>(&'a Statistics, Option<&'a Level>);

impl SharedObjects for Shared<'_> {
    fn statistics(&self, _: u32) -> Option<&Statistics> {
        Some(self.0)
    }

    fn token_model(&self, _: u32) -> Option<&TokenModel> {
        None
    }

    fn digits(&self, _: u32) -> Option<&Digits> {
        None
    }

    fn level(&self, _: u32) -> Option<&Level> {
        self.1
    }
}

/// Elements of a float type, in small steps, so that no library's functions are in the committed bytes.
fn waves(element: Element) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..SHAPE.count() {
        let (t, c, y, x) = (i / FRAME, i / 9 % 2, i % 9 / 3, i % 3);
        let wave = ((x + t + 3 * c) % 5) as i32 * 9 - ((y + 2 * c) % 4) as i32 * 7 + (i * 37 % 16) as i32;
        let float = (wave as f32 / 32.0).to_le_bytes();
        out.extend(match element {
            Element::F32 => ((wave as f32 + (i % 7) as f32 / 8.0) / 32.0).to_le_bytes().to_vec(),
            _ => float[2..].to_vec(),
        });
    }
    out
}

/// A grid that may refine numbers: its row, its payloads and what they decode to.
struct Made {
    descriptor: TensorDescriptor,
    payloads: Vec<Vec<u8>>,
    decoded: Vec<u8>,
}

fn made(
    element: Element,
    coder: Coder,
    bytes: &[u8],
    quantised: Option<(&[i16], Quantiser<'_>)>,
    base: Option<(&[u8], &Level, u32)>,
) -> Made {
    let chunk = GROUP * FRAME;
    let size = element.bytes();
    let (mut payloads, mut decoded) = (Vec::new(), Vec::new());
    for (at, bytes) in bytes.chunks(chunk * size).enumerate() {
        let count = bytes.len() / size;
        let shape = Shape { frames: count / FRAME, ..SHAPE };
        let content = match quantised {
            None => GridContent::Bytes(bytes),
            Some((numbers, quantiser)) => GridContent::Quantised(&numbers[at * chunk..][..count], quantiser),
        };
        let told = base.map(|(numbers, level, dependency)| Base {
            tokens: &numbers[2 * at * chunk..][..2 * count],
            told: Told::Level(level),
            dependency,
        });
        let payload =
            encode_refined(&Grid { shape, element, content }, coder, told.as_ref()).expect("it is coded");
        let none = Statistics::new(vec![(0.0, 1.0)]).expect("statistics");
        let statistics = quantised.map_or(&none, |(_, quantiser)| quantiser.statistics);
        let shared = Shared(statistics, base.map(|(_, level, _)| level));
        let mut out = vec![0; bytes.len()];
        let tokens = told.map_or(&[][..], |base| base.tokens);
        decode_refined(&payload, coder, &shared, tokens, &mut out).expect("it is decoded");
        assert!(quantised.is_some() || out == bytes);
        payloads.push(payload);
        decoded.extend(out);
    }
    let dtype = Dtype::by_id(element as u64).expect("registered");
    let id = if coder == Coder::Fast { coding::GRID_FAST } else { coding::GRID_DENSE };
    let descriptor = TensorDescriptor {
        dtype: Some(dtype),
        dtype_name: dtype.name.into(),
        shape: [4, 2, 3, 3].to_vec(),
        representation: if base.is_some() { Representation::Refined } else { Representation::Predicted },
        ..bytes_tensor(chunking(id, chunk * size, bytes.len()))
    };
    Made { descriptor, payloads, decoded }
}

/// Tracks with levels: of bf16 and f32 that are kept, and of bf16 with steps.
fn levels() -> Vector {
    let mut draft = Draft::of(vec![Asset { kind: asset::LATENTS, ..model(0, "levels") }]);
    let statistics = Statistics::new(vec![(0.25, 0.75), (-0.5, 0.5)]).expect("statistics");
    let mut hashed: Vec<(String, TensorDescriptor, Vec<u8>)> = Vec::new();
    let kinds = [
        (Element::Bf16, false, Coder::Dense),
        (Element::F32, false, Coder::Light),
        (Element::Bf16, true, Coder::Dense),
    ];
    for (track, (element, rounded, coder)) in (0u32..).zip(kinds) {
        let bytes = waves(element);
        let quantiser = Quantiser { step: 0.125, statistics: &statistics, dependency: Some(1) };
        let number =
            |(i, b): (usize, &[u8])| quantiser.number(i / 9 % 2, element.value(b)).expect("in range") as i16;
        let numbers: Vec<i16> = bytes.chunks(element.bytes()).enumerate().map(number).collect();
        let least = u8::from(rounded);
        let mut before: Option<(Vec<u8>, Level)> = None;
        // Two coarser levels, the first by tables, then the track.
        for at in 0..3u32 {
            let id = 10 * track + at;
            let level =
                Level::new(0.125, least + 1 - (at as u8).min(1), statistics.clone()).expect("a level");
            let base = before.as_ref().map(|(numbers, level)| (&numbers[..], level, 0));
            let halved: Vec<u8> =
                numbers.iter().flat_map(|n| (n >> (least + 1 - (at as u8).min(1))).to_le_bytes()).collect();
            let coder = if at == 0 { Coder::Fast } else { coder };
            let made = match at {
                2 => made(element, coder, &bytes, rounded.then_some((&numbers[..], quantiser)), base),
                _ => made(Element::I16, coder, &halved, None, base),
            };
            let mut fields = made.descriptor.to_fields();
            if at < 2 {
                // Its own is the first of what it depends on, or the one after that of its base.
                fields.set_varint(field::LEVEL, false, at.into());
            }
            if at == 2 && track == 0 {
                fields.set(field::APART, false, b"tokens".to_vec());
            }
            let name = format!("track {track}.{at}");
            draft.add((row(id, entry::TENSOR, &name, fields), made.payloads));
            if at > 0 {
                draft.depend(Dependency::Entry(id - 1));
                draft.depend(Dependency::Entry(100 + id - 1));
            }
            if at < 2 {
                draft.depend(Dependency::Entry(100 + id));
            } else if rounded {
                draft.depend(Dependency::Entry(200));
            }
            hashed.push((name, made.descriptor, made.decoded));
            if at < 2 {
                let name = format!("level {track}.{at}");
                draft.add(shared_object(100 + id, entry::LEVEL, &name, level.to_bytes()));
                before = Some((halved, level));
            }
        }
    }
    // Positions that are what is to their left or above.
    for (id, coder) in [(50u32, Coder::Dense), (51, Coder::Light)] {
        let mut bytes = waves(Element::Bf16);
        for t in 0..SHAPE.frames {
            for (p, from) in [(1, 0), (2, 1), (3, 0), (4, 1), (8, 5)].into_iter().skip(t % 2) {
                for c in 0..SHAPE.channels {
                    let at = |p: usize| 2 * ((t * SHAPE.channels + c) * 9 + p);
                    bytes.copy_within(at(from)..at(from) + 2, at(p));
                }
            }
        }
        let made = made(Element::Bf16, coder, &bytes, None, None);
        assert!(made.payloads.iter().all(|payload| payload[2] == 8), "it is asked what is beside");
        let name = format!("beside {id}");
        draft.add((row(id, entry::TENSOR, &name, made.descriptor.to_fields()), made.payloads));
        hashed.push((name, made.descriptor, made.decoded));
    }
    draft.add(shared_object(200, entry::STATISTICS, "statistics", statistics.to_bytes()));
    let list: Vec<_> =
        hashed.iter().map(|(n, d, b)| (&n[..], &d.dtype_name[..], &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    Vector::sound("levels", "levels of precision of tracks", draft.finished(&Shell::default()))
}
