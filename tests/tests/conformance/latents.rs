//! Grids: codings 16 and 17, tracks, statistics.

use crate::hand::{Draft, Shell, bytes_tensor, chunking, model, row};
use crate::labelled::shared_object;
use crate::vector::Vector;
use mcodec_coding::latents::{
    Base, CodeOrder, Coder, DigitCells, Digits, Element, Grid, GridContent, Quantiser, Shape, SharedObjects,
    Statistics, TokenModel, TokenScheme, Tokens, Told, decode, decode_refined, encode, encode_refined,
    encode_tokens,
};
use mcodec_format::registry::{Dtype, asset, asset_field, coding, entry};
use mcodec_format::track::{AxisOrder, Normalisation, Track};
use mcodec_format::{Asset, Dependency, DependencyGroups, Representation, TensorDescriptor};

pub fn all() -> Vec<Vector> {
    vec![
        tracks("grids_fast", "fast grids, tracks that say much", Coder::Fast),
        tracks("grids_light", "dense grids without least squares", Coder::Light),
        tracks("grids_dense", "dense grids", Coder::Dense),
        tokens(),
        refined(),
        codes(),
        under_models(),
    ]
}

struct Shared<'a>(&'a Statistics, Option<&'a Digits>);

impl SharedObjects for Shared<'_> {
    fn statistics(&self, _: u32) -> Option<&Statistics> {
        Some(self.0)
    }

    fn token_model(&self, _: u32) -> Option<&TokenModel> {
        None
    }

    fn digits(&self, _: u32) -> Option<&Digits> {
        self.1
    }
}

/// Even cells of the numbers of three channels, for digits of these levels.
fn cells_of(numbers: &[i32], levels: &[Vec<u16>], join: u8) -> Vec<DigitCells> {
    let of = |c: usize| numbers.iter().enumerate().filter(move |(i, _)| i / 9 % 3 == c).map(|(_, n)| *n);
    let cell = |(c, &l): (usize, &u16)| {
        let (low, high) = (of(c).min().unwrap_or(0), of(c).max().unwrap_or(0));
        let l = i32::from(l);
        let firsts: Vec<i32> = (1..l).map(|d| low + (high - low) * d / l).collect();
        let points = (0..l).map(|d| low + (high - low) * (2 * d + 1) / (2 * l)).collect();
        DigitCells { firsts, join, points }
    };
    levels.iter().flatten().enumerate().map(cell).collect()
}

/// The tokens of four frames: the first of a position has the digits of two channels, the second of the third.
fn tokens_of(numbers: &[i32], cells: &[DigitCells]) -> Vec<u8> {
    let digit = |t: usize, c: usize, p: usize| {
        let number = numbers[(t * 3 + c) * 9 + p];
        cells[c].firsts.iter().filter(|&&f| f <= number).count() as u8
    };
    let first = |t: usize| (0..9).map(move |p| digit(t, 0, p) + 4 * digit(t, 1, p));
    let second = |t: usize| (0..9).map(move |p| digit(t, 2, p));
    (0..4).flat_map(|t| first(t).chain(second(t))).collect()
}

/// Adds a track of tokens, in chunks of three frames.
fn add_tokens(
    draft: &mut Draft,
    id: u32,
    name: &str,
    tokens: &[u8],
    levels: &[Vec<u16>],
) -> (String, TensorDescriptor, Vec<u8>) {
    let scheme = TokenScheme::digits(levels.to_vec(), true).expect("levels");
    let code = |bytes: &[u8]| {
        let shape = Shape { frames: bytes.len() / 18, channels: 2, height: 3, width: 3 };
        encode_tokens(&Tokens { shape, size: 1, bytes }, &scheme).expect("tokens")
    };
    let payloads = tokens.chunks(3 * 18).map(code).collect();
    let dtype = Dtype::by_name("U8").expect("registered");
    let descriptor = TensorDescriptor {
        dtype: Some(dtype),
        dtype_name: dtype.name.into(),
        shape: vec![4, 2, 3, 3],
        representation: Representation::Predicted,
        ..bytes_tensor(chunking(coding::TOKENS, 3 * 18, tokens.len()))
    };
    draft.add((row(id, entry::TENSOR, name, descriptor.to_fields()), payloads));
    (name.into(), descriptor, tokens.to_vec())
}

