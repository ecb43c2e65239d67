//! Headers of safetensors files, and the layouts that keep them.

use mcodec_decode::is_safe_path;
use mcodec_decode::layout::{Layout, LayoutError, Piece};
use mcodec_decode::safetensors::HeaderTensor;
use mcodec_encode::import::safetensors::{
    Header, HeaderLimits, is_canonical, layout_for, looks_like_safetensors, parse_header, read_header,
};

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let limits = HeaderLimits { header_len: 1 << 16, tensors: 256, name_len: 1024 };
    _ = looks_like_safetensors(bytes, Some(bytes.len() as u64));
    _ = std::str::from_utf8(bytes).map(is_safe_path);
    for layout in 0..4 {
        if let Ok(parsed) = Layout::parse(layout, bytes) {
            assert_eq!(parsed.to_bytes(), (layout, bytes.to_vec()), "a layout is written differently");
        }
    }
    _ = read_header(&mut &bytes[..], Some(bytes.len() as u64), &limits);
    if let Ok((header_bytes, header)) = read_header(&mut &bytes[..], None, &limits) {
        assert!(bytes.starts_with(&header_bytes));
        assert_eq!(parse_header(&header_bytes[8..], &limits).expect("what was read"), header);
        assert!(looks_like_safetensors(&header_bytes, None));
        keep(&header_bytes, &header);
    } else if let Ok(header) = parse_header(bytes, &limits) {
        keep(&[&(bytes.len() as u64).to_le_bytes(), bytes].concat(), &header);
    }
}

/// The layout gives the header back.
fn keep(header_bytes: &[u8], header: &Header) {
    _ = is_canonical(header_bytes, header);
    let order = header.data_order();
    assert_eq!(order.last().map_or(0, |&i| header.tensors[i].end), header.data_len());
    let layout = layout_for(header_bytes, header, |i| i as u32);
    let (id, content) = layout.to_bytes();
    assert_eq!(Layout::parse(id, &content).as_ref(), Ok(&layout));
    let ids: Vec<usize> = layout.ids().iter().map(|&id| id as usize).collect();
    if matches!(layout, Layout::Verbatim { .. }) {
        assert_eq!(ids, order);
    }
    let head = |id: u32| {
        let t = &header.tensors[id as usize];
        let (name, dtype) = (t.name.as_str(), t.dtype.as_str());
        Ok::<_, LayoutError>(HeaderTensor { name, dtype, shape: &t.shape, byte_len: t.byte_len() })
    };
    let pieces = layout.into_pieces(head).expect("a header that was read can be written");
    let Some(Piece::Literal(again)) = pieces.first() else { panic!("no header") };
    assert!(again == header_bytes, "the header comes back differently");
}
