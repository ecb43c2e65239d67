//! Mutations that know the format: after a change, checks are set right, so that inputs get past the front door.

pub mod dice;
pub mod locate;
pub mod page_bytes;
pub mod payload;
pub mod repair;
pub mod rows;
pub mod splice;

use dice::Dice;

/// libFuzzer's own mutation of `data[..size]` to at most `max_size` bytes; returns the new length.
pub type Plain<'a> = &'a mut dyn FnMut(&mut [u8], usize, usize) -> usize;

/// One in so many inputs is left as the mutation broke it.
const BROKEN: u32 = 8;

/// Mutates a container file: its bytes, the payload of one frame or chunk, or what a page says. Checks of indexed chunks are
/// only set right for targets that read them.
pub fn container(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    reads_chunks: bool,
    plain: Plain<'_>,
) -> usize {
    let mut dice = Dice::new(seed);
    let mut file = data[..size].to_vec();
    match dice.below(8) {
        0 | 1 => {
            let size = plain(data, size, max_size);
            file = data[..size].to_vec();
        }
        2..=4 => payload::mutate(&mut file, &mut dice, reads_chunks, plain),
        _ => rows::mutate(&mut file, &mut dice),
    }
    if !dice.one_in(BROKEN) {
        repair::file(&mut file, reads_chunks);
    }
    let len = file.len().min(max_size);
    data[..len].copy_from_slice(&file[..len]);
    len
}
