//! Decoding on a GPU gives what the scalar decoder gives, bit for bit, and the same errors; images are drawn as on the CPU and fitted as well, and
//! models quantised to the same bytes.
//!
//! Any adapter serves, also a driver that is a program on the CPU. Without one the tests are skipped, and say so; with
//! `MCODEC_REQUIRE_GPU` set they fail instead.

#[path = "gpu/chunks.rs"]
mod chunks;
#[path = "gpu/codes.rs"]
mod codes;
#[path = "gpu/drawing.rs"]
mod drawing;
#[path = "gpu/files.rs"]
mod files;
#[path = "gpu/fitting.rs"]
mod fitting;
#[path = "gpu/hostile.rs"]
mod hostile;
#[path = "gpu/images.rs"]
mod images;
#[path = "gpu/matrices.rs"]
mod matrices;
#[path = "gpu/rounding.rs"]
mod rounding;

use mcodec_decode::gpu::{Gpu, GpuError, Options};
use mcodec_decode::{DecodeError, ReadOptions, Reader};
use mcodec_gpu::wgpu;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The device with its subgroups, if it has any, and without: all kernels there are.
fn devices() -> &'static [Arc<Gpu>] {
    static ALL: OnceLock<Vec<Arc<Gpu>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let first = match Gpu::open(&Options::default()) {
            Ok(gpu) => gpu,
            Err(e) => {
                assert!(std::env::var_os("MCODEC_REQUIRE_GPU").is_none(), "MCODEC_REQUIRE_GPU is set: {e}");
                say(&format!("SKIPPED: the tests of GPU decoding did NOT run: {e}"));
                return Vec::new();
            }
        };
        say(&format!("GPU tests run on {}", first.info()));
        let mut all = vec![Arc::new(first)];
        if all[0].info().subgroups.is_some() {
            all.push(Arc::new(Gpu::open(&Options::default().without_subgroups()).expect("it opened before")));
        }
        all
    })
}

/// Past the capture of test output.
fn say(text: &str) {
    _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn what_a_device_lacks_is_said() {
    let missing = Gpu::open(&Options::default().adapter("no adapter is called so"));
    assert!(matches!(missing, Err(GpuError::NoAdapter(_))), "{missing:?}");
    for gpu in devices() {
        let above = gpu.max_buffer() + 1;
        let refused = gpu.buffer(above);
        assert!(matches!(&refused, Err(GpuError::TooLarge { bytes, .. }) if *bytes == above), "{refused:?}");
        let buffer = gpu.buffer(10).unwrap();
        for (offset, bytes) in [(2, 4), (8, 3), (12, 0), (u64::MAX - 3, 8)] {
            let result = gpu.upload(&buffer, offset, &vec![1; bytes]);
            assert!(matches!(result, Err(GpuError::Input(_))), "{offset} {bytes}");
        }
        gpu.upload(&buffer, 4, &[1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(gpu.download(&buffer, 3..10).unwrap(), [0, 1, 2, 3, 4, 5, 6]);
        assert!(gpu.download(&buffer, 8..11).is_err());
        assert!(!buffer.is_empty() && buffer.len() == 10);
    }
}

#[test]
fn a_device_that_is_gone_is_an_error() {
    if devices().is_empty() {
        return;
    }
    let gpu = Gpu::open(&Options::default()).unwrap();
    let buffer = gpu.buffer(64).unwrap();
    gpu.device().destroy();
    // Waiting may notice it, or have nothing to wait for.
    _ = gpu.wait();
    for result in [gpu.upload(&buffer, 0, &[0; 4]), gpu.download(&buffer, 0..4).map(drop)] {
        assert!(matches!(result, Err(GpuError::Lost(_))), "{result:?}");
    }
    let vector = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors/labelled_wide.mcodec");
    let reader = Reader::open(std::fs::read(vector).unwrap(), ReadOptions::default()).unwrap();
    let tensor = reader.tensor("wide", "BF16").unwrap();
    let result = reader.read_to_gpu(&[(&tensor, 0..tensor.byte_len())], &gpu);
    assert!(matches!(result, Err(DecodeError::Gpu(GpuError::Lost(_)))), "{result:?}");
    let mut out = [0; 32];
    assert!(reader.on_gpu(gpu.into()).read_into(&tensor, 0..32, &mut out).is_err());
}

/// A device with the least that some have.
#[test]
fn a_device_that_can_do_too_little_is_refused() {
    if devices().is_empty() {
        return;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let request = wgpu::RequestAdapterOptions::default();
    let adapter = pollster::block_on(instance.request_adapter(&request)).unwrap();
    let mut limits = adapter.limits();
    limits.max_storage_buffers_per_shader_stage = 4;
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let refused = Gpu::from_device(device, queue, &Options::default());
    assert!(matches!(refused, Err(GpuError::NoDevice { .. })), "{refused:?}");
    // With the limits of WebGPU, an application's device serves.
    let descriptor = wgpu::DeviceDescriptor::default();
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let gpu = Gpu::from_device(device, queue, &Options::default()).unwrap();
    assert!(gpu.info().subgroups.is_none() && gpu.max_binding() == 128 << 20);
    let buffer = gpu.buffer(8).unwrap();
    gpu.upload(&buffer, 0, &[7; 8]).unwrap();
    let smaller = gpu.buffer(4).unwrap();
    assert!(matches!(gpu.copy(&buffer, &smaller), Err(GpuError::Input(_))));
    gpu.copy(&smaller, &buffer).unwrap();
    assert_eq!(gpu.download(&buffer, 0..8).unwrap(), [0, 0, 0, 0, 7, 7, 7, 7]);
}
