//! Reading rows and columns of arrays, through whatever they are built from.

use super::levels::Levels;
use super::low_rank::{Factors, element, multiply};
use super::{Block, Parts, corrupt, sizes};
use crate::entry::{BaseTensor, Entry};
use crate::index::RowRef;
use crate::shared::SharedObject;
use crate::{DecodeError, ReadAt, Reader, Result};
use mcodec_format::{Limits, MatrixAxis};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of an array that are read at once, about.
const SPAN: u64 = 16 << 20;

/// A row of the array that is read, and the row of the output that it becomes.
type Wanted = (u64, usize);

/// How long a tier is, and what it is, if it is there.
type Run = (u64, Option<Arc<Entry>>);

/// Whether one of these columns is kept.
type Keeps<'k> = &'k dyn Fn(&Range<u64>) -> bool;

/// What a block is made of.
#[derive(Debug, Default)]
pub(crate) struct Leaves {
    /// Arrays that are not built, and bytes of their content.
    pub(crate) arrays: Vec<(Entry, Range<u64>)>,
    /// Tensors of other files.
    pub(crate) external: Vec<([u8; 32], String)>,
    /// Index maps.
    pub(crate) maps: Vec<RowRef>,
}

struct Walk<'r, S> {
    reader: &'r Reader<S>,
    levels: &'r Levels,
    /// Nothing is read but what is needed is noted here.
    plan: Option<Leaves>,
}

/// Rows that are looked at together.
const ROWS: u64 = 1 << 20;

/// Reads a block, which is within the array, into `out`, which is all zero.
pub(super) fn read<S: ReadAt>(
    reader: &Reader<S>,
    entry: &Entry,
    block: &Block,
    levels: &Levels,
    out: &mut [u8],
) -> Result<()> {
    let width = length(&block.columns).saturating_mul(sizes(entry)?.2 as usize);
    let mut walk = Walk { reader, levels, plan: None };
    let mut rest = out;
    for rows in windows(block) {
        let here = length(&rows).saturating_mul(width).min(rest.len());
        let (head, tail) = rest.split_at_mut(here);
        walk.gather(entry, &rows.zip(0usize..).collect::<Vec<_>>(), block.columns.clone(), head)?;
        rest = tail;
    }
    Ok(())
}

/// What a block, which is within the array, is made of.
pub(super) fn plan<S: ReadAt>(
    reader: &Reader<S>,
    entry: &Entry,
    block: &Block,
    levels: &Levels,
) -> Result<Leaves> {
    let mut walk = Walk { reader, levels, plan: Some(Leaves::default()) };
    for rows in windows(block) {
        walk.gather(entry, &rows.zip(0usize..).collect::<Vec<_>>(), block.columns.clone(), &mut [])?;
    }
    Ok(walk.plan.unwrap_or_default())
}

fn windows(block: &Block) -> impl Iterator<Item = Range<u64>> + use<> {
    let Range { start, end } = block.rows;
    let starts = (start..end).step_by(ROWS as usize);
    starts.map(move |start| start..start.saturating_add(ROWS).min(end))
}

