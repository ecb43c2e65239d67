//! A device, its buffers, and what it says of itself.

use crate::error::{GpuError, Result};
use crate::gaussians::Kernels;
use crate::labelled::Pipelines;
use pollster::block_on;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use wgpu::{BufferDescriptor, BufferUsages, DeviceType, Features, InstanceFlags, PollType};

/// Bytes of one binding that every device of WebGPU has.
const PORTABLE_BINDING: u64 = 128 << 20;

/// How to open a device.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// Take an adapter whose name has this in it, in any case; none: the strongest.
    pub adapter: Option<String>,
    /// Bind no more bytes than this at once, if the device allows that much; none: 128 MiB.
    pub max_binding: Option<u64>,
    /// Do without subgroups even if the device has them.
    pub no_subgroups: bool,
    /// Take no adapter that is a program on the CPU.
    pub hardware_only: bool,
}

impl Options {
    /// An adapter whose name has `name` in it.
    #[must_use]
    pub fn adapter(mut self, name: impl Into<String>) -> Self {
        self.adapter = Some(name.into());
        self
    }

    /// Bindings of at most `bytes`.
    #[must_use]
    pub fn max_binding(mut self, bytes: u64) -> Self {
        self.max_binding = Some(bytes);
        self
    }

    /// No adapter that is a program on the CPU.
    #[must_use]
    pub fn hardware(mut self) -> Self {
        self.hardware_only = true;
        self
    }

    /// Without subgroups.
    #[must_use]
    pub fn without_subgroups(mut self) -> Self {
        self.no_subgroups = true;
        self
    }
}

/// What an adapter says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterInfo {
    /// Its name.
    pub name: String,
    /// The interface that it is reached through, as "vulkan".
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// Whether it is a program on the CPU, so that its speed says nothing of a GPU's.
    pub is_cpu: bool,
    /// Least and greatest number of invocations in a subgroup; none: no subgroups, or they are not used.
    pub subgroups: Option<(u32, u32)>,
}

impl fmt::Display for AdapterInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}", self.name, self.backend, self.driver)?;
        match self.subgroups {
            Some((least, most)) if least == most => write!(f, ", subgroups of {least})"),
            Some((least, most)) => write!(f, ", subgroups of {least} to {most})"),
            None => write!(f, ", no subgroups)"),
        }
    }
}

/// An open device. Threads may share it.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: AdapterInfo,
    max_binding: u64,
    lost: Arc<Mutex<Option<String>>>,
    maps: AtomicU64,
    pub(crate) pipelines: Pipelines,
    pub(crate) kernels: Kernels,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("info", &self.info).field("max_binding", &self.max_binding).finish()
    }
}

