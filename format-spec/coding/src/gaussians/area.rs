//! The part of the plane that a set of Gaussians covers, in cells (`SPEC.md` section 7.7.4).

use super::quantiser::{Quantiser, Symbols};

/// How large the Gaussians of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grain {
    /// Cells of 8 pixels: Gaussians with a standard deviation above [`Grain::COARSE_SIGMA`].
    Coarse,
    /// Cells of 2 pixels.
    Fine,
}

impl Grain {
    /// In pixels: what has a greater standard deviation along one of its axes belongs to a coarse set.
    pub const COARSE_SIGMA: u32 = 20;

    /// log2 of a cell's side in eighths of a pixel.
    #[must_use]
    pub fn cell_bits(self) -> u32 {
        match self {
            Self::Coarse => 6,
            Self::Fine => 4,
        }
    }

    /// Which a Gaussian of these scales belongs to.
    #[must_use]
    pub fn of(quantiser: &Quantiser, scales: [u8; 2]) -> Self {
        let sigma = quantiser.sigma_fixed(scales[0].max(scales[1]));
        if sigma > Self::COARSE_SIGMA << 16 { Self::Coarse } else { Self::Fine }
    }
}

/// A rectangle of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Area {
    /// Size of the cells.
    pub grain: Grain,
    /// Number of the first column of cells, from the image's left edge.
    pub left: u32,
    /// Number of the first row of cells, from the image's top edge.
    pub top: u32,
    /// Columns of cells, at least 1.
    pub columns: u32,
    /// Rows of cells, at least 1.
    pub rows: u32,
}

impl Area {
    /// The cells of a whole image of `width` by `height` pixels.
    #[must_use]
    pub fn whole(grain: Grain, width: u32, height: u32) -> Self {
        let cells = |pixels: u32| (pixels.max(1)).div_ceil(1 << (grain.cell_bits() - 3));
        Self { grain, left: 0, top: 0, columns: cells(width), rows: cells(height) }
    }

    /// The cells of the page in column `x` and row `y` of pages of `side` pixels; `side` is a multiple of 8.
    #[must_use]
    pub fn page(grain: Grain, x: u32, y: u32, side: u32) -> Self {
        let cells = side >> (grain.cell_bits() - 3);
        Self { grain, left: x * cells, top: y * cells, columns: cells, rows: cells }
    }

    /// The column and row of the cell that holds the centre, from the area's corner; `None` outside of it.
    #[must_use]
    pub fn cell(&self, quantiser: &Quantiser, symbols: &Symbols) -> Option<(u32, u32)> {
        let cell = |index: u32, first: u32, count: u32| {
            let cell = quantiser.centre_fixed(symbols.scales, index) >> self.grain.cell_bits();
            let cell = u32::try_from(cell).ok()?.checked_sub(first)?;
            (cell < count).then_some(cell)
        };
        Some((cell(symbols.x, self.left, self.columns)?, cell(symbols.y, self.top, self.rows)?))
    }

    /// log2 of the positions along an axis of a cell.
    pub(super) fn sub_bits(&self, position_bits: u32) -> u32 {
        self.grain.cell_bits() - 1 - position_bits
    }
}
