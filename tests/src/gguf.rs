//! GGUF files, sound and otherwise.

use crate::inputs::Noise;
use mcodec_format::registry::{BLOCKS, Dtype};

/// A metadata value as its bytes: type, then payload.
pub struct Meta(pub u32, pub Vec<u8>);

impl Meta {
    /// `uint32`.
    #[must_use]
    pub fn u32(n: u32) -> Self {
        Self(4, n.to_le_bytes().to_vec())
    }

    /// `string`.
    #[must_use]
    pub fn text(text: &[u8]) -> Self {
        Self(8, string(text))
    }

    /// `array` of values of one type.
    #[must_use]
    pub fn array(of: u32, items: &[Vec<u8>]) -> Self {
        let mut bytes = of.to_le_bytes().to_vec();
        bytes.extend((items.len() as u64).to_le_bytes());
        bytes.extend(items.concat());
        Self(9, bytes)
    }
}

/// A string as the format writes it.
#[must_use]
pub fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

/// A tensor to be written.
pub struct GgufTensor {
    /// Name.
    pub name: String,
    /// Type id of ggml.
    pub type_id: u32,
    /// Dimensions, innermost first, as the format has them.
    pub ne: Vec<u64>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where its bytes are said to be, instead of where they are.
    pub offset: Option<u64>,
}

/// A GGUF file to be written.
pub struct Gguf {
    /// Version.
    pub version: u32,
    /// Keys and values.
    pub metadata: Vec<(Vec<u8>, Meta)>,
    /// Tensors, in the order of list and data.
    pub tensors: Vec<GgufTensor>,
    /// Alignment that is used; said only by the metadata.
    pub alignment: usize,
}

impl Default for Gguf {
    fn default() -> Self {
        Self { version: 3, metadata: Vec::new(), tensors: Vec::new(), alignment: 32 }
    }
}

impl Gguf {
    /// Adds a key.
    #[must_use]
    pub fn with(mut self, key: &str, value: Meta) -> Self {
        self.metadata.push((key.as_bytes().to_vec(), value));
        self
    }

    /// Adds a tensor.
    pub fn add(&mut self, name: &str, type_id: u32, ne: &[u64], bytes: Vec<u8>) -> &mut GgufTensor {
        let tensor = GgufTensor { name: name.into(), type_id, ne: ne.to_vec(), bytes, offset: None };
        self.tensors.push(tensor);
        self.tensors.last_mut().expect("one was added")
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, Meta(kind, bytes)) in &self.metadata {
            out.extend(string(key));
            out.extend(kind.to_le_bytes());
            out.extend(bytes);
        }
        let mut data = Vec::new();
        for t in &self.tensors {
            data.resize(data.len().next_multiple_of(self.alignment), 0);
            out.extend(string(t.name.as_bytes()));
            out.extend((t.ne.len() as u32).to_le_bytes());
            t.ne.iter().for_each(|n| out.extend(n.to_le_bytes()));
            out.extend(t.type_id.to_le_bytes());
            out.extend(t.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&t.bytes);
        }
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out.extend(data);
        out
    }
}

/// Where the halves (f16) of a block lie that scale its elements.
fn halves(name: &str) -> &'static [usize] {
    match name {
        "Q4_1" | "Q5_1" | "Q8_1" | "Q4_K" | "Q5_K" => &[0, 2],
        "Q2_K" => &[80, 82],
        "Q3_K" => &[108],
        "Q6_K" => &[208],
        "TQ1_0" => &[52],
        "TQ2_0" => &[64],
        "Q8_K" | "IQ1_M" | "MXFP4" | "NVFP4" => &[],
        _ => &[0],
    }
}

/// `count` random blocks: any codes, finite scales.
///
/// # Panics
/// If the type is not a block type.
#[must_use]
pub fn random_blocks(dtype: Dtype, count: usize, noise: &mut Noise) -> Vec<u8> {
    let len = dtype.block_bytes().expect("a block type") as usize;
    let mut bytes = noise.bytes(count * len);
    for block in bytes.chunks_exact_mut(len) {
        for &at in halves(dtype.name) {
            // Exponents 1 to 14 of 31: finite, below one.
            let exponent = 1 + block[at + 1] % 14;
            block[at + 1] = block[at + 1] & 0x83 | exponent << 2;
        }
        match dtype.name {
            "Q8_K" => block[3] = 0x3C,
            "MXFP4" => block[0] = 110 + block[0] % 16,
            "NVFP4" => block[..4].iter_mut().for_each(|s| *s &= 0x77),
            // The scale is spread over the high halves of four u16.
            "IQ1_M" => block[55] = block[55] & 0x0F | 0x20,
            _ => {}
        }
    }
    bytes
}

/// A file with a tensor of every type, block types of several rows, one of an unknown type, and metadata of every kind.
/// With an odd seed, bits of blocks are more often 0 than 1, so that coding gains.
#[must_use]
pub fn every_type(rows: u64, seed: u64) -> Gguf {
    let mut noise = Noise(seed);
    let strings = |texts: &[&[u8]]| texts.iter().map(|t| string(t)).collect::<Vec<_>>();
    let mut file = Gguf::default()
        .with("general.architecture", Meta::text(b"test"))
        .with("general.alignment", Meta::u32(64))
        .with("test.u8", Meta(0, vec![250]))
        .with("test.i8", Meta(1, vec![250]))
        .with("test.u16", Meta(2, vec![1, 2]))
        .with("test.i16", Meta(3, vec![255, 255]))
        .with("test.i32", Meta(5, (-7i32).to_le_bytes().to_vec()))
        .with("test.f32", Meta(6, 0.5f32.to_le_bytes().to_vec()))
        .with("test.bool", Meta(7, vec![1]))
        .with("test.u64", Meta(10, u64::MAX.to_le_bytes().to_vec()))
        .with("test.i64", Meta(11, i64::MIN.to_le_bytes().to_vec()))
        .with("test.f64", Meta(12, 1e300f64.to_le_bytes().to_vec()))
        .with("tokenizer.ggml.model", Meta::text(b"gpt2"))
        .with("tokenizer.ggml.tokens", Meta::array(8, &strings(&[b"a", b"\xFF\xFE", b"\x1B[31m", b""])))
        .with("test.nested", Meta::array(9, &[Meta::array(0, &[vec![1], vec![2]]).1]));
    file.alignment = 64;
    for dtype in BLOCKS {
        let row = u64::from(dtype.block) * 2;
        let mut bytes = random_blocks(dtype, rows as usize * 2, &mut noise);
        if seed % 2 == 1 {
            let mask = noise.bytes(bytes.len());
            bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte &= mask);
        }
        file.add(&format!("blk.{}.{}", dtype.id, dtype.name), dtype.id as u32 - 32, &[row, rows], bytes);
    }
    let plain = [("F32", 0, 4), ("F16", 1, 2), ("I8", 24, 1), ("I16", 25, 2), ("I32", 26, 4), ("I64", 27, 8)];
    for (name, type_id, bytes) in plain.into_iter().chain([("F64", 28, 8), ("BF16", 30, 2)]) {
        file.add(name, type_id, &[7, rows, 1], noise.bytes(7 * rows as usize * bytes));
    }
    file.add("none", 0, &[0, 3], Vec::new());
    file.add("scalar", 0, &[], noise.bytes(4));
    file.add("future", 4242, &[256, rows], noise.bytes(rows as usize * 77));
    file
}
