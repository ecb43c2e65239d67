//! A reader that remembers what it gave out, until it is told that this will not be needed.

use std::cell::RefCell;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

/// Most bytes that are remembered. Descriptors of a million tensors take less.
const MOST: usize = 128 << 20;

struct State {
    input: BufReader<Box<dyn Read + Send>>,
    seen: Option<Vec<u8>>,
}

/// The reading end.
pub(crate) struct Tee(Rc<RefCell<State>>);

/// The remembering end.
pub(crate) struct Record(Rc<RefCell<State>>);

impl Tee {
    /// Starts to remember.
    pub(crate) fn new(input: Box<dyn Read + Send>) -> (Self, Record) {
        let input = BufReader::with_capacity(1 << 20, input);
        let state = Rc::new(RefCell::new(State { input, seen: Some(Vec::new()) }));
        (Self(Rc::clone(&state)), Record(state))
    }
}

impl Read for Tee {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let State { input, seen } = &mut *self.0.borrow_mut();
        let n = input.read(buf)?;
        if let Some(seen) = seen {
            if seen.len() + n > MOST {
                return Err(io::Error::other("the descriptors before the first chunk are too long"));
            }
            seen.extend_from_slice(&buf[..n]);
        }
        Ok(n)
    }
}

impl Record {
    /// Stops remembering and forgets.
    pub(crate) fn stop(&self) {
        self.0.borrow_mut().seen = None;
    }

    /// `head`, what was given out, and what is left of the input.
    pub(crate) fn into_rest(self, head: &[u8]) -> impl Read + use<> {
        let seen = self.0.borrow_mut().seen.take().unwrap_or_default();
        io::Cursor::new([head, &seen].concat()).chain(Tee(self.0))
    }
}
