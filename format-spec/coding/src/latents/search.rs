//! A number of a dense grid while it is searched for, half by half.

use super::dense::EXPERTS;

/// What is known of a number while it is searched for.
pub(super) struct Search {
    /// It is at least this.
    pub(super) low: i32,
    /// And below this.
    pub(super) high: i32,
    /// What each expert gives to all below `low`, and below `high`.
    pub(super) at_low: [u32; EXPERTS],
    pub(super) at_high: [u32; EXPERTS],
    pub(super) middle: [i32; EXPERTS],
    pub(super) inverse: [i64; EXPERTS],
    pub(super) channel: usize,
    pub(super) class: usize,
}

impl Search {
    /// Knows that the number is in a range of at least one.
    #[inline(always)]
    pub(super) fn between(&mut self, low: i32, high: i32) {
        self.low = low;
        self.high = high.max(low + 1);
    }
}
