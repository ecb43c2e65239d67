//! Values of GGUF metadata.

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    U32(u32),
    F32(f32),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

impl Value {
    /// Its type and content.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::U32(v) => tagged(out, 4, &v.to_le_bytes()),
            Self::F32(v) => tagged(out, 6, &v.to_le_bytes()),
            Self::Flag(v) => tagged(out, 7, &[u8::from(*v)]),
            Self::Text(v) => {
                tagged(out, 8, &[]);
                string(out, v);
            }
            Self::Texts(all) => {
                array(out, 8, all.len());
                all.iter().for_each(|v| string(out, v));
            }
            Self::I32s(all) => {
                array(out, 5, all.len());
                all.iter().for_each(|v| out.extend(v.to_le_bytes()));
            }
            Self::F32s(all) => {
                array(out, 6, all.len());
                all.iter().for_each(|v| out.extend(v.to_le_bytes()));
            }
        }
    }
}

fn tagged(out: &mut Vec<u8>, kind: u32, bytes: &[u8]) {
    out.extend(kind.to_le_bytes());
    out.extend(bytes);
}

fn array(out: &mut Vec<u8>, kind: u32, len: usize) {
    tagged(out, 9, &kind.to_le_bytes());
    out.extend((len as u64).to_le_bytes());
}

/// A text with its length.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
