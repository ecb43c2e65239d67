//! Metadata values.

use std::fmt;

/// Items of an array that are kept.
pub(super) const KEPT_ITEMS: usize = 8;
/// Bytes of a string that are kept.
pub(super) const KEPT_BYTES: usize = 4096;

/// A metadata value, shortened where it is long: what there is to show.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `uint8`, `uint16`, `uint32` or `uint64`.
    Unsigned(u64),
    /// `int8`, `int16`, `int32` or `int64`.
    Signed(i64),
    /// `float32`.
    Single(f32),
    /// `float64`.
    Double(f64),
    /// `bool`.
    Bool(bool),
    /// `string`.
    Text {
        /// The first 4096 bytes at most, invalid UTF-8 replaced.
        text: String,
        /// Bytes of the whole string.
        len: u64,
    },
    /// `array`.
    Array {
        /// Name of the items' type.
        of: &'static str,
        /// Number of items.
        len: u64,
        /// The first 8 items at most.
        items: Vec<Value>,
    },
}

impl fmt::Display for Value {
    /// One line, strings quoted and their control characters escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(n) => write!(f, "{n}"),
            Self::Signed(n) => write!(f, "{n}"),
            Self::Single(x) => write!(f, "{x:?}"),
            Self::Double(x) => write!(f, "{x:?}"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Text { text, len } if text.len() as u64 >= *len => write!(f, "{text:?}"),
            Self::Text { text, len } => write!(f, "{text:?}... ({len} bytes)"),
            Self::Array { of, len, items } => {
                write!(f, "{len} of {of}: [")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(if items.len() as u64 >= *len { "]" } else { ", ...]" })
            }
        }
    }
}