impl Gpu {
    /// Opens the strongest adapter, or the one that `options` name.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`], [`GpuError::NoDevice`].
    pub fn open(options: &Options) -> Result<Self> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.flags = InstanceFlags::empty();
        let instance = wgpu::Instance::new(descriptor);
        let mut adapters = block_on(instance.enumerate_adapters(wgpu::Backends::all()));
        let names = |all: &[wgpu::Adapter]| {
            let names: Vec<String> = all.iter().map(|a| format!("{:?}", a.get_info().name)).collect();
            names.join(", ")
        };
        if adapters.is_empty() {
            return Err(GpuError::NoAdapter("no driver of Vulkan, Metal or Direct3D 12 offers one".into()));
        }
        let all = names(&adapters);
        if let Some(name) = &options.adapter {
            let wanted = name.to_lowercase();
            adapters.retain(|a| a.get_info().name.to_lowercase().contains(&wanted));
            if adapters.is_empty() {
                return Err(GpuError::NoAdapter(format!("none is called {name:?}; there are {all}")));
            }
        }
        if options.hardware_only {
            adapters.retain(|a| a.get_info().device_type != DeviceType::Cpu);
            if adapters.is_empty() {
                return Err(GpuError::NoAdapter(format!("there are only programs on the CPU: {all}")));
            }
        }
        adapters.sort_by_key(|a| rank(a.get_info().device_type));
        let adapter = adapters.first().ok_or(GpuError::NoAdapter(all))?;
        let features = adapter.features() & (Features::SUBGROUP | Features::TIMESTAMP_QUERY);
        let request = wgpu::DeviceDescriptor {
            label: Some("mcodec"),
            required_features: features,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = block_on(adapter.request_device(&request))
            .map_err(|e| GpuError::NoDevice { adapter: adapter.get_info().name, why: e.to_string() })?;
        let gpu = Self::from_device(device, queue, options)?;
        let set = |lost: &Arc<Mutex<Option<String>>>| {
            let lost = Arc::clone(lost);
            move |why: String| {
                lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
            }
        };
        let (gone, failed) = (set(&gpu.lost), set(&gpu.lost));
        gpu.device.set_device_lost_callback(move |reason, why| gone(format!("{reason:?} {why}")));
        gpu.device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| failed(error.to_string())));
        Ok(gpu)
    }

    /// Works on a device that an application has opened. Subgroups are used if the device was opened with them.
    ///
    /// Its callbacks are left as they are; that it is lost is known here from the next call that fails.
    ///
    /// # Errors
    /// [`GpuError::NoDevice`] if its limits are below those that WebGPU promises.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue, options: &Options) -> Result<Self> {
        let adapter = device.adapter_info();
        let limits = device.limits();
        let can_compute = limits.max_compute_invocations_per_workgroup >= 128
            && limits.max_compute_workgroup_storage_size >= 16 << 10
            && limits.max_storage_buffers_per_shader_stage >= 5;
        if !can_compute {
            let why = "it has less workgroup memory, invocations or bindings than WebGPU promises".into();
            return Err(GpuError::NoDevice { adapter: adapter.name, why });
        }
        let has_subgroups = device.features().contains(Features::SUBGROUP) && !options.no_subgroups;
        let info = AdapterInfo {
            name: adapter.name,
            backend: adapter.backend.to_string(),
            driver: format!("{} {}", adapter.driver, adapter.driver_info).trim().to_owned(),
            is_cpu: adapter.device_type == DeviceType::Cpu,
            subgroups: has_subgroups.then_some((adapter.subgroup_min_size, adapter.subgroup_max_size)),
        };
        let allowed = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let wanted = options.max_binding.unwrap_or(PORTABLE_BINDING);
        let max_binding = allowed.min(wanted) & !3;
        let pipelines = Pipelines::new(&device, &info);
        Ok(Self {
            device,
            queue,
            info,
            max_binding,
            lost: Arc::default(),
            maps: AtomicU64::new(0),
            pipelines,
            kernels: Kernels::default(),
        })
    }

    /// The adapter.
    #[must_use]
    pub fn info(&self) -> &AdapterInfo {
        &self.info
    }

    /// The device, for what this crate does not do.
    #[must_use]
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// How often content was read back so far: each time a buffer was mapped, and the host waited for the device.
    #[must_use]
    pub fn maps(&self) -> u64 {
        self.maps.load(Ordering::Relaxed)
    }

    /// The most bytes that are bound at once.
    #[must_use]
    pub fn max_binding(&self) -> u64 {
        self.max_binding
    }

    /// The most bytes of a buffer.
    #[must_use]
    pub fn max_buffer(&self) -> u64 {
        self.device.limits().max_buffer_size
    }

    /// A new storage buffer of `len` bytes, all zero, that can be copied from and to. What is allocated is a multiple of 4.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`], [`GpuError::OutOfMemory`].
    pub fn buffer(&self, len: u64) -> Result<DeviceBuffer> {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let buffer = self.allocate("decoded content", len, usage)?;
        Ok(DeviceBuffer { buffer, len })
    }

    pub(crate) fn allocate(
        &self,
        what: &'static str,
        bytes: u64,
        usage: BufferUsages,
    ) -> Result<wgpu::Buffer> {
        let limit = self.max_buffer();
        if bytes > limit {
            return Err(GpuError::TooLarge { what, bytes, limit });
        }
        let size = bytes.next_multiple_of(4).max(4);
        let descriptor = BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false };
        self.scoped(what, bytes, || self.device.create_buffer(&descriptor))
    }

    /// Writes `bytes` at `offset`, a multiple of 4. Up to three bytes after them become zero.
    ///
    /// # Errors
    /// [`GpuError::Input`] if they are outside of the buffer or not aligned; [`GpuError::Lost`].
    pub fn upload(&self, buffer: &DeviceBuffer, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.checked_add(bytes.len() as u64);
        if !offset.is_multiple_of(4) || end.is_none_or(|end| end > buffer.len) {
            return Err(GpuError::Input("bytes outside of a buffer, or not at a multiple of 4"));
        }
        self.write(&buffer.buffer, offset, bytes)
    }

    pub(crate) fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        let (whole, rest) = bytes.split_at(bytes.len() / 4 * 4);
        self.scoped("upload", bytes.len() as u64, || {
            if !whole.is_empty() {
                self.queue.write_buffer(buffer, offset, whole);
            }
            if !rest.is_empty() {
                let mut last = [0; 4];
                last[..rest.len()].copy_from_slice(rest);
                self.queue.write_buffer(buffer, offset + whole.len() as u64, &last);
            }
        })
    }

    /// Bytes `range` of a buffer, after all work that was submitted.
    ///
    /// # Errors
    /// [`GpuError::Input`] if the range is outside of the buffer; [`GpuError::Lost`], [`GpuError::OutOfMemory`].
    pub fn download(&self, buffer: &DeviceBuffer, range: Range<u64>) -> Result<Vec<u8>> {
        if range.start > range.end || range.end > buffer.len {
            return Err(GpuError::Input("a range outside of a buffer"));
        }
        self.read(&buffer.buffer, range)
    }

    pub(crate) fn read(&self, buffer: &wgpu::Buffer, range: Range<u64>) -> Result<Vec<u8>> {
        if range.is_empty() {
            return self.wait().map(|()| Vec::new());
        }
        let start = range.start / 4 * 4;
        let size = range.end.next_multiple_of(4) - start;
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let staging = self.allocate("download", size, usage)?;
        self.scoped("download", size, || {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(buffer, start, &staging, 0, size);
            self.queue.submit([encoder.finish()]);
        })?;
        self.maps.fetch_add(1, Ordering::Relaxed);
        let (send, receive) = std::sync::mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            _ = send.send(result);
        });
        self.wait()?;
        let failed = |why: String| self.lost().unwrap_or(GpuError::Driver(why));
        receive.recv().map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
        let view = staging.get_mapped_range(..).map_err(|e| failed(e.to_string()))?;
        let skip = (range.start - start) as usize;
        Ok(view[skip..skip + (range.end - range.start) as usize].to_vec())
    }

    /// Submits a copy of all of `from` to the front of `to`.
    ///
    /// # Errors
    /// [`GpuError::Input`] if `to` is smaller; [`GpuError::Lost`].
    pub fn copy(&self, from: &DeviceBuffer, to: &DeviceBuffer) -> Result<()> {
        if from.len > to.len {
            return Err(GpuError::Input("a copy into a smaller buffer"));
        }
        let len = from.len.next_multiple_of(4);
        self.scoped("copy", len, || {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&from.buffer, 0, &to.buffer, 0, len);
            self.queue.submit([encoder.finish()]);
        })
    }

    /// Waits until all that was submitted is done.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn wait(&self) -> Result<()> {
        let result = self.device.poll(PollType::wait_indefinitely());
        match (self.lost(), result) {
            (Some(lost), _) => Err(lost),
            (None, Err(e)) => Err(GpuError::Lost(e.to_string())),
            (None, Ok(_)) => Ok(()),
        }
    }

    fn lost(&self) -> Option<GpuError> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone().map(GpuError::Lost)
    }

    /// Does something with the device, and says what it says of that.
    pub(crate) fn scoped<T>(&self, what: &'static str, bytes: u64, job: impl FnOnce() -> T) -> Result<T> {
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        let scopes =
            [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory]
                .map(|filter| self.device.push_error_scope(filter));
        let done = job();
        let mut first = None;
        for scope in scopes.into_iter().rev() {
            first = first.or(block_on(scope.pop()));
        }
        match (self.lost(), first) {
            (Some(lost), _) => Err(lost),
            (None, Some(error)) => Err(said(&error, what, bytes)),
            (None, None) => Ok(done),
        }
    }
}

