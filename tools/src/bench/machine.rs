//! The machine that a run is made on.

use crate::cli::bench::Simd;
use mcodec_coding::labelled::Level;
use std::thread::available_parallelism;

/// Processor, cores, system and SIMD.
pub(super) fn describe() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ").map(|(_, m)| m));
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    let model = model.unwrap_or("unknown processor");
    format!(
        "{model}, {cores} cores, {system} {architecture}, SIMD: {}; mcodec uses {}",
        has_simd(),
        used_simd()
    )
}

/// The SIMD that decoders of this kind have use for, as far as the processor has it.
fn has_simd() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let all = [
            ("ssse3", is_x86_feature_detected!("ssse3")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("bmi2", is_x86_feature_detected!("bmi2")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512bw", is_x86_feature_detected!("avx512bw")),
            ("avx512vbmi", is_x86_feature_detected!("avx512vbmi")),
        ];
        let list: Vec<&str> = all.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        if list.is_empty() { "none".into() } else { list.join(" ") }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        if cfg!(target_feature = "neon") { "neon".into() } else { "unknown".into() }
    }
}

/// What mcodec's own decoder of labelled floats uses of it. (All else is portable code; Zstandard and XXH3 choose for themselves.)
fn used_simd() -> &'static str {
    match Level::detect() {
        Level::Scalar => "none",
        Level::Vector128 => "neon",
        Level::Avx2 => "avx2",
        Level::Avx512 => "avx512",
    }
}

/// The level that the command line names.
pub(super) fn level(simd: Simd) -> Level {
    match simd {
        Simd::Scalar => Level::Scalar,
        Simd::Neon => Level::Vector128,
        Simd::Avx2 => Level::Avx2,
        Simd::Avx512 => Level::Avx512,
    }
}
