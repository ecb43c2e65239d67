//! Tiles of chunks: buffers, dispatches, and what became of each chunk.

use super::pack::{self, JOB_BYTES, Job, OfColumns};
use super::source::{Elements, Shape, Vote};
use super::{Chunk, Input, LANES, Rows};
use crate::device::{AdapterInfo, DeviceBuffer, Gpu};
use crate::error::{GpuError, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use wgpu::{BindGroup, BindGroupLayout, Buffer, BufferUsages, ComputePipeline, Features, PipelineLayout};

/// Invocations of a workgroup, where a subgroup is not larger.
const WORKGROUP: u32 = 128;
/// Chunks of a workgroup at most: their last states are in workgroup memory.
const MAX_CHUNKS: u32 = 16;
/// Workgroups of a dispatch that every device allows.
const MAX_WORKGROUPS: usize = 65535;
/// The status of a chunk that ended as its encoder began.
const WHOLE: u32 = 1;

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its floats are in the output.
    Whole,
    /// Its stream does not end as it must: what is in the output in its place is unspecified.
    Damaged,
    /// It is too large for a binding; nothing was done.
    Refused,
}

/// Kernels, made when they are first needed.
pub(crate) struct Pipelines {
    layout: BindGroupLayout,
    pipeline_layout: PipelineLayout,
    vote: Vote,
    group: u32,
    chunks: u32,
    made: Mutex<HashMap<(Elements, u32), Arc<ComputePipeline>>>,
}

impl Pipelines {
    pub(crate) fn new(device: &wgpu::Device, info: &AdapterInfo) -> Self {
        let entry = |binding, read_only| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let entries = [entry(0, true), entry(1, true), entry(2, true), entry(3, false), entry(4, false)];
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("labelled floats"),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("labelled floats"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let (vote, group, chunks) = plan(info.subgroups);
        Self { layout, pipeline_layout, vote, group, chunks, made: Mutex::default() }
    }

    fn get(&self, gpu: &Gpu, elements: Elements, tables: u32) -> Result<Arc<ComputePipeline>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = made.get(&(elements, tables)) {
            return Ok(Arc::clone(pipeline));
        }
        let shape = Shape { vote: self.vote, group: self.group, chunks: self.chunks, tables, elements };
        let source = shape.source();
        let pipeline = gpu.scoped("kernel", source.len() as u64, || {
            let module = gpu.device().create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some("labelled floats"),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
            gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some("labelled floats"),
                layout: Some(&self.pipeline_layout),
                module: &module,
                entry_point: Some("decode"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        })?;
        let pipeline = Arc::new(pipeline);
        made.insert((elements, tables), Arc::clone(&pipeline));
        Ok(pipeline)
    }
}

/// How invocations vote, how many decode a chunk, and how many chunks a workgroup has.
fn plan(subgroups: Option<(u32, u32)>) -> (Vote, u32, u32) {
    if let Some((least, most)) = subgroups
        && least.is_power_of_two()
        && most.is_power_of_two()
        && (4..=most).contains(&least)
        && most <= WORKGROUP
    {
        // A subgroup of 64 has two chunks: two lanes to an invocation keep a vote in one word, and bf16 in whole words.
        let group = least.min(LANES as u32 / 2);
        let chunks = (WORKGROUP / group).min(MAX_CHUNKS);
        if (group * chunks).is_multiple_of(most) {
            return (Vote::Subgroup { most }, group, chunks);
        }
    }
    (Vote::Workgroup, LANES as u32 / 2, 1)
}

/// Chunks of one dispatch.
struct Tile {
    pipeline: Arc<ComputePipeline>,
    bindings: BindGroup,
    status: Buffer,
    workgroups: u32,
    /// By job: the chunk; none fills up a workgroup.
    chunks: Vec<Option<usize>>,
}

/// Chunks on the device, compressed, ready to be decoded: once, or again to measure it.
pub struct Prepared<'g> {
    gpu: &'g Gpu,
    tiles: Vec<Tile>,
    chunks: usize,
    uploaded: u64,
}

impl std::fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (tiles, chunks) = (self.tiles.len(), self.chunks);
        f.debug_struct("Prepared").field("tiles", &tiles).field("chunks", &chunks).finish()
    }
}

