//! Arrays that are built from others: what their descriptor says (SPEC section 6.1).

use crate::registry::{Dtype, representation};
use crate::{FormatError, Result, wire};

/// An axis of an array that is taken as a matrix: its last dimension are the columns, all others the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatrixAxis {
    /// All dimensions but the last.
    Rows,
    /// The last dimension.
    Columns,
}

/// How an array is built from others, which are its dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Built {
    /// The product of two factors: dependencies base (if it has one), left, right.
    LowRank {
        /// The left factor is stored `[rank, rows]`, not `[rows, rank]`.
        left_by_rank: bool,
        /// The right factor is stored `[columns, rank]`, not `[rank, columns]`.
        right_by_column: bool,
        /// The product is added to the first dependency, an array of the same type and shape.
        has_base: bool,
        /// Ranks that it is meant to be cut at, ascending; the last is the rank of the factors.
        ranks: Vec<u64>,
    },
    /// Rows or columns of its first dependency, by index maps: dependencies source, map of rows (if there is one), map of columns.
    Select {
        /// There is a map of rows.
        rows: bool,
        /// There is a map of columns.
        columns: bool,
    },
    /// Runs of rows or columns, one after another; those that are there are its dependencies, in order, and the others zeros.
    Tiers {
        /// Along which axis they follow each other.
        axis: MatrixAxis,
        /// How long each is, and whether it is there.
        runs: Vec<(u64, bool)>,
    },
}

const WHAT: &str = "representation";
const LEFT_BY_RANK: u64 = 1;
const RIGHT_BY_COLUMN: u64 = 2;
const HAS_BASE: u64 = 4;
/// The most ranks or runs.
const MOST: usize = 1 << 16;

impl Built {
    /// Reads what follows the representation's id.
    ///
    /// # Errors
    /// [`FormatError::Corrupt`] or [`FormatError::Truncated`].
    pub(crate) fn parse(id: u64, bytes: &[u8]) -> Result<Self> {
        let corrupt = |why: &str| Err(FormatError::corrupt(WHAT, 0, why));
        let (mut rest, head) = wire::finish(WHAT, bytes, wire::varint(bytes))?;
        let mut list = Vec::new();
        while !rest.is_empty() {
            let (after, value) = wire::finish(WHAT, rest, wire::varint(rest))?;
            list.push(value);
            rest = after;
            if list.len() > MOST {
                return corrupt("more than 65536 ranks or runs");
            }
        }
        match id {
            representation::LOW_RANK => {
                let ascending = list.iter().zip(list.iter().skip(1)).all(|(a, b)| a < b);
                if head > 7 || list.is_empty() || list.first() == Some(&0) || !ascending {
                    return corrupt("flags or ranks of a low-rank array");
                }
                Ok(Self::LowRank {
                    left_by_rank: head & LEFT_BY_RANK != 0,
                    right_by_column: head & RIGHT_BY_COLUMN != 0,
                    has_base: head & HAS_BASE != 0,
                    ranks: list,
                })
            }
            representation::SELECT => {
                if !(1..=3).contains(&head) || !list.is_empty() {
                    return corrupt("axes of a selection");
                }
                Ok(Self::Select { rows: head & 1 != 0, columns: head & 2 != 0 })
            }
            _ => {
                let axis = match head {
                    0 => MatrixAxis::Rows,
                    1 => MatrixAxis::Columns,
                    _ => return corrupt("axis of tiers"),
                };
                let runs: Vec<(u64, bool)> = list.iter().map(|v| (v >> 1, v & 1 != 0)).collect();
                if runs.iter().any(|run| run.0 == 0) || !runs.iter().any(|run| run.1) {
                    return corrupt("a tier has no length, or none is there");
                }
                Ok(Self::Tiers { axis, runs })
            }
        }
    }

    /// The field `representation`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |value| wire::put_varint(&mut out, value);
        match self {
            Self::LowRank { left_by_rank, right_by_column, has_base, ranks } => {
                put(representation::LOW_RANK);
                let bit = |set: &bool, bit: u64| if *set { bit } else { 0 };
                put(bit(left_by_rank, LEFT_BY_RANK)
                    | bit(right_by_column, RIGHT_BY_COLUMN)
                    | bit(has_base, HAS_BASE));
                ranks.iter().for_each(|&rank| put(rank));
            }
            Self::Select { rows, columns } => {
                put(representation::SELECT);
                put(u64::from(*rows) | u64::from(*columns) << 1);
            }
            Self::Tiers { axis, runs } => {
                put(representation::TIERS);
                put(u64::from(*axis == MatrixAxis::Columns));
                runs.iter().for_each(|&(len, there)| put(len << 1 | u64::from(there)));
            }
        }
        out
    }

    /// Whether an array of this type and shape can be built so.
    pub(crate) fn check(&self, dtype: Option<Dtype>, shape: &[u64]) -> Result<()> {
        let corrupt = |why: &str| Err(FormatError::corrupt(WHAT, 0, why));
        let Some(size) = dtype.and_then(whole_bytes) else {
            return corrupt("what is built has elements that are not whole bytes");
        };
        let Some((rows, columns)) = matrix(shape).filter(|(rows, columns)| *rows > 0 && *columns > 0) else {
            return corrupt("what is built has no rows or columns");
        };
        match self {
            Self::LowRank { .. } if !dtype.is_some_and(is_float) => {
                corrupt("a low-rank array is not of F32, F16 or BF16")
            }
            Self::Tiers { axis, runs } => {
                let sum = runs.iter().try_fold(0u64, |sum, run| sum.checked_add(run.0));
                let all = if *axis == MatrixAxis::Rows { rows } else { columns };
                if sum == Some(all) { Ok(()) } else { corrupt("tiers are not as long as the array") }
            }
            _ if size > 16 => corrupt("what is built has elements of more than 16 bytes"),
            _ => Ok(()),
        }
    }
}

/// Bytes of an element, if elements are whole bytes each.
#[must_use]
pub fn whole_bytes(dtype: Dtype) -> Option<u64> {
    (dtype.block == 1 && dtype.bits.is_multiple_of(8)).then(|| u64::from(dtype.bits >> 3))
}

/// Whether products can be made of it.
#[must_use]
pub fn is_float(dtype: Dtype) -> bool {
    matches!(dtype.name, "F32" | "F16" | "BF16")
}

/// Rows and columns of an array taken as a matrix: a vector has one row. `None` without dimensions.
#[must_use]
pub fn matrix(shape: &[u64]) -> Option<(u64, u64)> {
    let (&columns, rows) = shape.split_last()?;
    let rows = rows.iter().try_fold(1u64, |n, &d| n.checked_mul(d))?;
    Some((rows, columns))
}
