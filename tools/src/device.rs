//! The device that decodes.

use crate::console::Console;
use crate::input::FileReader;
use std::str::FromStr;

/// What `--device` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Device {
    /// This processor.
    Cpu,
    /// A GPU, by a part of its name if one is given.
    Gpu(Option<String>),
}

impl FromStr for Device {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("gpu:")) {
            ("cpu", _) => Ok(Self::Cpu),
            ("gpu", _) => Ok(Self::Gpu(None)),
            (_, Some(name)) if !name.is_empty() => Ok(Self::Gpu(Some(name.to_owned()))),
            _ => Err("it is cpu, gpu, or gpu:NAME"),
        }
    }
}

/// The reader, decoding on `device`.
pub(crate) fn reading_on(
    reader: FileReader,
    device: &Device,
    console: &Console,
) -> anyhow::Result<FileReader> {
    let Device::Gpu(name) = device else { return Ok(reader) };
    #[cfg(feature = "gpu")]
    {
        use mcodec_decode::gpu::{Gpu, Options};
        let options = name.as_ref().map_or_else(Options::default, |name| Options::default().adapter(name));
        let gpu = Gpu::open(&options)?;
        let note = if gpu.info().is_cpu { ", a program on the CPU" } else { "" };
        console.note(&format!("decoding on {}{note}", gpu.info()));
        Ok(reader.on_gpu(gpu.into()))
    }
    #[cfg(not(feature = "gpu"))]
    {
        let (_, _) = (name, console);
        Err(crate::outcome::usage(
            "this mcodec was built without the feature \"gpu\", which --device gpu needs",
        ))
    }
}

/// Bytes of a picture's buffer at most, if the GPU allows so much.
#[cfg(feature = "gpu")]
const MOST_BINDING: u64 = 1 << 31;

/// Whether a GPU does what it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum UseGpu {
    /// Always; a driver that is a program on the CPU counts
    On,
    /// Never
    Off,
    /// If there is a real one
    #[default]
    Auto,
}

impl UseGpu {
    /// Where pictures are fitted and weights are rounded.
    pub(crate) fn encoding(self) -> anyhow::Result<mcodec_encode::Device> {
        use mcodec_encode::{Device, UseGpu};
        Ok(Device::new(match self {
            Self::On if cfg!(not(feature = "gpu")) => return Err(without_gpu()),
            Self::On => UseGpu::On,
            Self::Off => UseGpu::Off,
            Self::Auto => UseGpu::Auto,
        }))
    }

    /// The reader, which draws images there.
    pub(crate) fn drawing(self, reader: FileReader, console: &Console) -> anyhow::Result<FileReader> {
        #[cfg(feature = "gpu")]
        {
            use mcodec_decode::gpu::{Gpu, Options};
            let is_on = self == Self::On;
            let gpu = match self {
                Self::Off => return Ok(reader),
                Self::On => Gpu::open(&Options::default().max_binding(MOST_BINDING))?,
                Self::Auto => match Gpu::open(&Options::default().hardware().max_binding(MOST_BINDING)) {
                    Ok(gpu) => gpu,
                    Err(_) => return Ok(reader),
                },
            };
            if is_on {
                let note = if gpu.info().is_cpu { ", a program on the CPU" } else { "" };
                console.note(&format!("drawing on {}{note}", gpu.info()));
            }
            Ok(reader.drawing_on(gpu.into(), !is_on))
        }
        #[cfg(not(feature = "gpu"))]
        {
            _ = console;
            if self == Self::On { Err(without_gpu()) } else { Ok(reader) }
        }
    }
}

fn without_gpu() -> anyhow::Error {
    crate::outcome::usage("this mcodec was built without the feature \"gpu\", which --gpu on needs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        assert_eq!("cpu".parse(), Ok(Device::Cpu));
        assert_eq!("gpu".parse(), Ok(Device::Gpu(None)));
        assert_eq!("gpu:a100".parse(), Ok(Device::Gpu(Some("a100".into()))));
        for wrong in ["", "GPU", "gpu:", "cpu:0", "tpu"] {
            assert!(wrong.parse::<Device>().is_err(), "{wrong}");
        }
    }
}
