//! Pages and roots straight from the bytes. The first byte says which; what was read must be written and read again alike.

use mcodec_format::{Limits, Page, Root};

/// File offset at which pages and roots are said to be.
const BASE: u64 = 4096;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Some((&how, payload)) = bytes.split_first() else { return };
    match how % 3 {
        0 => root(payload),
        1 => page(payload, BASE, true),
        _ => page(payload, 0, false),
    }
}

fn page(payload: &[u8], base: u64, indexed: bool) {
    let Ok(page) = Page::parse(payload, base, indexed, &Limits::strict()) else { return };
    // Writing tries zstd at its best level: for large pages too slow here.
    if page.rows.len() > 256 {
        return;
    }
    let again = Page::parse(&page.to_bytes(base), base, indexed, &Limits::strict());
    assert_eq!(again.as_ref(), Ok(&page));
}

fn root(payload: &[u8]) {
    let Ok(root) = Root::parse(payload, BASE, &Limits::strict()) else { return };
    let again = Root::parse(&root.to_bytes(BASE), BASE, &Limits::strict());
    assert_eq!(again.as_ref(), Ok(&root));
}
