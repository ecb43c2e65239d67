//! What an image asset's field and its layers' fields say, typed and checked (SPEC section 5.8).

use crate::registry::{self, coding, field};
use crate::wire;
use crate::{Chunking, Fields, FormatError, Limits, Result};

/// How numbers of a channel stand for light or anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transfer {
    /// Colours as sRGB encodes them.
    Srgb = 0,
    /// Proportional to light, or numbers that are not light.
    Linear = 1,
    /// Coded as the logarithm to base 2, between the bounds of the group.
    Log2 = 2,
}

/// What the source held, hence what a decoder gives back by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Depth {
    /// 8-bit integers over 0..1.
    Unorm8 = 0,
    /// 16-bit integers over 0..1.
    Unorm16 = 1,
    /// Floats.
    Float = 2,
}

impl Depth {
    /// Means of planes are in units of 2 to the power of minus this: fine enough that a plane of one value is exact.
    #[must_use]
    pub fn mean_bits(self) -> u32 {
        match self {
            Self::Unorm8 => 12,
            Self::Unorm16 | Self::Float => 18,
        }
    }
}

/// Channels that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GroupKind {
    /// One channel.
    Grey = 0,
    /// Red, green, blue.
    Colour = 1,
    /// One channel and alpha.
    GreyAlpha = 2,
    /// Red, green, blue and alpha.
    ColourAlpha = 3,
    /// Up to 16 channels that are coded each for itself.
    Data = 4,
}

/// A group of channels of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelGroup {
    /// What the channels are.
    pub kind: GroupKind,
    /// How their numbers are meant. Alpha is always linear.
    pub transfer: Transfer,
    /// What the source held.
    pub depth: Depth,
    /// Name, for images of several groups; may be empty.
    pub name: String,
    /// Of a group of data: the name of each channel. Empty otherwise.
    pub channels: Vec<String>,
    /// What coded 0 and 1 stand for: 0 and 1, unless the source held floats.
    pub bounds: [f32; 2],
}

impl ChannelGroup {
    /// A group of 8-bit sRGB numbers, without a name.
    #[must_use]
    pub fn of(kind: GroupKind) -> Self {
        Self {
            kind,
            transfer: Transfer::Srgb,
            depth: Depth::Unorm8,
            name: String::new(),
            channels: Vec::new(),
            bounds: [0.0, 1.0],
        }
    }

    /// Number of channels, which is that of planes.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        match self.kind {
            GroupKind::Grey => 1,
            GroupKind::Colour => 3,
            GroupKind::GreyAlpha => 2,
            GroupKind::ColourAlpha => 4,
            GroupKind::Data => self.channels.len(),
        }
    }
}

/// Step constants that have a number; others are written out.
const PRESETS: [[u8; 5]; 2] = [[80, 42, 80, 60, 75], [60, 30, 60, 36, 75]];
/// In place of a preset's number: the constants follow.
const WRITTEN_OUT: u8 = 127;
/// Beside a preset's number: gains follow.
const HAS_GAINS: u8 = 128;
/// Most quarter octaves that a plane is coded larger, or smaller.
const MAX_GAIN: i8 = 63;
/// No mean is further from 0.
const MOST_MEAN: i32 = 8;

/// Most channels of an image.
pub const MAX_CHANNELS: usize = 16;
/// Most pixels along an axis.
pub const MAX_SIDE: u64 = 16_384;

/// Greatest side of a page, and of an image whose layer is one chunk.
pub const MAX_PAGE: u32 = 4096;

/// What an image is.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageDescriptor {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Whether the image repeats along x (first) and y.
    pub wraps: [bool; 2],
    /// Its channels; at least one group, and at most [`MAX_CHANNELS`] channels in all.
    pub groups: Vec<ChannelGroup>,
    /// Constants of the quantiser (SPEC section 7.7.3).
    pub constants: [u8; 5],
    /// Of each plane, by how many quarter octaves its Gaussians' values are coded larger than they are: -63 to 63.
    pub gains: Vec<i8>,
    /// Mean of each plane, in units of 2^-[`Depth::mean_bits`] of its group.
    pub means: Vec<i32>,
}

