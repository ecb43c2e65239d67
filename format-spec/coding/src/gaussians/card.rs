//! What alternatives of a Gaussian would cost: for encoders that weigh bits against errors.

/// Residuals of a colour index that are priced, to each side.
pub const PRICED: usize = 12;

/// The price list of one Gaussian: bits of what it is and of what is next to it on the grids, all else as it is, as the coder knows them
/// when its turn comes. What others cost that are coded under it is not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Bits of the levels of both scales, by how much they are off from the Gaussian's: `scales[1 + a][1 + b]` for (k0 + a, k1 + b); infinite
    /// where there is no such level.
    pub scales: [[f32; 3]; 3],
    /// Bits of the angle one step back, as it is, and one step on.
    pub angle: [f32; 3],
    /// Of each plane.
    pub colours: Vec<ColourCard>,
}

/// The price list of a colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColourCard {
    /// Value that is expected.
    pub expected: f32,
    /// Bits of each residual from -[`PRICED`] on.
    pub bits: [f32; 2 * PRICED + 1],
}

impl ColourCard {
    /// Bits of an index of this step.
    #[must_use]
    pub fn bits(&self, index: i32, step: f32) -> f32 {
        let off = index.saturating_sub((self.expected / step + 0.5).floor() as i32);
        let most = PRICED as i32;
        let beyond = off.saturating_abs().saturating_sub(most).max(0);
        let near = self.bits[(off.clamp(-most, most) + most) as usize];
        near + beyond as f32 * 0.25
    }
}
