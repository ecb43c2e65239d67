//! Ctrl-C: the first asks the command to stop and tidy up, the second ends the process at once.

use crate::outcome::Interrupted;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set when the user wants the command to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Fails if the user wants to stop.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if self.0.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }

    /// The flag itself.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// Installs the handler. Without one (if the system refuses it) Ctrl-C ends the process as usual.
pub(crate) fn install() -> Cancel {
    let cancel = Cancel::default();
    let flag = cancel.flag();
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
    };
    _ = ctrlc::set_handler(handler);
    cancel
}
