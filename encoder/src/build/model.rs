//! A model that is put together array by array.

use super::coded::{CodedArray, Codes, fields_of};
use super::content::{BuiltContent, On};
use crate::encode::add_asset_with;
use crate::inputs::{AssetInput, bytes_item};
use crate::items::{Content, Item};
use crate::options::{EncodeOptions, EncodeReport, Output};
use crate::writer::ContainerWriter;
use crate::{EncodeError, Result};
use mcodec_coding::index_map::IndexMap;
use mcodec_format::registry::{self, Dtype};
use mcodec_format::{Bundle, Bundles, Fields, MatrixAxis, Variant, built};
use std::collections::HashMap;
use std::sync::Arc;

/// An array of the model that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArrayId(pub(crate) u32);

impl ArrayId {
    /// Its entry id, by which bundles name it.
    #[must_use]
    pub fn entry(self) -> u32 {
        self.0
    }
}

/// What an array is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A tensor of the model.
    Tensor,
    /// Only something to build tensors from.
    Array,
}

/// What a low-rank array is added to.
#[derive(Debug, Clone)]
pub enum Base {
    /// An array of the same model.
    Array(ArrayId),
    /// A tensor of another file, whose asset has this content hash: the tensor's name there, and its bytes.
    External {
        /// Content hash of the asset.
        hash: [u8; 32],
        /// Name of the tensor.
        name: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// A product of two factors.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// Left factor, `[rows, rank]`.
    pub left: ArrayId,
    /// The left factor is `[rank, rows]` instead: its first rows are then what a lower rank needs.
    pub left_by_rank: bool,
    /// Right factor, `[rank, columns]`.
    pub right: ArrayId,
    /// The right factor is `[columns, rank]` instead.
    pub right_by_column: bool,
    /// What the product is added to.
    pub base: Option<Base>,
    /// Ranks below the full one that it is meant to be cut at, ascending.
    pub ranks: Vec<u64>,
}

impl LowRank {
    /// The product of a left factor `[rows, rank]` and a right one `[rank, columns]`.
    #[must_use]
    pub fn of(left: ArrayId, right: ArrayId) -> Self {
        Self { left, left_by_rank: false, right, right_by_column: false, base: None, ranks: Vec::new() }
    }
}

/// A model being made. Whatever does not fit together is refused where it is added.
pub struct ModelBuilder {
    pub(crate) name: String,
    pub(crate) items: Vec<Item<'static>>,
    pub(crate) bundles: Bundles,
    maps: HashMap<Vec<u8>, (u32, Arc<IndexMap>)>,
}

impl std::fmt::Debug for ModelBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelBuilder")
            .field("name", &self.name)
            .field("arrays", &self.items.len())
            .finish_non_exhaustive()
    }
}

