//! The zstd frames a field may hold: one frame, content size stated, no dictionary, window of at most 8 MiB
//! (`SPEC.md` section 7.1). The frame is checked by hand before the library sees it or anything is allocated.

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::error::{CodingError, Result, corrupt};
use crate::varint::{take_bytes, take_u8};

/// The largest window a frame may ask for, in bytes.
pub const MAX_WINDOW: u64 = 8 << 20;
const MAX_WINDOW_LOG: u32 = 23;

const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// No block holds more than this, packed or unpacked.
const MAX_BLOCK: u64 = 128 << 10;

/// Compresses `bytes` at `level` (1 to 19; others are clamped) into one frame, with content size and no checksum.
///
/// # Errors
/// [`CodingError::Zstd`] if the library fails.
pub fn compress(bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    let failed = |what| move |_| CodingError::Zstd { what };
    let mut compressor = Compressor::new(level.clamp(1, 19)).map_err(failed("start"))?;
    for parameter in
        [CParameter::ContentSizeFlag(true), CParameter::ChecksumFlag(false), CParameter::DictIdFlag(false)]
    {
        compressor.set_parameter(parameter).map_err(failed("parameter"))?;
    }
    // Smaller inputs already get smaller windows; an explicit window would replace the level's own choice.
    if bytes.len() as u64 > MAX_WINDOW {
        compressor.set_parameter(CParameter::WindowLog(MAX_WINDOW_LOG)).map_err(failed("parameter"))?;
    }
    compressor.compress(bytes).map_err(failed("compress"))
}

/// Decodes `frame`, which must be one frame of exactly `length` bytes of content.
///
/// # Errors
/// Refuses, before allocating, any frame that section 7.1 does not allow or whose content size is not `length`; then
/// whatever the library finds wrong.
pub fn decompress(frame: &[u8], length: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    check(frame, length as u64)?;
    out.resize(length, 0);
    decompress_checked(frame, &mut out)?;
    Ok(out)
}

/// [`decompress`] into the caller's buffer, whose length is the expected content size.
///
/// # Errors
/// As for [`decompress`].
pub fn decompress_into(frame: &[u8], out: &mut [u8]) -> Result<()> {
    check(frame, out.len() as u64)?;
    decompress_checked(frame, out)
}

fn decompress_checked(frame: &[u8], out: &mut [u8]) -> Result<()> {
    let failed = |what| move |_| CodingError::Zstd { what };
    let mut decompressor = Decompressor::new().map_err(failed("start"))?;
    let written = decompressor.decompress_to_buffer(frame, out).map_err(failed("decompress"))?;
    if written == out.len() { Ok(()) } else { Err(corrupt("zstd content size")) }
}

/// Checks the frame's header and walks its blocks to its end, which must be the end of `frame`.
fn check(frame: &[u8], length: u64) -> Result<()> {
    let mut rest = frame;
    let magic = take_bytes(&mut rest, 4, "zstd frame")?;
    if magic != MAGIC {
        return Err(corrupt("not a zstd frame"));
    }
    let descriptor = take_u8(&mut rest, "zstd frame")?;
    let single_segment = descriptor & 0x20 != 0;
    if descriptor & 0x08 != 0 {
        return Err(corrupt("reserved bit of a zstd frame"));
    }
    if descriptor & 0x03 != 0 {
        return Err(CodingError::Unsupported { what: "zstd dictionary flag", id: (descriptor & 3).into() });
    }
    let mut window = 0;
    if !single_segment {
        let byte = take_u8(&mut rest, "zstd frame")?;
        // At most 2^41 + 7 * 2^38.
        let base = 1u64 << (10 + (byte >> 3));
        window = base + base / 8 * u64::from(byte & 7);
    }
    let size_len = match descriptor >> 6 {
        0 if single_segment => 1,
        0 => return Err(corrupt("zstd frame without content size")),
        log => 1 << log,
    };
    let mut size = [0; 8];
    let stated = take_bytes(&mut rest, size_len, "zstd frame")?;
    size[..stated.len()].copy_from_slice(stated);
    // Two-byte sizes start at 256.
    let size = u64::from_le_bytes(size).checked_add(if size_len == 2 { 256 } else { 0 });
    if size != Some(length) {
        return Err(corrupt("zstd content size differs from the field's"));
    }
    if single_segment {
        window = length;
    }
    if window > MAX_WINDOW {
        return Err(CodingError::TooLarge { what: "zstd window", size: window, limit: MAX_WINDOW });
    }
    walk_blocks(rest, descriptor & 0x04 != 0)
}

/// Walks the blocks (RFC 8878 section 3.1.1.2) to the end of the frame.
fn walk_blocks(mut rest: &[u8], has_checksum: bool) -> Result<()> {
    loop {
        let head = take_bytes(&mut rest, 3, "zstd block")?;
        let head = u64::from(head[0]) | u64::from(head[1]) << 8 | u64::from(head[2]) << 16;
        let size = head >> 3;
        if size > MAX_BLOCK {
            return Err(corrupt("zstd block too large"));
        }
        let stored = match head >> 1 & 3 {
            1 => 1,
            0 | 2 => size,
            _ => return Err(corrupt("reserved zstd block type")),
        };
        take_bytes(&mut rest, stored, "zstd block")?;
        if head & 1 == 1 {
            break;
        }
    }
    if has_checksum {
        take_bytes(&mut rest, 4, "zstd checksum")?;
    }
    if rest.is_empty() { Ok(()) } else { Err(corrupt("bytes after the zstd frame")) }
}
