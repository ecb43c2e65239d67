//! How a file of the source is kept in a `file` entry (SPEC 5.4, layouts 1 to 3).

use crate::safetensors::{HeaderTensor, render_header};
use mcodec_format::FormatError;
use mcodec_format::registry::file_layout;
use mcodec_format::wire::{self, Parse, put_svarint, put_varint};

/// Why the content of a `file` entry, or a header to be rendered, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The layout is none of 1 to 3.
    #[error("unknown file layout {0}")]
    Unknown(u64),
    /// The content breaks off.
    #[error("file layout ends early, at byte {offset}")]
    Truncated {
        /// Where the missing bytes should start.
        offset: usize,
    },
    /// The content breaks a rule of the format.
    #[error("bad file layout at byte {offset}: {reason}")]
    Invalid {
        /// Where the bad item starts.
        offset: usize,
        /// The rule that is broken.
        reason: &'static str,
    },
    /// The tensors' lengths or the header's own do not fit 64 bits, or padding is zero.
    #[error("safetensors header cannot be written: {reason}")]
    Unrenderable {
        /// What does not fit.
        reason: &'static str,
    },
}

/// A part of a file, in the order of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These bytes.
    Literal(Vec<u8>),
    /// All bytes of the tensor with this entry id.
    Tensor(u32),
}

/// The content of a `file` entry of layout 1, 2 or 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Layout 1: the header is kept as it was.
    Verbatim {
        /// Entry ids of the tensors, in the order of their data.
        ids: Vec<u32>,
        /// The header: 8-byte length and JSON.
        header: Vec<u8>,
    },
    /// Layout 2: the header is rendered from the tensors (see [`render_header`]).
    Rendered {
        /// The JSON is padded with spaces to a multiple of this, at least 1.
        pad: u8,
        /// Raw text of `__metadata__`; empty: none.
        metadata: String,
        /// Entry ids of the tensors, in the order of their data.
        ids: Vec<u32>,
    },
    /// Layout 3: literal bytes and tensors, in the order of the file.
    Pieces(Vec<Piece>),
}

impl Layout {
    /// Reads the content of a `file` entry of layout `layout_id`.
    ///
    /// # Errors
    /// If the layout is unknown, or the content breaks off, has bytes left over, or breaks a rule of the format.
    pub fn parse(layout_id: u64, bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut input = Input { bytes, at: 0 };
        match layout_id {
            file_layout::SAFETENSORS_VERBATIM => {
                let ids = input.ids()?;
                let at = input.at;
                let header = input.rest();
                let (length, json) =
                    header.split_first_chunk::<8>().ok_or(LayoutError::Truncated { offset: bytes.len() })?;
                if u64::from_le_bytes(*length) != json.len() as u64 {
                    return Err(LayoutError::Invalid {
                        offset: at,
                        reason: "the header's length is not that of its JSON",
                    });
                }
                Ok(Self::Verbatim { ids, header: header.to_vec() })
            }
            file_layout::SAFETENSORS_RENDERED => {
                let pad = input.byte()?;
                if pad == 0 {
                    return Err(LayoutError::Invalid { offset: 0, reason: "padding to a multiple of zero" });
                }
                let metadata = input.string()?.to_owned();
                let ids = input.ids()?;
                input.end("bytes after the last tensor")?;
                Ok(Self::Rendered { pad, metadata, ids })
            }
            file_layout::PIECES => input.pieces().map(Self::Pieces),
            other => Err(LayoutError::Unknown(other)),
        }
    }

