//! What is known of a stream so far, and where its chunks go in the file that comes out.

use super::assembler::Assembler;
use anyhow::{Context, bail};
use mcodec_decode::layout::{Layout, Piece};
use mcodec_decode::safetensors::{HeaderTensor, canonical_order};
use mcodec_decode::{
    DecodeError, SharedObject, base_of_asset, check_asset, check_element, decode_chunk, hex,
};
use mcodec_format::{
    ChunkPlace, Dependency, EntryDescriptor, FormatError, Limits, Page, Representation, TensorDescriptor,
    registry,
};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

/// Decoded bytes, and coded ones, of a batch of chunks that are decoded in parallel.
const BATCH: u64 = 16 << 20;
/// Parsed shared objects kept at most.
const SHARED: usize = 128;

/// An entry that was described.
struct Known {
    name: String,
    kind: u64,
    descriptor: Result<EntryDescriptor, FormatError>,
    dependencies: Vec<Dependency>,
}

/// A chunk that waits to be decoded.
struct Job {
    place: ChunkPlace,
    name: String,
    coding: u64,
    payload: Vec<u8>,
    shared: Vec<Option<Arc<SharedObject>>>,
    start: u64,
    len: usize,
}

/// How the file is laid out.
struct Plan {
    len: u64,
    /// Where the content of each entry goes; several places if others are aliases of it.
    starts: HashMap<u32, Vec<u64>>,
}

/// A stream of one file.
pub(crate) struct Stream {
    limits: Limits,
    assets: Vec<(u32, String, bool)>,
    known: HashMap<u32, Known>,
    files: Vec<u32>,
    shared_bytes: HashMap<u32, Vec<u8>>,
    shared: HashMap<u32, Arc<SharedObject>>,
    batch: Vec<Job>,
    batch_bytes: u64,
    plan: Option<Plan>,
    /// The content of a `file` entry that is a layout, as far as it has come, and how much has.
    layout: (Vec<u8>, u64),
    early: Early,
}

/// Content that came before the layout of the file was known: in a temporary file.
#[derive(Default)]
struct Early {
    file: Option<File>,
    /// Entry, offset in its content, length.
    parts: Vec<(u32, u64, usize)>,
}

