//! Pickles, read as data.

use mcodec_encode::import::safetensors::HeaderLimits;
use mcodec_encode::import::torch::tensor_names;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let limits = HeaderLimits { header_len: 1 << 16, tensors: 256, name_len: 1024 };
    if let Ok(names) = tensor_names(bytes, &limits) {
        assert!(names.len() <= limits.tensors);
        assert!(names.iter().all(|name| name.len() <= limits.name_len));
    }
}
