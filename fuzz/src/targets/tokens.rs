//! Chunks of tokens, and models of them; chunks of masks: which, decoded length (2 bytes), bytes.

use mcodec_coding::latents::{
    CodeOrder, Shape, SharedObjects, Statistics, TokenModel, TokenScheme, Tokens, decode_masks, decode_tokens,
};
use std::sync::OnceLock;

/// Models with an example as dependencies: 0 of codes, 1 of digits.
struct Shared;

fn model(scheme: Option<TokenScheme>) -> Option<TokenModel> {
    let bytes: Vec<u8> = (0..24).map(|i| i * 7 % 20).collect();
    let shape = Shape { frames: 2, channels: 1, height: 3, width: 4 };
    Some(TokenModel::new(scheme?, Some(&Tokens { shape, size: 1, bytes: &bytes })).ok()?.0)
}

impl SharedObjects for Shared {
    fn statistics(&self, _: u32) -> Option<&Statistics> {
        None
    }

    fn token_model(&self, dependency: u32) -> Option<&TokenModel> {
        static TWO: OnceLock<[Option<TokenModel>; 2]> = OnceLock::new();
        let two = TWO.get_or_init(|| {
            let order = CodeOrder::new((0..20).rev().collect()).ok();
            [
                model(order.and_then(|order| TokenScheme::codes(1, 20, true, 10, vec![order]).ok())),
                model(TokenScheme::digits(vec![vec![4, 5]], true).ok()),
            ]
        });
        two.get(dependency as usize)?.as_ref()
    }
}

/// From this on, what is named first is masks.
const MASKS: u8 = 128;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Some((&which, rest)) = bytes.split_first() else { return };
    let Some((len, payload)) = rest.split_first_chunk::<2>() else { return };
    if which >= MASKS {
        let mut out = vec![0; usize::from(u16::from_le_bytes(*len)) % 1025];
        if decode_masks(payload, &mut out).is_ok() {
            let mut again = vec![0xFF; out.len()];
            decode_masks(payload, &mut again).expect("the same payload");
            assert!(out == again, "what is in the buffer before shows through");
        }
        return;
    }
    if which % 2 == 1 {
        // Small ones: a model may take long, and is allowed to.
        if payload.iter().take(4).all(|&size| size < 8) {
            let _ = TokenModel::parse(payload);
        }
        return;
    }
    let len = usize::from(u16::from_le_bytes(*len)) % 1025;
    let mut out = vec![0; len];
    if decode_tokens(payload, &Shared, &mut out).is_ok() {
        let mut again = vec![0xFF; len];
        decode_tokens(payload, &Shared, &mut again).expect("the same payload");
        assert!(out == again, "what is in the buffer before shows through");
    }
}
