//! What passes work on: the items of a model, what they are to be built from, and what is known of the layers.

use crate::build::{ArrayId, ModelBuilder};
use crate::items::{Content, Item, ReadContent};
use crate::quantise::{Input, Known, KnownArrays, Statistics};
use crate::{EncodeError, EncodeOptions, Result};
use globset::GlobSet;
use mcodec_coding::codes::Element;
use mcodec_format::{Built, built};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The model while passes change it.
pub(crate) struct Workbench<'b> {
    pub(crate) model: ModelBuilder,
    pub(crate) statistics: Option<&'b Statistics>,
    pub(crate) options: &'b EncodeOptions,
    pub(crate) notes: Vec<String>,
    /// What is known of arrays that were made, for a quantiser.
    pub(crate) known: KnownArrays,
    spool: Arc<Spool>,
    /// What stays as it is.
    keep: &'b GlobSet,
}

/// What is known of numbers that are multiplied, from token to token.
#[derive(Debug, Clone)]
pub(crate) enum Gram {
    /// Their Gram matrix, row after row.
    Whole(Vec<f32>),
    /// Its diagonal.
    Diagonal(Vec<f32>),
}

/// A matrix of floats of the model, as a pass sees it.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    /// Number of its item.
    pub(crate) item: usize,
    pub(crate) name: String,
    pub(crate) dtype: &'static str,
    pub(crate) element: Element,
    pub(crate) shape: Vec<u64>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl<'b> Workbench<'b> {
    pub(crate) fn new(
        model: ModelBuilder,
        statistics: Option<&'b Statistics>,
        options: &'b EncodeOptions,
        spool: Arc<Spool>,
        keep: &'b GlobSet,
    ) -> Self {
        let (notes, known) = (Vec::new(), KnownArrays::new());
        Self { model, statistics, options, notes, known, spool, keep }
    }

    /// The matrices of floats that `targets` match and that no pass has built from others yet.
    pub(crate) fn matrices(&self, targets: &GlobSet) -> Vec<Matrix> {
        let one = |(at, item): (usize, &Item<'_>)| {
            let Content::Tensor { dtype_name, shape, owner: None } = &item.content else { return None };
            let dtype = mcodec_format::registry::Dtype::by_name(dtype_name)?;
            let (rows, columns) = built::matrix(shape)?;
            let fits =
                shape.len() > 1 && rows > 0 && columns > 0 && item.alias_of.is_none() && item.base.is_none();
            let element = Element::by_name(dtype.name).filter(|_| fits && self.takes(targets, &item.name))?;
            let (name, shape) = (item.name.clone(), shape.clone());
            let (rows, columns) = (rows as usize, columns as usize);
            Some(Matrix { item: at, name, dtype: dtype.name, element, shape, rows, columns })
        };
        self.model.items.iter().enumerate().filter_map(one).collect()
    }

    /// The matrix of floats of this name, if no pass has built it from others yet.
    pub(crate) fn matrix_of(&self, name: &str) -> Option<Matrix> {
        let all = globset::GlobBuilder::new("*").build().ok()?;
        let all = globset::GlobSetBuilder::new().add(all).build().ok()?;
        self.matrices(&all).into_iter().find(|matrix| matrix.name == name)
    }

    fn takes(&self, targets: &GlobSet, name: &str) -> bool {
        targets.is_match(name) && !self.keep.is_match(name)
    }

    /// The weights of a matrix.
    pub(crate) fn weights(&self, matrix: &Matrix) -> Result<Vec<f32>> {
        self.options.check_cancel()?;
        let mut bytes = vec![0; matrix.rows * matrix.columns * matrix.element.bytes()];
        (self.model.items[matrix.item].read)(0, &mut bytes)?;
        Ok(matrix.element.values(&bytes))
    }

    /// A new array of floats, which are rounded to `dtype` and kept on disk until they are written.
    pub(crate) fn floats(
        &mut self,
        name: &str,
        dtype: &str,
        shape: &[u64],
        numbers: &[f32],
    ) -> Result<ArrayId> {
        let element = Element::by_name(dtype)
            .ok_or_else(|| EncodeError::Request(format!("{dtype:?} is not F32, F16 or BF16")))?;
        let bytes = element.round(numbers);
        let read = self.spool.keep(&bytes)?;
        Ok(self.array(name, dtype, shape, bytes.len() as u64, read))
    }

    /// What the rows of an array are multiplied with, and how much its columns matter: `gram` is all of it (square), or the diagonal.
    pub(crate) fn know_turned(&mut self, name: &str, gram: Gram, fisher: Option<Vec<f32>>) -> Result<()> {
        let input = match gram {
            Gram::Diagonal(list) => Input::Diagonal(list),
            Gram::Whole(list) => Input::Gram(self.spool.keep(&Element::F32.round(&list))?),
        };
        self.known.insert(name.to_owned(), Arc::new(Known { input, fisher, turned: true }));
        Ok(())
    }

    /// What layer of the statistics an array reads as, and how much its rows matter.
    pub(crate) fn know_as(&mut self, name: &str, input: &str, fisher: Option<Vec<f32>>) {
        let input = Input::Layer(input.to_owned());
        self.known.insert(name.to_owned(), Arc::new(Known { input, fisher, turned: false }));
    }

    /// A new array whose bytes are read when they are wanted.
    pub(crate) fn array(
        &mut self,
        name: &str,
        dtype: &str,
        shape: &[u64],
        byte_len: u64,
        read: ReadContent<'static>,
    ) -> ArrayId {
        let content = Content::Tensor { dtype_name: dtype.to_owned(), shape: shape.to_vec(), owner: None };
        let name = name.to_owned();
        self.model.items.push(Item {
            name,
            content,
            byte_len,
            array: true,
            alias_of: None,
            base: None,
            read,
        });
        ArrayId(self.model.items.len() as u32 - 1)
    }

    /// Takes the bytes of a matrix away from it: it is to be built from something that has them.
    pub(crate) fn take_bytes(&mut self, matrix: &Matrix) -> Arc<ReadContent<'static>> {
        let gone: ReadContent<'static> = Box::new(|_: u64, _: &mut [u8]| {
            Err(EncodeError::Request("an array that is built has no bytes of its own".into()))
        });
        Arc::new(std::mem::replace(&mut self.model.items[matrix.item].read, gone))
    }

    /// Puts in the place of a matrix that it is built.
    pub(crate) fn rebuild(&mut self, matrix: &Matrix, parts: (Built, Vec<crate::build::On>)) -> Result<()> {
        let (how, on) = parts;
        let (content, _) = ModelBuilder::content_of(&matrix.name, matrix.dtype, &matrix.shape, how, on)?;
        self.model.items[matrix.item].content = content;
        Ok(())
    }
}

/// What passes made and will not fit into memory.
#[derive(Debug)]
pub(crate) struct Spool {
    file: Mutex<(File, u64)>,
    path: PathBuf,
}

impl Spool {
    pub(crate) fn new() -> Result<Self> {
        let path = std::env::temp_dir();
        let file = tempfile::tempfile().map_err(EncodeError::io("create a file in", &path))?;
        Ok(Self { file: Mutex::new((file, 0)), path })
    }

    fn keep(self: &Arc<Self>, bytes: &[u8]) -> Result<ReadContent<'static>> {
        let start = {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let start = file.1;
            let written = file.0.seek(SeekFrom::Start(start)).and_then(|_| file.0.write_all(bytes));
            written.map_err(EncodeError::io("write a file in", &self.path))?;
            file.1 += bytes.len() as u64;
            start
        };
        let spool = Arc::clone(self);
        Ok(Box::new(move |offset, out| spool.read(start + offset, out)))
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.0.seek(SeekFrom::Start(at)).and_then(|_| file.0.read_exact(out));
        read.map_err(EncodeError::io("read a file in", Path::new(&self.path)))
    }
}
