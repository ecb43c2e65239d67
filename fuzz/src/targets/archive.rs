//! Files of PyTorch and NumPy: ZIP directories, pickles and what they put where; and tars of samples.

use mcodec_encode::import::pieces::Parts;
use mcodec_encode::import::safetensors::HeaderLimits;
use mcodec_encode::import::{numpy, tar, torch, zip};
use mcodec_format::registry::Dtype;
use std::collections::HashSet;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let limits = HeaderLimits { header_len: 1 << 16, tensors: 256, name_len: 1024 };
    let len = bytes.len() as u64;
    if torch::legacy::looks_like_legacy(bytes)
        && let Ok(parts) = torch::legacy::parts(bytes, &limits).expect("reading memory does not fail")
    {
        check(&parts, len);
    }
    if let Ok(members) = tar::read_members(bytes, |path| path.ends_with(".npy")) {
        for pair in members.windows(2) {
            assert!(pair[0].path != pair[1].path && pair[0].offset + pair[0].len <= pair[1].offset);
        }
        let last = members.last();
        assert!(last.is_none_or(|member| member.offset + member.len <= len), "a member lies outside");
    }
    let Ok(members) = zip::read_directory(bytes) else { return };
    let mut at = 0;
    for member in &members {
        assert!(at <= member.body.start && member.body.end <= len, "members overlap or lie outside");
        at = member.body.end;
    }
    if let Some(root) = torch::root_of(&members) {
        check(&torch::parts(bytes, root, &members, &limits).expect("reading memory does not fail"), len);
    }
    if numpy::is_npz(&members)
        && let Some(parts) = numpy::npz_parts(bytes, &members, &limits).expect("reading memory does not fail")
    {
        check(&parts, len);
    }
}

/// Tensors lie in the file, each as long as its shape says, at one place or apart; names are unique.
pub(super) fn check(parts: &Parts, len: u64) {
    let mut names = HashSet::new();
    let mut places = Vec::new();
    for tensor in &parts.tensors {
        assert!(names.insert(&tensor.name), "a name occurs twice");
        assert!(!tensor.name.is_empty() && !tensor.name.contains('\0'));
        assert!(tensor.begin <= tensor.end && tensor.end <= len, "a tensor lies outside");
        if let Some(dtype) = Dtype::by_name(&tensor.dtype) {
            assert_eq!(dtype.byte_len(&tensor.shape), Some(tensor.byte_len()));
        }
        places.extend((tensor.begin < tensor.end).then_some((tensor.begin, tensor.end)));
    }
    places.sort_unstable();
    places.dedup();
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0), "tensors overlap");
}