/// Uploads chunks, in as many tiles as the limit on bindings asks for. Their output goes to `out`, each chunk at its place.
///
/// # Errors
/// [`GpuError::Input`] if values contradict each other or a chunk is outside of `out`; what the device says.
pub fn prepare<'g>(gpu: &'g Gpu, input: &Input<'_>, out: &DeviceBuffer) -> Result<Prepared<'g>> {
    let columns = input.columns.iter().map(OfColumns::new).collect::<Result<Vec<_>>>()?;
    let classes = input.classes.iter().map(pack::classes).collect::<Result<Vec<_>>>()?;
    let mut order = Vec::with_capacity(input.chunks.len());
    for (i, chunk) in input.chunks.iter().enumerate() {
        let of = input.classes.get(chunk.classes).ok_or(GpuError::Input("a chunk's classes"))?;
        let len = (chunk.len as u64).checked_mul(chunk.bytes(of.bytes));
        let end = len.and_then(|len| len.checked_add(chunk.out_at));
        if end.is_none_or(|end| end > out.len()) || chunk.columns_of.is_some_and(|c| c >= columns.len()) {
            return Err(GpuError::Input("a chunk outside of the output, or its columns"));
        }
        let elements = match chunk.rows {
            Rows::Labels(_) => Elements::Floats { bytes: of.bytes.into() },
            Rows::Lines(float, _) => Elements::Codes(float),
        };
        order.push((elements, pack::table_room(of) as u32, chunk.classes, chunk.out_at, i));
    }
    order.sort_unstable();
    let mut prepared = Prepared { gpu, tiles: Vec::new(), chunks: input.chunks.len(), uploaded: 0 };
    let builder = Builder { gpu, input, columns: &columns, classes: &classes, out };
    let mut open: Option<Open> = None;
    for (elements, tables, _, _, i) in order {
        let kind = (elements, tables);
        if let Some(full) = open.take_if(|tile| tile.kind != kind || !builder.fits(tile, i)) {
            builder.close(full, &mut prepared)?;
        }
        let tile = open.get_or_insert_with(|| Open::new(kind, input.chunks[i].out_at, builder.alignment()));
        // What does not fit into an empty tile is refused.
        if builder.fits(tile, i) {
            builder.add(tile, i)?;
        }
    }
    if let Some(last) = open {
        builder.close(last, &mut prepared)?;
    }
    Ok(prepared)
}

/// A tile that is being filled.
struct Open {
    kind: (Elements, u32),
    jobs: Vec<Job>,
    chunks: Vec<Option<usize>>,
    shared: Vec<u32>,
    /// Where classes and columns are in `shared`.
    classes_at: HashMap<usize, u32>,
    columns_at: HashMap<usize, u32>,
    data: Vec<u8>,
    out: Range<u64>,
}

impl Open {
    fn new(kind: (Elements, u32), out_at: u64, alignment: u64) -> Self {
        let start = out_at / alignment * alignment;
        Self {
            kind,
            jobs: Vec::new(),
            chunks: Vec::new(),
            shared: Vec::new(),
            classes_at: HashMap::new(),
            columns_at: HashMap::new(),
            data: Vec::new(),
            out: start..start,
        }
    }
}

struct Builder<'i> {
    gpu: &'i Gpu,
    input: &'i Input<'i>,
    columns: &'i [OfColumns],
    classes: &'i [Vec<u32>],
    out: &'i DeviceBuffer,
}

