//! `mcodec bench gpu`: decoding on a GPU, beside the CPU and beside copies.

use super::machine;
use super::measure::time;
use crate::cli::Common;
use crate::cli::bench::BenchGpu;
use crate::console::Console;
use crate::device::Device;
use crate::outcome::{Outcome, usage};
use anyhow::Context;
use mcodec_decode::gpu::{DeviceContent, Gpu, Options, Shares};
use mcodec_decode::{Entry, ReadOptions, Reader};
use mcodec_encode::{Output, encode_path};
use mcodec_format::registry::{MAGIC, coding};
use serde::Serialize;
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

const METHOD: &str = "MB/s are 10^6 decoded bytes a second, by the median time. \"Resident\" is from compressed chunks in the device's \
memory to floats in it, by the device's clock and by the host's, which also waits for the end; \"upload\" begins with the file in the \
host's memory: checksums, taking chunks apart, upload, decoding, and what the GPU leaves to the CPU. Copies read and write as many bytes. \
One pass before those that count compiles the kernels.";

/// All files.
#[derive(Serialize)]
struct Report {
    mcodec: &'static str,
    machine: String,
    adapter: String,
    /// The adapter is a program on the CPU: its speed says nothing of a GPU.
    adapter_is_cpu: bool,
    binding_bytes: u64,
    method: &'static str,
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct FileReport {
    file: String,
    /// Decoded bytes of the tensors of coding labelled, copies counted.
    bytes: u64,
    /// Of these, what the GPU decodes.
    gpu_bytes: u64,
    uploaded_bytes: u64,
    exact: bool,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    what: String,
    seconds: f64,
    mb_s: f64,
}

/// Measures, and prints a table for each file, or JSON.
pub(crate) fn run(args: &BenchGpu, common: &Common, console: &Console) -> anyhow::Result<Outcome> {
    let mut options = Options::default();
    match &args.device {
        Device::Cpu => return Err(usage("bench gpu measures a GPU")),
        Device::Gpu(name) => options.adapter.clone_from(name),
    }
    options.max_binding = args.binding.map(|mib| mib << 20);
    options.no_subgroups = args.no_subgroups;
    let gpu = Gpu::open(&options)?;
    let mut files = Vec::new();
    for file in &args.files {
        let bench = Bench { args, common, console, gpu: &gpu };
        files.push(bench.file(file).with_context(|| format!("measuring {}", file.display()))?);
    }
    let report = Report {
        mcodec: env!("CARGO_PKG_VERSION"),
        machine: machine::describe(),
        adapter: gpu.info().to_string(),
        adapter_is_cpu: gpu.info().is_cpu,
        binding_bytes: gpu.max_binding(),
        method: METHOD,
        files,
    };
    if console.json() {
        console.print_json(&report)?;
    } else {
        console.print(&render(&report)?)?;
    }
    let exact = report.files.iter().all(|file| file.exact);
    Ok(if exact { Outcome::Done } else { Outcome::Failed })
}

struct Bench<'a> {
    args: &'a BenchGpu,
    common: &'a Common,
    console: &'a Console,
    gpu: &'a Gpu,
}

/// A file in memory, and what of it is measured.
struct Input {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

type Wanted<'e> = Vec<(&'e Entry, Range<u64>)>;

