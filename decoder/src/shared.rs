//! Objects that several entries share: tables, classes, column labels.

use crate::DecodeError;
use crate::Result;
use crate::decode::{Fetched, payload};
use crate::entry::{Entry, row_of};
use crate::index::RowRef;
use mcodec_coding::index_map::IndexMap;
use mcodec_coding::labelled::{Classes, ColumnLabels};
use mcodec_coding::{CodingError, DecodeTable, Table, codes, difference, fields, grouped, labelled, latents};
use mcodec_format::{ChunkPlace, registry};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What a dependency of an entry stands for, ready to decode with.
#[derive(Debug)]
#[non_exhaustive]
pub enum SharedObject {
    /// One frequency table.
    Table(DecodeTable),
    /// Tables and shifts of labelled floats.
    Classes(Box<Classes>),
    /// Column labels of a tensor.
    ColumnLabels(ColumnLabels),
    /// Tables of differences.
    DifferenceTables(Box<difference::Tables>),
    /// Labels and factors of the columns of differences.
    DifferenceColumns(Box<difference::Columns>),
    /// Means and deviations of channels.
    Statistics(latents::Statistics),
    /// What digits of tokens stand for.
    Digits(Box<latents::Digits>),
    /// What numbers of a coarser level stand for.
    Level(Box<latents::Level>),
    /// What tokens are coded under.
    TokenModel(Box<latents::TokenModel>),
    /// Step exponents of the columns of codes.
    ColumnSteps(codes::ColumnSteps),
    /// Classes of the columns of codes.
    ColumnClasses(codes::ColumnClasses),
    /// What grouped codes stand for.
    Codebook(grouped::Codebook),
    /// Which rows or columns of an array those of another are.
    IndexMap(IndexMap),
}

impl SharedObject {
    /// Reads the content of an entry of `kind`; `None` if entries of that kind are not such objects.
    ///
    /// # Errors
    /// What the coding finds wrong.
    pub fn parse(kind: u64, bytes: &[u8]) -> Result<Option<Self>, CodingError> {
        Ok(Some(match kind {
            registry::entry::TABLE => {
                let (table, used) = Table::parse(bytes)?;
                if used != bytes.len() {
                    return Err(CodingError::Corrupt { what: "bytes follow the table" });
                }
                Self::Table(table.decoder())
            }
            registry::entry::CLASSES => Self::Classes(Box::new(Classes::parse(bytes)?)),
            registry::entry::COLUMN_LABELS => Self::ColumnLabels(ColumnLabels::parse(bytes)?),
            registry::entry::DIFFERENCE_TABLES => {
                Self::DifferenceTables(Box::new(difference::Tables::parse(bytes)?))
            }
            registry::entry::DIFFERENCE_COLUMNS => {
                Self::DifferenceColumns(Box::new(difference::Columns::parse(bytes)?))
            }
            registry::entry::STATISTICS => Self::Statistics(latents::Statistics::parse(bytes)?),
            registry::entry::DIGITS => Self::Digits(Box::new(latents::Digits::parse(bytes)?)),
            registry::entry::LEVEL => Self::Level(Box::new(latents::Level::parse(bytes)?)),
            registry::entry::TOKEN_MODEL => Self::TokenModel(Box::new(latents::TokenModel::parse(bytes)?)),
            registry::entry::COLUMN_STEPS => Self::ColumnSteps(codes::ColumnSteps::parse(bytes)?),
            registry::entry::COLUMN_CLASSES => Self::ColumnClasses(codes::ColumnClasses::parse(bytes)?),
            registry::entry::CODEBOOK => Self::Codebook(grouped::Codebook::parse(bytes)?),
            registry::entry::INDEX_MAP => Self::IndexMap(IndexMap::parse(bytes)?),
            _ => return Ok(None),
        }))
    }

    /// Bytes in memory beyond what nearly all objects take.
    fn memory(&self) -> usize {
        match self {
            Self::DifferenceTables(tables) => tables.memory(),
            Self::DifferenceColumns(columns) => columns.memory(),
            Self::TokenModel(model) => model.memory(),
            Self::ColumnSteps(columns) => columns.memory(),
            Self::ColumnClasses(columns) => columns.memory(),
            Self::Codebook(book) => book.memory(),
            Self::IndexMap(map) => map.memory(),
            _ => 0,
        }
    }
}

/// The shared objects of one entry, by dependency index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedOf<'a>(pub(crate) &'a [Option<Arc<SharedObject>>]);

impl SharedOf<'_> {
    fn get(&self, dependency: u32) -> Option<&SharedObject> {
        self.0.get(dependency as usize)?.as_deref()
    }
}

impl fields::SharedTables for SharedOf<'_> {
    fn table(&self, dependency: u32) -> Option<&DecodeTable> {
        match self.get(dependency)? {
            SharedObject::Table(table) => Some(table),
            _ => None,
        }
    }
}

impl difference::SharedObjects for SharedOf<'_> {
    fn tables(&self, dependency: u32) -> Option<&difference::Tables> {
        match self.get(dependency)? {
            SharedObject::DifferenceTables(tables) => Some(tables),
            _ => None,
        }
    }

    fn columns(&self, dependency: u32) -> Option<&difference::Columns> {
        match self.get(dependency)? {
            SharedObject::DifferenceColumns(columns) => Some(columns),
            _ => None,
        }
    }
}

