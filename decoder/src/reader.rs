//! A file opened for random access: the sans-IO parts, driven over any [`ReadAt`].

use crate::base::BaseModel;
use crate::built::{Leaves, Levels};
use crate::decode::{Fetched, codes_ledger, decode_range, labelled_ledger};
use crate::entry::{BaseTensor, Entry};
use crate::index::{Index, Lookup, NeedLeaf, RowRef};
use crate::open::{Opener, Step, Warning};
use crate::plan::{Plan, Planner};
use crate::shared::{SharedCache, SharedObject};
use crate::source::{ReadAt, fetch, slice};
use crate::{DecodeError, Result};
use mcodec_coding::codes::CodesLedger;
use mcodec_coding::labelled::LabelledLedger;
use mcodec_format::{Asset, EntryRow, FormatError, Limits, Page, TensorDescriptor, registry};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// How to open and read a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Bounds on everything that the file makes the reader allocate.
    pub limits: Limits,
    /// Threads that decode: 1 decodes in the calling thread, 0 uses all cores.
    pub threads: usize,
    /// Join reads that lie at most this many bytes apart.
    pub merge_gap: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), threads: 1, merge_gap: 0 }
    }
}

impl ReadOptions {
    /// With this many decoding threads.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// With these limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Joining reads that lie at most `bytes` apart.
    #[must_use]
    pub fn merge_gap(mut self, bytes: u64) -> Self {
        self.merge_gap = bytes;
        self
    }
}

/// An open file. It is read through `&self`, so threads may share it.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    index: Index,
    /// The first bytes of the file, as far as opening it read them.
    head: Vec<u8>,
    shared: SharedCache,
    pool: Option<rayon::ThreadPool>,
    options: ReadOptions,
    #[cfg(feature = "gpu")]
    pub(crate) gpu: Option<Arc<mcodec_gpu::Gpu>>,
    /// What draws images, and whether the CPU does if that fails.
    #[cfg(feature = "gpu")]
    pub(crate) drawing: Option<(Arc<mcodec_gpu::Gpu>, bool)>,
    bases: Vec<Arc<dyn BaseModel>>,
    /// What is kept of arrays.
    levels: Levels,
}

/// Coded bytes held at once while an entry is read.
const WINDOW: u64 = 8 << 20;
/// The same of an entry that is told against another: each of a chain has its window.
const BASE_WINDOW: u64 = 1 << 20;

impl<S: ReadAt> Reader<S> {
    /// Opens a file.
    ///
    /// # Errors
    /// If the file cannot be read or no generation of it is whole.
    pub fn open(source: S, options: ReadOptions) -> Result<Self> {
        let len = source.size().map_err(|source| DecodeError::Io { offset: 0, len: 0, source })?;
        let mut opener = Opener::new(len, options.limits);
        let mut head = Vec::new();
        let index = loop {
            match opener.step()? {
                Step::Done(index) => break *index,
                Step::Read(range) => {
                    let bytes = fetch(&source, &range)?;
                    if range.start == 0 {
                        head.clone_from(&bytes);
                    }
                    opener.supply(range.start, bytes);
                }
            }
        };
        let pool = match options.threads {
            1 => None,
            n => rayon::ThreadPoolBuilder::new().num_threads(n).build().ok(),
        };
        let (shared, bases) = (SharedCache::default(), Vec::new());
        Ok(Self {
            source,
            index,
            head,
            shared,
            pool,
            options,
            bases,
            levels: Levels::default(),
            #[cfg(feature = "gpu")]
            gpu: None,
            #[cfg(feature = "gpu")]
            drawing: None,
        })
    }

    /// With these models of other files, which tensors of this one are told against.
    #[must_use]
    pub fn with_bases(mut self, bases: Vec<Arc<dyn BaseModel>>) -> Self {
        self.bases = bases;
        self
    }

    /// With these levels of its arrays: all that is read is what they leave (see [`Reader::variant`]). What is told against an array, as a
    /// delta is, has it whole.
    #[must_use]
    pub fn with_levels(mut self, levels: Levels) -> Self {
        self.levels = levels;
        self
    }

    /// The levels it was given.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The models of other files that were given.
    #[must_use]
    pub fn bases(&self) -> &[Arc<dyn BaseModel>] {
        &self.bases
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Where the bytes come from.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.source
    }