impl Bench<'_> {
    fn reader<'b>(&self, bytes: &'b Vec<u8>, threads: usize) -> anyhow::Result<Reader<&'b Vec<u8>>> {
        let mut options = ReadOptions::default().threads(threads);
        options.limits.memory = options.limits.memory.max(self.gpu.max_binding().saturating_mul(4));
        options.limits.output_bytes = u64::MAX;
        Ok(Reader::open(bytes, options)?)
    }

    fn input(&self, path: &Path) -> anyhow::Result<Input> {
        let mut bytes = std::fs::read(path)?;
        if !bytes.starts_with(&MAGIC) {
            let folder = tempfile::tempdir()?;
            let coded = folder.path().join("coded.mcodec");
            let output = Output::File { path: coded.clone(), force: true };
            encode_path(path, None, output, &self.console.encode_options(self.common))?;
            bytes = std::fs::read(coded)?;
        }
        let reader = self.reader(&bytes, 1)?;
        let mut entries = Vec::new();
        for asset in reader.assets()? {
            for row in reader.rows(&asset.name)? {
                let entry = reader.resolve(row)?;
                if entry.chunking().coding == coding::LABELLED
                    && entry.row_ref().get().id == entry.content().get().id
                {
                    entries.push(entry);
                }
            }
        }
        drop(reader);
        Ok(Input { bytes, entries })
    }

    fn file(&self, path: &Path) -> anyhow::Result<FileReport> {
        let input = self.input(path)?;
        let wanted: Wanted<'_> = (0..self.args.copies)
            .flat_map(|_| input.entries.iter().map(|entry| (entry, 0..entry.byte_len())))
            .collect();
        let bytes = wanted.iter().map(|(_, range)| range.end).sum();
        if bytes == 0 {
            anyhow::bail!("it has no tensors of coding labelled");
        }
        let one = self.reader(&input.bytes, 1)?;
        let all = self.reader(&input.bytes, self.common.threads())?;
        let resident = all.keep_on_gpu(&wanted, self.gpu)?;
        let Shares { gpu: gpu_bytes, .. } = resident.shares();
        let uploaded_bytes = resident.uploaded();
        let mut rows = Vec::new();
        let mut row = |what: &str, bytes: u64, seconds: f64| {
            rows.push(Row { what: what.into(), seconds, mb_s: bytes as f64 / 1e6 / seconds });
        };
        let mut device = Vec::new();
        let wall = self.time(|| {
            let (_, taken) = resident.decode_timed()?;
            device.extend(taken.map(|taken| taken.as_secs_f64()));
            Ok(())
        })?;
        if device.len() > 1 {
            // The one that does not count.
            device.remove(0);
        }
        device.sort_unstable_by(f64::total_cmp);
        if let Some(median) = device.get(device.len() / 2).filter(|_| gpu_bytes > 0) {
            row("GPU, resident, device clock", gpu_bytes, *median);
        }
        if gpu_bytes > 0 {
            row("GPU, resident", gpu_bytes, wall);
        }
        let exact = self.exact(&one, &wanted, resident.contents())?;
        row("GPU copy", bytes, self.device_copy(resident.contents())?);
        drop(resident);
        let uploading = self.time(|| {
            all.read_to_gpu(&wanted, self.gpu)?;
            Ok(self.gpu.wait()?)
        })?;
        row("GPU, with upload", bytes, uploading);
        let once = usize::try_from(bytes / u64::from(self.args.copies))?;
        let mut buffer = vec![1u8; once];
        let threads = self.common.threads();
        let threads = if threads == 0 { std::thread::available_parallelism()?.get() } else { threads };
        for (reader, threads) in [(&one, 1), (&all, threads)].into_iter().take(threads.min(2)) {
            let seconds = self.time(|| {
                for _ in 0..self.args.copies {
                    let mut rest = &mut buffer[..];
                    for entry in &input.entries {
                        let (out, after) = rest.split_at_mut(entry.byte_len() as usize);
                        reader.read_into(entry, 0..entry.byte_len(), out)?;
                        rest = after;
                    }
                }
                Ok(())
            })?;
            row(&format!("CPU, {threads} threads"), bytes, seconds);
        }
        let copied = buffer.clone();
        let seconds = self.time(|| {
            for _ in 0..self.args.copies {
                buffer.copy_from_slice(std::hint::black_box(&copied));
            }
            Ok(())
        })?;
        row("CPU copy", bytes, seconds);
        Ok(FileReport { file: path.display().to_string(), bytes, gpu_bytes, uploaded_bytes, exact, rows })
    }

    /// The median of the repetitions, after one that does not count.
    fn time(&self, call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
        Ok(time(self.args.reps, self.console.cancel(), call)?.seconds)
    }

    fn exact(
        &self,
        reader: &Reader<&Vec<u8>>,
        wanted: &Wanted<'_>,
        contents: &[DeviceContent],
    ) -> anyhow::Result<bool> {
        for ((entry, range), content) in wanted.iter().zip(contents) {
            if reader.read(entry, range.clone())? != content.download(self.gpu)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Seconds of copying the contents within the device's memory.
    fn device_copy(&self, contents: &[DeviceContent]) -> anyhow::Result<f64> {
        let Some(from) = contents.first().map(DeviceContent::buffer) else { return Ok(0.0) };
        let to = self.gpu.buffer(from.len())?;
        self.time(|| {
            self.gpu.copy(from, &to)?;
            Ok(self.gpu.wait()?)
        })
    }
}

fn render(report: &Report) -> anyhow::Result<String> {
    let mut out = String::new();
    for file in &report.files {
        let [bytes, on_gpu, uploaded] =
            [file.bytes, file.gpu_bytes, file.uploaded_bytes].map(|n| n as f64 / 1e6);
        writeln!(out, "### {}: {bytes:.2} MB of labelled floats\n", file.file)?;
        writeln!(out, "| {:<27} | {:>10} | {:>10} |", "", "ms", "MB/s")?;
        writeln!(out, "| :{:-<26} | {:->9}: | {:->9}: |", "", "", "")?;
        for row in &file.rows {
            writeln!(out, "| {:<27} | {:>10.3} | {:>10.0} |", row.what, row.seconds * 1e3, row.mb_s)?;
        }
        writeln!(out, "\nThe GPU decodes {on_gpu:.2} MB of it, from {uploaded:.2} MB in its memory.")?;
        writeln!(out, "{}\n", if file.exact { "All came back bit for bit." } else { "NOT EXACT." })?;
    }
    writeln!(out, "{}", report.method)?;
    let note = if report.adapter_is_cpu {
        " This adapter is a program on the CPU: its speed says nothing of a GPU."
    } else {
        ""
    };
    let (adapter, binding) = (&report.adapter, report.binding_bytes >> 20);
    writeln!(out, "GPU: {adapter}, bindings of up to {binding} MiB.{note}")?;
    writeln!(out, "Machine: {}.", report.machine)?;
    Ok(out)
}