/// What an error means that came of `bytes` of `what`.
fn said(error: &wgpu::Error, what: &'static str, bytes: u64) -> GpuError {
    match error {
        wgpu::Error::OutOfMemory { .. } => GpuError::OutOfMemory { what, bytes },
        _ => GpuError::Driver(error.to_string()),
    }
}

/// The lower, the stronger.
fn rank(device: DeviceType) -> u8 {
    match device {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

/// A storage buffer on the device.
#[derive(Debug, Clone)]
pub struct DeviceBuffer {
    buffer: wgpu::Buffer,
    len: u64,
}

impl DeviceBuffer {
    /// Its bytes. The wgpu buffer may have up to three more.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The buffer, to bind it or copy from it: usages STORAGE, COPY_SRC, COPY_DST.
    #[must_use]
    pub fn wgpu(&self) -> &wgpu::Buffer {
        &self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_device_have_names() {
        let source = || Box::new(std::fmt::Error);
        let full = said(&wgpu::Error::OutOfMemory { source: source() }, "x", 7);
        assert_eq!(full, GpuError::OutOfMemory { what: "x", bytes: 7 });
        let inner = wgpu::Error::Internal { source: source(), description: "why".into() };
        assert_eq!(said(&inner, "x", 7), GpuError::Driver("why".into()));
    }

    #[test]
    fn a_program_on_the_cpu_is_the_last_resort() {
        let types =
            [DeviceType::DiscreteGpu, DeviceType::IntegratedGpu, DeviceType::VirtualGpu, DeviceType::Other];
        assert!(types.into_iter().all(|t| rank(t) < rank(DeviceType::Cpu)));
    }
}
