//! How much memory this process holds and held, as Linux counts it; elsewhere nothing is known.

use std::fs;

/// Sets the peak to what is held now, and returns that, in bytes.
pub(super) fn reset_peak() -> Option<u64> {
    // Where it is refused, the peak counts from the start of the process.
    _ = fs::write("/proc/self/clear_refs", "5");
    peak()
}

/// The most that was resident since the last reset, in bytes.
pub(super) fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
