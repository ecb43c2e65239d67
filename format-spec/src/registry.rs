//! Ids of everything that has one (`REGISTRY.md`). A test holds the document, these tables and the conformance vectors together.

/// First bytes of every file.
pub const MAGIC: [u8; 8] = *b"\x8dMCD\r\n\x1a\n";
/// Major version this crate reads and writes.
pub const MAJOR: u16 = 1;
/// Minor version this crate reads and writes.
pub const MINOR: u16 = 0;

/// A registered id and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The id in files.
    pub id: u64,
    /// Its name in `REGISTRY.md`.
    pub name: &'static str,
}

const fn named(id: u64, name: &'static str) -> Named {
    Named { id, name }
}

/// The name of `id` in `table`.
#[must_use]
pub fn name_of(table: &[Named], id: u64) -> Option<&'static str> {
    table.iter().find(|n| n.id == id).map(|n| n.name)
}

/// Kinds of assets.
pub mod asset {
    use super::{Named, named};
    /// Named tensors of a neural network.
    pub const MODEL: u64 = 1;
    /// One opaque file.
    pub const BLOB: u64 = 2;
    /// A picture, or a stack of pictures, as Gaussians.
    pub const IMAGE: u64 = 3;
    /// Latents or tokens of a video or image tokenizer.
    pub const LATENTS: u64 = 4;
    /// All of them.
    pub const ALL: [Named; 4] =
        [named(MODEL, "model"), named(BLOB, "blob"), named(IMAGE, "image"), named(LATENTS, "latents")];

    /// Whether assets of this kind are named tensors.
    #[must_use]
    pub fn is_of_tensors(kind: u64) -> bool {
        matches!(kind, MODEL | LATENTS)
    }
}

/// Kinds of entries.
pub mod entry {
    use super::{Named, named};
    /// A tensor.
    pub const TENSOR: u64 = 1;
    /// A file of the source, verbatim or as the layout of its tensors.
    pub const FILE: u64 = 2;
    /// A shared entropy-coding table.
    pub const TABLE: u64 = 3;
    /// A record.
    pub const RECORD: u64 = 4;
    /// Tables and shifts of labelled floats.
    pub const CLASSES: u64 = 5;
    /// Column labels of one tensor.
    pub const COLUMN_LABELS: u64 = 6;
    /// Tables of differences.
    pub const DIFFERENCE_TABLES: u64 = 7;
    /// Labels and factors of the columns of differences.
    pub const DIFFERENCE_COLUMNS: u64 = 8;
    /// A layer of an image.
    pub const LAYER: u64 = 9;
    /// Means and deviations of channels.
    pub const STATISTICS: u64 = 16;
    /// What digits of tokens stand for.
    pub const DIGITS: u64 = 17;
    /// What tokens are coded under.
    pub const TOKEN_MODEL: u64 = 18;
    /// Step exponents of the columns of codes.
    pub const COLUMN_STEPS: u64 = 24;
    /// Classes of the columns of codes.
    pub const COLUMN_CLASSES: u64 = 25;
    /// What grouped codes stand for.
    pub const CODEBOOK: u64 = 26;
    /// What numbers of a coarser level stand for.
    pub const LEVEL: u64 = 48;
    /// An array that tensors are built from.
    pub const ARRAY: u64 = 56;
    /// Which rows or columns of an array those of another are.
    pub const INDEX_MAP: u64 = 57;
    /// What is cut together, and how far.
    pub const BUNDLES: u64 = 58;
    /// All of them.
    pub const ALL: [Named; 19] = [
        named(TENSOR, "tensor"),
        named(FILE, "file"),
        named(TABLE, "table"),
        named(RECORD, "record"),
        named(CLASSES, "classes"),
        named(COLUMN_LABELS, "column-labels"),
        named(DIFFERENCE_TABLES, "difference-tables"),
        named(DIFFERENCE_COLUMNS, "difference-columns"),
        named(LAYER, "layer"),
        named(STATISTICS, "statistics"),
        named(DIGITS, "digits"),
        named(TOKEN_MODEL, "token-model"),
        named(COLUMN_STEPS, "column-steps"),
        named(COLUMN_CLASSES, "column-classes"),
        named(CODEBOOK, "codebook"),
        named(LEVEL, "level"),
        named(ARRAY, "array"),
        named(INDEX_MAP, "index-map"),
        named(BUNDLES, "bundles"),
    ];

