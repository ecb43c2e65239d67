//! Tokens and their models: what comes back, and what is refused.

use mcodec_coding::CodingError;
use mcodec_coding::latents::{
    CodeOrder, Shape, SharedObjects, Statistics, TokenModel, TokenScheme, Tokens, decode_tokens,
    encode_tokens,
};

struct Shared(Option<TokenModel>);

impl SharedObjects for Shared {
    fn statistics(&self, _: u32) -> Option<&Statistics> {
        None
    }

    fn token_model(&self, dependency: u32) -> Option<&TokenModel> {
        self.0.as_ref().filter(|_| dependency == 0)
    }
}

fn tokens_of(shape: Shape, size: usize, vocabulary: usize) -> Vec<u8> {
    let token = |i: usize| (i * i / 7 + i / 5 * 3) % vocabulary;
    (0..shape.count()).flat_map(|i| token(i).to_le_bytes()[..size].to_vec()).collect()
}

const SHAPE: Shape = Shape { frames: 4, channels: 2, height: 3, width: 5 };

fn schemes() -> Vec<TokenScheme> {
    let order = |n: u16| CodeOrder::new((0..n).rev().collect()).expect("an order");
    vec![
        TokenScheme::codes(2, 2, true, 10, Vec::new()).expect("two codes"),
        TokenScheme::codes(2, 77, true, 12, vec![order(77); 2]).expect("ordered codes"),
        TokenScheme::codes(2, 64, false, 10, vec![order(64); 2]).expect("light codes"),
        TokenScheme::codes(2, 65_535, true, 16, Vec::new()).expect("many codes"),
        TokenScheme::digits(vec![vec![8, 5], vec![2, 3, 7]], true).expect("digits"),
        TokenScheme::digits(vec![vec![8, 5], vec![2, 3, 7]], false).expect("light digits"),
    ]
}

fn vocabulary(scheme: &TokenScheme) -> usize {
    scheme.vocabulary().map_or(40, |n| n as usize)
}

#[test]
fn tokens_come_back_by_themselves_and_under_models() {
    for scheme in schemes() {
        let bytes = tokens_of(SHAPE, 2, vocabulary(&scheme));
        let tokens = Tokens { shape: SHAPE, size: 2, bytes: &bytes };
        let mut out = vec![0; bytes.len()];
        let payload = encode_tokens(&tokens, &scheme).expect("they are coded");
        decode_tokens(&payload, &Shared(None), &mut out).expect("they are decoded");
        assert_eq!(out, bytes);
        let half = Tokens { shape: Shape { frames: 2, ..SHAPE }, size: 2, bytes: &bytes[bytes.len() / 2..] };
        let first = Tokens { shape: Shape { frames: 2, ..SHAPE }, size: 2, bytes: &bytes[..bytes.len() / 2] };
        for example in [None, Some(&first)] {
            let (made, content) = TokenModel::new(scheme.clone(), example).expect("a model");
            let parsed = TokenModel::parse(&content).expect("the model is read");
            assert_eq!(parsed.scheme(), &scheme);
            let payload = made.encode(0, &half).expect("they are coded");
            let shared = Shared(Some(parsed));
            let mut out = vec![0; half.bytes.len()];
            decode_tokens(&payload, &shared, &mut out).expect("they are decoded");
            assert_eq!(out, half.bytes);
            let of_example = made.encode(0, &first).expect("they are coded");
            assert_eq!(of_example[0] == 3, example.is_some());
            decode_tokens(&of_example, &shared, &mut out).expect("they are decoded");
            assert_eq!(out, first.bytes);
            assert_eq!(
                decode_tokens(&of_example, &Shared(None), &mut out),
                Err(CodingError::MissingTable { dependency: 0 })
            );
        }
    }
}

#[test]
fn an_order_is_what_it_was_but_for_halves() {
    for count in [2usize, 3, 5, 64, 100, 1000] {
        let step =
            (1..count).rev().find(|step| (2..=*step).all(|n| count % n > 0 || step % n > 0)).unwrap_or(1);
        let leaves: Vec<u16> = (0..count).map(|i| (i * step % count) as u16).collect();
        let order = CodeOrder::new(leaves).expect("an order");
        let again = CodeOrder::new(order.leaves().to_vec()).expect("an order");
        assert_eq!(order, again);
        let scheme = TokenScheme::codes(1, count as u32, true, 10, vec![order]).expect("a scheme");
        let (_, content) = TokenModel::new(scheme.clone(), None).expect("a model");
        assert_eq!(TokenModel::parse(&content).expect("the model is read").scheme(), &scheme);
    }
}

#[test]
fn orders_that_are_none_are_refused() {
    for tokens in [vec![0, 0], vec![0, 2], vec![1, 2, 3], vec![0], Vec::new(), vec![u16::MAX, 0]] {
        assert!(matches!(CodeOrder::new(tokens), Err(CodingError::Invalid { .. })));
    }
    let order = |n: u16| CodeOrder::new((0..n).collect()).expect("an order");
    assert!(TokenScheme::codes(2, 9, true, 10, vec![order(9)]).is_err());
    assert!(TokenScheme::codes(1, 9, true, 10, vec![order(8)]).is_err());
    assert!(TokenScheme::codes(17, 65_535, true, 10, vec![order(65_535); 17]).is_err());
    for (tokens, vocabulary, counters) in
        [(0, 9, 10), (1, 1, 10), (1, 65_536, 10), (1, 9, 9), (1, 9, 23), (5000, 9, 10)]
    {
        assert!(TokenScheme::codes(tokens, vocabulary, true, counters, Vec::new()).is_err());
    }
}