const WHAT: &str = "image descriptor";

fn corrupt(why: impl Into<std::borrow::Cow<'static, str>>) -> FormatError {
    FormatError::corrupt(WHAT, 0, why.into())
}

impl ImageDescriptor {
    /// Channels, and planes, of all groups.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.groups.iter().map(ChannelGroup::channel_count).sum()
    }

    /// Of each plane [`Depth::mean_bits`].
    fn mean_bits_of_planes(&self) -> impl Iterator<Item = u32> {
        self.groups.iter().flat_map(|group| vec![group.depth.mean_bits(); group.channel_count()])
    }

    /// The mean of each plane.
    #[must_use]
    pub fn plane_means(&self) -> Vec<f32> {
        self.mean_bits_of_planes()
            .zip(&self.means)
            .map(|(bits, &mean)| mean as f32 / (1u32 << bits) as f32)
            .collect()
    }

    /// States these means, each as the nearest of its unit.
    pub fn set_means(&mut self, means: &[f64]) {
        let stated = |(bits, &mean): (u32, &f64)| {
            let most = f64::from(MOST_MEAN << bits);
            (mean * f64::from(1u32 << bits)).round().clamp(-most, most) as i32
        };
        self.means = self.mean_bits_of_planes().zip(means).map(stated).collect();
    }

    /// Of each plane how many times larger its Gaussians' values are coded than they are.
    #[must_use]
    pub fn plane_gains(&self) -> Vec<f32> {
        self.gains.iter().map(|&gain| (f32::from(gain) / 4.0).exp2()).collect()
    }

    /// Reads the asset field `image`.
    ///
    /// # Errors
    /// What is malformed, unknown or above a limit.
    pub fn parse(input: &[u8], limits: &Limits) -> Result<Self> {
        let (rest, width) = wire::finish(WHAT, input, wire::varint(input))?;
        let (rest, height) = wire::finish(WHAT, rest, wire::varint(rest))?;
        let side =
            |side: u64| u32::try_from(side).ok().filter(|&side| side > 0 && u64::from(side) <= MAX_SIDE);
        let (Some(width), Some(height)) = (side(width), side(height)) else {
            return Err(corrupt("a side is not 1 to 16384 pixels"));
        };
        let (rest, head) = wire::finish(WHAT, rest, wire::u8(rest))?;
        let (count, named) = (usize::from(head & 31), head & 128 != 0);
        if count == 0 {
            return Err(corrupt("no channels"));
        }
        let wraps = [head & 32 != 0, head & 64 != 0];
        let mut rest = rest;
        let mut groups = Vec::with_capacity(count);
        for _ in 0..count {
            let (after, group) = group(rest, named, limits)?;
            groups.push(group);
            rest = after;
        }
        let channels: usize = groups.iter().map(ChannelGroup::channel_count).sum();
        if channels > MAX_CHANNELS {
            return Err(corrupt("more than 16 channels"));
        }
        let (rest, preset) = wire::finish(WHAT, rest, wire::u8(rest))?;
        let (number, has_gains) = (preset & !HAS_GAINS, preset & HAS_GAINS != 0);
        let (mut rest, constants) = match PRESETS.get(usize::from(number)) {
            Some(&constants) => (rest, constants),
            None if number == WRITTEN_OUT => {
                let (rest, bytes) = wire::finish(WHAT, rest, wire::bytes(rest, 5))?;
                (rest, bytes.try_into().unwrap_or_default())
            }
            None => return Err(unsupported(format!("preset {number} of an image"))),
        };
        if constants.iter().take(4).any(|&constant| constant == 0) {
            return Err(corrupt("a step is zero"));
        }
        let mut gains = vec![0; channels];
        if has_gains {
            for gain in &mut gains {
                let (after, value) = wire::finish(WHAT, rest, wire::svarint(rest))?;
                let value = i8::try_from(value).ok().filter(|gain| gain.unsigned_abs() <= MAX_GAIN as u8);
                *gain = value.ok_or_else(|| corrupt("a gain is not within -63 to 63"))?;
                rest = after;
            }
        }
        let mut image = Self { width, height, wraps, groups, constants, gains, means: Vec::new() };
        let mut means = Vec::with_capacity(channels);
        for bits in image.mean_bits_of_planes() {
            let (after, mean) = wire::finish(WHAT, rest, wire::svarint(rest))?;
            let most = (MOST_MEAN << bits).unsigned_abs();
            let mean = i32::try_from(mean).ok().filter(|mean| mean.unsigned_abs() <= most);
            means.push(mean.ok_or_else(|| corrupt("a mean is not within -8 to 8"))?);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(corrupt("bytes follow the means"));
        }
        image.means = means;
        Ok(image)
    }

    /// The field that says this.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        wire::put_varint(&mut out, u64::from(self.width));
        wire::put_varint(&mut out, u64::from(self.height));
        let named = self.groups.iter().any(|group| !group.name.is_empty());
        let flags = u8::from(self.wraps[0]) << 5 | u8::from(self.wraps[1]) << 6 | u8::from(named) << 7;
        out.push(self.groups.len() as u8 & 31 | flags);
        for group in &self.groups {
            out.push(group.kind as u8 | (group.transfer as u8) << 3 | (group.depth as u8) << 6);
            if named {
                wire::put_string(&mut out, &group.name);
            }
            if group.kind == GroupKind::Data {
                wire::put_varint(&mut out, group.channels.len() as u64);
                group.channels.iter().for_each(|name| wire::put_string(&mut out, name));
            }
            if group.depth == Depth::Float {
                group.bounds.iter().for_each(|bound| out.extend(bound.to_le_bytes()));
            }
        }
        let has_gains = self.gains.iter().any(|&gain| gain != 0);
        let flag = if has_gains { HAS_GAINS } else { 0 };
        match PRESETS.iter().position(|preset| *preset == self.constants) {
            Some(preset) => out.push(preset as u8 | flag),
            None => {
                out.push(WRITTEN_OUT | flag);
                out.extend(self.constants);
            }
        }
        if has_gains {
            self.gains.iter().for_each(|&gain| wire::put_svarint(&mut out, i64::from(gain)));
        }
        self.means.iter().for_each(|&mean| wire::put_svarint(&mut out, i64::from(mean)));
        out
    }
}

