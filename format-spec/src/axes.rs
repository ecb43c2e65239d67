//! The order that axes had where an array came from (SPEC section 5.9).

/// Letters of the axes of a content, each at most once. Axes that are not named have size 1 and are not axes of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axes<const N: usize> {
    content: [u8; N],
    letters: [u8; N],
    len: u8,
}

impl<const N: usize> Axes<N> {
    /// Reads letters of those of the content, which are upper case.
    pub(crate) fn read(content: [u8; N], text: impl Iterator<Item = u8>) -> Option<Self> {
        let mut order = Self { content, letters: [0; N], len: 0 };
        for letter in text.map(|letter| letter.to_ascii_uppercase()) {
            if !content.contains(&letter) || order.letters().contains(&letter) {
                return None;
            }
            *order.letters.get_mut(usize::from(order.len))? = letter;
            order.len = order.len.saturating_add(1);
        }
        Some(order)
    }

    /// The letters.
    #[must_use]
    pub fn letters(&self) -> &[u8] {
        self.letters.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        self.letters().iter().map(|&b| char::from(b)).collect()
    }

    /// Of a source of these sizes, in its order: the size of each axis of the content, elements of the source from one place of it to the next,
    /// and all elements. `None` if they are too many to count.
    #[must_use]
    pub fn strided(&self, sizes: &[u64]) -> Option<([usize; N], [usize; N], usize)> {
        let (mut shape, mut strides, mut all) = ([1; N], [0; N], 1usize);
        for (place, &size) in self.places().into_iter().zip(sizes).rev() {
            let size = usize::try_from(size).ok()?;
            *shape.get_mut(place)? = size;
            *strides.get_mut(place)? = all;
            all = all.checked_mul(size)?;
        }
        Some((shape, strides, all))
    }

    /// Which axis of the content each axis of the source is.
    #[must_use]
    pub fn places(&self) -> Vec<usize> {
        self.letters().iter().filter_map(|l| self.content.iter().position(|a| a == l)).collect()
    }
}