impl Builder<'_> {
    fn alignment(&self) -> u64 {
        u64::from(self.gpu.device().limits().min_storage_buffer_offset_alignment).max(4)
    }

    fn end(&self, chunk: &Chunk<'_>) -> u64 {
        let bytes = self.input.classes[chunk.classes].bytes;
        (chunk.out_at + chunk.len as u64 * chunk.bytes(bytes)).next_multiple_of(4)
    }

    /// Whether chunk `i` may join a tile: no binding grows above the limit.
    fn fits(&self, tile: &Open, i: usize) -> bool {
        let chunk = &self.input.chunks[i];
        let limit = self.gpu.max_binding();
        let mut shared = tile.shared.len();
        if !tile.classes_at.contains_key(&chunk.classes) {
            shared += self.classes[chunk.classes].len();
        }
        if let Some(columns) = chunk.columns_of.filter(|columns| !tile.columns_at.contains_key(columns)) {
            shared += self.columns[columns].words().len();
        }
        // Classes that change may leave a workgroup half empty, once before this chunk and once after it.
        let jobs = tile.jobs.len() + 2 * self.gpu.pipelines.chunks as usize;
        chunk.out_at >= tile.out.start
            && tile.out.end.max(self.end(chunk)) - tile.out.start <= limit
            && tile.data.len() as u64 + pack::packed_len(chunk) <= limit
            && 4 * shared as u64 <= limit
            && (jobs * JOB_BYTES) as u64 <= limit
            && jobs / self.gpu.pipelines.chunks as usize <= MAX_WORKGROUPS
    }

    fn add(&self, tile: &mut Open, i: usize) -> Result<()> {
        let chunk = &self.input.chunks[i];
        let columns = chunk.columns_of.map(|columns| &self.columns[columns]);
        let classes = *tile.classes_at.entry(chunk.classes).or_insert_with(|| {
            let at = tile.shared.len() as u32;
            tile.shared.extend_from_slice(&self.classes[chunk.classes]);
            at
        });
        if let Some(last) = tile.jobs.last().map(|job| job.classes).filter(|last| *last != classes) {
            self.fill(tile, last);
        }
        let mut job = pack::chunk(chunk, &self.input.classes[chunk.classes], columns, &mut tile.data)?;
        job.classes = classes;
        if let (Some(number), Some(columns)) = (chunk.columns_of, columns) {
            job.labels = *tile.columns_at.entry(number).or_insert_with(|| {
                let at = tile.shared.len() as u32;
                tile.shared.extend_from_slice(columns.words());
                at
            });
        }
        job.out_word = ((chunk.out_at - tile.out.start) / 4) as u32;
        tile.out.end = tile.out.end.max(self.end(chunk));
        tile.jobs.push(job);
        tile.chunks.push(Some(i));
        Ok(())
    }

    /// Fills the last workgroup up.
    fn fill(&self, tile: &mut Open, classes: u32) {
        let whole = tile.jobs.len().next_multiple_of(self.gpu.pipelines.chunks as usize);
        tile.jobs.resize(whole, Job::empty(classes));
        tile.chunks.resize(whole, None);
    }

    fn close(&self, mut tile: Open, prepared: &mut Prepared<'_>) -> Result<()> {
        let Some(last) = tile.jobs.last().map(|job| job.classes) else { return Ok(()) };
        self.fill(&mut tile, last);
        let gpu = self.gpu;
        let jobs: Vec<u8> = bytemuck::cast_slice(&tile.jobs).to_vec();
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST;
        let mut upload = |what, bytes: &[u8]| {
            prepared.uploaded += bytes.len() as u64;
            let buffer = gpu.allocate(what, bytes.len() as u64, usage)?;
            gpu.write(&buffer, 0, bytes).map(|()| buffer)
        };
        let buffers = [
            upload("descriptions of chunks", &jobs)?,
            upload("tables and labels", bytemuck::cast_slice(&tile.shared))?,
            upload("compressed chunks", &tile.data)?,
        ];
        let status =
            gpu.allocate("status of chunks", 4 * tile.jobs.len() as u64, usage | BufferUsages::COPY_SRC)?;
        let pipeline = gpu.pipelines.get(gpu, tile.kind.0, tile.kind.1)?;
        let out = wgpu::BufferBinding {
            buffer: self.out.wgpu(),
            offset: tile.out.start,
            size: std::num::NonZeroU64::new(tile.out.end - tile.out.start),
        };
        let [jobs, shared, data] = buffers.each_ref().map(Buffer::as_entire_binding);
        let resources = [jobs, shared, data, wgpu::BindingResource::Buffer(out), status.as_entire_binding()];
        let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
            .zip(resources)
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let bindings = gpu.scoped("bindings", 0, || {
            gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("labelled floats"),
                layout: &gpu.pipelines.layout,
                entries: &entries,
            })
        })?;
        let workgroups = (tile.jobs.len() / gpu.pipelines.chunks as usize) as u32;
        prepared.tiles.push(Tile { pipeline, bindings, status, workgroups, chunks: tile.chunks });
        Ok(())
    }
}

/// How long a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the submission until the host knew that it was done.
    pub wall: Duration,
    /// By the device's own clock; none if it has none.
    pub device: Option<Duration>,
}

