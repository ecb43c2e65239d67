//! The classes and sign biases of a block's elements, in order.

use super::decode::GROUP;
use super::payload::Block;

/// The labels of a group of elements.
pub(super) struct Scratch {
    classes: [u8; GROUP],
    biases: [i8; GROUP],
}

impl Default for Scratch {
    fn default() -> Self {
        Self { classes: [0; GROUP], biases: [0; GROUP] }
    }
}

/// Goes through the classes and biases of a block's elements in order.
pub(super) struct Labelled<'b> {
    block: &'b Block<'b>,
    row: usize,
    column: usize,
}

impl<'b> Labelled<'b> {
    pub(super) fn new(block: &'b Block<'b>) -> Self {
        Self::at(block, 0)
    }

    pub(super) fn at(block: &'b Block<'b>, element: usize) -> Self {
        let place = block.first_column + element;
        Self { block, row: place / block.columns, column: place % block.columns }
    }

    /// The classes and biases (none: all 0) of the next `count` elements.
    pub(super) fn fill<'s>(&mut self, count: usize, scratch: &'s mut Scratch) -> (&'s [u8], &'s [i8]) {
        let Scratch { classes, biases } = scratch;
        let (columns, bias_of) = (self.block.column_classes(), self.block.biases());
        let mut at = 0;
        while at < count {
            let run = (self.block.columns - self.column).min(count - at);
            let row = self.block.rows[self.row].class;
            let target = &mut classes[at..at + run];
            match columns.get(self.column..self.column + run) {
                Some(labels) => target.iter_mut().zip(labels).for_each(|(class, label)| *class = row + label),
                None => target.fill(row),
            }
            if let Some(labels) = bias_of.get(self.column..self.column + run) {
                biases[at..at + run].copy_from_slice(labels);
            }
            at += run;
            self.column += run;
            if self.column == self.block.columns {
                (self.row, self.column) = (self.row + 1, 0);
            }
        }
        (&classes[..count], if bias_of.is_empty() { &[] } else { &biases[..count] })
    }
}
