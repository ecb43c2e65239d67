//! NumPy arrays by themselves.

use mcodec_encode::import::numpy::{looks_like_npy, npy_parts, read_header};
use mcodec_encode::import::safetensors::HeaderLimits;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let limits = HeaderLimits { header_len: 1 << 16, tensors: 256, name_len: 1024 };
    let len = bytes.len() as u64;
    if let Ok(header) = read_header(bytes, 0..len) {
        assert!(looks_like_npy(bytes) && header.len <= len);
    }
    if let Ok(parts) = npy_parts(bytes, "array", &limits) {
        assert_eq!(parts.tensors[0].end, len);
        super::archive::check(&parts, len);
    }
}