impl Prepared<'_> {
    /// Bytes that were uploaded: compressed chunks, tables, labels, descriptions.
    #[must_use]
    pub fn uploaded(&self) -> u64 {
        self.uploaded
    }

    /// Dispatches; each is as large as the limit on bindings allows.
    #[must_use]
    pub fn tiles(&self) -> usize {
        self.tiles.len()
    }

    /// Submits all tiles. Work that is submitted later sees the output; [`Prepared::statuses`] says whether it is whole.
    ///
    /// # Errors
    /// What the device says.
    pub fn run(&self) -> Result<()> {
        self.submit(None)
    }

    fn submit(&self, queries: Option<&wgpu::QuerySet>) -> Result<()> {
        let device = self.gpu.device();
        self.gpu.scoped("decode", 0, || {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let timestamp_writes = queries.map(|query_set| wgpu::ComputePassTimestampWrites {
                query_set,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            });
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("labelled floats"),
                timestamp_writes,
            });
            for tile in &self.tiles {
                pass.set_pipeline(&tile.pipeline);
                pass.set_bind_group(0, &tile.bindings, &[]);
                pass.dispatch_workgroups(tile.workgroups, 1, 1);
            }
            drop(pass);
            self.gpu.queue().submit([encoder.finish()]);
        })
    }

    /// Runs, waits for the end, and says how long that took.
    ///
    /// # Errors
    /// What the device says.
    pub fn run_timed(&self) -> Result<Timing> {
        let gpu = self.gpu;
        let queries = gpu.device().features().contains(Features::TIMESTAMP_QUERY).then(|| {
            gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("time"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            })
        });
        gpu.wait()?;
        let before = Instant::now();
        self.submit(queries.as_ref())?;
        gpu.wait()?;
        let wall = before.elapsed();
        let Some(queries) = queries else { return Ok(Timing { wall, device: None }) };
        let usage = BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC;
        let ticks = gpu.allocate("time", 16, usage)?;
        gpu.scoped("time", 16, || {
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.resolve_query_set(&queries, 0..2, &ticks, 0);
            gpu.queue().submit([encoder.finish()]);
        })?;
        let bytes = gpu.read(&ticks, 0..16)?;
        let [start, end] = [&bytes[..8], &bytes[8..]]
            .map(|half| half.first_chunk().map_or(0, |tick: &[u8; 8]| u64::from_le_bytes(*tick)));
        let period = f64::from(gpu.queue().get_timestamp_period());
        let seconds = end.saturating_sub(start) as f64 * period * 1e-9;
        Ok(Timing { wall, device: Some(Duration::from_secs_f64(seconds)).filter(|d| !d.is_zero()) })
    }

    /// Waits for the run, and says what became of each chunk, in the order of the input.
    ///
    /// # Errors
    /// What the device says.
    pub fn statuses(&self) -> Result<Vec<Status>> {
        let mut all = vec![Status::Refused; self.chunks];
        for tile in &self.tiles {
            let bytes = self.gpu.read(&tile.status, 0..4 * tile.chunks.len() as u64)?;
            for (word, chunk) in bytes.as_chunks::<4>().0.iter().zip(&tile.chunks) {
                if let Some(status) = chunk.and_then(|i| all.get_mut(i)) {
                    let whole = u32::from_le_bytes(*word) == WHOLE;
                    *status = if whole { Status::Whole } else { Status::Damaged };
                }
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workgroups_are_whole_subgroups() {
        for (sizes, expected) in [
            (Some((32, 32)), (Vote::Subgroup { most: 32 }, 32, 4)),
            (Some((32, 64)), (Vote::Subgroup { most: 64 }, 32, 4)),
            (Some((64, 64)), (Vote::Subgroup { most: 64 }, 32, 4)),
            (Some((8, 32)), (Vote::Subgroup { most: 32 }, 8, 16)),
            (Some((4, 4)), (Vote::Subgroup { most: 4 }, 4, 16)),
            (Some((4, 128)), (Vote::Workgroup, 32, 1)),
            (Some((1, 1)), (Vote::Workgroup, 32, 1)),
            (None, (Vote::Workgroup, 32, 1)),
        ] {
            assert_eq!(plan(sizes), expected, "{sizes:?}");
        }
    }
}
