//! The alias layout of a table's slots (`SPEC.md` section 7.3).
//!
//! Each of B buckets holds slots of at most two symbols, so that a decoder may look a slot up in B small entries kept
//! in registers instead of 2^P entries in memory.

/// How each bucket is divided.
pub(crate) struct Layout {
    /// Slots of a bucket that belong to the symbol of the bucket's number.
    own: Vec<u32>,
    /// The symbol the bucket's other slots belong to.
    alias: Vec<u16>,
    /// Slots in a bucket.
    bucket_slots: u32,
}

impl Layout {
    /// Lays out frequencies that sum to `buckets * bucket_slots`, at most one symbol a bucket.
    pub(crate) fn new(freqs: &[u16], buckets: usize, bucket_slots: u32) -> Self {
        let mut own: Vec<u32> = freqs.iter().map(|&f| u32::from(f)).collect();
        own.resize(buckets, 0);
        let mut alias: Vec<u16> = (0..buckets as u16).collect();
        let find = |own: &[u32], from: usize, is_large: bool| {
            (from..buckets).find(|&s| (own[s] >= bucket_slots) == is_large).unwrap_or(buckets)
        };

        let mut large = find(&own, 0, true);
        let mut small = find(&own, 0, false);
        let mut next = small + 1;
        while large < buckets && small < buckets {
            alias[small] = large as u16;
            own[large] -= bucket_slots - own[small];
            if own[large] >= bucket_slots || next <= large {
                small = find(&own, next, false);
                next = small + 1;
            } else {
                small = large;
            }
            large = find(&own, large, true);
        }
        Self { own, alias, bucket_slots }
    }

    /// Of each bucket: how many slots are its own symbol's, the symbol of the others, and the rank of the first of these.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u32, usize, u32)> + '_ {
        let mut next_rank = self.own.clone();
        self.own.iter().zip(&self.alias).map(move |(&own, &alias)| {
            let symbol = usize::from(alias);
            let rank = next_rank[symbol];
            next_rank[symbol] += self.bucket_slots - own;
            (own, symbol, rank)
        })
    }

    /// Calls `visit(slot, symbol, rank)` for every slot, by rising slot.
    pub(crate) fn for_each_slot(&self, mut visit: impl FnMut(usize, usize, u32)) {
        let slots = self.bucket_slots as usize;
        for (bucket, (own, alias, first)) in self.buckets().enumerate() {
            let (from, others) = (bucket * slots, bucket * slots + own as usize);
            (from..others).zip(0..).for_each(|(slot, rank)| visit(slot, bucket, rank));
            (others..from + slots).zip(first..).for_each(|(slot, rank)| visit(slot, alias, rank));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every (symbol, rank) must own exactly one slot, and every bucket at most two symbols.
    fn check(freqs: &[u16], precision: u32, buckets: usize) {
        let slots = (1u32 << precision) / buckets as u32;
        let layout = Layout::new(freqs, buckets, slots);
        let mut seen: Vec<Vec<bool>> = freqs.iter().map(|&f| vec![false; usize::from(f)]).collect();
        let mut expected = 0;
        layout.for_each_slot(|slot, symbol, rank| {
            assert_eq!(slot, expected);
            expected += 1;
            let cell = &mut seen[symbol][rank as usize];
            assert!(!*cell, "slot {slot} repeats rank {rank} of {symbol}");
            *cell = true;
        });
        assert_eq!(expected, 1 << precision);
        assert!(seen.iter().flatten().all(|&cell| cell));
        assert!(layout.own.iter().all(|&own| own <= slots));
    }

    fn freqs_from(weights: &[u32], precision: u32) -> Vec<u16> {
        let total: u64 = weights.iter().map(|&w| u64::from(w) + 1).sum();
        let room = (1u64 << precision) - weights.len() as u64;
        let mut freqs: Vec<u16> =
            weights.iter().map(|&w| 1 + ((u64::from(w) + 1) * room / total) as u16).collect();
        let used: u32 = freqs.iter().map(|&f| u32::from(f)).sum();
        freqs[0] += ((1 << precision) - used) as u16;
        freqs
    }

    #[test]
    fn extreme_layouts() {
        for precision in 10..=15 {
            for buckets in [64, 128, 256] {
                check(&[1 << precision], precision, buckets);
                check(&[1, (1 << precision) - 1], precision, buckets);
                check(&[(1 << precision) - 1, 1], precision, buckets);
                check(&vec![(1 << precision) / buckets as u16; buckets], precision, buckets);
                let mut ones = vec![1; buckets];
                for place in [0, buckets / 2, buckets - 1] {
                    ones.fill(1);
                    ones[place] = (1 << precision) - (buckets as u16 - 1);
                    check(&ones, precision, buckets);
                }
            }
        }
    }

    #[test]
    fn a_small_layout_by_hand() {
        // P = 10, B = 64, T = 16: buckets 1.. are filled from the big symbol 0, which at the end keeps one bucket.
        let layout = Layout::new(&[1020, 4], 64, 16);
        assert_eq!((layout.own[0], layout.own[1], layout.alias[1]), (16, 4, 0));
        assert!(layout.own[2..].iter().all(|&own| own == 0));
    }

    proptest! {
        #[test]
        fn random_layouts(
            weights in proptest::collection::vec(prop_oneof![0u32..4, 0u32..1_000_000], 1..=256),
            precision in 10u32..=15,
        ) {
            let buckets = [64, 128, 256].into_iter().find(|&b| b >= weights.len()).unwrap();
            check(&freqs_from(&weights, precision), precision, buckets);
        }
    }
}
