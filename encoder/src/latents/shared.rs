//! What is stored once for all tracks of a file that need it.

use crate::inputs::bytes_item;
use crate::items::{Content, Item};
use mcodec_format::{Dependency, registry};

/// What a track needs besides its chunks, before entry ids are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// A shared object of this asset, by its number.
    Object(u32),
    /// One of another asset.
    Elsewhere { asset: u32, entry: u32 },
    /// A track of this asset, by its number.
    Track(u32),
}

struct Known {
    kind: u64,
    bytes: Vec<u8>,
    asset: u32,
    entry: u32,
}

/// The shared objects of a file. Those of an asset are its first entries.
#[derive(Default)]
pub(super) struct Objects {
    known: Vec<Known>,
    asset: u32,
    new: Vec<usize>,
}

impl Objects {
    /// Goes on with an asset.
    pub(super) fn begin(&mut self, asset: u32) {
        self.asset = asset;
        self.new.clear();
    }

    /// The object of this content, which is stored if it is not yet.
    pub(super) fn need(&mut self, kind: u64, bytes: Vec<u8>) -> Need {
        let same = |known: &&Known| known.kind == kind && known.bytes == bytes;
        if let Some(Known { asset, entry, .. }) = self.known.iter().find(same) {
            let (asset, entry) = (*asset, *entry);
            return if asset == self.asset { Need::Object(entry) } else { Need::Elsewhere { asset, entry } };
        }
        let entry = self.new.len() as u32;
        self.new.push(self.known.len());
        self.known.push(Known { kind, bytes, asset: self.asset, entry });
        Need::Object(entry)
    }

    /// The dependency that a need becomes.
    pub(super) fn dependency(&self, need: &Need) -> Dependency {
        match *need {
            Need::Object(entry) => Dependency::Entry(entry),
            Need::Elsewhere { asset, entry } => Dependency::Other { asset, entry },
            Need::Track(number) => Dependency::Entry(self.new.len() as u32 + number),
        }
    }

    /// The new objects of the asset.
    pub(super) fn items(&self) -> Vec<Item<'static>> {
        let item = |(number, at): (usize, &usize)| {
            let Known { kind, bytes, .. } = &self.known[*at];
            let of = registry::name_of(&registry::entry::ALL, *kind).unwrap_or("object");
            bytes_item(format!("{of}-{number}"), Content::Object { kind: *kind }, bytes.clone())
        };
        self.new.iter().enumerate().map(item).collect()
    }
}
