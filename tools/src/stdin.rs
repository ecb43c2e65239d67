//! The standard input, read by a thread of its own: a user who wants to stop is heard even while nothing arrives.

use crate::interrupt::Cancel;
use crate::outcome::usage;
use std::io::{self, IsTerminal, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Bytes read at once; two such pieces wait at most.
const PIECE: usize = 1 << 20;

/// The receiving end.
struct Pieces {
    from: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    cancel: Cancel,
}

/// The standard input; a terminal is refused.
pub(crate) fn open(cancel: &Cancel) -> anyhow::Result<Box<dyn Read + Send>> {
    if io::stdin().is_terminal() {
        return Err(usage("the standard input is a terminal: name a file, or use a pipe"));
    }
    let (to, from) = sync_channel(2);
    std::thread::Builder::new().name("stdin".into()).spawn(move || pump(io::stdin(), &to))?;
    Ok(Box::new(Pieces { from, piece: Vec::new(), at: 0, cancel: cancel.clone() }))
}

/// Sends pieces until the input ends or nobody listens.
fn pump(mut input: impl Read, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = match input.read(&mut piece) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read,
        };
        let more = matches!(read, Ok(n) if n > 0);
        let sent = to.send(read.map(|n| {
            piece.truncate(n);
            piece
        }));
        // An empty piece is the end.
        if sent.is_err() || !more {
            return;
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.from.recv_timeout(Duration::from_millis(100)) {
                Ok(piece) => {
                    self.piece = piece?;
                    self.at = 0;
                    if self.piece.is_empty() {
                        return Ok(0);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) => self.cancel.check().map_err(io::Error::other)?,
            }
        }
        let n = buf.len().min(self.piece.len() - self.at);
        buf[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_arrive_whole_and_in_order() {
        let data: Vec<u8> = (0..3_000_000u32).map(|i| (i * 7) as u8).collect();
        let (to, from) = sync_channel(2);
        let source = io::Cursor::new(data.clone());
        std::thread::spawn(move || pump(source, &to));
        let mut pieces = Pieces { from, piece: Vec::new(), at: 0, cancel: Cancel::default() };
        let mut out = Vec::new();
        pieces.read_to_end(&mut out).unwrap();
        assert_eq!(out, data);
        assert_eq!(pieces.read(&mut [0]).unwrap(), 0);
    }
}
