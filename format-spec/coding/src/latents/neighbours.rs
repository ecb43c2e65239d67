//! Where the values are that predict others.

/// Places of one frame that are known before, and around, one position of a frame, as offsets into planes with the channels
/// of a position side by side. A plane has one more position at its end, which holds zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neighbours {
    pub(super) here: usize,
    pub(super) left: usize,
    pub(super) up: usize,
    pub(super) up_left: usize,
    pub(super) up_right: usize,
    /// Of the previous frame: left, right, up, down, and the four diagonals.
    pub(super) around: [usize; 8],
}

impl Neighbours {
    /// Around position `(x, y)` of a frame of `width` by `height`.
    #[inline(always)]
    pub(super) fn at(x: usize, y: usize, width: usize, height: usize, channels: usize) -> Self {
        let here = y * width + x;
        let none = width * height;
        let (has_left, has_up, has_right, has_down) = (x > 0, y > 0, x + 1 < width, y + 1 < height);
        let mut left = if has_left { here - 1 } else { none };
        let up = match (has_up, has_left) {
            (true, _) => here - width,
            (false, true) => left,
            _ => none,
        };
        if !has_left {
            left = up;
        }
        let up_left = if has_up && has_left { here - width - 1 } else { up };
        let up_right = if has_up && has_right { here - width + 1 } else { up };
        let (west, east) = (usize::from(has_left), usize::from(has_right));
        let over = if has_up { here - width } else { here };
        let under = if has_down { here + width } else { here };
        let around =
            [here - west, here + east, over, under, over - west, over + east, under - west, under + east];
        Self {
            here: here * channels,
            left: left * channels,
            up: up * channels,
            up_left: up_left * channels,
            up_right: up_right * channels,
            around: around.map(|at| at * channels),
        }
    }
}