impl ModelBuilder {
    /// A model of this name, without tensors.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), items: Vec::new(), bundles: Bundles::default(), maps: HashMap::new() }
    }

    /// One that goes on from items that are there.
    pub(crate) fn over(name: &str, items: Vec<Item<'static>>) -> Self {
        Self { items, ..Self::new(name) }
    }

    fn push(&mut self, mut item: Item<'static>, role: Role) -> ArrayId {
        item.array = role == Role::Array;
        self.items.push(item);
        ArrayId(self.items.len() as u32 - 1)
    }

    fn fail<T>(name: &str, why: &str) -> Result<T> {
        Err(EncodeError::Request(format!("{name:?}: {why}")))
    }

    fn dtype_of(name: &str, dtype: &str, shape: &[u64]) -> Result<(Dtype, u64)> {
        let found = Dtype::by_name(dtype).and_then(|d| Some((d, d.byte_len(shape)?)));
        found
            .ok_or_else(|| EncodeError::Request(format!("{name:?}: {shape:?} of {dtype} is not whole bytes")))
    }

    /// An array of elements as they are, little-endian, row after row; stored lossless.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if there are not as many bytes as `shape` of `dtype` has.
    pub fn plain(
        &mut self,
        name: &str,
        role: Role,
        dtype: &str,
        shape: &[u64],
        bytes: Vec<u8>,
    ) -> Result<ArrayId> {
        let (dtype, len) = Self::dtype_of(name, dtype, shape)?;
        if bytes.len() as u64 != len {
            return Self::fail(name, "another number of bytes than its shape says");
        }
        let content = Content::Tensor { dtype_name: dtype.name.into(), shape: shape.to_vec(), owner: None };
        Ok(self.push(bytes_item(name.to_owned(), content, bytes), role))
    }

    /// An array of codes.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if they do not fit the shape.
    pub fn codes(
        &mut self,
        name: &str,
        role: Role,
        dtype: &str,
        shape: &[u64],
        codes: Codes,
    ) -> Result<ArrayId> {
        let (dtype, byte_len) = Self::dtype_of(name, dtype, shape)?;
        let coded = Arc::new(CodedArray::new(name, dtype, shape, codes)?);
        let of = Arc::clone(&coded);
        let read = Box::new(move |offset: u64, out: &mut [u8]| of.read(offset, out));
        let content = Content::Coded(coded);
        let name = name.to_owned();
        Ok(self.push(Item { name, content, byte_len, array: false, alias_of: None, base: None, read }, role))
    }

    /// An array that has the bytes of another.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if there is no such array, or it is an alias itself.
    pub fn alias(&mut self, name: &str, role: Role, of: ArrayId) -> Result<ArrayId> {
        let (dtype, shape) = self.describe(name, of)?;
        let (dtype, byte_len) = Self::dtype_of(name, dtype.name, &shape)?;
        if self.items[of.0 as usize].alias_of.is_some() {
            return Self::fail(name, "it is an alias of an alias");
        }
        let content = Content::Tensor { dtype_name: dtype.name.into(), shape, owner: None };
        let read = Box::new(|_: u64, out: &mut [u8]| match out {
            [] => Ok(()),
            _ => Err(EncodeError::Request("an alias has no bytes of its own".into())),
        });
        let (name, alias_of) = (name.to_owned(), Some(of.0));
        Ok(self.push(Item { name, content, byte_len, array: false, alias_of, base: None, read }, role))
    }

    /// Dimensions of an array, if it is there.
    #[must_use]
    pub fn shape(&self, of: ArrayId) -> Option<Vec<u64>> {
        self.describe("", of).ok().map(|(_, shape)| shape)
    }

    /// Element type and dimensions of an array.
    pub(crate) fn describe(&self, name: &str, of: ArrayId) -> Result<(Dtype, Vec<u64>)> {
        let found = self.items.get(of.0 as usize).and_then(|item| match &item.content {
            Content::Tensor { dtype_name, shape, .. } => Some((Dtype::by_name(dtype_name)?, shape.clone())),
            Content::Quantised(content) => Some((content.dtype(), content.shape().to_vec())),
            Content::Coded(content) => Some((content.dtype(), content.shape().to_vec())),
            Content::Built(content) => Some((content.dtype, content.shape.clone())),
            _ => None,
        });
        found.map_or_else(|| Self::fail(name, "what it is made from is no array"), Ok)
    }

    fn matrix(&self, name: &str, of: ArrayId) -> Result<(Dtype, u64, u64)> {
        let (dtype, shape) = self.describe(name, of)?;
        match built::matrix(&shape).filter(|(rows, columns)| *rows > 0 && *columns > 0) {
            Some((rows, columns)) => Ok((dtype, rows, columns)),
            None => Self::fail(name, "what it is made from has no rows or columns"),
        }
    }

    pub(crate) fn content_of(
        name: &str,
        dtype: &str,
        shape: &[u64],
        how: mcodec_format::Built,
        on: Vec<On>,
    ) -> Result<(Content<'static>, u64)> {
        let (dtype, byte_len) = Self::dtype_of(name, dtype, shape)?;
        let content = BuiltContent { dtype, shape: shape.to_vec(), how, on };
        let kind = registry::entry::TENSOR;
        let parsed = mcodec_format::EntryDescriptor::parse(
            kind,
            &content.fields(byte_len),
            &mcodec_format::Limits::default(),
        );
        if let Err(e) = parsed {
            return Err(EncodeError::Request(format!("{name:?}: {e}")));
        }
        Ok((Content::Built(Arc::new(content)), byte_len))
    }

    fn built(
        &mut self,
        name: &str,
        role: Role,
        (dtype, shape): (&str, &[u64]),
        how: mcodec_format::Built,
        on: Vec<On>,
    ) -> Result<ArrayId> {
        let (content, byte_len) = Self::content_of(name, dtype, shape, how, on)?;
        let read = Box::new(|_: u64, _: &mut [u8]| {
            Err(EncodeError::Request("an array that is built has no bytes of its own".into()))
        });
        let name = name.to_owned();
        Ok(self.push(Item { name, content, byte_len, array: false, alias_of: None, base: None, read }, role))
    }

    /// The product of two arrays, rounded to `dtype`. Several may have one factor: it is stored once.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if factors or base have other shapes or types than the product needs.
    pub fn low_rank(
        &mut self,
        name: &str,
        role: Role,
        dtype: &str,
        shape: &[u64],
        of: LowRank,
    ) -> Result<ArrayId> {
        let (how, on) = self.low_rank_parts(name, dtype, shape, of)?;
        self.built(name, role, (dtype, shape), how, on)
    }

    pub(crate) fn low_rank_parts(
        &self,
        name: &str,
        dtype: &str,
        shape: &[u64],
        of: LowRank,
    ) -> Result<(mcodec_format::Built, Vec<On>)> {
        let Some((rows, columns)) = built::matrix(shape) else { return Self::fail(name, "it has no rows") };
        let side = |id: ArrayId, turn: bool| -> Result<(u64, u64)> {
            let (dtype, shape) = self.describe(name, id)?;
            match shape[..] {
                [a, b] if built::is_float(dtype) => Ok(if turn { (b, a) } else { (a, b) }),
                _ => Self::fail(name, "a factor has two dimensions, and is of F32, F16 or BF16"),
            }
        };
        let (of_rows, rank) = side(of.left, of.left_by_rank)?;
        let (of_rank, of_columns) = side(of.right, of.right_by_column)?;
        if (of_rows, of_columns) != (rows, columns) || rank != of_rank {
            return Self::fail(name, "its factors are not of its rows, its columns and one rank");
        }
        let mut ranks = of.ranks;
        ranks.retain(|&r| r < rank);
        ranks.push(rank);
        let mut on = Vec::new();
        match of.base {
            Some(Base::Array(id)) => {
                let (other, its) = self.describe(name, id)?;
                if other.name != dtype || its != shape {
                    return Self::fail(name, "its base has another type or shape");
                }
                on.push(On::Item(id.0));
            }
            Some(Base::External { hash, name, bytes }) => {
                if bytes.len() as u64 != Self::dtype_of(&name, dtype, shape)?.1 {
                    return Self::fail(&name, "a base of another length");
                }
                on.push(On::External { hash, name, bytes: Arc::new(bytes) });
            }
            None => {}
        }
        let how = mcodec_format::Built::LowRank {
            left_by_rank: of.left_by_rank,
            right_by_column: of.right_by_column,
            has_base: !on.is_empty(),
            ranks,
        };
        on.extend([On::Item(of.left.0), On::Item(of.right.0)]);
        Ok((how, on))
    }

    /// An index map, stored once however often it is used.
    pub(crate) fn map(&mut self, places: &[Option<u32>], sources: u32) -> Result<On> {
        let map = IndexMap::new(places, sources).map_err(EncodeError::coding("index map"))?;
        let bytes = map.to_bytes(&fields_of).map_err(EncodeError::coding("index map"))?;
        if let Some((id, map)) = self.maps.get(&bytes) {
            return Ok(On::Map(*id, Arc::clone(map)));
        }
        let id = self.items.len() as u32;
        let content = Content::Object { kind: registry::entry::INDEX_MAP };
        self.items.push(bytes_item(format!("index-map-{id}"), content, bytes.clone()));
        let map = Arc::new(map);
        self.maps.insert(bytes, (id, Arc::clone(&map)));
        Ok(On::Map(id, map))
    }

    /// Rows and columns of `source` by their places: of each row (column) of `shape` which one it is, or none, which is zeros. `None` for a
    /// whole axis: as it is.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if maps are of other lengths than the axes, or of places that the source does not have.
    pub fn select(
        &mut self,
        name: &str,
        role: Role,
        shape: &[u64],
        source: ArrayId,
        rows: Option<&[Option<u32>]>,
        columns: Option<&[Option<u32>]>,
    ) -> Result<ArrayId> {
        let dtype = self.describe(name, source)?.0.name;
        let (how, on) = self.select_parts(name, shape, source, rows, columns)?;
        self.built(name, role, (dtype, shape), how, on)
    }

    pub(crate) fn select_parts(
        &mut self,
        name: &str,
        shape: &[u64],
        source: ArrayId,
        rows: Option<&[Option<u32>]>,
        columns: Option<&[Option<u32>]>,
    ) -> Result<(mcodec_format::Built, Vec<On>)> {
        let (_, of_rows, of_columns) = self.matrix(name, source)?;
        let Some((all_rows, all_columns)) = built::matrix(shape) else {
            return Self::fail(name, "it has no rows");
        };
        let mut on = vec![On::Item(source.0)];
        for (map, places, sources) in [(rows, all_rows, of_rows), (columns, all_columns, of_columns)] {
            match map {
                Some(map) if map.len() as u64 == places => {
                    let sources = u32::try_from(sources).map_err(|_| {
                        EncodeError::Request(format!("{name:?}: more than 2^32 places to select from"))
                    })?;
                    on.push(self.map(map, sources)?);
                }
                None if places == sources => {}
                _ => {
                    return Self::fail(
                        name,
                        "a map (or, without one, the source) has another number of places",
                    );
                }
            }
        }
        Ok((mcodec_format::Built::Select { rows: rows.is_some(), columns: columns.is_some() }, on))
    }

    /// Runs of rows or columns one after another: each an array, or so many rows or columns of zeros.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if they do not make up the shape.
    pub fn tiers(
        &mut self,
        name: &str,
        role: Role,
        shape: &[u64],
        axis: MatrixAxis,
        runs: &[(u64, Option<ArrayId>)],
    ) -> Result<ArrayId> {
        let Some(first) = runs.iter().find_map(|run| run.1) else {
            return Self::fail(name, "none of its tiers is there");
        };
        let dtype = self.describe(name, first)?.0.name;
        let (how, on) = self.tiers_parts(name, (dtype, shape), axis, runs)?;
        self.built(name, role, (dtype, shape), how, on)
    }

    pub(crate) fn tiers_parts(
        &self,
        name: &str,
        (dtype, shape): (&str, &[u64]),
        axis: MatrixAxis,
        runs: &[(u64, Option<ArrayId>)],
    ) -> Result<(mcodec_format::Built, Vec<On>)> {
        let Some((rows, columns)) = built::matrix(shape) else { return Self::fail(name, "it has no rows") };
        for (len, run) in runs {
            let Some(run) = run else { continue };
            let wanted = if axis == MatrixAxis::Rows { (*len, columns) } else { (rows, *len) };
            let (of, rows, columns) = self.matrix(name, *run)?;
            if (rows, columns) != wanted || of.name != dtype {
                return Self::fail(name, "a tier has another size or type");
            }
        }
        let how = mcodec_format::Built::Tiers {
            axis,
            runs: runs.iter().map(|(len, run)| (*len, run.is_some())).collect(),
        };
        Ok((how, runs.iter().filter_map(|(_, run)| Some(On::Item(run.as_ref()?.0))).collect()))
    }

    /// Names axes that are cut together. What does not fit is refused when the model is written.
    pub fn bundle(&mut self, bundle: Bundle) {
        self.bundles.bundles.push(bundle);
    }

    /// A variant: for each bundle, in the order in which they were named, the number of a level. The bytes it takes are counted when
    /// the model is written.
    pub fn variant(&mut self, name: &str, levels: &[u64]) {
        let variant = Variant { name: name.to_owned(), bytes: 0, levels: levels.to_vec() };
        self.bundles.variants.push(variant);
    }

    /// The bundles and variants so far.
    #[must_use]
    pub fn bundles(&self) -> &Bundles {
        &self.bundles
    }

    /// Writes the model as the only asset of a file.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if bundles or variants do not fit the arrays, or two arrays have one name; if the output cannot be written.
    pub fn write(self, output: Output, options: &EncodeOptions) -> Result<EncodeReport> {
        let Self { name, items, bundles, .. } = self;
        let mut names: Vec<(u64, &str)> = items.iter().map(|item| (item.kind(), &*item.name)).collect();
        names.sort_unstable();
        if let Some(two) = names.windows(2).find(|two| two[0] == two[1]) {
            return Err(EncodeError::Request(format!("two arrays are called {:?}", two[0].1)));
        }
        let input_bytes = items.iter().filter(|item| !item.array).map(|item| item.byte_len).sum();
        let (kind, fields, notes) = (registry::asset::MODEL, Fields::default(), Vec::new());
        let input = AssetInput { kind, name, fields, items, input_bytes, notes };
        let mut writer = ContainerWriter::create(output)?;
        let mut report = add_asset_with(&mut writer, 0, input, false, None, bundles, options)?;
        report.output_bytes = writer.finish(options)?;
        Ok(report)
    }
}