    /// The layout's id and the content of its entry.
    #[must_use]
    pub fn to_bytes(&self) -> (u64, Vec<u8>) {
        let mut out = Vec::new();
        match self {
            Self::Verbatim { ids, header } => {
                put_ids(&mut out, ids);
                out.extend_from_slice(header);
                (file_layout::SAFETENSORS_VERBATIM, out)
            }
            Self::Rendered { pad, metadata, ids } => {
                out.push(*pad);
                put_varint(&mut out, metadata.len() as u64);
                out.extend_from_slice(metadata.as_bytes());
                put_ids(&mut out, ids);
                (file_layout::SAFETENSORS_RENDERED, out)
            }
            Self::Pieces(pieces) => {
                put_varint(&mut out, pieces.len() as u64);
                for piece in pieces {
                    put_varint(
                        &mut out,
                        match piece {
                            Piece::Literal(bytes) => (bytes.len() as u64) << 1,
                            Piece::Tensor(id) => u64::from(*id) << 1 | 1,
                        },
                    );
                }
                for piece in pieces {
                    if let Piece::Literal(bytes) = piece {
                        out.extend_from_slice(bytes);
                    }
                }
                (file_layout::PIECES, out)
            }
        }
    }

    /// Entry ids of the tensors, in the order of their data.
    #[must_use]
    pub fn ids(&self) -> Vec<u32> {
        match self {
            Self::Verbatim { ids, .. } | Self::Rendered { ids, .. } => ids.clone(),
            Self::Pieces(pieces) => tensors_of(pieces).collect(),
        }
    }

    /// The same layout over tensors with other ids.
    ///
    /// # Errors
    /// The first error of `new_id`.
    pub fn renumbered<E>(self, new_id: impl Fn(u32) -> Result<u32, E>) -> Result<Self, E> {
        let all = |ids: Vec<u32>| ids.into_iter().map(&new_id).collect::<Result<Vec<u32>, E>>();
        Ok(match self {
            Self::Verbatim { ids, header } => Self::Verbatim { ids: all(ids)?, header },
            Self::Rendered { pad, metadata, ids } => Self::Rendered { pad, metadata, ids: all(ids)? },
            Self::Pieces(pieces) => {
                let one = |piece| match piece {
                    Piece::Tensor(id) => new_id(id).map(Piece::Tensor),
                    literal => Ok(literal),
                };
                Self::Pieces(pieces.into_iter().map(one).collect::<Result<_, E>>()?)
            }
        })
    }

    /// The parts of the file; `tensor` describes the tensor of an entry id.
    ///
    /// # Errors
    /// The first error of `tensor`, or [`LayoutError::Unrenderable`].
    pub fn into_pieces<'a, E: From<LayoutError>>(
        self,
        tensor: impl Fn(u32) -> Result<HeaderTensor<'a>, E>,
    ) -> Result<Vec<Piece>, E> {
        let (header, ids) = match self {
            Self::Pieces(pieces) => return Ok(pieces),
            Self::Verbatim { ids, header } => (header, ids),
            Self::Rendered { pad, metadata, ids } => {
                let heads = ids.iter().map(|&id| tensor(id)).collect::<Result<Vec<_>, E>>()?;
                (render_header(&metadata, heads.into_iter(), pad)?, ids)
            }
        };
        Ok(std::iter::once(Piece::Literal(header)).chain(ids.into_iter().map(Piece::Tensor)).collect())
    }
}

fn tensors_of(pieces: &[Piece]) -> impl Iterator<Item = u32> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Tensor(id) => Some(*id),
        Piece::Literal(_) => None,
    })
}

