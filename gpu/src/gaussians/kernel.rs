//! Kernels, made when they are first needed, and work with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wgpu::{BindGroup, BindingResource, Buffer, BufferUsages, ComputePipeline};

use crate::device::Gpu;
use crate::error::{GpuError, Result};

/// Workgroups along one axis of a dispatch that every device allows.
const MOST_WORKGROUPS: u32 = 65535;

/// Bytes of a buffer at least: one element of any array.
const LEAST: u64 = 64;

/// Text of a kernel: its name and its parts, of a kernel of Gaussians after the common one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text(pub(crate) &'static str, pub(crate) &'static [&'static str]);

/// Name of a kernel and number of its channels, which is 0 of those that know none.
type Key = (&'static str, usize);

/// Kernels that were asked for: each is made once, and no other waits for it.
#[derive(Default)]
pub(crate) struct Kernels {
    made: Mutex<HashMap<Key, Arc<OnceLock<Result<ComputePipeline>>>>>,
}

/// A kernel with what it is bound to.
pub(crate) struct Bound {
    pipeline: ComputePipeline,
    bindings: BindGroup,
}

/// Makes a kernel, if it is not made yet, and binds these buffers to it in order.
pub(super) fn bind(gpu: &Gpu, text: Text, channels: usize, buffers: &[&Buffer]) -> Result<Bound> {
    bind_resources(gpu, text, channels, &resources(gpu, buffers)?)
}

/// As [`bind`], of a kernel that has nothing to do with Gaussians: no text comes before its own.
pub(crate) fn bind_alone(gpu: &Gpu, text: Text, buffers: &[&Buffer]) -> Result<Bound> {
    let pipeline = pipeline(gpu, (text.0, 0), || text.1.concat())?;
    bound(gpu, text.0, pipeline, &resources(gpu, buffers)?)
}

fn resources<'b>(gpu: &Gpu, buffers: &[&'b Buffer]) -> Result<Vec<BindingResource<'b>>> {
    let limit = gpu.max_binding();
    if let Some(large) = buffers.iter().find(|buffer| buffer.size() > limit) {
        return Err(GpuError::TooLarge { what: "a buffer to be bound", bytes: large.size(), limit });
    }
    Ok(buffers.iter().map(|buffer| buffer.as_entire_binding()).collect())
}

/// As [`bind`], also of textures.
pub(super) fn bind_resources(
    gpu: &Gpu,
    text: Text,
    channels: usize,
    resources: &[BindingResource<'_>],
) -> Result<Bound> {
    let pipeline = pipeline(gpu, (text.0, channels), || source(text, channels))?;
    bound(gpu, text.0, pipeline, resources)
}

fn source(text: Text, channels: usize) -> String {
    format!("const CHANNELS: u32 = {channels}u;\n{}{}", include_str!("splat.wgsl"), text.1.concat())
}

/// Makes kernels at once, each on a thread: a driver takes some 30 ms for one. What fails is told to those that bind it.
pub(super) fn prepare(gpu: &Gpu, channels: usize, texts: &[Text]) {
    let missing = {
        let made = gpu.kernels.made.lock().unwrap_or_else(PoisonError::into_inner);
        let is_made =
            |text: &&Text| made.get(&(text.0, channels)).is_some_and(|kernel| kernel.get().is_some());
        texts.iter().filter(|text| !is_made(text)).copied().collect::<Vec<Text>>()
    };
    std::thread::scope(|scope| {
        for text in missing {
            // Where no thread can be had, it is made when it is bound.
            _ = std::thread::Builder::new().spawn_scoped(scope, move || {
                pipeline(gpu, (text.0, channels), || source(text, channels)).is_ok()
            });
        }
    });
}

fn bound(
    gpu: &Gpu,
    name: &'static str,
    pipeline: ComputePipeline,
    resources: &[BindingResource<'_>],
) -> Result<Bound> {
    let entries: Vec<_> = (0..)
        .zip(resources)
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource: resource.clone() })
        .collect();
    let bindings = gpu.scoped(name, 0, || {
        gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(name),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        })
    })?;
    Ok(Bound { pipeline, bindings })
}

fn pipeline(gpu: &Gpu, key: Key, source: impl FnOnce() -> String) -> Result<ComputePipeline> {
    let kernel = {
        let mut made = gpu.kernels.made.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry(key).or_default())
    };
    let make = || {
        let source = source();
        gpu.scoped(key.0, source.len() as u64, || {
            let module = gpu.device().create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(key.0),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
            gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(key.0),
                layout: None,
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        })
    };
    kernel.get_or_init(make).clone()
}

/// Work to be done in order.
pub(crate) struct Work<'g> {
    gpu: &'g Gpu,
    encoder: wgpu::CommandEncoder,
}

impl<'g> Work<'g> {
    pub(crate) fn new(gpu: &'g Gpu) -> Self {
        Self { gpu, encoder: gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default()) }
    }

    /// Runs kernels in order, each with so many workgroups.
    pub(crate) fn run<'b>(&mut self, all: impl IntoIterator<Item = (&'b Bound, [u32; 2])>) {
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

    pub(crate) fn submit(self) -> Result<()> {
        let Self { gpu, encoder } = self;
        gpu.scoped("work", 0, || {
            gpu.queue().submit([encoder.finish()]);
        })
    }
}

/// Workgroups for so many, in rows if they are many: `index = y * workgroups across + x`.
pub(crate) fn workgroups(count: usize, each: usize) -> [u32; 2] {
    let all = count.div_ceil(each).max(1) as u32;
    let down = all.div_ceil(MOST_WORKGROUPS);
    [all.div_ceil(down), down]
}

/// A storage buffer with this content.
pub(crate) fn storage(gpu: &Gpu, what: &'static str, content: &[u8]) -> Result<Buffer> {
    filled(gpu, what, content, BufferUsages::STORAGE)
}

/// A uniform buffer with this content.
pub(crate) fn uniform(gpu: &Gpu, what: &'static str, content: &[u8]) -> Result<Buffer> {
    filled(gpu, what, content, BufferUsages::UNIFORM)
}

fn filled(gpu: &Gpu, what: &'static str, content: &[u8], usage: BufferUsages) -> Result<Buffer> {
    let usage = usage | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    let buffer = gpu.allocate(what, (content.len() as u64).max(LEAST), usage)?;
    gpu.write(&buffer, 0, content)?;
    Ok(buffer)
}

/// A storage buffer of so many words, all zero.
pub(crate) fn zeros(gpu: &Gpu, what: &'static str, words: usize) -> Result<Buffer> {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    gpu.allocate(what, (4 * words as u64).max(LEAST), usage)
}
