//! What the columns of a matrix say of its differences (`SPEC.md` section 7.6.3).

use super::gaussian::{self, CLASSES};
use super::stream::{self, Stream};
use crate::bits::{BitSink, BitSource};
use crate::error::{Result, corrupt, invalid};
use crate::labelled::lists;
use crate::varint;

/// The most components of a predictor.
pub const MAX_RANK: usize = 64;
/// The most columns that labels and factors may describe, and the most factors.
const MAX_COLUMNS: u64 = 1 << 20;
const MAX_FACTORS: usize = 1 << 21;
/// Column labels are below this.
const LABELS: i32 = 64;
const SCALES: core::ops::RangeInclusive<i32> = -127..=31;

const HAS_LABELS: u8 = 1;
const HAS_FACTORS: u8 = 2;

/// A component of the predictor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// A row's and a column's factor count in 2^(scale / 4) of the scale that their labels set; -127 to 31.
    pub scale: i8,
    /// Class of the rows' factors, below 59.
    pub row_class: u8,
    /// Class of the columns' factors, below 59.
    pub column_class: u8,
}

/// Labels and factors of the columns of one matrix, or of several with the same columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    columns: usize,
    labels: Vec<u8>,
    components: Vec<Component>,
    /// By component, then column.
    factors: Vec<i16>,
}

impl Columns {
    /// `labels` (below 64; none: all 0) and `factors` (of each component one for each column) of `columns` columns.
    ///
    /// # Errors
    /// [`crate::CodingError::Invalid`] if lengths differ or something is out of range: columns above 2^20, components above 64 or the
    /// columns, factors above 2^21.
    pub fn new(
        columns: usize,
        labels: Vec<u8>,
        components: Vec<Component>,
        factors: Vec<i16>,
    ) -> Result<Self> {
        let labelled = labels.is_empty() || labels.len() == columns;
        let sound = |c: &Component| {
            SCALES.contains(&i32::from(c.scale)) && c.row_class < CLASSES && c.column_class < CLASSES
        };
        if columns == 0
            || columns as u64 > MAX_COLUMNS
            || !labelled
            || labels.iter().any(|&l| i32::from(l) >= LABELS)
            || components.len() > MAX_RANK.min(columns)
            || Some(factors.len()) != components.len().checked_mul(columns)
            || factors.len() > MAX_FACTORS
            || !components.iter().all(sound)
        {
            return Err(invalid("labels and factors of columns"));
        }
        Ok(Self { columns, labels, components, factors })
    }

