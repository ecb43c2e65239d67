//! Tiles of words, turned: from the order of positions to that of channels.

/// Rows and columns of a tile.
pub(super) const TILE: usize = 8;
/// Words by row.
pub(super) type Tile = [[u16; TILE]; TILE];

/// Columns as rows.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "arrays and registers are the same bytes")]
#[inline(always)]
pub(super) fn turned(tile: Tile) -> Tile {
    use core::arch::x86_64::{
        __m128i, _mm_unpackhi_epi16, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi16,
        _mm_unpacklo_epi32, _mm_unpacklo_epi64,
    };
    /// The lower and the upper halves of neighbours, mixed.
    macro_rules! mixed {
        ($low:ident, $high:ident, $a:expr, $b:expr) => {
            ($low($a, $b), $high($a, $b))
        };
    }
    // SAFETY: both are 128 bytes, of which all values are words, and all x86-64 has SSE2.
    unsafe {
        let [a, b, c, d, e, f, g, h] = core::mem::transmute::<Tile, [__m128i; TILE]>(tile);
        let (a, b) = mixed!(_mm_unpacklo_epi16, _mm_unpackhi_epi16, a, b);
        let (c, d) = mixed!(_mm_unpacklo_epi16, _mm_unpackhi_epi16, c, d);
        let (e, f) = mixed!(_mm_unpacklo_epi16, _mm_unpackhi_epi16, e, f);
        let (g, h) = mixed!(_mm_unpacklo_epi16, _mm_unpackhi_epi16, g, h);
        let (a, c) = mixed!(_mm_unpacklo_epi32, _mm_unpackhi_epi32, a, c);
        let (b, d) = mixed!(_mm_unpacklo_epi32, _mm_unpackhi_epi32, b, d);
        let (e, g) = mixed!(_mm_unpacklo_epi32, _mm_unpackhi_epi32, e, g);
        let (f, h) = mixed!(_mm_unpacklo_epi32, _mm_unpackhi_epi32, f, h);
        let (a, e) = mixed!(_mm_unpacklo_epi64, _mm_unpackhi_epi64, a, e);
        let (c, g) = mixed!(_mm_unpacklo_epi64, _mm_unpackhi_epi64, c, g);
        let (b, f) = mixed!(_mm_unpacklo_epi64, _mm_unpackhi_epi64, b, f);
        let (d, h) = mixed!(_mm_unpacklo_epi64, _mm_unpackhi_epi64, d, h);
        core::mem::transmute::<[__m128i; TILE], Tile>([a, e, c, g, b, f, d, h])
    }
}

/// The same without vectors.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn turned_alone(tile: &Tile) -> Tile {
    core::array::from_fn(|x| core::array::from_fn(|y| tile[y][x]))
}

/// Columns as rows.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn turned(tile: Tile) -> Tile {
    turned_alone(&tile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_turn_as_without_them() {
        let tile: Tile = core::array::from_fn(|y| core::array::from_fn(|x| (1000 * y + 7 * x) as u16));
        assert_eq!(turned(tile), turned_alone(&tile));
        assert_eq!(turned(turned(tile)), tile);
    }
}