impl latents::SharedObjects for SharedOf<'_> {
    fn statistics(&self, dependency: u32) -> Option<&latents::Statistics> {
        match self.get(dependency)? {
            SharedObject::Statistics(statistics) => Some(statistics),
            _ => None,
        }
    }

    fn token_model(&self, dependency: u32) -> Option<&latents::TokenModel> {
        match self.get(dependency)? {
            SharedObject::TokenModel(model) => Some(model),
            _ => None,
        }
    }

    fn digits(&self, dependency: u32) -> Option<&latents::Digits> {
        match self.get(dependency)? {
            SharedObject::Digits(digits) => Some(digits),
            _ => None,
        }
    }

    fn level(&self, dependency: u32) -> Option<&latents::Level> {
        match self.get(dependency)? {
            SharedObject::Level(level) => Some(level),
            _ => None,
        }
    }
}

impl grouped::SharedObjects for SharedOf<'_> {
    fn codebook(&self, dependency: u32) -> Option<&grouped::Codebook> {
        match self.get(dependency)? {
            SharedObject::Codebook(book) => Some(book),
            _ => None,
        }
    }
}

impl codes::SharedObjects for SharedOf<'_> {
    fn classes(&self, dependency: u32) -> Option<&Classes> {
        labelled::SharedObjects::classes(self, dependency)
    }

    fn column_steps(&self, dependency: u32) -> Option<&codes::ColumnSteps> {
        match self.get(dependency)? {
            SharedObject::ColumnSteps(steps) => Some(steps),
            _ => None,
        }
    }

    fn column_classes(&self, dependency: u32) -> Option<&codes::ColumnClasses> {
        match self.get(dependency)? {
            SharedObject::ColumnClasses(classes) => Some(classes),
            _ => None,
        }
    }
}

impl labelled::SharedObjects for SharedOf<'_> {
    fn classes(&self, dependency: u32) -> Option<&Classes> {
        match self.get(dependency)? {
            SharedObject::Classes(classes) => Some(classes),
            _ => None,
        }
    }

    fn labels(&self, dependency: u32) -> Option<&ColumnLabels> {
        match self.get(dependency)? {
            SharedObject::ColumnLabels(labels) => Some(labels),
            _ => None,
        }
    }
}

/// Shared objects, parsed once and kept.
#[derive(Debug, Default)]
pub struct SharedCache(Mutex<HashMap<ChunkPlace, Arc<SharedObject>>>);

/// Objects kept at most; each takes up to 1 MiB, nearly all a few KiB.
const KEPT: usize = 256;
/// Bytes of the larger ones, kept at most.
const LARGE: usize = 64 << 20;

impl SharedCache {
    /// The object of this place, if it is kept.
    pub(crate) fn get(&self, place: &ChunkPlace) -> Option<Arc<SharedObject>> {
        lock(&self.0).get(place).map(Arc::clone)
    }

    /// What dependencies `group` of `entry` stand for, in order. What is not cached is read from `fetched`.
    pub(crate) fn of(
        &self,
        entry: &Entry,
        group: std::ops::Range<usize>,
        fetched: &Fetched<'_>,
    ) -> Result<Vec<Option<Arc<SharedObject>>>> {
        let at = entry.content();
        let dependencies = at.get().dependencies.get(group).unwrap_or_default();
        dependencies
            .iter()
            .map(|dependency| {
                let Some(target) = row_of(at, dependency) else { return Ok(None) };
                let kind = target.get().kind;
                if !registry::entry::is_shared_object(kind) {
                    return Ok(None);
                }
                self.one(&target, fetched)
            })
            .collect()
    }

    /// The shared object of a row, if it is one.
    pub(crate) fn one(&self, target: &RowRef, fetched: &Fetched<'_>) -> Result<Option<Arc<SharedObject>>> {
        let kind = target.get().kind;
        let Some(span) = target.get().spans(target.asset().ordinal).next() else { return Ok(None) };
        if let Some(known) = fetched.objects.get(&span.place).or(lock(&self.0).get(&span.place)) {
            return Ok(Some(Arc::clone(known)));
        }
        let name = &target.get().name;
        let kind_name = registry::name_of(&registry::entry::ALL, kind).unwrap_or("entry");
        let bytes = payload(&span, kind_name, name, fetched)?;
        let coding = |source| DecodeError::Coding { name: name.clone(), place: span.place, source };
        let Some(object) = SharedObject::parse(kind, bytes).map_err(coding)? else { return Ok(None) };
        let object = Arc::new(object);
        let mut cache = lock(&self.0);
        let large = |kept: &HashMap<ChunkPlace, Arc<SharedObject>>| {
            kept.values().fold(object.memory(), |sum, o| sum.saturating_add(o.memory())) > LARGE
        };
        if cache.len() >= KEPT || large(&cache) {
            cache.clear();
        }
        cache.insert(span.place, Arc::clone(&object));
        Ok(Some(object))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