fn unsupported(what: String) -> FormatError {
    FormatError::Unsupported { what, needs: "the image needs a newer reader".into() }
}

fn group<'a>(input: &'a [u8], named: bool, limits: &Limits) -> Result<(&'a [u8], ChannelGroup)> {
    let (mut rest, head) = wire::finish(WHAT, input, wire::u8(input))?;
    let kind = match head & 7 {
        0 => GroupKind::Grey,
        1 => GroupKind::Colour,
        2 => GroupKind::GreyAlpha,
        3 => GroupKind::ColourAlpha,
        4 => GroupKind::Data,
        other => return Err(unsupported(format!("channel group {other}"))),
    };
    let transfer = match head >> 3 & 7 {
        0 => Transfer::Srgb,
        1 => Transfer::Linear,
        2 => Transfer::Log2,
        other => return Err(unsupported(format!("transfer function {other}"))),
    };
    let depth = match head >> 6 {
        0 => Depth::Unorm8,
        1 => Depth::Unorm16,
        2 => Depth::Float,
        other => return Err(unsupported(format!("channel depth {other}"))),
    };
    let mut name = String::new();
    if named {
        let (after, text) =
            wire::finish(WHAT, rest, wire::string(rest, "name of channels", limits.name_bytes))?;
        text.clone_into(&mut name);
        rest = after;
    }
    let mut channels = Vec::new();
    if kind == GroupKind::Data {
        let (after, count) =
            wire::finish(WHAT, rest, wire::varint_within(rest, "channels", MAX_CHANNELS as u64))?;
        rest = after;
        if count == 0 {
            return Err(corrupt("a group of no channels"));
        }
        for _ in 0..count {
            let (after, text) =
                wire::finish(WHAT, rest, wire::string(rest, "name of a channel", limits.name_bytes))?;
            channels.push(text.to_owned());
            rest = after;
        }
    }
    let mut bounds = [0.0, 1.0];
    if depth == Depth::Float {
        for bound in &mut bounds {
            let (after, bits) = wire::finish(WHAT, rest, wire::u32(rest))?;
            *bound = f32::from_bits(bits);
            rest = after;
        }
        if !(bounds[0].is_finite() && bounds[1].is_finite() && bounds[0] < bounds[1]) {
            return Err(corrupt("the bounds of a group of channels are not two ascending numbers"));
        }
    }
    Ok((rest, ChannelGroup { kind, transfer, depth, name, channels, bounds }))
}

