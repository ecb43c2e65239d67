//! Headers of GGUF files.

use mcodec_encode::import::gguf::{GgufHeader, GgufLimits, looks_like_gguf, read_header};

/// Runs the target: two bytes of how much longer the file is than the input, then its front.
pub fn run(bytes: &[u8]) {
    let Some((more, front)) = bytes.split_first_chunk::<2>() else { return };
    let limits =
        GgufLimits { header_len: 1 << 14, pairs: 256, tensors: 256, name_len: 1024, rank: 8, depth: 4 };
    _ = read_header(front, u64::MAX, &limits);
    let file_len = front.len() as u64 + u64::from(u16::from_le_bytes(*more));
    let Ok(header) = read_header(front, file_len, &limits) else { return };
    assert!(looks_like_gguf(front));
    check(&header, file_len);
    // A byte at a time, and under no limits, the same.
    let slow = read_header(OneByOne(front), file_len, &limits).expect("what was read");
    assert_eq!(format!("{slow:?}"), format!("{header:?}"));
    let free = read_header(front, file_len, &GgufLimits::default()).expect("what was read");
    assert_eq!(free.tensors, header.tensors);
}

fn check(header: &GgufHeader, file_len: u64) {
    assert!(header.metadata_end <= header.end && header.end <= file_len);
    let mut places: Vec<(u64, u64)> = Vec::new();
    for tensor in header.tensors.iter().filter(|t| t.byte_len > 0) {
        assert!(tensor.begin >= header.data_offset && tensor.begin + tensor.byte_len <= file_len);
        if let Some(dtype) = tensor.dtype() {
            assert_eq!(dtype.byte_len(&tensor.shape), Some(tensor.byte_len));
        }
        places.push((tensor.begin, tensor.begin + tensor.byte_len));
    }
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0), "tensors overlap");
    for (key, value) in &header.metadata {
        assert!(!key.contains('\0') && !value.to_string().contains('\u{1b}'));
    }
}

struct OneByOne<'a>(&'a [u8]);

impl std::io::Read for OneByOne<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = buf.len().min(1);
        std::io::Read::read(&mut self.0, &mut buf[..n])
    }
}
