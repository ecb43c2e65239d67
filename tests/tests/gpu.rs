//! Decoding on a GPU gives what the scalar decoder gives, bit for bit, and the same errors.
//!
//! Any adapter serves, also a driver that is a program on the CPU. Without one the tests are skipped, and say so; with
//! `MCODEC_REQUIRE_GPU` set they fail instead.

#[path = "gpu/chunks.rs"]
mod chunks;
#[path = "gpu/files.rs"]
mod files;
#[path = "gpu/hostile.rs"]
mod hostile;
#[path = "gpu/matrices.rs"]
mod matrices;

use mcodec_decode::gpu::{Gpu, GpuError, Options};
use std::io::Write;
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
    for result in [gpu.wait(), gpu.upload(&buffer, 0, &[0; 4]), gpu.download(&buffer, 0..4).map(drop)] {
        // Waiting for nothing may succeed.
        if let Err(e) = result {
            assert!(matches!(e, GpuError::Lost(_) | GpuError::Driver(_)), "{e:?}");
        }
    }
    assert!(gpu.download(&buffer, 0..4).is_err());
}
