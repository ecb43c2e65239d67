//! Where pictures are fitted and weights are rounded: on the CPU, or on a GPU if there is one.

use crate::{EncodeError, Result};
#[cfg(feature = "gpu")]
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a buffer at most, if the device allows so much: a large picture has one.
#[cfg(feature = "gpu")]
const MOST_BINDING: u64 = 1 << 31;

/// Whether a GPU is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UseGpu {
    /// Never.
    #[default]
    Off,
    /// If there is one, which a driver that is a program on the CPU is not, and for as long as it does what is asked of it.
    Auto,
    /// Always: what it cannot do is an error.
    On,
}

/// Where pictures are fitted and weights are rounded. Clones share what they find out. Without the feature `gpu` there is only the CPU.
#[derive(Debug, Clone, Default)]
pub struct Device {
    choice: UseGpu,
    #[cfg(feature = "gpu")]
    state: Arc<Mutex<State>>,
    /// Who works on the GPU alone holds it.
    #[cfg(feature = "gpu")]
    turn: Arc<Mutex<()>>,
}

/// A GPU, as far as it is known.
#[cfg(feature = "gpu")]
#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    Open(Arc<mcodec_gpu::Gpu>),
    /// Not there, or it has failed, and why.
    None(Option<String>),
}

impl Device {
    /// As this says; a GPU is opened when it is first needed.
    #[must_use]
    pub fn new(choice: UseGpu) -> Self {
        Self {
            choice,
            #[cfg(feature = "gpu")]
            state: Arc::default(),
            #[cfg(feature = "gpu")]
            turn: Arc::default(),
        }
    }

    /// This GPU, which is open; with [`UseGpu::Auto`] the CPU takes over if it fails.
    #[cfg(feature = "gpu")]
    #[must_use]
    pub fn gpu(gpu: Arc<mcodec_gpu::Gpu>, choice: UseGpu) -> Self {
        Self { choice, state: Arc::new(Mutex::new(State::Open(gpu))), turn: Arc::default() }
    }

    /// Where something is done that only the CPU can do.
    pub(crate) fn without_gpu(&self, what: &str) -> Result<Self> {
        match self.choice {
            UseGpu::On => Err(EncodeError::Request(format!("{what} is done on the CPU only"))),
            UseGpu::Auto | UseGpu::Off => Ok(Self::new(UseGpu::Off)),
        }
    }

    /// The GPU that is used, once it is.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        #[cfg(feature = "gpu")]
        if let State::Open(gpu) = &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(gpu.info().to_string());
        }
        None
    }

    /// Why the CPU has taken over from a GPU, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        #[cfg(feature = "gpu")]
        if let State::None(why) = &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            return why.clone();
        }
        None
    }

    /// The GPU, if one is to be used.
    #[cfg(feature = "gpu")]
    pub(crate) fn open(&self) -> Result<Option<Arc<mcodec_gpu::Gpu>>> {
        if self.choice == UseGpu::Off {
            return Ok(None);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Unknown) {
            let options = mcodec_gpu::Options::default().max_binding(MOST_BINDING);
            let options = if self.choice == UseGpu::Auto { options.hardware() } else { options };
            *state = match mcodec_gpu::Gpu::open(&options) {
                Ok(gpu) => State::Open(gpu.into()),
                Err(e) if self.choice == UseGpu::On => return Err(e.into()),
                // That there is none is no failure.
                Err(mcodec_gpu::GpuError::NoAdapter(_)) => State::None(None),
                Err(e) => State::None(Some(e.to_string())),
            };
        }
        Ok(match &*state {
            State::Open(gpu) => Some(Arc::clone(gpu)),
            State::Unknown | State::None(_) => None,
        })
    }

    /// Waits until nobody else who takes turns works on the GPU. While it is held, nothing may be left to other threads of a pool.
    #[cfg(feature = "gpu")]
    pub(crate) fn turn(&self) -> std::sync::MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the GPU made; none if the CPU is to do it, from now on or because this is too large there.
    #[cfg(feature = "gpu")]
    pub(crate) fn or_cpu<T>(&self, made: mcodec_gpu::Result<T>) -> Result<Option<T>> {
        match made {
            Ok(made) => Ok(Some(made)),
            Err(e) if self.choice == UseGpu::On => Err(e.into()),
            Err(mcodec_gpu::GpuError::TooLarge { .. }) => Ok(None),
            Err(e) => {
                *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::None(Some(e.to_string()));
                Ok(None)
            }
        }
    }
}
