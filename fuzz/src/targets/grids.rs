//! Chunks of grids and of tokens: which coder, decoded length (2 bytes), payload; or an object `digits`.

use mcodec_coding::latents::{
    Coder, DigitCells, Digits, Level, Shape, SharedObjects, Statistics, TokenModel, decode, decode_refined,
    decode_tokens,
};
use std::sync::OnceLock;

/// Statistics as dependency 0, digits of three channels as any.
struct Shared;

impl SharedObjects for Shared {
    fn statistics(&self, dependency: u32) -> Option<&Statistics> {
        static THREE: OnceLock<Option<Statistics>> = OnceLock::new();
        let three = THREE.get_or_init(|| Statistics::new(vec![(0.25, 0.75), (0.0, 1.0), (-1.0, 0.5)]).ok());
        three.as_ref().filter(|_| dependency == 0)
    }

    fn token_model(&self, _: u32) -> Option<&TokenModel> {
        None
    }

    fn digits(&self, _: u32) -> Option<&Digits> {
        static DIGITS: OnceLock<Option<Digits>> = OnceLock::new();
        let cells = |firsts: &[i32], join| DigitCells {
            firsts: firsts.to_vec(),
            join,
            points: (0..=firsts.len() as i32).collect(),
        };
        DIGITS
            .get_or_init(|| {
                let all = [cells(&[-4, 32_000, 33_000], 0), cells(&[0, 30_000], 1), cells(&[32_768], 2)];
                Digits::new(vec![2, 1], &all).ok()
            })
            .as_ref()
    }
}

/// A coarser level of two channels as any dependency.
struct Coarser;

impl SharedObjects for Coarser {
    fn statistics(&self, _: u32) -> Option<&Statistics> {
        static TWO: OnceLock<Option<Statistics>> = OnceLock::new();
        TWO.get_or_init(|| Statistics::new(vec![(0.25, 0.75), (-0.5, 0.5)]).ok()).as_ref()
    }

    fn token_model(&self, _: u32) -> Option<&TokenModel> {
        None
    }

    fn level(&self, dependency: u32) -> Option<&Level> {
        static TWO: OnceLock<[Option<Level>; 2]> = OnceLock::new();
        let level = |halvings| Level::new(0.125, halvings, self.statistics(0)?.clone()).ok();
        let two = TWO.get_or_init(|| [level(0), level(1)]);
        two.get((dependency % 2) as usize)?.as_ref()
    }
}

/// From this on, a grid refines numbers of a coarser one.
const COARSER: u8 = 128;

/// Tokens of as many places as there are.
fn tokens(places: usize) -> Vec<u8> {
    (0..places).flat_map(|i| [(i * 5 % 12) as u8]).chain((0..places).map(|i| (i % 2) as u8)).collect()
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    if how >= COARSER {
        if let Ok(level) = Level::parse(rest) {
            assert!(level.to_bytes() == rest, "a level does not come back");
        }
        let Some((len, payload)) = rest.split_first_chunk::<2>() else { return };
        let len = usize::from(u16::from_le_bytes(*len)) % 4097;
        // Of elements of two bytes.
        let numbers: Vec<u8> = (0..len / 2).flat_map(|i| ((i * 5 % 23) as i16 - 11).to_le_bytes()).collect();
        let mut out = vec![0; len];
        if decode_refined(payload, Coder::Dense, &Coarser, &numbers, &mut out).is_ok() {
            let mut again = vec![0xFF; len];
            decode_refined(payload, Coder::Dense, &Coarser, &numbers, &mut again).expect("the same payload");
            assert!(out == again, "what is in the buffer before shows through");
        }
        return;
    }
    if how % 5 == 4 {
        let Ok(digits) = Digits::parse(rest) else { return };
        assert!(Digits::parse(&digits.to_bytes()).as_ref() == Ok(&digits), "digits do not come back");
        let shape = Shape { frames: 1, channels: digits.channels(), height: 1, width: 2 };
        _ = digits.of_tokens(shape, &vec![0; 2 * digits.tokens()]);
        return;
    }
    let Some((len, payload)) = rest.split_first_chunk::<2>() else { return };
    let len = usize::from(u16::from_le_bytes(*len)) % 4097;
    let run = |out: &mut [u8]| match how % 5 {
        0 => decode(payload, Coder::Fast, &Shared, out),
        1 => decode(payload, Coder::Dense, &Shared, out),
        // Of elements of two bytes.
        2 => decode_refined(payload, Coder::Dense, &Shared, &tokens(len / 6), out),
        _ => decode_tokens(payload, &Shared, out),
    };
    let mut out = vec![0; len];
    if run(&mut out).is_ok() {
        let mut again = vec![0xFF; len];
        run(&mut again).expect("the same payload");
        assert!(out == again, "what is in the buffer before shows through");
    }
}
