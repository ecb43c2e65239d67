//! Wire types of the mcodec container: parse and write, without IO and without maths.
//!
//! Each module is one part of `SPEC.md`; section numbers are given there. Everything that comes from a file passes through the
//! parsers of this crate, which check each count, length and offset before they allocate or skip.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod axes;
pub mod built;
mod bundles;
mod check;
mod descriptor;
mod error;
mod fields;
mod frame;
mod image;
mod limits;
pub mod natural_order;
mod page;
mod planes;
mod preamble;
pub mod registry;
mod root;
pub mod track;
pub mod wire;

pub use axes::Axes;
pub use built::{Built, MatrixAxis};
pub use bundles::{Bundle, Bundles, CutAxis, Member, NestOrder, Variant};
pub use check::{Check, ChunkPlace, check_bytes, check_len};
pub use descriptor::{
    Chunking, DependencyGroups, EntryDescriptor, FileDescriptor, RecordDescriptor, Representation,
    TensorDescriptor,
};
pub use error::{FormatError, Result};
pub use fields::{Field, Fields};
pub use frame::{ChunkHead, FrameHead, Tag, chunk_frame_len, described_frame, described_len, pad_frame};
pub use image::{
    ChannelGroup, Depth, GroupKind, ImageDescriptor, LayerDescriptor, MAX_CHANNELS, MAX_PAGE, MAX_REACH,
    MAX_SIDE, REACH_UNIT, Transfer,
};
pub use limits::Limits;
pub use page::{Asset, ChunkSpan, Dependency, EntryRow, Layout, Page};
pub use planes::{PLANE_AXES, PlaneOrder};
pub use preamble::{GENERATION_SLOTS, PREAMBLE_LEN, Preamble, SLOT_LEN, Slot, SlotState, TRAILER_LEN};
pub use root::{LeafPointer, Root, RootBody, compare_keys, leaf_of};

/// Length of the first read of a file: preamble and root are aimed to lie within it.
pub const FIRST_READ: u64 = 16384;
/// Greatest length of a leaf frame.
pub const LEAF_MAX: u64 = 224 * 1024;
