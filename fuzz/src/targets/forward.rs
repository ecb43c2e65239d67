//! Reading forward: in any pieces, the same events and the same end.

use mcodec_decode::{ForwardEvent, ForwardReader};
use mcodec_format::{Limits, PREAMBLE_LEN};
use std::io::Read;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let once = events(bytes, usize::MAX);
    for piece in [1, 7, 4096] {
        let (events, end) = events(bytes, piece);
        assert_eq!(end, once.1, "pieces of {piece} end differently");
        assert!(events.len() == once.0.len() && events.iter().zip(&once.0).all(|(a, b)| same(a, b)));
    }
}

/// Hands out at most `piece` bytes at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(self.piece);
        self.rest.read(&mut buf[..len])
    }
}

fn events(bytes: &[u8], piece: usize) -> (Vec<ForwardEvent>, Option<String>) {
    let (head, rest) = bytes.split_at(bytes.len().min(PREAMBLE_LEN as usize));
    let mut all = Vec::new();
    let mut reader = match ForwardReader::new(head, Pieces { rest, piece }, Limits::strict()) {
        Ok(reader) => reader,
        Err(fault) => return (all, Some(fault.to_string())),
    };
    loop {
        match reader.next_event() {
            Ok(Some(event)) => all.push(event),
            Ok(None) => return (all, None),
            Err(fault) => return (all, Some(fault.to_string())),
        }
        assert!(all.len() <= bytes.len(), "more events than bytes");
    }
}

fn same(a: &ForwardEvent, b: &ForwardEvent) -> bool {
    match (a, b) {
        (ForwardEvent::Descriptors(a), ForwardEvent::Descriptors(b)) => a == b,
        (ForwardEvent::Index(a), ForwardEvent::Index(b)) => a == b,
        (ForwardEvent::Chunk { place: p, payload: a }, ForwardEvent::Chunk { place: q, payload: b }) => {
            p == q && a == b
        }
        (ForwardEvent::Unknown(a), ForwardEvent::Unknown(b)) => a == b,
        (ForwardEvent::End, ForwardEvent::End) => true,
        _ => false,
    }
}