    /// Whether entries of this kind are what other entries' chunks are decoded with, stored raw in one chunk.
    #[must_use]
    pub fn is_shared_object(kind: u64) -> bool {
        matches!(
            kind,
            TABLE
                | CLASSES
                | COLUMN_LABELS
                | DIFFERENCE_TABLES
                | DIFFERENCE_COLUMNS
                | STATISTICS
                | DIGITS
                | TOKEN_MODEL
        ) || matches!(kind, COLUMN_STEPS | COLUMN_CLASSES | CODEBOOK | LEVEL | INDEX_MAP | BUNDLES)
    }
}

/// Representations.
pub mod representation {
    use super::{Named, named};
    /// The bytes themselves.
    pub const PLAIN: u64 = 1;
    /// The bytes of another entry.
    pub const ALIAS: u64 = 2;
    /// Told against a tensor of another asset or file.
    pub const DELTA: u64 = 3;
    /// The bytes of a tensor of another asset or file.
    pub const SAME: u64 = 4;
    /// Numbers under their neighbours in space and time.
    pub const PREDICTED: u64 = 16;
    /// The same, by what tokens tell of them.
    pub const REFINED: u64 = 17;
    /// Integers times steps of their rows and columns.
    pub const QUANT: u64 = 24;
    /// The product of two arrays.
    pub const LOW_RANK: u64 = 56;
    /// Rows and columns of an array, by their places.
    pub const SELECT: u64 = 57;
    /// Runs of rows or columns, each an array.
    pub const TIERS: u64 = 58;
    /// All of them.
    pub const ALL: [Named; 10] = [
        named(PLAIN, "plain"),
        named(ALIAS, "alias"),
        named(DELTA, "delta"),
        named(SAME, "same"),
        named(PREDICTED, "predicted"),
        named(REFINED, "refined"),
        named(QUANT, "quant"),
        named(LOW_RANK, "low-rank"),
        named(SELECT, "select"),
        named(TIERS, "tiers"),
    ];
}

/// Codings of an entry's chunks.
pub mod coding {
    use super::{Named, named};
    /// The payload is the bytes.
    pub const RAW: u64 = 0;
    /// Bit fields, each coded on its own.
    pub const FIELDS: u64 = 1;
    /// Floats under row and column labels.
    pub const LABELLED: u64 = 2;
    /// Quantised blocks taken apart.
    pub const BLOCKS: u64 = 3;
    /// Differences from a base.
    pub const DIFFERENCE: u64 = 4;
    /// Sets of Gaussians.
    pub const GAUSSIANS: u64 = 5;
    /// Sets of Gaussians under static tables.
    pub const GAUSSIANS_FAST: u64 = 40;
    /// Grids by the best of few predictors, and tables.
    pub const GRID_FAST: u64 = 16;
    /// Grids by blended predictors and mixed experts.
    pub const GRID_DENSE: u64 = 17;
    /// Tokens, by their digits.
    pub const TOKENS: u64 = 18;
    /// Integers under the classes of their rows and columns, and steps.
    pub const CODES: u64 = 24;
    /// Integers of one width, and scales of groups.
    pub const GROUPED: u64 = 25;
    /// Masks of block-sparse attention.
    pub const MASKS: u64 = 48;
    /// All of them.
    pub const ALL: [Named; 13] = [
        named(RAW, "raw"),
        named(FIELDS, "fields"),
        named(LABELLED, "labelled"),
        named(BLOCKS, "blocks"),
        named(DIFFERENCE, "difference"),
        named(GAUSSIANS, "gaussians"),
        named(GRID_FAST, "grid-fast"),
        named(GRID_DENSE, "grid-dense"),
        named(TOKENS, "tokens"),
        named(CODES, "codes"),
        named(GROUPED, "grouped"),
        named(GAUSSIANS_FAST, "gaussians-fast"),
        named(MASKS, "masks"),
    ];

    /// Whether this coding is one of quantised tensors.
    #[must_use]
    pub fn is_of_quantised(coding: u64) -> bool {
        matches!(coding, CODES | GROUPED)
    }

    /// Whether this coding is one of predicted tensors.
    #[must_use]
    pub fn is_of_grids(coding: u64) -> bool {
        matches!(coding, GRID_FAST | GRID_DENSE | TOKENS)
    }
}

/// Codings of one bit field (coding `fields`).
pub const FIELD_MODES: [Named; 5] =
    [named(0, "packed"), named(1, "constant"), named(2, "zstd"), named(3, "rans"), named(4, "rans-shared")];