/// What a layer of an image is: an entry whose chunks are sets of Gaussians.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDescriptor {
    /// Side of its pages in pixels, a multiple of 8; `None`: the layer is one chunk.
    pub page: Option<u32>,
    /// Of each page, row by row: how far its Gaussians reach beyond the left, right, upper and lower side, in units of 4 pixels (0 to 15).
    pub reach: Vec<[u8; 4]>,
    /// One unit of content is one chunk.
    pub chunking: Chunking,
}

/// The greatest reach that is stated, in units of [`REACH_UNIT`].
pub const MAX_REACH: u8 = 15;
/// Pixels of a unit of reach.
pub const REACH_UNIT: u32 = 4;

impl LayerDescriptor {
    /// A layer of one chunk, or of pages of `page` pixels with these reaches.
    #[must_use]
    pub fn new(page: Option<u32>, reach: Vec<[u8; 4]>) -> Self {
        let chunks = if page.is_some() { (reach.len() as u64).saturating_add(1) } else { 1 };
        Self { page, reach, chunking: Chunking { coding: coding::GAUSSIANS, chunk_len: 1, byte_len: chunks } }
    }

    /// The codings that layers may have.
    const CODINGS: [u64; 2] = [coding::GAUSSIANS, coding::GAUSSIANS_FAST];

    /// The same under another coding: [`coding::GAUSSIANS`], which [`Self::new`] has, or [`coding::GAUSSIANS_FAST`].
    #[must_use]
    pub fn coded(mut self, coding: u64) -> Self {
        self.chunking.coding = coding;
        self
    }

    /// Reads the fields of a layer.
    ///
    /// # Errors
    /// What is malformed, unknown or above a limit.
    pub(crate) fn parse(fields: &Fields, limits: &Limits) -> Result<Self> {
        const WHAT: &str = "layer descriptor";
        let id = fields.varint(WHAT, field::CODING)?.unwrap_or(coding::GAUSSIANS);
        if !Self::CODINGS.contains(&id) {
            if registry::name_of(&coding::ALL, id).is_none() {
                return Err(unsupported(format!("coding {id}")));
            }
            return Err(FormatError::corrupt(WHAT, 0, "the coding of a layer is not one of Gaussians"));
        }
        let page = match fields.varint(WHAT, field::PAGE)? {
            None => None,
            Some(eighths) => {
                let side = u32::try_from(eighths).ok().and_then(|eighths| eighths.checked_mul(8));
                let side = side.filter(|&side| side > 0 && side <= MAX_PAGE);
                Some(side.ok_or_else(|| {
                    FormatError::corrupt(WHAT, 0, "the side of a page is not 8 to 4096 pixels")
                })?)
            }
        };
        let (pairs, odd) = fields.get(field::REACH).unwrap_or_default().as_chunks::<2>();
        Limits::check("pages of a layer", pairs.len() as u64, limits.chunks)?;
        if !odd.is_empty() || page.is_none() && !pairs.is_empty() {
            return Err(FormatError::corrupt(WHAT, 0, "reaches without a page each"));
        }
        let reach = pairs.iter().map(|&[x, y]| [x & 15, x >> 4, y & 15, y >> 4]).collect();
        Ok(Self::new(page, reach).coded(id))
    }

