//! What is known of a position of a grid before its first number: fixed guesses, features of least squares, errors nearby.

use super::cells::VALUE_LIMIT;
use super::dense::{FIXED, TRACKED, tracked};
use super::least_squares::{FEATURE_LIMIT, LOCAL, OWN};
use super::neighbours::Neighbours;
use super::profile::Profile;

/// Values of a frame and what is known of them, each a plane of positions by channels, with a position of zeros at the end.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) values: Vec<i32>,
    /// Values less those of the frame before.
    pub(super) changes: Vec<i32>,
    pub(super) errors: [Vec<i32>; TRACKED],
    pub(super) copied: Vec<bool>,
}

impl Frame {
    pub(super) fn new(positions: usize, lanes: usize) -> Self {
        let plane = || vec![0i32; (positions + 1) * lanes];
        Self {
            values: plane(),
            changes: plane(),
            errors: core::array::from_fn(|_| plane()),
            copied: vec![false; positions + 1],
        }
    }
}

/// Of each channel, what is known of the position.
#[derive(Clone)]
pub(super) struct Position {
    lanes: usize,
    /// The values of the frame before.
    pub(super) base: Vec<i32>,
    pub(super) fixed: [Vec<i32>; FIXED],
    /// Features of the predictor of the channel's own, one after another.
    pub(super) own: Vec<i32>,
    pub(super) own_known: Vec<i64>,
    /// Features of the predictor that all channels share, one after another.
    pub(super) local: Vec<i32>,
    pub(super) local_guess: Vec<i32>,
    pub(super) target: Vec<i32>,
    /// Mean errors nearby.
    pub(super) activity: [Vec<i32>; TRACKED],
}

impl Position {
    pub(super) fn new(lanes: usize) -> Self {
        let plane = |n: usize| vec![0i32; n * lanes];
        Self {
            lanes,
            base: plane(1),
            fixed: core::array::from_fn(|_| plane(1)),
            own: plane(OWN),
            own_known: vec![0; lanes],
            local: plane(LOCAL),
            local_guess: plane(1),
            target: plane(1),
            activity: core::array::from_fn(|_| plane(1)),
        }
    }

    /// Learns all there is to know, under a profile, of a position of frame number `frame`.
    #[inline(always)]
    pub(super) fn prepare<P: Profile>(&mut self, frame: usize, at: &Neighbours, now: &Frame, before: &Frame) {
        self.guess(at, now, before);
        if P::LEAST_SQUARES {
            self.features(at, now, before);
        }
        for k in 0..tracked::<P>() {
            self.look_at_errors(k, frame, at, &now.errors[k], &before.errors[k]);
        }
    }

    #[inline(always)]
    fn guess(&mut self, at: &Neighbours, now: &Frame, before: &Frame) {
        let lanes = self.lanes;
        let value = |place: usize| &now.values[place..place + lanes];
        let change = |place: usize| &now.changes[place..place + lanes];
        let base = &before.values[at.here..at.here + lanes];
        let (l, u) = (change(at.left), change(at.up));
        let (ul, ur) = (change(at.up_left), change(at.up_right));
        let (vl, vu, vul) = (value(at.left), value(at.up), value(at.up_left));
        let [same, plane, sides, corners] = &mut self.fixed;
        let (same, plane) = (&mut same[..lanes], &mut plane[..lanes]);
        let (sides, corners) = (&mut sides[..lanes], &mut corners[..lanes]);
        let limit = |guess: i32| guess.clamp(-VALUE_LIMIT, VALUE_LIMIT);
        self.base.copy_from_slice(base);
        for c in 0..lanes {
            same[c] = limit(base[c]);
            plane[c] = limit((3 * (vl[c] + vu[c]) - 2 * vul[c]) >> 2);
            sides[c] = limit(base[c] + ((l[c] + u[c]) >> 1));
            corners[c] = limit(base[c] + ((2 * (l[c] + u[c]) - ul[c] + ur[c]) >> 2));
        }
    }

    #[inline(always)]
    fn features(&mut self, at: &Neighbours, now: &Frame, before: &Frame) {
        let lanes = self.lanes;
        let base = &self.base[..];
        let (local, own) = (&mut self.local, &mut self.own);
        let limit = |v: i32| v.clamp(-FEATURE_LIMIT, FEATURE_LIMIT);
        let changes = [at.left, at.up, at.up_left, at.up_right];
        for (i, place) in changes.into_iter().enumerate() {
            let from = &now.changes[place..place + lanes];
            let (local, own) = (&mut local[i * lanes..][..lanes], &mut own[i * lanes..][..lanes]);
            for c in 0..lanes {
                local[c] = limit(from[c]);
                own[c] = local[c];
            }
        }
        for (i, place) in at.around.into_iter().enumerate() {
            let from = &before.values[place..place + lanes];
            // The change of this place is among them, as the ninth.
            let local = &mut local[(if i < 4 { 4 + i } else { 5 + i }) * lanes..][..lanes];
            for c in 0..lanes {
                local[c] = limit(from[c] - base[c]);
            }
            if i < 4 {
                own[(4 + i) * lanes..][..lanes].copy_from_slice(local);
            }
        }
        let [west, east, north, south, ..] = at.around;
        for (i, place) in [at.here, west, east, north, south].into_iter().enumerate() {
            let from = &before.changes[place..place + lanes];
            let own = &mut own[(8 + i) * lanes..][..lanes];
            for c in 0..lanes {
                own[c] = limit(from[c]);
            }
            if i == 0 {
                local[8 * lanes..][..lanes].copy_from_slice(own);
            }
        }
    }

    #[inline(always)]
    fn look_at_errors(&mut self, k: usize, frame: usize, at: &Neighbours, now: &[i32], before: &[i32]) {
        let lanes = self.lanes;
        let now = |place: usize| &now[place..place + lanes];
        let before = |place: usize| &before[place..place + lanes];
        let (l, u, ul, ur) = (now(at.left), now(at.up), now(at.up_left), now(at.up_right));
        let (here, east, south) = (before(at.here), before(at.around[1]), before(at.around[3]));
        let activity = &mut self.activity[k][..lanes];
        for c in 0..lanes {
            activity[c] = 2 * (l[c] + u[c]) + ul[c] + ur[c];
        }
        // The frame before the second had none before it.
        if frame < 2 {
            activity.iter_mut().for_each(|sum| *sum /= 6);
        } else {
            for c in 0..lanes {
                activity[c] = (activity[c] + 2 * here[c] + east[c] + south[c]) / 10;
            }
        }
    }
}