/// Codings of one class of symbols (coding `blocks`).
pub const PART_MODES: [Named; 4] =
    [named(0, "packed"), named(1, "constant"), named(2, "zstd"), named(3, "rans")];

/// Forms of a chunk of differences (coding `difference`).
pub const DIFFERENCE_FORMS: [Named; 6] = [
    named(0, "stored"),
    named(1, "linear"),
    named(2, "same"),
    named(3, "xor"),
    named(4, "integer"),
    named(5, "alone"),
];

/// Layouts of a `file` entry.
pub mod file_layout {
    use super::{Named, named};
    /// The content is the file.
    pub const BYTES: u64 = 0;
    /// A safetensors header kept as it is.
    pub const SAFETENSORS_VERBATIM: u64 = 1;
    /// A safetensors header that is written anew.
    pub const SAFETENSORS_RENDERED: u64 = 2;
    /// Literal bytes and tensors, in the order of the file.
    pub const PIECES: u64 = 3;
    /// All of them.
    pub const ALL: [Named; 4] = [
        named(BYTES, "bytes"),
        named(SAFETENSORS_VERBATIM, "safetensors-verbatim"),
        named(SAFETENSORS_RENDERED, "safetensors-rendered"),
        named(PIECES, "pieces"),
    ];
}

/// Kinds of dependencies.
pub const DEPENDENCY_KINDS: [Named; 3] =
    [named(0, "same-asset"), named(1, "other-asset"), named(2, "other-file")];

/// Record schemas that this reader understands.
pub const SCHEMAS: [&str; 3] = ["json", "masks", "recipe"];

/// Required features. Bits are set when a file is made and never change, so a later generation cannot need another one.
pub const REQUIRED_FEATURES: [Named; 1] = [named(0, "zstd-pages")];
/// Bit of the required feature: index pages may be zstd frames.
pub const FEATURE_ZSTD_PAGES: u32 = 1;
/// Optional features: none so far.
pub const OPTIONAL_FEATURES: [Named; 0] = [];

/// Field ids of entry descriptors.
pub mod field {
    /// Element type.
    pub const DTYPE: u64 = 1;
    /// The source's own name of an opaque element type.
    pub const DTYPE_NAME: u64 = 2;
    /// Dimensions.
    pub const SHAPE: u64 = 3;
    /// Bytes of the entry's content.
    pub const BYTE_LENGTH: u64 = 4;
    /// Representation and its parameters.
    pub const REPRESENTATION: u64 = 5;
    /// Coding of the chunks.
    pub const CODING: u64 = 6;
    /// Decoded bytes of every chunk but the last.
    pub const CHUNK_LENGTH: u64 = 7;
    /// The record that a tensor belongs to.
    pub const OWNER: u64 = 8;
    /// Layout of a file entry.
    pub const FILE_LAYOUT: u64 = 9;
    /// Schema of a record.
    pub const SCHEMA: u64 = 10;
    /// Content hash that a record is bound to.
    pub const BOUND_HASH: u64 = 11;
    /// Which dependencies go with which chunks.
    pub const DEPENDENCY_GROUPS: u64 = 12;
    /// Side of a layer's pages.
    pub const PAGE: u64 = 13;
    /// How far the Gaussians of each page reach beyond it.
    pub const REACH: u64 = 14;
    /// The order of a track's axes where it came from.
    pub const AXES: u64 = 32;
    /// What a track is for.
    pub const ROLE: u64 = 33;
    /// How many frames, rows and columns of the source one position stands for.
    pub const FACTORS: u64 = 34;
    /// Shift and scale of each channel, and whether they are applied.
    pub const NORMALISATION: u64 = 35;
    /// Frames of the source that the first position in time stands for.
    pub const FIRST_FRAMES: u64 = 36;
    /// The time line that a track is a part of.
    pub const LINE: u64 = 37;
    /// A track's first position in time.
    pub const START: u64 = 38;
    /// The model that a track is of.
    pub const TRACK_MODEL: u64 = 39;
    /// What the source calls a track.
    pub const KEY: u64 = 40;
    /// The order of axes that masks had where they came from.
    pub const PLANES: u64 = 48;
    /// What the numbers of a coarser level of a track stand for.
    pub const LEVEL: u64 = 49;
    /// Tokens beside a track that it was found to be no refinement of.
    pub const APART: u64 = 50;
    /// Names and criticality, as in `REGISTRY.md`.
    pub const ALL: [(u64, &str, bool); 26] = [
        (DTYPE, "dtype", true),
        (DTYPE_NAME, "dtype name", true),
        (SHAPE, "shape", true),
        (BYTE_LENGTH, "byte length", true),
        (REPRESENTATION, "representation", true),
        (CODING, "coding", true),
        (CHUNK_LENGTH, "chunk length", true),
        (OWNER, "owner", true),
        (FILE_LAYOUT, "layout", true),
        (SCHEMA, "schema", true),
        (BOUND_HASH, "bound hash", true),
        (DEPENDENCY_GROUPS, "dependency groups", true),
        (PAGE, "page", true),
        (REACH, "reach", true),
        (AXES, "axes", false),
        (ROLE, "role", false),
        (FACTORS, "factors", false),
        (NORMALISATION, "normalisation", false),
        (FIRST_FRAMES, "first frames", false),
        (LINE, "line", false),
        (START, "start", false),
        (TRACK_MODEL, "track model", false),
        (KEY, "key", false),
        (PLANES, "planes", false),
        (LEVEL, "level", false),
        (APART, "apart", false),
    ];
    /// Ids only, for finding unknown ones.
    pub const IDS: [u64; 26] =
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 32, 33, 34, 35, 36, 37, 38, 39, 40, 48, 49, 50];
}

