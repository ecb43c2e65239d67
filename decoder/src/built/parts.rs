//! What a built array is built from, resolved and checked.

use crate::entry::{BaseTensor, Entry, row_of};
use crate::index::RowRef;
use mcodec_format::registry::{self, Dtype};
use mcodec_format::{Built, Dependency, EntryDescriptor, FormatError, Limits, MatrixAxis, built};
use std::sync::Arc;

/// The arrays that another is built from.
#[derive(Debug, Clone)]
pub enum Parts {
    /// A product.
    LowRank {
        /// What it is added to.
        base: Option<BaseTensor>,
        /// Left factor.
        left: Arc<Entry>,
        /// The left factor is stored by ranks.
        left_by_rank: bool,
        /// Right factor.
        right: Arc<Entry>,
        /// The right factor is stored by columns.
        right_by_column: bool,
        /// Rank of the factors.
        rank: u64,
    },
    /// A selection.
    Select {
        /// Of what.
        source: Arc<Entry>,
        /// The map of rows.
        rows: Option<RowRef>,
        /// The map of columns.
        columns: Option<RowRef>,
    },
    /// Runs.
    Tiers {
        /// Along which axis.
        axis: MatrixAxis,
        /// How long each is, and what it is, if it is there.
        runs: Vec<(u64, Option<Arc<Entry>>)>,
    },
}

type Result<T> = crate::Result<T>;

/// Multiplications that a product is granted, and bytes that a built array is, for each byte of memory.
const PRODUCTS: u64 = 1 << 12;
const BYTES: u64 = 1 << 8;

impl Parts {
    /// Resolves the dependencies of the row `at`, whose descriptor says that it is built.
    ///
    /// # Errors
    /// [`FormatError::Corrupt`] if they are not what the representation wants; errors of what it is built from name that.
    pub(crate) fn resolve(
        at: &RowRef,
        descriptor: &EntryDescriptor,
        limits: &Limits,
    ) -> Result<Option<Self>> {
        let EntryDescriptor::Tensor(tensor) = descriptor else { return Ok(None) };
        let (Some(how), Some(dtype)) = (tensor.representation.built(), tensor.dtype) else { return Ok(None) };
        let Some((rows, columns)) = built::matrix(&tensor.shape) else { return Ok(None) };
        // A few bytes can say that an array is as large as they like.
        let most = limits.output_bytes.min(limits.memory.saturating_mul(BYTES));
        Limits::check("bytes of a built array", tensor.chunking.byte_len, most)?;
        Limits::check("rows of a built array", rows, limits.memory / 4)?;
        let mut arrays = Dependencies { at, next: 0, limits };
        let parts = match how {
            Built::LowRank { left_by_rank, right_by_column, has_base, ranks } => {
                let rank = ranks.last().copied().unwrap_or(0);
                let work = rows.saturating_mul(columns).saturating_mul(rank);
                Limits::check("products of an array", work, limits.memory.saturating_mul(PRODUCTS))?;
                let base = if *has_base { Some(arrays.base(descriptor)?) } else { None };
                let turned = |turn: &bool, a: u64, b: u64| if *turn { [b, a] } else { [a, b] };
                let left = arrays.factor(turned(left_by_rank, rows, rank))?;
                let right = arrays.factor(turned(right_by_column, rank, columns))?;
                let (left_by_rank, right_by_column) = (*left_by_rank, *right_by_column);
                Self::LowRank { base, left, left_by_rank, right, right_by_column, rank }
            }
            Built::Select { rows: by_rows, columns: by_columns } => {
                let source = arrays.array()?;
                let (of_rows, of_columns) = arrays.same_type(&source, dtype)?;
                if !by_rows && of_rows != rows || !by_columns && of_columns != columns {
                    return arrays.fail("what is selected from has other rows or columns");
                }
                let rows = if *by_rows { Some(arrays.map()?) } else { None };
                let columns = if *by_columns { Some(arrays.map()?) } else { None };
                Self::Select { source, rows, columns }
            }
            Built::Tiers { axis, runs } => {
                let mut all = Vec::new();
                for &(len, there) in runs {
                    let part = if there { Some(arrays.array()?) } else { None };
                    if let Some(part) = &part {
                        let wanted = if *axis == MatrixAxis::Rows { (len, columns) } else { (rows, len) };
                        if arrays.same_type(part, dtype)? != wanted {
                            return arrays.fail("a tier is an array of another size");
                        }
                    }
                    all.push((len, part));
                }
                Self::Tiers { axis: *axis, runs: all }
            }
            _ => return arrays.fail("a way of building arrays that this version does not have"),
        };
        if arrays.next != at.get().dependencies.len() {
            return arrays.fail("it has more dependencies than its representation names");
        }
        Ok(Some(parts))
    }
}

/// The dependencies of a built array, one after another.
struct Dependencies<'a> {
    at: &'a RowRef,
    next: usize,
    limits: &'a Limits,
}

impl Dependencies<'_> {
    fn fail<T>(&self, why: &str) -> Result<T> {
        Err(FormatError::corrupt("representation", 0, why).into())
    }

    fn take(&mut self) -> Result<&Dependency> {
        let at = self.next;
        self.next = self.next.saturating_add(1);
        match self.at.get().dependencies.get(at) {
            Some(found) => Ok(found),
            None => self.fail("it has fewer dependencies than its representation names"),
        }
    }

    fn row(&mut self) -> Result<RowRef> {
        let from = self.at.clone();
        match row_of(&from, self.take()?) {
            Some(row) => Ok(row),
            None => self.fail("what it is built from is of another file"),
        }
    }

    fn array(&mut self) -> Result<Arc<Entry>> {
        let row = self.row()?;
        if !matches!(row.get().kind, registry::entry::TENSOR | registry::entry::ARRAY) {
            return self.fail("what it is built from is no array");
        }
        Ok(Arc::new(Entry::resolve(row, self.limits)?))
    }

    fn factor(&mut self, shape: [u64; 2]) -> Result<Arc<Entry>> {
        let entry = self.array()?;
        let fits = entry.tensor().is_some_and(|t| t.shape == shape && t.dtype.is_some_and(built::is_float));
        if fits { Ok(entry) } else { self.fail("a factor has another shape, or is not of F32, F16 or BF16") }
    }

    fn map(&mut self) -> Result<RowRef> {
        let row = self.row()?;
        if row.get().kind == registry::entry::INDEX_MAP {
            Ok(row)
        } else {
            self.fail("a map is no index map")
        }
    }

    fn base(&mut self, descriptor: &EntryDescriptor) -> Result<BaseTensor> {
        self.take()?;
        crate::entry::base_of(self.at, descriptor, self.limits)
    }

    /// Rows and columns of an array of this element type.
    fn same_type(&self, entry: &Entry, dtype: Dtype) -> Result<(u64, u64)> {
        let tensor = entry.tensor().filter(|t| t.dtype == Some(dtype));
        match tensor.and_then(|t| built::matrix(&t.shape)) {
            Some(sizes) => Ok(sizes),
            None => self.fail("what it is built from has another element type, or no dimensions"),
        }
    }
}
