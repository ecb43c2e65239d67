//! The forms that decoded content is written in.

pub(crate) mod converted;
pub(crate) mod folder;
pub(crate) mod gguf;
#[cfg(feature = "images")]
pub(crate) mod ktx2;
pub(crate) mod npy;
#[cfg(feature = "images")]
pub(crate) mod picture;
pub(crate) mod safetensors;

use std::path::Path;

/// Whether an asset of this name, made from just one file of this name, was given as that file rather than as a folder.
pub(crate) fn is_single(asset: &str, file: &str) -> bool {
    file.is_empty() || file == asset || file.rsplit_once('.').is_some_and(|(stem, _)| stem == asset)
}

/// Whether the path says by itself that it is a folder.
pub(crate) fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|&b| std::path::is_separator(b.into()))
}
