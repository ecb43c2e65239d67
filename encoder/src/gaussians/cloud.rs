//! Gaussians with float parameters.

use mcodec_decode::gaussians::Splat;

/// Parameters of a Gaussian before its colours: x, y, ln sigma 0, ln sigma 1, angle.
pub(super) const GEOMETRY: usize = 5;

/// Gaussians with float parameters, in drawing order.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    channels: usize,
    /// For each Gaussian x, y (source pixels), ln of both standard deviations, angle (radians), then its colours.
    pub(super) values: Vec<f32>,
}

impl Cloud {
    /// No Gaussians, of this many colour channels.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        Self { channels, values: Vec::new() }
    }

    /// Colour channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of Gaussians.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.stride()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Geometry of one.
    #[must_use]
    pub fn splat(&self, index: usize) -> Splat {
        splat_of(&self.values[index * self.stride()..][..GEOMETRY])
    }

    /// Colours of one, a number for each channel.
    #[must_use]
    pub fn colours(&self, index: usize) -> &[f32] {
        &self.values[index * self.stride()..][GEOMETRY..self.stride()]
    }

    /// Adds one.
    ///
    /// # Panics
    /// If `colours` has not one number for each channel.
    pub fn push(&mut self, splat: &Splat, colours: &[f32]) {
        assert_eq!(colours.len(), self.channels, "a colour for each channel");
        let [s0, s1] = splat.sigma.map(f32::ln);
        self.values.extend([splat.x, splat.y, s0, s1, splat.angle]);
        self.values.extend(colours);
    }

    /// The first `count` of them, or all.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let values = self.values[..count.min(self.len()) * self.stride()].to_vec();
        Self { channels: self.channels, values }
    }

    /// All but the first `count`.
    #[must_use]
    pub fn rest(&self, count: usize) -> Self {
        let values = self.values[count.min(self.len()) * self.stride()..].to_vec();
        Self { channels: self.channels, values }
    }

    /// Adds those of another cloud.
    ///
    /// # Panics
    /// If it is of other channels.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(other.channels, self.channels, "clouds of the same channels");
        self.values.extend_from_slice(&other.values);
    }

    pub(super) fn stride(&self) -> usize {
        GEOMETRY + self.channels
    }
}

/// The splat of one Gaussian's first parameters.
pub(super) fn splat_of(values: &[f32]) -> Splat {
    Splat { x: values[0], y: values[1], sigma: [values[2].exp(), values[3].exp()], angle: values[4] }
}
