//! Grids under their neighbours, there and back.

use mcodec_coding::labelled::Level;
use mcodec_coding::latents::{
    Coder, Element, Grid, GridContent, Quantiser, Shape, SharedObjects, Statistics, TokenModel, TokenScheme,
    Tokens, decode, decode_tokens, encode, encode_tokens,
};

struct None;
impl SharedObjects for None {
    fn statistics(&self, _: u32) -> Option<&Statistics> {
        Option::None
    }

    fn token_model(&self, _: u32) -> Option<&TokenModel> {
        Option::None
    }
}

/// A smooth field that moves, with noise.
fn field(shape: Shape, at: impl Fn(f64, u32) -> Vec<u8>) -> Vec<u8> {
    let mut state = 1u32;
    let mut out = Vec::new();
    for t in 0..shape.frames {
        for c in 0..shape.channels {
            for y in 0..shape.height {
                for x in 0..shape.width {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let noise = f64::from(state >> 8) / f64::from(1 << 24) - 0.5;
                    let wave = ((x + t) as f64 * 0.4 + c as f64).sin() + (y as f64 * 0.3 + c as f64).cos();
                    out.extend(at(wave + 0.1 * noise, state));
                }
            }
        }
    }
    out
}

const CODERS: [Coder; 3] = [Coder::Fast, Coder::Light, Coder::Dense];

const SHAPES: [Shape; 4] = [
    Shape { frames: 3, channels: 5, height: 6, width: 7 },
    Shape { frames: 1, channels: 1, height: 1, width: 1 },
    Shape { frames: 2, channels: 17, height: 1, width: 9 },
    Shape { frames: 4, channels: 1, height: 8, width: 1 },
];

#[test]
fn elements_come_back() {
    for shape in SHAPES {
        for element in Element::ALL {
            let smooth = field(shape, |v, _| {
                let float = (v as f32).to_le_bytes();
                match element.bytes() {
                    4 => float.to_vec(),
                    2 if element.float().is_some() => float[2..].to_vec(),
                    2 => ((v * 1000.0) as i16).to_le_bytes().to_vec(),
                    _ => vec![(v * 50.0) as i8 as u8],
                }
            });
            let wild = field(shape, |_, state| state.to_le_bytes()[..element.bytes()].to_vec());
            let zero = vec![0; smooth.len()];
            for bytes in [smooth, wild, zero] {
                let grid = Grid { shape, element, content: GridContent::Bytes(&bytes) };
                for coder in CODERS {
                    let payload = encode(&grid, coder).unwrap();
                    let mut out = vec![0; bytes.len()];
                    decode(&payload, coder, &None, &mut out).unwrap();
                    assert!(out == bytes, "{coder:?} {element:?} {shape:?}");
                }
            }
        }
    }
}