    /// The fields that say this.
    #[must_use]
    pub fn to_fields(&self) -> Fields {
        let mut fields = Fields::default();
        if self.chunking.coding != coding::GAUSSIANS {
            fields.set_varint(field::CODING, true, self.chunking.coding);
        }
        if let Some(page) = self.page {
            fields.set_varint(field::PAGE, true, u64::from(page >> 3));
            let bytes =
                self.reach.iter().flat_map(|&[left, right, up, down]| [left | right << 4, up | down << 4]);
            fields.set(field::REACH, true, bytes.collect());
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour() -> ImageDescriptor {
        let group = ChannelGroup::of(GroupKind::Colour);
        ImageDescriptor {
            width: 768,
            height: 512,
            wraps: [false, false],
            groups: vec![group],
            constants: PRESETS[0],
            gains: vec![0; 3],
            means: vec![3400, -60, 200],
        }
    }

    #[test]
    fn descriptors_round_trip() {
        let image = colour();
        let bytes = image.to_bytes();
        assert!(bytes.len() <= 12);
        assert_eq!(ImageDescriptor::parse(&bytes, &Limits::default()).unwrap(), image);
        let data = ChannelGroup {
            kind: GroupKind::Data,
            transfer: Transfer::Log2,
            depth: Depth::Float,
            name: "orm".into(),
            channels: vec!["occlusion".into(), "roughness".into()],
            bounds: [-3.5, 12.0],
        };
        let mut groups = colour().groups;
        groups.push(data);
        let stack = ImageDescriptor {
            groups,
            constants: [1, 2, 3, 4, 5],
            gains: vec![0, 4, -63, 63, -1],
            means: vec![0, 1, 2, -3, -8 << 18],
            wraps: [true, false],
            ..image
        };
        assert_eq!(ImageDescriptor::parse(&stack.to_bytes(), &Limits::default()).unwrap(), stack);
        for layer in
            [LayerDescriptor::new(None, Vec::new()), LayerDescriptor::new(Some(128), vec![[1, 2, 3, 15]; 24])]
                .into_iter()
                .flat_map(|layer| [layer.clone(), layer.coded(coding::GAUSSIANS_FAST)])
        {
            assert_eq!(LayerDescriptor::parse(&layer.to_fields(), &Limits::default()).unwrap(), layer);
        }
    }

    #[test]
    fn hostile_descriptors_are_refused() {
        let bytes = colour().to_bytes();
        for end in 0..bytes.len() {
            assert!(ImageDescriptor::parse(&bytes[..end], &Limits::default()).is_err());
        }
        let with = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            ImageDescriptor::parse(&bytes, &Limits::default())
        };
        assert!(with(4, 0).is_err());
        assert!(matches!(with(5, 5), Err(FormatError::Unsupported { .. })));
        assert!(matches!(with(6, 7), Err(FormatError::Unsupported { .. })));
        let zero = ImageDescriptor { width: 0, ..colour() };
        assert!(ImageDescriptor::parse(&zero.to_bytes(), &Limits::default()).is_err());
        let zero = ImageDescriptor { constants: [1, 0, 1, 1, 1], ..colour() };
        assert!(ImageDescriptor::parse(&zero.to_bytes(), &Limits::default()).is_err());
        for (gain, mean) in [(64, 0), (-64, 0), (0, (8 << 12) + 1), (0, i32::MIN)] {
            let beyond = ImageDescriptor { gains: vec![0, 0, gain], means: vec![0, 0, mean], ..colour() };
            assert!(ImageDescriptor::parse(&beyond.to_bytes(), &Limits::default()).is_err());
        }
        let mut fields = LayerDescriptor::new(Some(128), vec![[0; 4]; 3]).to_fields();
        fields.set(field::REACH, true, vec![0; 3]);
        assert!(LayerDescriptor::parse(&fields, &Limits::default()).is_err());
        fields.set_varint(field::PAGE, true, 0);
        assert!(LayerDescriptor::parse(&fields, &Limits::default()).is_err());
    }
}
