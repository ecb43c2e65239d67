//! Chunks of grids: which coder, decoded length (2 bytes), payload.

use mcodec_coding::latents::{Coder, SharedObjects, Statistics, TokenModel, decode};
use std::sync::OnceLock;

/// Statistics as dependency 0.
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
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    let Some((len, payload)) = rest.split_first_chunk::<2>() else { return };
    let coder = if how % 2 == 0 { Coder::Fast } else { Coder::Dense };
    let len = usize::from(u16::from_le_bytes(*len)) % 4097;
    let mut out = vec![0; len];
    if decode(payload, coder, &Shared, &mut out).is_ok() {
        let mut again = vec![0xFF; len];
        decode(payload, coder, &Shared, &mut again).expect("the same payload");
        assert!(out == again, "what is in the buffer before shows through");
    }
}
