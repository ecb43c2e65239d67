//! Kernels, made when they are first needed, and work with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{BindGroup, BindingResource, Buffer, BufferUsages, ComputePipeline};

use crate::device::Gpu;
use crate::error::{GpuError, Result};

/// Workgroups along one axis of a dispatch that every device allows.
const MOST_WORKGROUPS: u32 = 65535;

/// Bytes of a buffer at least: one element of any array.
const LEAST: u64 = 64;

/// Text of a kernel: its name and its parts after the common one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text(pub(super) &'static str, pub(super) &'static [&'static str]);

/// Kernels by name and number of channels.
#[derive(Default)]
pub(crate) struct Kernels {
    made: Mutex<HashMap<(&'static str, usize), Arc<ComputePipeline>>>,
}

/// A kernel with what it is bound to.
pub(super) struct Bound {
    pipeline: Arc<ComputePipeline>,
    bindings: BindGroup,
}

/// Makes a kernel, if it is not made yet, and binds these buffers to it in order.
pub(super) fn bind(gpu: &Gpu, text: Text, channels: usize, buffers: &[&Buffer]) -> Result<Bound> {
    let limit = gpu.max_binding();
    if let Some(large) = buffers.iter().find(|buffer| buffer.size() > limit) {
        return Err(GpuError::TooLarge { what: "a buffer of a picture", bytes: large.size(), limit });
    }
    let resources: Vec<_> = buffers.iter().map(|buffer| buffer.as_entire_binding()).collect();
    bind_resources(gpu, text, channels, &resources)
}

/// As [`bind`], also of textures.
pub(super) fn bind_resources(
    gpu: &Gpu,
    text: Text,
    channels: usize,
    resources: &[BindingResource<'_>],
) -> Result<Bound> {
    let pipeline = pipeline(gpu, text, channels)?;
    let entries: Vec<_> = (0..)
        .zip(resources)
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource: resource.clone() })
        .collect();
    let bindings = gpu.scoped(text.0, 0, || {
        gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(text.0),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        })
    })?;
    Ok(Bound { pipeline, bindings })
}

fn pipeline(gpu: &Gpu, text: Text, channels: usize) -> Result<Arc<ComputePipeline>> {
    let mut made = gpu.kernels.made.lock().unwrap_or_else(PoisonError::into_inner);
    let Text(name, parts) = text;
    if let Some(pipeline) = made.get(&(name, channels)) {
        return Ok(Arc::clone(pipeline));
    }
    let mut source = format!("const CHANNELS: u32 = {channels}u;\n{}", include_str!("splat.wgsl"));
    parts.iter().for_each(|part| source.push_str(part));
    let pipeline = gpu.scoped(name, source.len() as u64, || {
        let module = gpu.device().create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        })
    })?;
    let pipeline = Arc::new(pipeline);
    made.insert((name, channels), Arc::clone(&pipeline));
    Ok(pipeline)
}

/// Work to be done in order.
pub(super) struct Work<'g> {
    gpu: &'g Gpu,
    encoder: wgpu::CommandEncoder,
}

impl<'g> Work<'g> {
    pub(super) fn new(gpu: &'g Gpu) -> Self {
        Self { gpu, encoder: gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default()) }
    }

    /// Runs kernels in order, each with so many workgroups.
    pub(super) fn run<'b>(&mut self, all: impl IntoIterator<Item = (&'b Bound, [u32; 2])>) {
        let mut pass = self.encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (bound, [across, down]) in all {
            pass.set_pipeline(&bound.pipeline);
            pass.set_bind_group(0, &bound.bindings, &[]);
            pass.dispatch_workgroups(across, down, 1);
        }
    }

    /// Replaces the content of a small buffer, after what was recorded before.
    pub(super) fn update(&mut self, buffer: &Buffer, content: &[u8]) -> Result<()> {
        let staged = filled(self.gpu, "update", content, BufferUsages::empty())?;
        self.encoder.copy_buffer_to_buffer(&staged, 0, buffer, 0, content.len() as u64);
        Ok(())
    }

    /// Fills a buffer with zeros, after what was recorded before.
    pub(super) fn clear(&mut self, buffer: &Buffer) {
        self.encoder.clear_buffer(buffer, 0, None);
    }

    pub(super) fn submit(self) -> Result<()> {
        let Self { gpu, encoder } = self;
        gpu.scoped("work on a picture", 0, || {
            gpu.queue().submit([encoder.finish()]);
        })
    }
}

/// Workgroups for so many, in rows if they are many: `index = y * workgroups across + x`.
pub(super) fn workgroups(count: usize, each: usize) -> [u32; 2] {
    let all = count.div_ceil(each).max(1) as u32;
    let down = all.div_ceil(MOST_WORKGROUPS);
    [all.div_ceil(down), down]
}

/// A storage buffer with this content.
pub(super) fn storage(gpu: &Gpu, what: &'static str, content: &[u8]) -> Result<Buffer> {
    filled(gpu, what, content, BufferUsages::STORAGE)
}

/// A uniform buffer with this content.
pub(super) fn uniform(gpu: &Gpu, what: &'static str, content: &[u8]) -> Result<Buffer> {
    filled(gpu, what, content, BufferUsages::UNIFORM)
}

fn filled(gpu: &Gpu, what: &'static str, content: &[u8], usage: BufferUsages) -> Result<Buffer> {
    let usage = usage | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    let buffer = gpu.allocate(what, (content.len() as u64).max(LEAST), usage)?;
    gpu.write(&buffer, 0, content)?;
    Ok(buffer)
}

/// A storage buffer of so many words, all zero.
pub(super) fn zeros(gpu: &Gpu, what: &'static str, words: usize) -> Result<Buffer> {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    gpu.allocate(what, (4 * words as u64).max(LEAST), usage)
}