    /// Reads what fills `bytes`.
    ///
    /// # Errors
    /// Any breach of section 7.6.3.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        let columns = varint::take(&mut rest)?;
        if columns == 0 || columns > MAX_COLUMNS {
            return Err(corrupt("column count"));
        }
        let columns = columns as usize;
        let flags = varint::take_u8(&mut rest, "columns")?;
        if flags & !(HAS_LABELS | HAS_FACTORS) != 0 {
            return Err(corrupt("flags of columns"));
        }
        let mut labels = Vec::new();
        if flags & HAS_LABELS != 0 {
            let list = lists::take(&mut rest, columns, 0..=LABELS - 1)?;
            labels = list.into_iter().map(|l| l as u8).collect();
        }
        let mut all = Self { columns, labels, components: Vec::new(), factors: Vec::new() };
        if flags & HAS_FACTORS == 0 {
            return if rest.is_empty() { Ok(all) } else { Err(corrupt("bytes after columns")) };
        }
        all.components = take_components(&mut rest, columns)?;
        let mut stream = Stream::parse(rest)?;
        let mut bits = BitSource::new(stream.plane);
        all.factors = Vec::with_capacity(all.components.len() * columns);
        for component in &all.components {
            for _ in 0..columns {
                all.factors.push(gaussian::take(component.column_class, &mut stream, &mut bits)?);
            }
        }
        stream.finish()?;
        if bits.finish()? != stream.plane.len() {
            return Err(corrupt("bits left over in a plane"));
        }
        Ok(all)
    }

    /// The bytes of section 7.6.3.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        varint::put(&mut out, self.columns as u64);
        let flag = |is: bool, flag| if is { flag } else { 0 };
        out.push(flag(!self.labels.is_empty(), HAS_LABELS) | flag(!self.components.is_empty(), HAS_FACTORS));
        lists::put(&mut out, &self.labels.iter().map(|&l| i32::from(l)).collect::<Vec<_>>());
        if self.components.is_empty() {
            return out;
        }
        out.push(self.components.len() as u8);
        let list = |of: &dyn Fn(&Component) -> i32| self.components.iter().map(of).collect::<Vec<i32>>();
        lists::put(&mut out, &list(&|c| c.scale.into()));
        lists::put(&mut out, &list(&|c| i32::from(c.row_class) + i32::from(c.scale)));
        lists::put(&mut out, &list(&|c| i32::from(c.column_class) + i32::from(c.scale)));
        let mut plane = BitSink::default();
        let mut coded = Vec::with_capacity(self.factors.len());
        for (component, factors) in self.components.iter().zip(self.factors.chunks(self.columns)) {
            coded.extend(factors.iter().map(|&f| gaussian::put(component.column_class, f, &mut plane)));
        }
        let done = stream::put(&mut out, &coded, gaussian::ranks, &[], 0, &plane.into_bytes());
        debug_assert!(done.is_ok(), "every factor is in its class's table, or escaped");
        out
    }

    /// How many columns there are.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Labels of the columns; empty: all 0.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The predictor's components.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The factors of component `at` in columns `range`.
    pub(super) fn factors(&self, at: usize, range: core::ops::Range<usize>) -> &[i16] {
        let start = at * self.columns;
        self.factors.get(start + range.start..start + range.end).unwrap_or_default()
    }

    /// Bytes in memory, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.labels.len() + 2 * self.factors.len()
    }
}

fn take_components(rest: &mut &[u8], columns: usize) -> Result<Vec<Component>> {
    let rank = usize::from(varint::take_u8(rest, "columns")?);
    if rank == 0 || rank > MAX_RANK.min(columns) || rank * columns > MAX_FACTORS {
        return Err(corrupt("rank of factors"));
    }
    let scales = lists::take(rest, rank, SCALES)?;
    let mut classes = || lists::take(rest, rank, *SCALES.start()..=*SCALES.end() + i32::from(CLASSES));
    let (rows, columns) = (classes()?, classes()?);
    let component = |((&scale, row), column): ((&i32, i32), i32)| {
        let class = |sum: i32| u8::try_from(sum - scale).ok().filter(|&c| c < CLASSES);
        let (row_class, column_class) = (class(row)?, class(column)?);
        Some(Component { scale: scale as i8, row_class, column_class })
    };
    let all: Option<Vec<Component>> = scales.iter().zip(rows).zip(columns).map(component).collect();
    all.ok_or(corrupt("class of factors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn some(columns: usize, rank: usize) -> Columns {
        let labels = (0..columns).map(|j| (j % 5) as u8).collect();
        let component =
            |k: usize| Component { scale: 3 - 4 * k as i8, row_class: 9, column_class: (4 + 5 * k) as u8 };
        let factors =
            (0..rank * columns).map(|i| ((i * 37 % 61) as i16 - 30) * (1 + (i / columns) as i16)).collect();
        Columns::new(columns, labels, (0..rank).map(component).collect(), factors).unwrap()
    }

    #[test]
    fn columns_round_trip() {
        for (columns, rank) in [(1, 0), (1, 1), (40, 0), (40, 3), (64, 10)] {
            let all = some(columns, rank);
            let bytes = all.to_bytes();
            assert_eq!(Columns::parse(&bytes).unwrap(), all);
            for cut in 0..bytes.len() {
                assert!(Columns::parse(&bytes[..cut]).is_err());
            }
            assert!(Columns::parse(&[&bytes[..], &[0]].concat()).is_err());
        }
        assert!(
            Columns::new(2, vec![], vec![Component { scale: 0, row_class: 59, column_class: 0 }], vec![0; 2])
                .is_err()
        );
        assert!(Columns::new(0, vec![], vec![], vec![]).is_err());
        assert!(Columns::parse(&[0, 0]).is_err());
        assert!(Columns::parse(&[1, 4]).is_err());
    }
}
