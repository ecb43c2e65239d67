//! Tables of differences by context (`SPEC.md` section 7.6.2).

use super::grid::CONTEXTS;
use super::slots::{ALL_BUCKETS, MAX_TABLES, PRECISION, RankTable, SYMBOLS, buckets, freqs};
use crate::error::{Result, corrupt, invalid};
use crate::labelled::lists;
use crate::table::Table;
use crate::varint::take_u8;

/// Which table each context uses, for the chunks of any number of tensors.
#[derive(Debug, Clone)]
pub struct Tables {
    contexts: [u8; CONTEXTS],
    tables: Vec<Table>,
    /// Of all tables, in order.
    buckets: Box<[u64; ALL_BUCKETS]>,
}

impl PartialEq for Tables {
    fn eq(&self, other: &Self) -> bool {
        (self.contexts, &self.tables) == (other.contexts, &other.tables)
    }
}

impl Eq for Tables {}

fn all_buckets(tables: &[Table]) -> Box<[u64; ALL_BUCKETS]> {
    let mut all = Box::new([0; ALL_BUCKETS]);
    all.as_chunks_mut().0.iter_mut().zip(tables).for_each(|(of_table, table)| *of_table = buckets(table));
    all
}

fn is_sound(table: &Table) -> bool {
    u32::from(table.precision()) == PRECISION
        && table.values().last().is_some_and(|&v| usize::from(v) < SYMBOLS)
}

impl Tables {
    /// Tables of precision 12 with values below 64, and the number of the table of each context.
    ///
    /// # Errors
    /// [`crate::CodingError::Invalid`] if there are not 1 to 64, or one is not such a table, or a number is out of range.
    pub fn new(contexts: [u8; CONTEXTS], tables: Vec<Table>) -> Result<Self> {
        let known = contexts.iter().all(|&c| usize::from(c) < tables.len());
        if !(1..=MAX_TABLES).contains(&tables.len()) || !known || !tables.iter().all(is_sound) {
            return Err(invalid("tables of differences are 1 to 64, of precision 12 and 64 symbols"));
        }
        let buckets = all_buckets(&tables);
        Ok(Self { contexts, tables, buckets })
    }

    /// Reads tables that fill `bytes`.
    ///
    /// # Errors
    /// Any breach of section 7.6.2.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        let count = take_u8(&mut rest, "tables of differences")?;
        if !(1..=MAX_TABLES).contains(&usize::from(count)) {
            return Err(corrupt("count of tables of differences"));
        }
        let list = lists::take(&mut rest, CONTEXTS, 0..=i32::from(count) - 1)?;
        let mut contexts = [0; CONTEXTS];
        for (context, number) in contexts.iter_mut().zip(list) {
            *context = number as u8;
        }
        let mut tables = Vec::with_capacity(count.into());
        for _ in 0..count {
            let (table, length) = Table::parse(rest)?;
            rest = rest.get(length..).unwrap_or_default();
            if !is_sound(&table) {
                return Err(corrupt("a table of differences has another precision, or more than 64 symbols"));
            }
            tables.push(table);
        }
        if !rest.is_empty() {
            return Err(corrupt("bytes after tables of differences"));
        }
        let buckets = all_buckets(&tables);
        Ok(Self { contexts, tables, buckets })
    }

    /// The tables as section 7.6.2 writes them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![self.tables.len() as u8];
        lists::put(&mut out, &self.contexts.map(i32::from));
        for table in &self.tables {
            out.extend(table.to_bytes());
        }
        out
    }

    /// The tables as encoders use them.
    pub(super) fn ranks(&self) -> Vec<RankTable> {
        self.tables.iter().map(RankTable::new).collect()
    }

    /// The buckets of all tables.
    pub(super) fn buckets(&self) -> &[u64; ALL_BUCKETS] {
        &self.buckets
    }

    /// The number of the table of a context.
    #[inline(always)]
    pub(super) fn number(&self, context: u8) -> u8 {
        self.contexts[usize::from(context) % CONTEXTS]
    }

    /// A bit for each symbol of each context's table.
    pub(super) fn known(&self) -> [u64; CONTEXTS] {
        let of_table: Vec<u64> =
            self.tables.iter().map(|t| t.values().iter().fold(0, |all, v| all | 1 << (v & 63))).collect();
        self.contexts.map(|number| of_table[usize::from(number)])
    }

    /// Bytes in memory, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// What each symbol takes in each context, in bits; infinite: it is not in the table.
    #[must_use]
    pub fn costs(&self) -> Vec<[f32; SYMBOLS]> {
        let cost =
            |freq: u16| if freq == 0 { f32::INFINITY } else { PRECISION as f32 - f32::from(freq).log2() };
        let of_table: Vec<[f32; SYMBOLS]> = self.tables.iter().map(|t| freqs(t).map(cost)).collect();
        self.contexts.iter().map(|&number| of_table[usize::from(number)]).collect()
    }
}