#[test]
fn quantised_numbers_come_back() {
    for shape in SHAPES {
        let values: Vec<f64> = field(shape, |v, _| v.to_le_bytes().to_vec())
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
            .collect();
        let statistics = Statistics::new(vec![(0.1, 0.9); shape.channels]).unwrap();
        let plane = shape.height * shape.width;
        for step in [0.125, 0.01, 1.0] {
            let quantiser = Quantiser { step, statistics: &statistics, dependency: Option::None };
            for element in [Element::F32, Element::F16, Element::Bf16, Element::F8E4m3] {
                let channel = |i: usize| i / plane % shape.channels;
                let numbers: Vec<i16> = values
                    .iter()
                    .enumerate()
                    .map(|(i, v)| quantiser.number(channel(i), *v).unwrap() as i16)
                    .collect();
                let grid = Grid { shape, element, content: GridContent::Quantised(&numbers, quantiser) };
                for coder in CODERS {
                    let payload = encode(&grid, coder).unwrap();
                    let mut out = vec![0; values.len() * element.bytes()];
                    decode(&payload, coder, &None, &mut out).unwrap();
                    for (i, number) in numbers.iter().enumerate() {
                        let mut want = vec![0; element.bytes()];
                        quantiser.put(channel(i), i32::from(*number), element, &mut want);
                        assert_eq!(out[i * element.bytes()..][..element.bytes()], want);
                        if element == Element::F32 {
                            let got = element.value(&want);
                            assert!(
                                (got - values[i]).abs() <= f64::from(step) * 0.9 * 0.5001,
                                "{got} {}",
                                values[i]
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn twins_code_and_decode_alike() {
    for shape in SHAPES.into_iter().chain([Shape { frames: 3, channels: 32, height: 9, width: 21 }]) {
        for element in [Element::Bf16, Element::I16, Element::F32, Element::U8] {
            let bytes = field(shape, |v, state| match element {
                Element::F32 => (v as f32).to_le_bytes().to_vec(),
                Element::U8 => vec![(state >> 24) as u8 & 15],
                _ => ((v as f32).to_bits() >> 16).to_le_bytes()[..2].to_vec(),
            });
            let grid = Grid { shape, element, content: GridContent::Bytes(&bytes) };
            for coder in CODERS {
                let coded = [Level::Scalar, Level::Avx512].map(|level| {
                    level.cap();
                    encode(&grid, coder).unwrap()
                });
                assert!(coded[0] == coded[1], "{coder:?} {element:?} {shape:?}");
                for level in [Level::Scalar, Level::Avx512] {
                    level.cap();
                    let mut out = vec![0; bytes.len()];
                    decode(&coded[0], coder, &None, &mut out).unwrap();
                    assert!(out == bytes, "{level:?} {coder:?} {element:?} {shape:?}");
                }
            }
        }
    }
}

/// Xorshift.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Whatever is read, nothing panics: arithmetic is checked in tests.
#[test]
fn damaged_payloads_are_read_or_refused() {
    let mut noise = Noise(0x1234_5678_9abc_def1);
    let statistics = Statistics::new(vec![(0.0, 1.0); 5]).unwrap();
    let shape = SHAPES[0];
    let numbers: Vec<i16> = (0..shape.count()).map(|i| (i % 23) as i16 - 11).collect();
    for coder in CODERS {
        for element in Element::ALL {
            let bytes = field(shape, |v, _| {
                let float = (v as f32).to_le_bytes();
                float[4 - element.bytes()..].to_vec()
            });
            let quantiser = Quantiser { step: 0.25, statistics: &statistics, dependency: Option::None };
            let mut contents = vec![GridContent::Bytes(&bytes)];
            if element.float().is_some() {
                contents.push(GridContent::Quantised(&numbers, quantiser));
            }
            for content in contents {
                let payload = encode(&Grid { shape, element, content }, coder).unwrap();
                let mut out = vec![0; bytes.len()];
                for round in 0..60 {
                    let mut bad = payload.clone();
                    for _ in 0..1 + noise.next() % 3 {
                        let at = noise.next() as usize % bad.len();
                        // Heads more often than what follows.
                        let at = if round % 2 == 0 { at.min(noise.next() as usize % 40) } else { at };
                        bad[at % payload.len()] = noise.next() as u8;
                    }
                    if round % 5 == 0 {
                        bad.truncate(noise.next() as usize % bad.len());
                    }
                    _ = decode(&bad, coder, &None, &mut out);
                }
                assert!(decode(&payload, coder, &None, &mut out[1..]).is_err());
                assert!(decode(&[&payload[..], &[7; 9]].concat(), coder, &None, &mut out).is_err());
            }
        }
    }
}

/// Numbers as far apart as they can be, and predictors driven as hard as they can be.
#[test]
fn extreme_numbers_come_back() {
    let mut noise = Noise(99);
    let shape = Shape { frames: 5, channels: 9, height: 5, width: 6 };
    for element in Element::ALL {
        let mut bytes = Vec::new();
        for i in 0..shape.count() {
            let extreme = [0x7f7f_7f7fu32, 0xff7f_ff7f, 0, 0x8000_8000, 0x7f80_7f80, 0xffff_ffff];
            let pick = extreme[(noise.next() % 6) as usize].to_le_bytes();
            let still = extreme[i % 6].to_le_bytes();
            let of = if noise.next().is_multiple_of(3) { pick } else { still };
            bytes.extend(&of[4 - element.bytes()..]);
        }
        for coder in CODERS {
            let payload =
                encode(&Grid { shape, element, content: GridContent::Bytes(&bytes) }, coder).unwrap();
            let mut out = vec![0; bytes.len()];
            decode(&payload, coder, &None, &mut out).unwrap();
            assert!(out == bytes, "{coder:?} {element:?}");
        }
    }
    let numbers: Vec<i16> = (0..shape.count())
        .map(|i| if noise.next().is_multiple_of(4) { 0 } else { [31_999, -31_999, 1][i % 3] })
        .collect();
    let statistics = Statistics::new(vec![(1e30, 1e-30); 9]).unwrap();
    for (coder, step) in CODERS.into_iter().zip([4096.0, 64.0, 1e-3]) {
        let quantiser = Quantiser { step, statistics: &statistics, dependency: Option::None };
        let content = GridContent::Quantised(&numbers, quantiser);
        let payload = encode(&Grid { shape, element: Element::F32, content }, coder).unwrap();
        let mut out = vec![0; 4 * numbers.len()];
        decode(&payload, coder, &None, &mut out).unwrap();
    }
}

#[test]
fn what_stays_costs_next_to_nothing() {
    let frame = field(Shape { frames: 1, ..SHAPES[0] }, |v, _| (v as f32).to_le_bytes()[2..].to_vec());
    let shape = Shape { frames: 50, ..SHAPES[0] };
    let bytes = frame.repeat(50);
    let payload =
        encode(&Grid { shape, element: Element::Bf16, content: GridContent::Bytes(&bytes) }, Coder::Dense);
    let once = Grid {
        shape: Shape { frames: 1, ..shape },
        element: Element::Bf16,
        content: GridContent::Bytes(&frame),
    };
    let (payload, once) = (payload.unwrap().len(), encode(&once, Coder::Dense).unwrap().len());
    assert!(payload < once + 60, "{payload} {once}");
}

#[test]
fn tokens_come_back_and_damage_is_read_or_refused() {
    let mut noise = Noise(5);
    let all = [
        vec![vec![8u16, 8, 8, 5, 5, 5], vec![2]],
        vec![vec![2; 10]],
        vec![vec![256, 256]],
        vec![vec![2; 63]],
    ];
    for (levels, size) in all.into_iter().zip([4usize, 2, 2, 8]) {
        let shape = Shape { frames: 3, channels: levels.len(), height: 4, width: 5 };
        let mut bytes = Vec::new();
        for i in 0..shape.count() {
            let most = levels[i / 20 % levels.len()].iter().fold(1u64, |n, &l| n * u64::from(l));
            let token = if noise.next().is_multiple_of(3) { noise.next() } else { i as u64 / 60 * 77 } % most;
            bytes.extend(&token.to_le_bytes()[..size]);
        }
        for whole in [false, true] {
            let tokens = Tokens { shape, size, bytes: &bytes };
            let scheme = TokenScheme::digits(levels.clone(), whole).unwrap();
            let payload = encode_tokens(&tokens, &scheme).unwrap();
            let mut out = vec![0; bytes.len()];
            decode_tokens(&payload, &None, &mut out).unwrap();
            assert!(out == bytes);
            for round in 0..60 {
                let mut bad = payload.clone();
                let at = noise.next() as usize % bad.len();
                bad[if round % 2 == 0 { at.min(20) } else { at }] = noise.next() as u8;
                if round % 5 == 0 {
                    bad.truncate(at);
                }
                _ = decode_tokens(&bad, &None, &mut out);
            }
        }
        let short = TokenScheme::digits(vec![vec![2u16]; levels.len()], false).unwrap();
        assert!(encode_tokens(&Tokens { shape, size, bytes: &bytes }, &short).is_err());
    }
}
