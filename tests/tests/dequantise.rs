//! Elements of quantised blocks, bit for bit as the `gguf` Python package has them.

use mcodec_decode::{DecodeError, dequantise, is_dequantisable};
use mcodec_format::registry::{BLOCKS, DTYPES, Dtype};
use mcodec_tests::gguf::random_blocks;
use mcodec_tests::inputs::Noise;
use std::collections::BTreeSet;

fn dtype(name: &str) -> Dtype {
    Dtype::by_name(name).unwrap()
}

fn values(name: &str, bytes: &[u8]) -> Vec<f32> {
    let dtype = dtype(name);
    let n = bytes.len() / (dtype.bits as usize / 8) * dtype.block as usize;
    let mut out = vec![f32::NAN; n];
    dequantise(dtype, bytes, &mut out).unwrap();
    out
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (head, tail) = rest.split_at(n);
    *rest = tail;
    head
}

/// `tests/data/gguf/make_vectors.py` says how the file is made.
#[test]
fn blocks_are_worth_what_the_python_package_says() {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/gguf/dequantised.bin")).unwrap();
    let mut rest = &file[..];
    let mut seen = BTreeSet::new();
    while !rest.is_empty() {
        let len = usize::from(take(&mut rest, 1)[0]);
        let name = std::str::from_utf8(take(&mut rest, len)).unwrap();
        let dtype = dtype(name);
        let count = usize::from(take(&mut rest, 1)[0]);
        let blocks = take(&mut rest, count * dtype.block_bytes().unwrap() as usize);
        let expected = take(&mut rest, count * dtype.block as usize * 4);
        let found: Vec<u8> = values(name, blocks).iter().flat_map(|x| x.to_bits().to_le_bytes()).collect();
        for (i, (a, b)) in found.chunks(4).zip(expected.chunks(4)).enumerate() {
            assert_eq!(a, b, "element {i} of {name}");
        }
        seen.insert(name.to_owned());
    }
    let by_hand = ["Q8_1", "Q8_K", "Q1_0"];
    let missing: Vec<_> =
        BLOCKS.iter().filter(|d| !seen.contains(d.name) && !by_hand.contains(&d.name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The package lacks these. Q1_0 is a sign a bit, the lowest first; the others hold their codes as i8.
#[test]
fn types_by_hand() {
    let mut q1 = vec![0x00, 0x38];
    q1.extend([0b0000_0101, 0x80]);
    q1.extend([0; 14]);
    let found = values("Q1_0", &q1);
    let ones: Vec<usize> = (0..128).filter(|&i| found[i] == 0.5).collect();
    assert_eq!(ones, [0, 2, 15]);
    assert!(found.iter().all(|x| x.abs() == 0.5));
    let mut q8 = vec![0x00, 0x3C, 0xFF, 0xFF];
    q8.extend((0..32u8).map(|i| i.wrapping_sub(16)));
    assert_eq!(values("Q8_1", &q8), (-16..16).map(|i| i as f32).collect::<Vec<_>>());
    let mut q8k = 0.25f32.to_le_bytes().to_vec();
    q8k.extend((0..=255u8).map(|i| i.wrapping_sub(128)));
    q8k.extend([9; 32]);
    assert_eq!(values("Q8_K", &q8k), (-128..128).map(|i| i as f32 * 0.25).collect::<Vec<_>>());
}

#[test]
fn floats_are_widened() {
    assert_eq!(
        values("F16", &[0x00, 0x3C, 0x01, 0x00, 0x00, 0xFC]),
        [1.0, 2f32.powi(-24), f32::NEG_INFINITY]
    );
    assert_eq!(values("BF16", &[0x80, 0x3F, 0x49, 0xC0]), [1.0, -3.140_625]);
    assert_eq!(values("F32", &1.5f32.to_le_bytes()), [1.5]);
}

#[test]
fn any_bytes_give_numbers() {
    let mut noise = Noise(5);
    for d in BLOCKS {
        assert!(is_dequantisable(d), "{}", d.name);
        let len = d.block_bytes().unwrap() as usize;
        values(d.name, &noise.bytes(len * 50));
        values(d.name, &vec![0xFF; len]);
        assert!(values(d.name, &random_blocks(d, 9, &mut noise)).iter().all(|x| x.is_finite()), "{}", d.name);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut out = [0.0; 32];
    let refuse = |d, bytes: &[u8], out: &mut [f32]| {
        assert!(matches!(dequantise(d, bytes, out), Err(DecodeError::Request(_))));
    };
    refuse(dtype("Q4_0"), &[0; 17], &mut out);
    refuse(dtype("Q4_0"), &[0; 18], &mut out[..31]);
    refuse(dtype("Q4_0"), &[0; 36], &mut out);
    refuse(dtype("I32"), &[0; 128], &mut out);
    let floats = ["F32", "F16", "BF16"];
    assert!(DTYPES.iter().all(|d| is_dequantisable(*d) == floats.contains(&d.name)));
}