impl Stream {
    /// Starts without knowledge.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            assets: Vec::new(),
            known: HashMap::new(),
            files: Vec::new(),
            shared_bytes: HashMap::new(),
            shared: HashMap::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            plan: None,
            layout: (Vec::new(), 0),
            early: Early::default(),
        }
    }

    /// Takes in descriptors. Those of a second asset are counted but not kept.
    pub(crate) fn describe(&mut self, page: &Page) -> anyhow::Result<()> {
        for asset in &page.assets {
            check_asset(asset, std::iter::once(page))?;
            if !self.assets.iter().any(|a| a.0 == asset.ordinal) {
                let canonical = asset.fields.get(registry::asset_field::SOURCE).is_some();
                self.assets.push((asset.ordinal, asset.name.clone(), canonical));
            }
        }
        if self.plan.is_some() && self.assets.len() > 1 {
            bail!("another asset begins within the stream: store it in a file first, then decode that");
        }
        for row in &page.rows {
            if let Ok(descriptor) = EntryDescriptor::parse(row.kind, &row.fields, &self.limits)
                && descriptor.representation().is_some_and(Representation::has_base)
            {
                if descriptor.representation() == Some(&Representation::Refined) {
                    bail!(
                        "{:?} refines tokens of the stream: store it in a file first, then decode that",
                        row.name
                    );
                }
                let base = page.asset_of(row).and_then(base_of_asset);
                let known = base.map(|(hash, name)| format!(" {name:?}, content hash blake3:{}", hex(&hash)));
                bail!(
                    "{:?} is told against another model{}: name that with --base",
                    row.name,
                    known.unwrap_or_default()
                );
            }
            if page.asset_of(row).map(|a| a.ordinal) != self.assets.first().map(|a| a.0) {
                continue;
            }
            let parsed = EntryDescriptor::parse(row.kind, &row.fields, &self.limits);
            if parsed.is_ok_and(|d| matches!(d.representation(), Some(Representation::Built(_)))) {
                bail!(
                    "{:?} is built from other arrays of the stream: store it in a file first, then decode that",
                    row.name
                );
            }
            let descriptor = EntryDescriptor::parse(row.kind, &row.fields, &self.limits);
            if row.kind == registry::entry::FILE && !self.files.contains(&row.id) {
                self.files.push(row.id);
            }
            let (name, kind) = (row.name.clone(), row.kind);
            let dependencies = row.dependencies.clone();
            let known = Known { name, kind, descriptor, dependencies };
            let before = self.known.insert(row.id, known);
            let new = before.is_none() && matches!(row.kind, registry::entry::TENSOR | registry::entry::FILE);
            if new && self.plan.is_some() && row.fields.get(registry::field::OWNER).is_none() {
                bail!(
                    "{:?} is described too late: store the stream in a file first, then decode that",
                    row.name
                );
            }
        }
        Ok(())
    }

    /// Whether all that was described is one asset made from one file.
    pub(crate) fn is_one_file(&self) -> bool {
        let [(_, name, canonical)] = &self.assets[..] else { return false };
        match &self.files[..] {
            [] => *canonical,
            [file] if !canonical => {
                let file = self.known.get(file).map_or("", |k| &k.name);
                crate::export::is_single(name, file)
            }
            _ => false,
        }
    }

    /// Length of the file that comes out, once it is known.
    pub(crate) fn file_len(&self) -> Option<u64> {
        self.plan.as_ref().map(|p| p.len)
    }

    /// Takes in a chunk.
    pub(crate) fn chunk(
        &mut self,
        place: ChunkPlace,
        payload: Vec<u8>,
        pool: &rayon::ThreadPool,
        out: &mut Assembler,
    ) -> anyhow::Result<()> {
        if self.assets.first().is_none_or(|a| a.0 != place.asset) {
            bail!("another asset begins within the stream: store it in a file first, then decode that");
        }
        self.try_plan(out)?;
        let Some(known) = self.known.get(&place.entry) else {
            bail!("a chunk of entry {} comes before its description", place.entry);
        };
        if registry::entry::is_shared_object(known.kind) {
            self.shared_bytes.insert(place.entry, payload);
            _ = self.shared.remove(&place.entry);
            return Ok(());
        }
        let wanted = match &self.plan {
            Some(plan) => plan.starts.contains_key(&place.entry),
            None => matches!(known.kind, registry::entry::TENSOR | registry::entry::FILE),
        };
        if !wanted {
            return Ok(());
        }
        let descriptor = known.descriptor.as_ref().map_err(|e| self.named(known, e.clone()))?;
        let Some(chunking) = descriptor.chunking() else { return Ok(()) };
        let range = chunking.chunk_range(place.chunk);
        if range.is_empty() {
            let why = format!("it has no chunk {}", place.chunk);
            return Err(self.named(known, FormatError::corrupt("chunk", 0, why)).into());
        }
        let (name, coding) = (known.name.clone(), chunking.coding);
        if let EntryDescriptor::Tensor(tensor) = descriptor {
            let fail = |source| DecodeError::Coding { name: name.clone(), place, source };
            check_element(coding, &payload, &tensor.dtype_name).map_err(fail)?;
        }
        let all = known.dependencies.len();
        let group = descriptor.dependencies_of(place.chunk, all);
        let dependencies = known.dependencies.get(group).unwrap_or_default().to_vec();
        let shared = dependencies.iter().map(|d| self.shared(d)).collect::<anyhow::Result<_>>()?;
        let len = (range.end - range.start) as usize;
        self.batch_bytes += (len as u64).max(payload.len() as u64);
        self.batch.push(Job { place, name, coding, payload, shared, start: range.start, len });
        if self.batch_bytes >= BATCH || self.is_layout(place.entry) {
            self.flush(pool, out)?;
        }
        Ok(())
    }

    fn named(&self, known: &Known, source: FormatError) -> DecodeError {
        let kind = registry::name_of(&registry::entry::ALL, known.kind).unwrap_or("entry");
        DecodeError::Entry { kind, name: known.name.clone(), source }
    }

    /// The shared object that a dependency stands for, if it is one.
    fn shared(&mut self, dependency: &Dependency) -> anyhow::Result<Option<Arc<SharedObject>>> {
        let Dependency::Entry(id) = dependency else { return Ok(None) };
        if let Some(object) = self.shared.get(id) {
            return Ok(Some(Arc::clone(object)));
        }
        let (Some(bytes), Some(known)) = (self.shared_bytes.get(id), self.known.get(id)) else {
            return Ok(None);
        };
        let parsed = SharedObject::parse(known.kind, bytes).with_context(|| format!("{:?}", known.name))?;
        let Some(object) = parsed.map(Arc::new) else { return Ok(None) };
        if self.shared.len() >= SHARED {
            self.shared.clear();
        }
        self.shared.insert(*id, Arc::clone(&object));
        Ok(Some(object))
    }

    /// Whether the entry's content is the layout of the file.
    fn is_layout(&self, id: u32) -> bool {
        self.files.contains(&id) && self.layout_id(id).is_some()
    }

    fn layout_id(&self, id: u32) -> Option<u64> {
        match self.known.get(&id).map(|k| &k.descriptor) {
            Some(Ok(EntryDescriptor::File(file))) if file.layout != registry::file_layout::BYTES => {
                Some(file.layout)
            }
            _ => None,
        }
    }

    /// Decodes the chunks that wait, in parallel, and places them in order.
    fn flush(&mut self, pool: &rayon::ThreadPool, out: &mut Assembler) -> anyhow::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let decode = |job: &Job| {
            let mut bytes = vec![0u8; job.len];
            let coding = |source| DecodeError::Coding { name: job.name.clone(), place: job.place, source };
            decode_chunk(job.coding, &job.payload, &job.shared, &[], &mut bytes).map_err(coding)?;
            Ok(bytes)
        };
        let decoded: Vec<Vec<u8>> =
            pool.install(|| batch.par_iter().map(decode).collect::<Result<_, DecodeError>>())?;
        for (job, bytes) in batch.iter().zip(&decoded) {
            self.content(job.place.entry, job.start, bytes, out)?;
        }
        Ok(())
    }

    /// Decoded content of an entry.
    fn content(&mut self, id: u32, at: u64, bytes: &[u8], out: &mut Assembler) -> anyhow::Result<()> {
        if self.is_layout(id) {
            return self.layout_content(id, at, bytes, out);
        }
        match &self.plan {
            Some(plan) => plan.put(id, at, bytes, out),
            None => self.early.put(id, at, bytes),
        }
    }

    fn layout_content(&mut self, id: u32, at: u64, bytes: &[u8], out: &mut Assembler) -> anyhow::Result<()> {
        let len = match self.known.get(&id).map(|k| &k.descriptor) {
            Some(Ok(descriptor)) => descriptor.chunking().map_or(0, |c| c.byte_len),
            _ => 0,
        };
        Limits::check("length of a file's layout", len, self.limits.memory)?;
        if at != self.layout.1 {
            bail!("the chunks of a file's layout are not in order");
        }
        self.layout.0.extend_from_slice(bytes);
        self.layout.1 += bytes.len() as u64;
        if self.layout.1 == len { self.plan_layout(id, out) } else { Ok(()) }
    }

    /// Plans a file that needs no layout entry: a blob's, or one in canonical form.
    fn try_plan(&mut self, out: &mut Assembler) -> anyhow::Result<()> {
        if self.plan.is_some() {
            return Ok(());
        }
        let Some(&file) = self.files.first() else { return self.plan_canonical(out) };
        if self.is_layout(file) {
            return Ok(());
        }
        let Some(known) = self.known.get(&file) else { return Ok(()) };
        let descriptor = known.descriptor.as_ref().map_err(|e| self.named(known, e.clone()))?;
        let len = descriptor.chunking().map_or(0, |c| c.byte_len);
        self.plan = Some(Plan { len, starts: HashMap::from([(file, vec![0])]) });
        Ok(())
    }

    fn plan_canonical(&mut self, out: &mut Assembler) -> anyhow::Result<()> {
        let mut ids: Vec<u32> = Vec::new();
        for (&id, known) in self.known.iter().filter(|(_, k)| k.kind == registry::entry::TENSOR) {
            match &known.descriptor {
                Ok(EntryDescriptor::Tensor(t)) if t.owner.is_some() => {}
                _ => ids.push(id),
            }
        }
        let tensors = self.tensors(&ids)?;
        let width = |t: &TensorDescriptor| t.dtype.map_or(0, registry::Dtype::width);
        let mut list: Vec<(u32, &str, &TensorDescriptor)> =
            ids.iter().zip(tensors).map(|(&id, (name, t))| (id, name, t)).collect();
        list.sort_by(|a, b| canonical_order((width(a.2), a.1), (width(b.2), b.1)));
        let ids: Vec<u32> = list.iter().map(|t| t.0).collect();
        self.start(Layout::Rendered { pad: 8, metadata: String::new(), ids }, out)
    }

    fn plan_layout(&mut self, file: u32, out: &mut Assembler) -> anyhow::Result<()> {
        let content = std::mem::take(&mut self.layout.0);
        let layout = Layout::parse(self.layout_id(file).unwrap_or_default(), &content)?;
        self.start(layout, out)
    }

    /// The names and descriptors of tensors.
    fn tensors(&self, ids: &[u32]) -> anyhow::Result<Vec<(&str, &TensorDescriptor)>> {
        ids.iter().map(|&id| self.tensor(id)).collect()
    }

    fn tensor(&self, id: u32) -> anyhow::Result<(&str, &TensorDescriptor)> {
        match self.known.get(&id) {
            Some(known) => match &known.descriptor {
                Ok(EntryDescriptor::Tensor(t)) => Ok((known.name.as_str(), t)),
                Ok(_) => bail!("the file needs entry {:?} as a tensor, which it is not", known.name),
                Err(e) => Err(self.named(known, e.clone()).into()),
            },
            None => bail!("the file needs tensor {id}, which the stream has not described"),
        }
    }

    /// Writes what is not of tensors and places what has come already.
    fn start(&mut self, layout: Layout, out: &mut Assembler) -> anyhow::Result<()> {
        let head = |id| -> anyhow::Result<HeaderTensor<'_>> {
            let (name, t) = self.tensor(id)?;
            let byte_len = t.chunking.byte_len;
            Ok(HeaderTensor { name, dtype: &t.dtype_name, shape: &t.shape, byte_len })
        };
        let mut starts: HashMap<u32, Vec<u64>> = HashMap::new();
        let mut at = 0u64;
        for piece in layout.into_pieces(head)? {
            let len = match piece {
                Piece::Literal(bytes) => {
                    out.put(at, &bytes)?;
                    bytes.len() as u64
                }
                Piece::Tensor(id) => {
                    let (_, tensor) = self.tensor(id)?;
                    let owner = match tensor.representation {
                        Representation::Alias(owner) => owner,
                        _ => id,
                    };
                    starts.entry(owner).or_default().push(at);
                    tensor.chunking.byte_len
                }
            };
            at = at.checked_add(len).context("the file is longer than 2^64 bytes")?;
        }
        let plan = Plan { len: at, starts };
        self.early.replay(&plan, out)?;
        self.plan = Some(plan);
        Ok(())
    }

    /// Places what is left.
    pub(crate) fn finish(&mut self, pool: &rayon::ThreadPool, out: &mut Assembler) -> anyhow::Result<()> {
        self.try_plan(out)?;
        self.flush(pool, out)?;
        anyhow::ensure!(self.plan.is_some(), "the stream ends before the layout of its file is known");
        Ok(())
    }
}

impl Plan {
    fn put(&self, id: u32, at: u64, bytes: &[u8], out: &mut Assembler) -> anyhow::Result<()> {
        let starts = self.starts.get(&id).map_or(&[][..], Vec::as_slice);
        starts.iter().try_for_each(|start| out.put(start.saturating_add(at), bytes))
    }
}

const SPOOLING: &str = "using a temporary file";

impl Early {
    fn put(&mut self, id: u32, at: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile().context(SPOOLING)?),
        };
        file.write_all(bytes).context(SPOOLING)?;
        self.parts.push((id, at, bytes.len()));
        Ok(())
    }

    fn replay(&mut self, plan: &Plan, out: &mut Assembler) -> anyhow::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.seek(SeekFrom::Start(0)).context(SPOOLING)?;
        let mut bytes = Vec::new();
        for (id, at, len) in self.parts.drain(..) {
            bytes.resize(len, 0);
            file.read_exact(&mut bytes).context(SPOOLING)?;
            plan.put(id, at, &bytes, out)?;
        }
        Ok(())
    }
}