/// Field ids of assets.
pub mod asset_field {
    /// How the source file is rebuilt when no `file` entry says it.
    pub const SOURCE: u64 = 1;
    /// What asset of another file the tensors are told against: its content hash, and its name.
    pub const BASE: u64 = 2;
    /// What an image is.
    pub const IMAGE: u64 = 3;
    /// Frames of the source in a second.
    pub const FRAME_RATE: u64 = 16;
    /// The model whose latents they are.
    pub const MODEL: u64 = 17;
    /// A hash of that model.
    pub const MODEL_HASH: u64 = 18;
    /// What was asked for when tensors were quantised.
    pub const QUANTISED: u64 = 24;
    /// Ids only, for finding unknown ones.
    pub const IDS: [u64; 7] = [1, 2, 3, 16, 17, 18, 24];
}

/// Element types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dtype {
    /// The id in files.
    pub id: u64,
    /// The name, as safetensors writes it where it has one.
    pub name: &'static str,
    /// Bits of one element, or of one block of them.
    pub bits: u32,
    /// Elements of a block; 1 where every element stands by itself.
    pub block: u32,
}

const fn dtype(id: u64, name: &'static str, bits: u32) -> Dtype {
    Dtype { id, name, bits, block: 1 }
}

/// A block type: `block` elements in `bytes` bytes.
const fn block(id: u64, name: &'static str, block: u32, bytes: u32) -> Dtype {
    Dtype { id, name, bits: bytes.saturating_mul(8), block }
}

/// Id of an element type that only the source knows.
pub const OPAQUE_DTYPE: u64 = 0;

/// All registered types of single elements.
pub const DTYPES: [Dtype; 25] = [
    dtype(1, "F64", 64),
    dtype(2, "F32", 32),
    dtype(3, "F16", 16),
    dtype(4, "BF16", 16),
    dtype(5, "F8_E4M3", 8),
    dtype(6, "F8_E5M2", 8),
    dtype(7, "F8_E4M3FNUZ", 8),
    dtype(8, "F8_E5M2FNUZ", 8),
    dtype(9, "F8_E8M0", 8),
    dtype(10, "F6_E2M3", 6),
    dtype(11, "F6_E3M2", 6),
    dtype(12, "F4", 4),
    dtype(13, "I64", 64),
    dtype(14, "I32", 32),
    dtype(15, "I16", 16),
    dtype(16, "I8", 8),
    dtype(17, "I4", 4),
    dtype(18, "U64", 64),
    dtype(19, "U32", 32),
    dtype(20, "U16", 16),
    dtype(21, "U8", 8),
    dtype(22, "U4", 4),
    dtype(23, "BOOL", 8),
    dtype(24, "C64", 64),
    dtype(25, "C128", 128),
];

