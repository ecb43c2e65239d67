//! The numbers of a set and their contexts, laid out (`SPEC.md` section 7.7.6), and what they start from.

use super::mixing::Mixer;
use super::numbers::{Layout, Signed, Tree, Unsigned};
use super::positions::CountModel;
use std::sync::LazyLock;

/// What a plane holds, as far as coding is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// The first plane of a colour: its luma.
    Luma = 0,
    /// The second.
    BlueRed = 1,
    /// The third.
    GreenMagenta = 2,
    /// Anything else.
    Other = 3,
}

/// Ones of a sum of levels before it is an escape.
const SUM_ONES: u32 = 64;
/// Ones of other numbers.
const ONES: u32 = 24;

/// Every number of a set.
#[derive(Debug)]
pub(super) struct Model {
    /// log2 of the count of a set, under its class.
    pub(super) count: Tree<1>,
    pub(super) counts: CountModel,
    /// The sum of both levels.
    pub(super) sum: Unsigned<3>,
    /// Half their difference.
    pub(super) difference: Unsigned<3>,
    pub(super) angle: Tree<3>,
    /// By role.
    pub(super) colours: [Signed<4>; 4],
    /// Number of contexts and weights.
    layout: Layout,
}

/// Most bits of an angle that are coded under contexts.
pub(super) const ANGLE_TREE_BITS: u32 = 6;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let mut layout = Layout::default();
    let count = Tree::new(&mut layout, [4], 4);
    let counts = CountModel::new(&mut layout);
    let sum = Unsigned::new(&mut layout, [16 * 32, 65, 21 * 33], SUM_ONES);
    let difference = Unsigned::new(&mut layout, [64, 32, 16 * 22], ONES);
    let angle = Tree::new(&mut layout, [9 * 8, 9 * 8, 9 * 16], ANGLE_TREE_BITS);
    let colours =
        core::array::from_fn(|_| Signed::new(&mut layout, [16 * 5, 13 * 32, 32 * 16, 3 * 64], ONES));
    Model { count, counts, sum, difference, angle, colours, layout }
});

/// The model.
pub(super) fn model() -> &'static Model {
    &MODEL
}

/// A mixer that has learned nothing: for training the one that sets start from.
#[must_use]
pub fn untrained() -> Mixer {
    MODEL.layout.mixer()
}

/// What coding of every set starts from: trained, and part of the format.
#[must_use]
pub fn trained() -> &'static Mixer {
    static TRAINED: LazyLock<Mixer> = LazyLock::new(|| super::training::read(untrained()));
    &TRAINED
}