/// Tokens, and grids that refine them: of upper halves that two digits share, of few frames where tokens come in more, with steps.
fn refined() -> Vector {
    let mut draft = Draft::of(vec![Asset { kind: asset::LATENTS, ..model(0, "refined") }]);
    let shape = Shape { frames: 4, channels: 3, height: 3, width: 3 };
    let levels = vec![vec![4u16, 3], vec![2]];
    let statistics = Statistics::new(vec![(0.25, 0.75), (0.0, 1.0), (-1.0, 0.5)]).expect("statistics");
    let mut hashed = Vec::new();
    let kinds = [
        (Element::Bf16, Coder::Dense, None),
        (Element::F32, Coder::Light, None),
        (Element::F16, Coder::Dense, Some(0.125f32)),
    ];
    for (pair, (element, coder, step)) in (0u32..).zip(kinds) {
        let bytes = waves(shape, element);
        let quantiser = step.map(|step| Quantiser { step, statistics: &statistics, dependency: Some(0) });
        let number = |(i, b): (usize, &[u8])| match &quantiser {
            None => element.number(b),
            Some(quantiser) => quantiser.number(i / 9 % 3, element.value(b)).unwrap_or(0),
        };
        let numbers: Vec<i32> = bytes.chunks(element.bytes()).enumerate().map(number).collect();
        let cells = cells_of(&numbers, &levels, u8::from(pair > 0));
        let digits = Digits::new(vec![2, 1], &cells).expect("digits");
        let tokens = tokens_of(&numbers, &cells);
        let (first, id) = (10 * pair, 10 * pair + 1);
        hashed.push(add_tokens(&mut draft, first, &format!("tokens {pair}"), &tokens, &levels));
        let dependency = u32::from(step.is_some());
        let frame = bytes.len() / 4;
        let (mut payloads, mut decoded) = (Vec::new(), Vec::new());
        for (at, bytes) in bytes.chunks(2 * frame).enumerate() {
            let shape = Shape { frames: 2, ..shape };
            let tokens = &tokens[at * 36..][..36];
            let few: Vec<i16> = numbers[at * 54..][..54].iter().map(|&n| n as i16).collect();
            let content = match quantiser {
                None => GridContent::Bytes(bytes),
                Some(quantiser) => GridContent::Quantised(&few, quantiser),
            };
            let base = Base { tokens, told: Told::Digits(&digits), dependency };
            let grid = Grid { shape, element, content };
            let payload = encode_refined(&grid, coder, Some(&base)).expect("the grid is coded");
            let mut out = vec![0; bytes.len()];
            let shared = Shared(&statistics, Some(&digits));
            decode_refined(&payload, coder, &shared, tokens, &mut out).expect("the grid is decoded");
            assert!(step.is_some() || out == bytes);
            payloads.push(payload);
            decoded.extend(out);
        }
        let descriptor = descriptor(element, shape, coder, 2);
        let descriptor = TensorDescriptor { representation: Representation::Refined, ..descriptor };
        let name = format!("track {pair}");
        draft.add((row(id, entry::TENSOR, &name, descriptor.to_fields()), payloads));
        draft.depend(Dependency::Entry(first));
        if step.is_some() {
            draft.depend(Dependency::Entry(100));
        }
        draft.depend(Dependency::Entry(first + 2));
        let name_of_digits = format!("digits {pair}");
        draft.add(shared_object(first + 2, entry::DIGITS, &name_of_digits, digits.to_bytes()));
        hashed.push((name, descriptor, decoded));
    }
    draft.add(shared_object(100, entry::STATISTICS, "statistics", statistics.to_bytes()));
    let list: Vec<_> =
        hashed.iter().map(|(n, d, b)| (&n[..], &d.dtype_name[..], &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    Vector::sound("refined", "grids that refine tokens", draft.finished(&Shell::default()))
}

/// Tokens of one and of two at a position, coded with all there is and light.
fn tokens() -> Vector {
    let mut draft = Draft::of(vec![Asset { kind: asset::LATENTS, ..model(0, "tokens") }]);
    let mut hashed = Vec::new();
    let two = vec![vec![8u16, 8, 8, 5, 5, 5], vec![2, 3]];
    for (id, size, whole, levels) in
        [(0u32, 2usize, true, two.clone()), (1, 4, false, two), (2, 1, true, vec![vec![256]])]
    {
        let shape = Shape { frames: 3, channels: levels.len(), height: 3, width: 3 };
        let mut bytes = Vec::new();
        for i in 0..shape.count() {
            let most: u64 = levels[i / 9 % levels.len()].iter().map(|&l| u64::from(l)).product();
            let token = (i as u64 * 7 / 9 * 1009 + i as u64 % 9 * 64) % most;
            bytes.extend(&token.to_le_bytes()[..size]);
        }
        let dtype = Dtype::by_name(["U8", "U16", "", "U32"][size - 1]).expect("registered");
        let frame = shape.channels * 9 * size;
        let payloads = bytes
            .chunks(2 * frame)
            .map(|bytes| {
                let shape = Shape { frames: bytes.len() / frame, ..shape };
                let scheme = TokenScheme::digits(levels.clone(), whole).expect("levels");
                encode_tokens(&Tokens { shape, size, bytes }, &scheme).expect("tokens are coded")
            })
            .collect();
        let descriptor = TensorDescriptor {
            dtype: Some(dtype),
            dtype_name: dtype.name.into(),
            shape: vec![3, shape.channels as u64, 3, 3],
            representation: Representation::Predicted,
            ..bytes_tensor(chunking(coding::TOKENS, 2 * frame, bytes.len()))
        };
        let name = format!("track {id}");
        draft.add((row(id, entry::TENSOR, &name, descriptor.to_fields()), payloads));
        hashed.push((name, descriptor, bytes));
    }
    let list: Vec<_> =
        hashed.iter().map(|(n, d, b)| (&n[..], &d.dtype_name[..], &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    Vector::sound("tokens", "tokens by their digits", draft.finished(&Shell::default()))
}

/// Tokens that move by a column from frame to frame, below `vocabulary`.
fn moving(shape: Shape, size: usize, vocabulary: u64) -> Vec<u8> {
    let (plane, width) = (shape.height * shape.width, shape.width);
    let mut bytes = Vec::new();
    for i in 0..shape.count() {
        let (t, k, p) = (i / plane / shape.channels, i / plane % shape.channels, i % plane);
        let (y, x) = (p / width, (p + t) % width);
        let token = (y * 131 + x * 37 + k * 11 + usize::from(i % 17 == 0) * t) as u64 % vocabulary;
        bytes.extend(&token.to_le_bytes()[..size]);
    }
    bytes
}

/// An order that is far from that of numbers.
fn order(vocabulary: usize) -> CodeOrder {
    let step = (1..vocabulary).rev().find(|step| {
        (1..=vocabulary).filter(|n| vocabulary.is_multiple_of(*n) && step.is_multiple_of(*n)).count() == 1
    });
    let tokens = (0..vocabulary).map(|i| (i * step.unwrap_or(1) % vocabulary) as u16).collect();
    CodeOrder::new(tokens).expect("an order")
}

fn token_descriptor(size: usize, shape: Shape, frames: usize) -> TensorDescriptor {
    let dtype = Dtype::by_name(["U8", "U16", "", "I32"][size - 1]).expect("registered");
    let frame = shape.channels * shape.height * shape.width * size;
    TensorDescriptor {
        dtype: Some(dtype),
        dtype_name: dtype.name.into(),
        shape: [shape.frames, shape.channels, shape.height, shape.width].map(|d| d as u64).to_vec(),
        representation: Representation::Predicted,
        ..bytes_tensor(chunking(coding::TOKENS, frame * frames, frame * shape.frames))
    }
}

/// Codes of codebooks by themselves: whole and light, ordered and not, of one token at a position and of two.
fn codes() -> Vector {
    let mut draft = Draft::of(vec![Asset { kind: asset::LATENTS, ..model(0, "codes") }]);
    let mut hashed = Vec::new();
    let kinds = [
        (2usize, 100u32, true, 1usize, true),
        (1, 5, true, 2, false),
        (4, 1000, false, 2, true),
        (2, 2, true, 1, true),
    ];
    for (id, (size, vocabulary, whole, tokens, ordered)) in (0u32..).zip(kinds) {
        let shape = Shape { frames: 5, channels: tokens, height: 3, width: 4 };
        let bytes = moving(shape, size, vocabulary.into());
        let orders = if ordered { vec![order(vocabulary as usize); tokens] } else { Vec::new() };
        let scheme = TokenScheme::codes(tokens, vocabulary, whole, 12, orders).expect("a scheme");
        let frame = bytes.len() / shape.frames;
        let payloads = bytes
            .chunks(3 * frame)
            .map(|bytes| {
                let shape = Shape { frames: bytes.len() / frame, ..shape };
                encode_tokens(&Tokens { shape, size, bytes }, &scheme).expect("tokens are coded")
            })
            .collect();
        let descriptor = token_descriptor(size, shape, 3);
        let name = format!("track {id}");
        draft.add((row(id, entry::TENSOR, &name, descriptor.to_fields()), payloads));
        hashed.push((name, descriptor, bytes));
    }
    let list: Vec<_> =
        hashed.iter().map(|(n, d, b)| (&n[..], &d.dtype_name[..], &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    Vector::sound("codes", "tokens of a codebook, by its tree", draft.finished(&Shell::default()))
}

/// Tokens under models: with an example, of which some are a part, and without.
fn under_models() -> Vector {
    let mut draft = Draft::of(vec![Asset { kind: asset::LATENTS, ..model(0, "models") }]);
    let mut hashed = Vec::new();
    let shape = Shape { frames: 6, channels: 2, height: 3, width: 3 };
    let digits = |whole| TokenScheme::digits(vec![vec![8, 5], vec![4, 4, 2]], whole).expect("levels");
    let codes = TokenScheme::codes(2, 40, true, 11, vec![order(40); 2]).expect("a scheme");
    for (id, (scheme, example)) in
        (0u32..).zip([(digits(true), true), (digits(false), true), (codes.clone(), true), (codes, false)])
    {
        let bytes = moving(shape, 1, 32);
        let frame = bytes.len() / shape.frames;
        let tokens = |from: usize, frames: usize| Tokens {
            shape: Shape { frames, ..shape },
            size: 1,
            bytes: &bytes[from * frame..(from + frames) * frame],
        };
        let (made, content) =
            TokenModel::new(scheme, example.then(|| tokens(0, 4)).as_ref()).expect("a model");
        let payloads: Vec<_> =
            (0..3).map(|n| made.encode(0, &tokens(2 * n, 2)).expect("tokens are coded")).collect();
        assert_eq!(
            payloads.iter().map(|p| p[0]).collect::<Vec<_>>(),
            if example { [3, 3, 2] } else { [2; 3] }
        );
        let descriptor = token_descriptor(1, shape, 2);
        let name = format!("track {id}");
        draft.add((row(id, entry::TENSOR, &name, descriptor.to_fields()), payloads));
        draft.depend(Dependency::Entry(100 + id));
        draft.add(shared_object(100 + id, entry::TOKEN_MODEL, &format!("token-model-{id}"), content));
        hashed.push((name, descriptor, bytes));
    }
    let list: Vec<_> =
        hashed.iter().map(|(n, d, b)| (&n[..], &d.dtype_name[..], &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    Vector::sound("token_models", "tokens under models", draft.finished(&Shell::default()))
}

/// Waves that move, with noise, as elements of any type.
fn waves(shape: Shape, element: Element) -> Vec<u8> {
    let mut state = 7u32;
    let mut out = Vec::new();
    for i in 0..shape.count() {
        let plane = shape.height * shape.width;
        let (t, c, y, x) = (
            i / plane / shape.channels,
            i / plane % shape.channels,
            i % plane / shape.width,
            i % shape.width,
        );
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // In small steps, so that no library's sine is in the committed bytes.
        let wave = ((x + t + 3 * c) % 8) as i32 * 8 - ((y + 2 * c) % 6) as i32 * 9 + (state >> 28) as i32;
        let float = (wave as f32 / 32.0).to_le_bytes();
        match (element.bytes(), element.float()) {
            (4, _) => out.extend(((wave as f32 + (state >> 9) as f32 / 8_388_608.0) / 32.0).to_le_bytes()),
            (2, Some((8, ..))) => out.extend(&float[2..]),
            (2, _) => out.extend(((wave * 100) as i16).to_le_bytes()),
            _ => out.push(wave as u8),
        }
    }
    out
}

fn descriptor(element: Element, shape: Shape, coder: Coder, frames: usize) -> TensorDescriptor {
    let dtype = Dtype::by_id(element as u64).expect("the element is registered");
    let dimensions = [shape.frames, shape.channels, shape.height, shape.width].map(|d| d as u64);
    let frame = shape.channels * shape.height * shape.width * element.bytes();
    let id = if coder == Coder::Fast { coding::GRID_FAST } else { coding::GRID_DENSE };
    TensorDescriptor {
        dtype: Some(dtype),
        dtype_name: dtype.name.into(),
        shape: dimensions.to_vec(),
        representation: Representation::Predicted,
        ..bytes_tensor(chunking(id, frame * frames, frame * shape.frames))
    }
}

/// What a track says in every field.
fn track(channels: usize) -> Track {
    Track {
        axes: AxisOrder::parse("CTHW"),
        role: Some("latents".into()),
        factors: Some([4, 8, 8]),
        first_frames: Some(1),
        normalisation: Some(Normalisation {
            applied: true,
            channels: vec![(0.5, 2.0); channels],
            statistics: None,
        }),
        line: Some("line".into()),
        start: Some(2),
        model: Some("another".into()),
        key: Some("key".into()),
        apart: Some("tokens".into()),
    }
}

/// Tracks of every type of element, in groups of two frames; the last two are quantised.
fn tracks(name: &'static str, about: &'static str, coder: Coder) -> Vector {
    let mut draft = Draft::of(vec![Asset { kind: asset::LATENTS, ..model(0, "clip") }]);
    let asset = &mut draft.page.assets[0];
    asset.fields.set(asset_field::FRAME_RATE, false, vec![25, 1]);
    asset.fields.set(asset_field::MODEL, false, b"made".to_vec());
    asset.fields.set(asset_field::MODEL_HASH, false, vec![0xab; 32]);
    let mut hashed = Vec::new();
    let shape = Shape { frames: 3, channels: 3, height: 3, width: 4 };
    let statistics = Statistics::new(vec![(0.25, 0.75), (0.0, 1.0), (-1.0, 0.5)]).expect("statistics");
    let kinds = Element::ALL.map(|element| (element, None));
    let quantised = [(Element::Bf16, Some((0.125f32, None))), (Element::F8E4m3, Some((0.3, Some(0))))];
    for (id, (element, step)) in (0u32..).zip(kinds.into_iter().chain(quantised)) {
        // Of bfloat one with more channels than a step has.
        let shape = if id == 2 { Shape { channels: 10, width: 2, ..shape } } else { shape };
        let bytes = waves(shape, element);
        let frame = bytes.len() / shape.frames;
        let (mut payloads, mut decoded) = (Vec::new(), Vec::new());
        for bytes in bytes.chunks(2 * frame) {
            let shape = Shape { frames: bytes.len() / frame, ..shape };
            let plane = shape.height * shape.width;
            let mut numbers = Vec::new();
            let content = match step {
                None => GridContent::Bytes(bytes),
                Some((step, dependency)) => {
                    let quantiser = Quantiser { step, statistics: &statistics, dependency };
                    let values = bytes.chunks(element.bytes()).map(|b| element.value(b));
                    let number = |(i, v): (usize, f64)| {
                        quantiser.number(i / plane % shape.channels, v).unwrap_or(0) as i16
                    };
                    numbers.extend(values.enumerate().map(number));
                    GridContent::Quantised(&numbers, quantiser)
                }
            };
            let payload = encode(&Grid { shape, element, content }, coder).expect("the grid is coded");
            let mut out = vec![0; bytes.len()];
            decode(&payload, coder, &Shared(&statistics, None), &mut out).expect("the grid is decoded");
            payloads.push(payload);
            decoded.extend(out);
        }
        let descriptor = descriptor(element, shape, coder, 2);
        // Statistics that a field names, and no chunk.
        let told = id == 1;
        let groups = told.then_some(DependencyGroups { chunks: 2, dependencies: 0 });
        let descriptor = TensorDescriptor { groups, ..descriptor };
        let mut fields = descriptor.to_fields();
        if id == 0 {
            track(shape.channels).put(&mut fields);
        }
        if told {
            let normalisation = Normalisation { applied: false, channels: Vec::new(), statistics: Some(0) };
            Track { normalisation: Some(normalisation), ..Track::default() }.put(&mut fields);
        }
        let name = format!("track {id}");
        draft.add((row(id, entry::TENSOR, &name, fields), payloads));
        if told || step.is_some_and(|(_, dependency)| dependency.is_some()) {
            draft.depend(Dependency::Entry(100));
        }
        hashed.push((name, descriptor, decoded));
    }
    draft.add(shared_object(100, entry::STATISTICS, "statistics", statistics.to_bytes()));
    let list: Vec<_> =
        hashed.iter().map(|(n, d, b)| (&n[..], &d.dtype_name[..], &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    Vector::sound(name, about, draft.finished(&Shell::default()))
}