/// All registered block types: those of ggml, each under 32 plus ggml's own id.
pub const BLOCKS: [Dtype; 26] = [
    block(34, "Q4_0", 32, 18),
    block(35, "Q4_1", 32, 20),
    block(38, "Q5_0", 32, 22),
    block(39, "Q5_1", 32, 24),
    block(40, "Q8_0", 32, 34),
    block(41, "Q8_1", 32, 36),
    block(42, "Q2_K", 256, 84),
    block(43, "Q3_K", 256, 110),
    block(44, "Q4_K", 256, 144),
    block(45, "Q5_K", 256, 176),
    block(46, "Q6_K", 256, 210),
    block(47, "Q8_K", 256, 292),
    block(48, "IQ2_XXS", 256, 66),
    block(49, "IQ2_XS", 256, 74),
    block(50, "IQ3_XXS", 256, 98),
    block(51, "IQ1_S", 256, 50),
    block(52, "IQ4_NL", 32, 18),
    block(53, "IQ3_S", 256, 110),
    block(54, "IQ2_S", 256, 82),
    block(55, "IQ4_XS", 256, 136),
    block(61, "IQ1_M", 256, 56),
    block(66, "TQ1_0", 256, 54),
    block(67, "TQ2_0", 256, 66),
    block(71, "MXFP4", 32, 17),
    block(72, "NVFP4", 64, 36),
    block(73, "Q1_0", 128, 18),
];

impl Dtype {
    /// The registered type of this id.
    #[must_use]
    pub fn by_id(id: u64) -> Option<Self> {
        DTYPES.iter().chain(&BLOCKS).find(|d| d.id == id).copied()
    }

    /// The registered type of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        DTYPES.iter().chain(&BLOCKS).find(|d| d.name == name).copied()
    }

    /// Bits of one element by itself; 0 for a block type, whose elements have none.
    #[must_use]
    pub fn width(self) -> u32 {
        if self.block == 1 { self.bits } else { 0 }
    }

    /// Bytes of one block; `None` if an element stands by itself.
    #[must_use]
    pub fn block_bytes(self) -> Option<u32> {
        (self.block > 1).then_some(self.bits / 8)
    }

    /// Bytes of a tensor of this shape: `None` if the product overflows 63 bits, is not whole bytes, or the last dimension is
    /// not whole blocks.
    #[must_use]
    pub fn byte_len(self, shape: &[u64]) -> Option<u64> {
        // A zero anywhere makes the product zero, however large the others are.
        if shape.contains(&0) {
            return Some(0);
        }
        let mut shape = shape.to_vec();
        if self.block > 1 {
            let row = shape.last_mut().filter(|row| row.is_multiple_of(u64::from(self.block)))?;
            *row = row.checked_div(u64::from(self.block))?;
        }
        let bits = shape
            .iter()
            .try_fold(u128::from(self.bits), |n, &d| n.checked_mul(u128::from(d)).filter(|&n| n < 1 << 66))?;
        if bits & 7 != 0 {
            return None;
        }
        u64::try_from(bits >> 3).ok().filter(|&n| n < 1 << 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_lengths_are_checked() {
        let d = |n| Dtype::by_name(n).unwrap();
        assert_eq!(d("BF16").byte_len(&[2, 3]), Some(12));
        assert_eq!(d("F4").byte_len(&[3]), None);
        assert_eq!(d("F4").byte_len(&[4]), Some(2));
        assert_eq!(d("F6_E2M3").byte_len(&[4]), Some(3));
        assert_eq!(d("U8").byte_len(&[1 << 32, 1 << 32]), None);
        assert_eq!(d("U8").byte_len(&[1 << 63, 2, 1, 1]), None);
        assert_eq!(d("U8").byte_len(&[1 << 63]), None);
        assert_eq!(d("F32").byte_len(&[0, u64::MAX, u64::MAX]), Some(0));
        assert_eq!(d("F32").byte_len(&[]), Some(4));
        assert_eq!(d("Q4_K").byte_len(&[3, 512]), Some(3 * 2 * 144));
        assert_eq!(d("Q4_K").byte_len(&[512, 3]), None);
        assert_eq!(d("Q4_K").byte_len(&[]), None);
        assert_eq!(d("Q8_0").byte_len(&[1 << 63, 32]), None);
        assert_eq!(d("Q8_0").byte_len(&[3, 0]), Some(0));
        assert_eq!((d("Q8_0").width(), d("Q8_0").block_bytes()), (0, Some(34)));
    }

    #[test]
    fn ids_and_names_are_unique() {
        let all: Vec<Dtype> = DTYPES.into_iter().chain(BLOCKS).collect();
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a.id != b.id && a.name != b.name));
        }
        assert!(field::ALL.iter().map(|f| f.0).eq(field::IDS));
    }
}