/// Changes bytes of a sound payload of 4 frames of 2 x 3 x 5 codes below 77.
#[test]
fn what_breaks_a_rule_is_refused() {
    let scheme = &schemes()[1];
    let bytes = tokens_of(SHAPE, 2, 77);
    let tokens = Tokens { shape: SHAPE, size: 2, bytes: &bytes };
    let payload = encode_tokens(&tokens, scheme).expect("they are coded");
    assert_eq!(payload[..9], [1, 2, 2, 3, 5, 1, 77, 3, 12]);
    let mut out = vec![0; bytes.len()];
    let mut decode = |payload: &[u8]| decode_tokens(payload, &Shared(None), &mut out);
    assert!(decode(&payload).is_ok());
    for (at, value, why) in [
        (0, 4, "form"),
        (1, 3, "size"),
        (2, 3, "shape"),
        (3, 0, "shape"),
        (5, 2, "kind"),
        (6, 1, "codebook"),
        (7, 4, "flags"),
        (8, 9, "codebook"),
        (8, 23, "codebook"),
        (8, 17, "counters"),
    ] {
        let mut bad = payload.clone();
        bad[at] = value;
        let error = decode(&bad).expect_err(why).to_string();
        assert!(error.contains(why), "{at} {value}: {error}");
    }
    for end in 0..9 {
        assert!(decode(&payload[..end]).is_err(), "{end}");
    }
    // Whatever the decisions are, they are tokens: but all of them are used.
    assert!(decode(&[&payload[..], &[1, 2, 3, 4]].concat()).is_err());
    let size_one = [&[1, 1, 2, 3, 5, 1, 0x81, 2, 0, 10][..], &[0; 40]].concat();
    assert!(decode(&size_one).is_err());
}

#[test]
fn damage_is_read_or_refused() {
    let mut state = 3u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    for scheme in schemes().into_iter().filter(|scheme| scheme.vocabulary().is_some_and(|n| n < 100)) {
        let bytes = tokens_of(SHAPE, 2, vocabulary(&scheme));
        let tokens = Tokens { shape: SHAPE, size: 2, bytes: &bytes };
        let payload = encode_tokens(&tokens, &scheme).expect("they are coded");
        let (_, content) = TokenModel::new(scheme, Some(&tokens)).expect("a model");
        let mut out = vec![0; bytes.len()];
        for round in 0..80 {
            let mut bad = payload.clone();
            let at = noise() % bad.len();
            bad[if round % 2 == 0 { at.min(20) } else { at }] = noise() as u8;
            _ = decode_tokens(&bad, &Shared(None), &mut out);
            let mut bad = content.clone();
            let at = noise() % bad.len();
            bad[at.max(4)] = noise() as u8;
            _ = TokenModel::parse(&bad);
        }
    }
}

#[test]
fn models_that_break_a_rule_are_refused() {
    let scheme = schemes().remove(1);
    let bytes = tokens_of(SHAPE, 2, 77);
    let tokens = Tokens { shape: SHAPE, size: 2, bytes: &bytes };
    let (_, content) = TokenModel::new(scheme, Some(&tokens)).expect("a model");
    assert_eq!(content[..8], [4, 2, 3, 5, 1, 77, 3, 12]);
    for (at, value) in [(1, 0), (2, 0), (3, 0), (4, 2), (5, 0), (5, 1), (6, 7), (7, 9), (7, 23)] {
        let mut bad = content.clone();
        bad[at] = value;
        assert!(TokenModel::parse(&bad).is_err(), "{at} {value}");
    }
    // 2^28 frames.
    let long = [&[0x80, 0x80, 0x80, 0x80, 1], &content[1..]].concat();
    assert!(TokenModel::parse(&long).expect_err("it is too long").to_string().contains("size of an example"));
    let no_frames = [&[0], &content[1..8]].concat();
    assert!(TokenModel::parse(&no_frames).is_err());
    let shared = Shared(TokenModel::parse(&content).ok());
    let mut out = vec![0; bytes.len()];
    let mut decode = |payload: &[u8]| decode_tokens(payload, &shared, &mut out);
    assert!(decode(&[3, 0, 2, 3, 5, 0]).is_ok());
    for (payload, why) in [
        (&[3, 0, 2, 3, 5, 1][..], "no part of the example"),
        (&[3, 0, 2, 5, 3, 0], "no part of the example"),
        (&[3, 0, 2, 3, 5, 0, 0], "bytes follow"),
        (&[3, 1, 2, 3, 5, 0], "dependency 1"),
        (&[3, 0, 3, 3, 5, 0], "size"),
        (&[2, 0, 2, 0, 5], "shape"),
        (&[2, 0, 2, 3], "cut short"),
    ] {
        let error = decode(payload).expect_err(why).to_string();
        assert!(error.contains(why) || why == "cut short", "{error}");
    }
}