    /// What a reader should know about the file.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        self.index.warnings()
    }

    /// The limits that the file was opened with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.index.limits()
    }

    /// Leaf `leaf` of the index, read if it was not yet.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn leaf(&self, leaf: usize) -> Result<Arc<Page>> {
        self.drive(|| self.index.leaf(leaf))
    }

    /// Repeats a look-up until no more leaves are needed.
    fn drive<T>(&self, look_up: impl Fn() -> Lookup<T>) -> Result<T> {
        loop {
            match look_up() {
                Ok(found) => return Ok(found),
                Err(need) => self.load(&need)?,
            }
        }
    }

    fn load(&self, need: &NeedLeaf) -> Result<()> {
        if need.range.is_empty() || need.range.end > self.index.file_len() {
            return Err(FormatError::Truncated { what: "leaf page", offset: need.range.start }.into());
        }
        let frame = fetch(&self.source, &need.range)?;
        self.index.supply_leaf(need, &frame).map(|_| ())
    }

    /// All assets, in key order.
    ///
    /// # Errors
    /// If a leaf of the index cannot be read.
    pub fn assets(&self) -> Result<Vec<Asset>> {
        let mut all: Vec<Asset> = Vec::new();
        for leaf in 0..self.index.leaf_count() {
            for asset in &self.leaf(leaf)?.assets {
                if !all.iter().rev().any(|a| a.ordinal == asset.ordinal) {
                    all.push(asset.clone());
                    Limits::check("assets in a file", all.len() as u64, self.limits().assets)?;
                }
            }
        }
        Ok(all)
    }

    /// The asset of this name, or the only one.
    ///
    /// # Errors
    /// [`DecodeError::NotFound`], also if there are several and no name is given.
    pub fn asset(&self, name: Option<&str>) -> Result<Asset> {
        let only;
        let name = match name {
            Some(name) => name,
            None => {
                only = self.only_asset()?;
                only.as_deref().ok_or_else(|| self.ambiguous())?
            }
        };
        for leaf in self.leaves_of(name) {
            if let Some(asset) = self.leaf(leaf)?.assets.iter().find(|a| a.name == name) {
                return Ok(asset.clone());
            }
        }
        Err(DecodeError::NotFound { what: "asset", name: name.to_owned(), hint: self.asset_hint() })
    }

    /// The name of the only asset, if there is only one; the first read tells it, except of an empty file.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn only_asset(&self) -> Result<Option<String>> {
        self.drive(|| self.index.only_asset())
    }

    fn ambiguous(&self) -> DecodeError {
        let name = String::new();
        if self.index.root().assets == 0 {
            return DecodeError::NotFound { what: "asset", name, hint: ": it is empty".into() };
        }
        DecodeError::Request(format!("the file holds several assets: name one{}", self.asset_hint()))
    }

    fn asset_hint(&self) -> String {
        let names: Vec<String> =
            self.assets().unwrap_or_default().iter().take(8).map(|a| format!("{:?}", a.name)).collect();
        if names.is_empty() { String::new() } else { format!(" (there are {})", names.join(", ")) }
    }

    /// Numbers of the leaves that can hold rows of the asset.
    fn leaves_of(&self, asset: &str) -> Range<usize> {
        use mcodec_format::{RootBody, compare_keys};
        let RootBody::Leaves(leaves) = &self.index.root().body else { return 0..self.index.leaf_count() };
        let after = [asset.as_bytes(), &[0]].concat();
        // The last leaf that starts at or before the asset's name; then all that start within it.
        let from = leaves.partition_point(|l| compare_keys(&l.separator, asset.as_bytes()).is_le());
        let within = |l: &mcodec_format::LeafPointer| {
            l.separator == asset.as_bytes() || l.separator.starts_with(&after)
        };
        let from = from.saturating_sub(1);
        let count = leaves[from..].iter().skip(1).take_while(|l| within(l)).count();
        from..from + 1 + count
    }

    /// The first rows of all entries of an asset, in natural order of their names.
    ///
    /// # Errors
    /// If a leaf of the index cannot be read.
    pub fn rows(&self, asset: &str) -> Result<Vec<RowRef>> {
        let mut all = Vec::new();
        for leaf in self.leaves_of(asset) {
            let page = self.leaf(leaf)?;
            for (row, found) in page.rows.iter().enumerate() {
                if !found.copy
                    && found.first_chunk == 0
                    && page.asset_of(found).is_some_and(|a| a.name == asset)
                {
                    all.push(RowRef { page: Arc::clone(&page), row });
                }
            }
        }
        Ok(all)
    }

    /// Resolves the entry of a row.
    ///
    /// # Errors
    /// As [`Entry::resolve`].
    pub fn resolve(&self, row: RowRef) -> Result<Entry> {
        Entry::resolve(row, self.limits())
    }

    /// The entry of this kind and name.
    ///
    /// # Errors
    /// [`DecodeError::NotFound`], or as [`Entry::resolve`].
    pub fn entry(&self, asset: &str, kind: u64, name: &str) -> Result<Entry> {
        match self.drive(|| self.index.find(asset, kind, name, 0))? {
            Some(row) => self.resolve(row),
            None => {
                let what = registry::name_of(&registry::entry::ALL, kind).unwrap_or("entry");
                let hint = format!(" (asset {asset:?})");
                Err(DecodeError::NotFound { what, name: name.to_owned(), hint })
            }
        }
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// As [`Reader::entry`].
    pub fn tensor(&self, asset: &str, name: &str) -> Result<Entry> {
        self.entry(asset, registry::entry::TENSOR, name)
    }

    /// The entry with its content's rows at the part that holds chunk `chunk`.
    fn part(&self, entry: &Entry, chunk: u64) -> Result<Entry> {
        let at = entry.content();
        let row = at.get();
        // A row without chunks is found under chunk 0, but does not hold it.
        let holds =
            |row: &EntryRow| chunk.checked_sub(row.first_chunk).is_some_and(|n| n < row.lengths.len() as u64);
        if holds(row) {
            return Ok(entry.clone());
        }
        let asset = at.asset().name.clone();
        let found = self.drive(|| self.index.find(&asset, row.kind, &row.name, chunk))?;
        let same = |found: &EntryRow| found.id == row.id && found.fields == row.fields;
        let part = found.filter(|found| same(found.get()) && holds(found.get()));
        match part {
            Some(part) => entry.with_part(part, self.limits()),
            None => Err(DecodeError::Entry {
                kind: entry.kind_name(),
                name: entry.name().to_owned(),
                source: FormatError::corrupt("chunk table", 0, format!("chunk {chunk} is not in it")),
            }),
        }
    }

    /// Plans the read of bytes `range` of the content of `entry` and of everything it depends on.
    ///
    /// # Errors
    /// If the range is outside the content or the index is damaged there.
    pub fn plan(&self, entry: &Entry, range: Range<u64>) -> Result<Plan> {
        if self.is_built(entry) {
            return self.plan_leaves(self.leaves_of_built(entry, &range, &self.levels)?);
        }
        let mut leaves = Leaves::default();
        leaves.arrays.push((entry.clone(), range));
        self.plan_leaves(leaves)
    }

    /// Plans the read of what a block is made of.
    pub(crate) fn plan_leaves(&self, leaves: Leaves) -> Result<Plan> {
        let mut planner = Planner::new(self.options.merge_gap);
        let Leaves { arrays: mut open, mut external, maps } = leaves;
        maps.iter().for_each(|map| planner.add_object(map));
        while let Some((entry, range)) = open.pop() {
            if entry.parts().is_some() {
                let mut of = self.leaves_of_built(&entry, &range, &Levels::default())?;
                open.append(&mut of.arrays);
                external.append(&mut of.external);
                of.maps.iter().for_each(|map| planner.add_object(map));
                continue;
            }
            for (part, range) in self.parts(&entry, range.clone())? {
                planner.add_without_base(&part, range)?;
            }
            match entry.base() {
                _ if range.is_empty() => {}
                Some(BaseTensor::Entry(base)) => open.push(((**base).clone(), entry.base_range(&range))),
                Some(BaseTensor::External { hash, name }) => external.push((*hash, name.clone())),
                None => {}
            }
        }
        let mut plan = planner.finish();
        plan.external.append(&mut external);
        Ok(plan)
    }

    /// Cuts a range of an entry's content at the ends of the entry's parts.
    pub(crate) fn parts(&self, entry: &Entry, range: Range<u64>) -> Result<Vec<(Entry, Range<u64>)>> {
        let chunk_len = entry.chunking().chunk_len;
        let mut all = Vec::new();
        let mut at = range.start;
        if range.is_empty() || range.end > entry.byte_len() || entry.is_same_as_base() {
            return Ok(vec![(entry.clone(), range)]);
        }
        while at < range.end {
            let part = self.part(entry, at / chunk_len)?;
            let row = part.content().get();
            let end_chunk = row.first_chunk.saturating_add(row.lengths.len() as u64);
            let end = end_chunk.saturating_mul(chunk_len).min(range.end);
            all.push((part, at..end));
            at = end;
        }
        Ok(all)
    }

    /// Reads bytes `range` of the content of `entry` into `out`, which has that length.
    ///
    /// # Errors
    /// If something cannot be read, is damaged, or needs another file.
    pub fn read_into(&self, entry: &Entry, range: Range<u64>, out: &mut [u8]) -> Result<()> {
        if out.len() as u64 != range.end.saturating_sub(range.start) {
            return Err(DecodeError::Request(format!(
                "the buffer for {:?} has the wrong length",
                entry.name()
            )));
        }
        if self.is_built(entry) {
            return self.read_built(entry, range, &self.levels, out);
        }
        self.read_stored(entry, range, out)
    }

    /// Whether an array is built from others, or some of it is left out: its chunks alone do not say what it is.
    pub(crate) fn is_built(&self, entry: &Entry) -> bool {
        entry.parts().is_some() || self.levels.cuts(entry)
    }

    /// As [`Reader::read_into`], whole, of an array with chunks of its own or a base's.
    pub(crate) fn read_stored(&self, entry: &Entry, range: Range<u64>, out: &mut [u8]) -> Result<()> {
        if entry.is_same_as_base() && range.end <= entry.byte_len() {
            return self.read_base(entry, range, out);
        }
        let mut rest = out;
        for (part, range) in self.parts(entry, range)? {
            let mut at = range.start;
            while at < range.end || range.is_empty() {
                let end = self.window_end(&part, at, range.end);
                let (head, tail) = rest.split_at_mut((end - at) as usize);
                self.read_window(&part, at..end, head)?;
                rest = tail;
                at = end;
                if range.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads the whole content of each entry into the buffer beside it, which has that length. The chunks of all of them are decoded in
    /// parallel: many small entries take what threads there are as well as a large one does.
    ///
    /// # Errors
    /// As [`Reader::read_into`].
    pub fn read_entries_into(&self, reads: Vec<(&Entry, &mut [u8])>) -> Result<()> {
        let one = |(entry, out): (&Entry, &mut [u8])| self.read_into(entry, 0..entry.byte_len(), out);
        self.in_pool(|parallel| {
            if parallel {
                reads.into_par_iter().try_for_each(one)
            } else {
                reads.into_iter().try_for_each(one)
            }
        })
    }

    /// The end of a window from `at` whose coded bytes are about [`WINDOW`], at a chunk's end.
    fn window_end(&self, entry: &Entry, at: u64, end: u64) -> u64 {
        let chunking = entry.chunking();
        let row = entry.content().get();
        let first = at / chunking.chunk_len;
        // Each thread may have one.
        let threads = self.pool.as_ref().map_or(1, rayon::ThreadPool::current_num_threads) as u64;
        let window = if entry.base().is_some() { BASE_WINDOW } else { WINDOW };
        let window = window.min(self.limits().memory / 4 / threads).max(1);
        let mut sum = 0u64;
        let skip = first.saturating_sub(row.first_chunk) as usize;
        let mut chunks = 0u64;
        for &len in row.lengths.iter().skip(skip) {
            let decoded = chunking.chunk_len;
            sum = sum.saturating_add(len.max(decoded / 4));
            if chunks > 0 && sum > window {
                break;
            }
            chunks += 1;
        }
        first.saturating_add(chunks.max(1)).saturating_mul(chunking.chunk_len).min(end)
    }

    pub(crate) fn read_window(&self, entry: &Entry, range: Range<u64>, out: &mut [u8]) -> Result<()> {
        #[cfg(feature = "gpu")]
        if let Some(gpu) = &self.gpu
            && entry.chunking().coding == registry::coding::LABELLED
            && entry.base().is_none()
        {
            return self.read_window_on(gpu, entry, range, out);
        }
        let fetched = self.fetch_for(entry, range.clone())?;
        let mut base = Vec::new();
        if entry.base().is_some() {
            let needed = entry.base_range(&range);
            Limits::check("bytes of a base", needed.end - needed.start, self.limits().memory)?;
            base.resize((needed.end - needed.start) as usize, 0);
            self.read_base(entry, needed, &mut base)?;
        }
        self.in_pool(|parallel| decode_range(entry, range, &fetched, &self.shared, &base, out, parallel))
    }

    /// Calls `job` in the pool of decoding threads, if there is one; says whether there is.
    pub(crate) fn in_pool<T: Send>(&self, job: impl FnOnce(bool) -> T + Send) -> T {
        match &self.pool {
            None => job(false),
            Some(pool) => pool.install(|| job(true)),
        }
    }

    /// Reads bytes `range` of what `entry` is told against.
    fn read_base(&self, entry: &Entry, range: Range<u64>, out: &mut [u8]) -> Result<()> {
        let (hash, name) = match entry.base() {
            Some(BaseTensor::Entry(base)) if base.parts().is_some() => {
                return self.read_built(base, range, &Levels::default(), out);
            }
            Some(BaseTensor::Entry(base)) => return self.read_stored(base, range, out),
            Some(BaseTensor::External { hash, name }) => (hash, name),
            None => return Ok(()),
        };
        self.external(entry, hash, name)?.read_into(name, range, out)
    }

    /// A shared object, kept for the next time.
    pub(crate) fn shared_object(&self, row: &RowRef) -> Result<Arc<SharedObject>> {
        let mut planner = Planner::new(0);
        planner.add_object(row);
        let mut fetched = Fetched::default();
        fetched.objects.extend(planner.without(|place| self.shared.get(place)));
        let plan = planner.finish();
        let total = plan.reads.iter().fold(0u64, |sum, r| sum.saturating_add(r.end.saturating_sub(r.start)));
        Limits::check("coded bytes of one read", total, self.limits().memory)?;
        for read in &plan.reads {
            fetched.add(read.start, fetch(&self.source, read)?);
        }
        self.shared.one(row, &fetched)?.ok_or_else(|| {
            DecodeError::Request(format!("{:?} is not there, or is no shared object", row.get().name))
        })
    }

    /// The base of another file that has tensor `name` as `entry` needs it.
    pub(crate) fn external(&self, entry: &Entry, hash: &[u8; 32], name: &str) -> Result<&dyn BaseModel> {
        let Some(base) = self.bases.iter().find(|b| b.content_hash() == *hash) else {
            return Err(self.missing(entry, hash));
        };
        let fail = |why: String| {
            Err(DecodeError::Base { name: entry.name().to_owned(), base: base.name().to_owned(), why })
        };
        let Some(found) = base.describe(name)? else { return fail(format!("has no tensor {name:?}")) };
        let fits = |t: &TensorDescriptor| t.dtype_name == found.dtype_name && t.shape == found.shape;
        if found.byte_len != entry.byte_len() || !entry.tensor().is_some_and(fits) {
            let (dtype, shape) = (&found.dtype_name, &found.shape);
            return fail(format!("has {name:?} as {dtype} {shape:?}, which is another dtype or shape"));
        }
        Ok(&**base)
    }

    /// Checks that all that bytes `range` of the content are made of is there.
    pub(crate) fn check_stored(&self, entry: &Entry, range: Range<u64>) -> Result<()> {
        if entry.parts().is_some() {
            // What it is built from is checked where it is read; its own length, where it was resolved.
            return Ok(());
        }
        if !entry.is_same_as_base() {
            for (part, range) in self.parts(entry, range.clone())? {
                crate::plan::chunk_spans(&part, &range)?;
            }
        }
        match entry.base() {
            Some(BaseTensor::Entry(base)) => self.check_stored(base, entry.base_range(&range)),
            Some(BaseTensor::External { hash, name }) => self.external(entry, hash, name).map(|_| ()),
            None => Ok(()),
        }
    }

    /// That the base with this content hash was not given.
    fn missing(&self, entry: &Entry, hash: &[u8; 32]) -> DecodeError {
        let known = base_of_asset(entry.content().asset()).filter(|(of, _)| of == hash);
        let hint = known.map(|(_, name)| format!(" (it was called {name:?})")).unwrap_or_default();
        DecodeError::Missing { name: entry.name().to_owned(), hash: crate::hex(hash), hint }
    }

    /// What entries share, parsed once.
    #[cfg(feature = "gpu")]
    pub(crate) fn shared_cache(&self) -> &SharedCache {
        &self.shared
    }

    /// The bytes of the file that bytes `range` of the content of `entry` need.
    pub(crate) fn fetch_for(&self, entry: &Entry, range: Range<u64>) -> Result<Fetched<'_>> {
        let mut planner = Planner::new(self.options.merge_gap);
        planner.add_without_base(entry, range)?;
        let mut fetched = Fetched::default();
        fetched.objects.extend(planner.without(|place| self.shared.get(place)));
        let plan = planner.finish();
        if let Some((hash, _)) = plan.external.first() {
            return Err(self.missing(entry, hash));
        }
        let total = plan.reads.iter().fold(0u64, |sum, r| sum.saturating_add(r.end - r.start));
        Limits::check("coded bytes of one read", total, self.limits().memory)?;
        for read in &plan.reads {
            match self.source.as_slice().or(Some(&self.head)).and_then(|all| slice(all, read)) {
                Some(bytes) => fetched.add(read.start, bytes),
                None => fetched.add(read.start, fetch(&self.source, read)?),
            }
        }
        Ok(fetched)
    }

    /// What the bytes of chunk `chunk` of `entry` are for, if it is coded under labels; nothing is decoded.
    ///
    /// # Errors
    /// If something cannot be read or is damaged.
    pub fn labelled_ledger(&self, entry: &Entry, chunk: u64) -> Result<Option<LabelledLedger>> {
        let part = self.part(entry, chunk)?;
        let fetched = self.fetch_for(&part, part.chunking().chunk_range(chunk))?;
        labelled_ledger(&part, chunk, &fetched, &self.shared)
    }

    /// What the bytes of chunk `chunk` of `entry` are for, if it is one of codes; nothing is decoded.
    ///
    /// # Errors
    /// If something cannot be read or is damaged.
    pub fn codes_ledger(&self, entry: &Entry, chunk: u64) -> Result<Option<CodesLedger>> {
        let part = self.part(entry, chunk)?;
        let fetched = self.fetch_for(&part, part.chunking().chunk_range(chunk))?;
        codes_ledger(&part, chunk, &fetched, &self.shared)
    }

    /// Reads bytes `range` of the content of `entry` into new memory.
    ///
    /// # Errors
    /// As [`Reader::read_into`]; also if it is above the limit on output.
    pub fn read(&self, entry: &Entry, range: Range<u64>) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.read_to(entry, range, &mut out)?;
        Ok(out)
    }

    /// The same into memory that is there, or is made so: `out` is as long as the range afterwards, and undefined after an error.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_to(&self, entry: &Entry, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        let len = range.end.saturating_sub(range.start);
        Limits::check("decoded length", len, self.limits().output_bytes)?;
        if range.end > entry.byte_len() {
            let (name, all) = (entry.name(), entry.byte_len());
            return Err(DecodeError::Request(format!("bytes {range:?} of {name:?} are not within 0..{all}")));
        }
        // What the chunks can decode to bounds the allocation: the chunk table was checked against the file.
        self.check_stored(entry, range.clone())?;
        let more = |n: usize, out: &Vec<u8>| n.saturating_sub(out.len());
        let n = usize::try_from(len).ok().filter(|&n| out.try_reserve_exact(more(n, out)).is_ok());
        let Some(n) = n else {
            return Err(DecodeError::Request(format!(
                "{len} bytes of {:?} do not fit into memory",
                entry.name()
            )));
        };
        out.resize(n, 0);
        self.read_into(entry, range, out)
    }

    /// The whole content of `entry`.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_all(&self, entry: &Entry) -> Result<Vec<u8>> {
        self.read(entry, 0..entry.byte_len())
    }
}

/// The asset of another file that the tensors of `asset` are told against, if the file says it: content hash, and what it was called.
#[must_use]
pub fn base_of_asset(asset: &Asset) -> Option<([u8; 32], String)> {
    let field = asset.fields.get(registry::asset_field::BASE)?;
    let (hash, name) = field.split_first_chunk::<32>()?;
    Some((*hash, String::from_utf8_lossy(name).into_owned()))
}