fn put_ids(out: &mut Vec<u8>, ids: &[u32]) {
    put_varint(out, ids.len() as u64);
    let mut expected = 0i64;
    for id in ids {
        let id = i64::from(*id);
        put_svarint(out, id - expected);
        expected = id + 1;
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn byte(&mut self) -> Result<u8, LayoutError> {
        let byte = *self.bytes.get(self.at).ok_or(LayoutError::Truncated { offset: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, LayoutError> {
        self.integer(wire::varint)
    }

    fn integer<T>(&mut self, parse: impl Fn(&'a [u8]) -> Parse<'a, T>) -> Result<T, LayoutError> {
        let input = self.rest();
        match wire::finish("file layout", input, parse(input)) {
            Ok((rest, value)) => {
                self.at += input.len() - rest.len();
                Ok(value)
            }
            Err(FormatError::Truncated { .. }) => Err(LayoutError::Truncated { offset: self.bytes.len() }),
            Err(_) => Err(LayoutError::Invalid {
                offset: self.at,
                reason: "an integer over 64 bits or not in its shortest form",
            }),
        }
    }

    fn bytes_of(&mut self, length: u64) -> Result<&'a [u8], LayoutError> {
        let bytes = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest().get(..length))
            .ok_or(LayoutError::Truncated { offset: self.bytes.len() })?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn string(&mut self) -> Result<&'a str, LayoutError> {
        let length = self.varint()?;
        let offset = self.at;
        let bytes = self.bytes_of(length)?;
        std::str::from_utf8(bytes)
            .map_err(|_| LayoutError::Invalid { offset, reason: "a string that is not UTF-8" })
    }

    fn end(&self, reason: &'static str) -> Result<(), LayoutError> {
        if self.at == self.bytes.len() {
            return Ok(());
        }
        Err(LayoutError::Invalid { offset: self.at, reason })
    }

    /// Each item takes a byte at least, so a larger count cannot be served and must not be reserved.
    fn count(&mut self) -> Result<usize, LayoutError> {
        let count = self.varint()?;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest().len())
            .ok_or(LayoutError::Truncated { offset: self.bytes.len() })
    }

    fn pieces(&mut self) -> Result<Vec<Piece>, LayoutError> {
        let list_at = self.at;
        let count = self.count()?;
        let mut heads = Vec::with_capacity(count);
        for _ in 0..count {
            heads.push((self.at, self.varint()?));
        }
        let mut pieces = Vec::with_capacity(count);
        for (offset, head) in heads {
            let value = head >> 1;
            pieces.push(if head & 1 == 1 {
                let id = u32::try_from(value);
                let reason = "a tensor id outside 32 bits";
                Piece::Tensor(id.map_err(|_| LayoutError::Invalid { offset, reason })?)
            } else {
                Piece::Literal(self.bytes_of(value)?.to_vec())
            });
        }
        self.end("bytes after the last literal")?;
        refuse_twice(tensors_of(&pieces), list_at)?;
        Ok(pieces)
    }

    fn ids(&mut self) -> Result<Vec<u32>, LayoutError> {
        let list_at = self.at;
        let count = self.count()?;
        let mut ids = Vec::with_capacity(count);
        let mut expected = 0i64;
        for _ in 0..count {
            let offset = self.at;
            let difference = self.integer(wire::svarint)?;
            let id = expected
                .checked_add(difference)
                .and_then(|id| u32::try_from(id).ok())
                .ok_or(LayoutError::Invalid { offset, reason: "a tensor id outside 32 bits" })?;
            expected = i64::from(id) + 1;
            ids.push(id);
        }
        refuse_twice(ids.iter().copied(), list_at)?;
        Ok(ids)
    }
}

/// A tensor listed many times would let a short entry stand for a file of any length.
fn refuse_twice(ids: impl Iterator<Item = u32>, offset: usize) -> Result<(), LayoutError> {
    let mut sorted: Vec<u32> = ids.collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(LayoutError::Invalid { offset, reason: "a tensor listed twice" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_round_trip() {
        for ids in [vec![], vec![0], vec![0, 1, 2, 3], vec![7, 3, u32::MAX, 0], (0..1000).rev().collect()] {
            let verbatim = Layout::Verbatim { ids: ids.clone(), header: b"\x02\0\0\0\0\0\0\0{}".to_vec() };
            let rendered = Layout::Rendered { pad: 8, metadata: "{\"a\":\"ü\"}".into(), ids: ids.clone() };
            let literals = [Piece::Literal(b"head".to_vec()), Piece::Literal(Vec::new())];
            let tensors = ids.iter().map(|&id| Piece::Tensor(id));
            let pieces = Layout::Pieces(tensors.chain(literals).collect());
            for layout in [verbatim, rendered, pieces] {
                let (id, bytes) = layout.to_bytes();
                assert_eq!(Layout::parse(id, &bytes), Ok(layout.clone()));
                assert_eq!(layout.ids(), ids);
                for end in 0..bytes.len() {
                    assert!(Layout::parse(id, &bytes[..end]).is_err(), "prefix of {end}");
                }
                let longer = [&bytes[..], b"x"].concat();
                assert!(matches!(Layout::parse(id, &longer), Err(LayoutError::Invalid { .. })));
            }
        }
    }

    #[test]
    fn ids_in_order_cost_a_byte_each() {
        let layout = Layout::Rendered { pad: 1, metadata: String::new(), ids: vec![0, 1, 2, 5, 4] };
        assert_eq!(layout.to_bytes(), (2, vec![1, 0, 5, 0, 0, 0, 4, 3]));
    }

    #[test]
    fn pieces_are_written_as_stated() {
        let pieces = vec![Piece::Literal(b"ab".to_vec()), Piece::Tensor(3), Piece::Literal(b"c".to_vec())];
        let layout = Layout::Pieces(pieces.clone());
        assert_eq!(layout.to_bytes(), (3, vec![3, 4, 7, 2, b'a', b'b', b'c']));
        assert_eq!(layout.ids(), [3]);
        let there = |_| Err::<HeaderTensor<'_>, _>(LayoutError::Unknown(0));
        assert_eq!(layout.clone().into_pieces(there).unwrap(), pieces);
        let moved = layout.renumbered(|id| Ok::<u32, ()>(id + 1)).unwrap();
        assert_eq!(moved.ids(), [4]);
        assert_eq!(moved.renumbered(|_| Err(7)), Err(7));
    }

    #[test]
    fn bad_contents_are_refused() {
        let refuse = |id: u64, bytes: &[u8]| Layout::parse(id, bytes).unwrap_err();
        assert_eq!(refuse(0, b""), LayoutError::Unknown(0));
        assert_eq!(refuse(4, b""), LayoutError::Unknown(4));
        assert_eq!(refuse(3, b""), LayoutError::Truncated { offset: 0 });
        assert_eq!(refuse(2, b""), LayoutError::Truncated { offset: 0 });
        let invalid: [(u64, &[u8]); 13] = [
            (3, &[2, 3, 3]),
            (3, &[1, 2, b'a', b'b']),
            (3, &[1, 0x81, 0x80, 0x80, 0x80, 0x20]),
            (2, &[0, 0, 0]),
            (2, &[1, 1, 0xFF, 0]),
            (2, &[1, 0x80, 0x00, 0]),
            (2, &[1, 0, 1, 1]),
            (2, &[1, 0, 2, 0, 1]),
            (2, &[1, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x20]),
            (2, &[1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2]),
            (2, &[1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x81, 0]),
            (1, &[0, 3, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']),
            (1, &[0, 255, 255, 255, 255, 255, 255, 255, 255, b'{', b'}']),
        ];
        for (id, bytes) in invalid {
            assert!(matches!(refuse(id, bytes), LayoutError::Invalid { .. }), "{bytes:?}");
        }
        let largest = [&[1u8, 0, 1][..], &[0xFF; 9], &[1]].concat();
        assert!(matches!(refuse(2, &largest), LayoutError::Invalid { .. }));
        // Counts and lengths that the bytes cannot hold reserve nothing.
        let huge = [&[1u8, 0][..], &[0xFF; 9], &[1]].concat();
        assert!(matches!(refuse(2, &huge), LayoutError::Truncated { .. }));
        let huge = [&[1u8][..], &[0xFE], &[0xFF; 8], &[1]].concat();
        assert!(matches!(refuse(3, &huge), LayoutError::Truncated { .. }));
        let huge = [&[1u8][..], &[0xFF; 9], &[1]].concat();
        assert!(matches!(refuse(2, &huge), LayoutError::Truncated { .. }));
    }
}