impl<S: ReadAt> Walk<'_, S> {
    /// Reads `columns` of the rows `rows`, ascending, to where each is wanted in `out`, whose rows are those columns.
    fn gather(&mut self, entry: &Entry, rows: &[Wanted], columns: Range<u64>, out: &mut [u8]) -> Result<()> {
        let levels = self.levels.get(entry);
        let rows: Cow<'_, [Wanted]> = match levels.rows {
            None => rows.into(),
            Some(kept) => rows.iter().copied().filter(|(row, _)| kept.has(*row)).collect(),
        };
        let none = columns.is_empty() || levels.columns.is_some_and(|kept| !kept.has_any(&columns));
        if rows.is_empty() || none {
            return Ok(());
        }
        match entry.parts() {
            None => self.leaf(entry, &rows, &columns, out)?,
            Some(Parts::LowRank { .. }) => self.low_rank(entry, levels.rank, &rows, &columns, out)?,
            Some(Parts::Select { .. }) => self.select(entry, &rows, &columns, out)?,
            Some(Parts::Tiers { axis, runs }) => {
                let keeps = |run: &Range<u64>| levels.columns.is_none_or(|kept| kept.has_any(run));
                self.tiers((*axis, runs), &rows, &columns, (sizes(entry)?.2, &keeps), out)?;
            }
        }
        if let Some(kept) = levels.columns.filter(|_| self.plan.is_none()) {
            let size = sizes(entry)?.2 as usize;
            let width = size.saturating_mul(length(&columns));
            for &(_, to) in rows.iter() {
                let row = part_mut(out, to.saturating_mul(width), width)?;
                for (place, bytes) in columns.clone().zip(row.chunks_exact_mut(size.max(1))) {
                    if !kept.has(place) {
                        bytes.fill(0);
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows of an array with chunks of its own: each chunk is read once, unless the rows between them are many.
    fn leaf(&mut self, entry: &Entry, rows: &[Wanted], columns: &Range<u64>, out: &mut [u8]) -> Result<()> {
        let (_, all, size) = sizes(entry)?;
        let row_bytes = all.saturating_mul(size).max(1);
        let chunk = entry.chunking().chunk_len.max(1);
        let bytes_of =
            |row: u64| row.saturating_mul(row_bytes)..row.saturating_add(1).saturating_mul(row_bytes);
        let width = length(columns).saturating_mul(size as usize);
        let mut rest = rows;
        while let Some(&(first, _)) = rest.first() {
            let start = bytes_of(first).start;
            let mut last = first;
            let mut count = 0usize;
            for &(row, _) in rest {
                let range = bytes_of(row);
                let touches = range.start / chunk <= bytes_of(last).end.saturating_sub(1) / chunk;
                let follows = row <= last.saturating_add(1);
                let small = range.end.saturating_sub(start) <= SPAN || row == last;
                if !(touches || follows) || !small {
                    break;
                }
                last = row;
                count = count.saturating_add(1);
            }
            let (span, after) = rest.split_at_checked(count.max(1)).unwrap_or((rest, &[]));
            let range = start..bytes_of(last).end;
            rest = after;
            if let Some(plan) = &mut self.plan {
                plan.arrays.push((entry.clone(), range));
                continue;
            }
            let in_order = span.iter().zip(span.first().map_or(0, |s| s.1)..).all(|(s, to)| s.1 == to);
            // A selection may want a row twice.
            let dense = span.iter().zip(first..).all(|(s, row)| s.0 == row);
            if in_order && dense && length(columns) as u64 == all {
                let to = span.first().map_or(0, |s| s.1).saturating_mul(width);
                self.reader.read_stored(
                    entry,
                    range,
                    part_mut(out, to, width.saturating_mul(span.len()))?,
                )?;
                continue;
            }
            let mut bytes = self.buffer(range.end.saturating_sub(range.start))?;
            self.reader.read_stored(entry, range.clone(), &mut bytes)?;
            for &(row, to) in span {
                let from = bytes_of(row)
                    .start
                    .saturating_sub(start)
                    .saturating_add(columns.start.saturating_mul(size));
                let from = part(&bytes, from as usize, width)?;
                part_mut(out, to.saturating_mul(width), width)?.copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// Zeros, within the limit on memory.
    fn buffer(&self, len: u64) -> Result<Vec<u8>> {
        Limits::check("bytes of a built array's parts", len, self.reader.limits().memory)?;
        Ok(vec![0; if self.plan.is_some() { 0 } else { len as usize }])
    }

    /// Rows and columns of an array as numbers, row after row.
    fn numbers(&mut self, entry: &Entry, rows: &[Wanted], columns: Range<u64>) -> Result<Vec<f32>> {
        let size = sizes(entry)?.2;
        let count = (rows.len() as u64).saturating_mul(length(&columns) as u64);
        // The numbers are held beside the bytes.
        let mut bytes = self.buffer(count.saturating_mul(size.saturating_add(4)))?;
        bytes.truncate(count.saturating_mul(size) as usize);
        self.gather(entry, rows, columns, &mut bytes)?;
        Ok(element(entry.tensor().map_or("", |t| &t.dtype_name)).values(&bytes))
    }

    fn low_rank(
        &mut self,
        entry: &Entry,
        level: Option<u64>,
        rows: &[Wanted],
        columns: &Range<u64>,
        out: &mut [u8],
    ) -> Result<()> {
        let Some(Parts::LowRank { base, left, left_by_rank, right, right_by_column, rank }) = entry.parts()
        else {
            return Ok(());
        };
        let rank = level.map_or(*rank, |level| level.min(*rank));
        let ranks: Vec<Wanted> = (0..rank).zip(0usize..).collect();
        let width = length(columns);
        let left = if *left_by_rank {
            let first = rows.first().map_or(0, |row| row.0);
            let end = rows.last().map_or(0, |row| row.0.saturating_add(1));
            let span = length(&(first..end));
            let turned = self.numbers(left, &ranks, first..end)?;
            let places: Vec<usize> = rows.iter().map(|row| row.0.saturating_sub(first) as usize).collect();
            transposed(&turned, span, &places)
        } else {
            let rows: Vec<Wanted> = rows.iter().zip(0usize..).map(|(row, to)| (row.0, to)).collect();
            self.numbers(left, &rows, 0..rank)?
        };
        let right = if *right_by_column {
            let list: Vec<Wanted> = columns.clone().zip(0usize..).collect();
            let turned = self.numbers(right, &list, 0..rank)?;
            transposed(&turned, ranks.len(), &(0..ranks.len()).collect::<Vec<usize>>())
        } else {
            self.numbers(right, &ranks, columns.clone())?
        };
        let list: Vec<Wanted> = rows.iter().zip(0usize..).map(|(row, to)| (row.0, to)).collect();
        let mut values = match base {
            None => vec![0f32; if self.plan.is_some() { 0 } else { rows.len().saturating_mul(width) }],
            Some(BaseTensor::Entry(base)) => self.numbers(base, &list, columns.clone())?,
            Some(BaseTensor::External { hash, name }) => {
                self.external(entry, (hash, name), &list, columns)?
            }
        };
        if self.plan.is_some() {
            return Ok(());
        }
        let factors = Factors { left: &left, right: &right, rank: ranks.len(), columns: width };
        self.reader.in_pool(|parallel| multiply(&factors, &mut values, parallel));
        let element = element(entry.tensor().map_or("", |t| &t.dtype_name));
        for (&(_, to), values) in rows.iter().zip(values.chunks(width.max(1))) {
            let bytes = element.round(values);
            part_mut(out, to.saturating_mul(bytes.len()), bytes.len())?.copy_from_slice(&bytes);
        }
        Ok(())
    }

    /// Numbers of a tensor of another file.
    fn external(
        &mut self,
        entry: &Entry,
        (hash, name): (&[u8; 32], &String),
        rows: &[Wanted],
        columns: &Range<u64>,
    ) -> Result<Vec<f32>> {
        if let Some(plan) = &mut self.plan {
            plan.external.push((*hash, name.clone()));
            return Ok(Vec::new());
        }
        let (_, all, size) = sizes(entry)?;
        let base = self.reader.external(entry, hash, name)?;
        let element = element(entry.tensor().map_or("", |t| &t.dtype_name));
        let mut values = Vec::new();
        let mut bytes = self.buffer((length(columns) as u64).saturating_mul(size))?;
        for &(row, _) in rows {
            let start = row.saturating_mul(all).saturating_add(columns.start).saturating_mul(size);
            base.read_into(name, start..start.saturating_add(bytes.len() as u64), &mut bytes)?;
            values.extend(element.values(&bytes));
        }
        Ok(values)
    }

    fn select(&mut self, entry: &Entry, rows: &[Wanted], columns: &Range<u64>, out: &mut [u8]) -> Result<()> {
        let Some(Parts::Select { source, rows: row_map, columns: column_map }) = entry.parts() else {
            return Ok(());
        };
        let (all_rows, all_columns, size) = sizes(entry)?;
        let (source_rows, source_columns, _) = sizes(source)?;
        let mut list: Vec<Wanted> = match row_map {
            None => rows.to_vec(),
            Some(map) => {
                let map = self.map(entry, map, (all_rows, source_rows))?;
                rows.iter().filter_map(|&(row, to)| Some((source_of(&map, row)?, to))).collect()
            }
        };
        list.sort_unstable();
        let Some(map) = column_map else { return self.gather(source, &list, columns.clone(), out) };
        let map = self.map(entry, map, (all_columns, source_columns))?;
        let places: Vec<(usize, u64)> =
            columns.clone().zip(0usize..).filter_map(|(at, to)| Some((to, source_of(&map, at)?))).collect();
        let Some(first) = places.iter().map(|place| place.1).min() else { return Ok(()) };
        let end = places.iter().map(|place| place.1).max().unwrap_or(first).saturating_add(1);
        let span = length(&(first..end)).saturating_mul(size as usize);
        let width = length(columns).saturating_mul(size as usize);
        let step = (SPAN as usize).checked_div(span.max(1)).unwrap_or(1).max(1);
        for rows in list.chunks(step) {
            let mut bytes = self.buffer((span as u64).saturating_mul(rows.len() as u64))?;
            let here: Vec<Wanted> = rows.iter().zip(0usize..).map(|(row, at)| (row.0, at)).collect();
            self.gather(source, &here, first..end, &mut bytes)?;
            if self.plan.is_some() {
                continue;
            }
            for (&(_, to), from) in rows.iter().zip(bytes.chunks(span.max(1))) {
                let row = part_mut(out, to.saturating_mul(width), width)?;
                for &(to, place) in &places {
                    let at = (place.saturating_sub(first) as usize).saturating_mul(size as usize);
                    let value = part(from, at, size as usize)?;
                    part_mut(row, to.saturating_mul(size as usize), size as usize)?.copy_from_slice(value);
                }
            }
        }
        Ok(())
    }

    /// An index map, checked against what it maps.
    fn map(&mut self, entry: &Entry, at: &RowRef, sizes: (u64, u64)) -> Result<Arc<SharedObject>> {
        if let Some(plan) = &mut self.plan {
            plan.maps.push(at.clone());
        }
        let object = self.reader.shared_object(at)?;
        match &*object {
            SharedObject::IndexMap(map) if (map.len() as u64, u64::from(map.sources())) == sizes => {
                Ok(object)
            }
            _ => Err(corrupt(entry, "an index map has other places or sources than the arrays")),
        }
    }

    /// `keeps`: whether one of these columns is kept.
    fn tiers(
        &mut self,
        (axis, runs): (MatrixAxis, &[Run]),
        rows: &[Wanted],
        columns: &Range<u64>,
        (size, keeps): (u64, Keeps<'_>),
        out: &mut [u8],
    ) -> Result<()> {
        let width = length(columns).saturating_mul(size as usize);
        let mut end = 0u64;
        for (len, run) in runs {
            let start = end;
            end = start.saturating_add(*len);
            let Some(run) = run else { continue };
            if axis == MatrixAxis::Rows {
                let (from, to) = (rows.partition_point(|r| r.0 < start), rows.partition_point(|r| r.0 < end));
                let here = rows.get(from..to).unwrap_or_default();
                let here: Vec<Wanted> = here.iter().map(|r| (r.0.saturating_sub(start), r.1)).collect();
                self.gather(run, &here, columns.clone(), out)?;
                continue;
            }
            let here = start.max(columns.start)..end.min(columns.end);
            if here.is_empty() || !keeps(&here) {
                continue;
            }
            let own = here.start.saturating_sub(start)..here.end.saturating_sub(start);
            if here == *columns {
                self.gather(run, rows, own, out)?;
                continue;
            }
            let part_width = length(&here).saturating_mul(size as usize);
            let skip = length(&(columns.start..here.start)).saturating_mul(size as usize);
            let step = (SPAN as usize).checked_div(part_width.max(1)).unwrap_or(1).max(1);
            for rows in rows.chunks(step) {
                let mut bytes = self.buffer((part_width as u64).saturating_mul(rows.len() as u64))?;
                let list: Vec<Wanted> = rows.iter().zip(0usize..).map(|(row, at)| (row.0, at)).collect();
                self.gather(run, &list, own.clone(), &mut bytes)?;
                if self.plan.is_some() {
                    continue;
                }
                for (&(_, to), from) in rows.iter().zip(bytes.chunks(part_width.max(1))) {
                    let at = to.saturating_mul(width).saturating_add(skip);
                    part_mut(out, at, part_width)?.copy_from_slice(from);
                }
            }
        }
        Ok(())
    }
}

/// The source's place of a map's place.
fn source_of(map: &SharedObject, place: u64) -> Option<u64> {
    match map {
        SharedObject::IndexMap(map) => map.source(usize::try_from(place).ok()?).map(u64::from),
        _ => None,
    }
}

/// The columns `places` of a matrix of rows of `columns` numbers, one after another.
fn transposed(numbers: &[f32], columns: usize, places: &[usize]) -> Vec<f32> {
    let column = |at: usize| numbers.iter().skip(at).step_by(columns.max(1)).copied();
    places.iter().flat_map(|&at| column(at)).collect()
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX)
}

fn outside() -> DecodeError {
    DecodeError::Request("a part of a built array is outside of it".into())
}

fn part(bytes: &[u8], at: usize, len: usize) -> Result<&[u8]> {
    bytes.get(at..at.saturating_add(len)).ok_or_else(outside)
}

fn part_mut(bytes: &mut [u8], at: usize, len: usize) -> Result<&mut [u8]> {
    bytes.get_mut(at..at.saturating_add(len)).ok_or_else(outside)
}
