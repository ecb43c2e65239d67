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
const PRESETS: [[u8; 5]; 2] = [[80, 42, 80, 60, 75], [60, 30, 60, 40, 75]];
/// In place of a preset's number: the constants follow.
const WRITTEN_OUT: u8 = 255;

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
    /// Mean of each plane, in units of 1/100.
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
        let (mut rest, constants) = match PRESETS.get(usize::from(preset)) {
            Some(&constants) => (rest, constants),
            None if preset == WRITTEN_OUT => {
                let (rest, bytes) = wire::finish(WHAT, rest, wire::bytes(rest, 5))?;
                (rest, bytes.try_into().unwrap_or_default())
            }
            None => return Err(unsupported(format!("preset {preset} of an image"))),
        };
        if constants.iter().take(4).any(|&constant| constant == 0) {
            return Err(corrupt("a step is zero"));
        }
        let mut means = Vec::with_capacity(channels);
        for _ in 0..channels {
            let (after, mean) = wire::finish(WHAT, rest, wire::svarint(rest))?;
            let mean = i32::try_from(mean).ok().filter(|mean| (-800..=800).contains(mean));
            means.push(mean.ok_or_else(|| corrupt("a mean is not within -8 to 8"))?);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(corrupt("bytes follow the means"));
        }
        Ok(Self { width, height, wraps, groups, constants, means })
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
        match PRESETS.iter().position(|preset| *preset == self.constants) {
            Some(preset) => out.push(preset as u8),
            None => {
                out.push(WRITTEN_OUT);
                out.extend(self.constants);
            }
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
            means: vec![83, -2, 4],
        }
    }

    #[test]
    fn descriptors_round_trip() {
        let image = colour();
        let bytes = image.to_bytes();
        assert!(bytes.len() <= 11);
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
            means: vec![0, 1, 2, 3, -800],
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
        let mut fields = LayerDescriptor::new(Some(128), vec![[0; 4]; 3]).to_fields();
        fields.set(field::REACH, true, vec![0; 3]);
        assert!(LayerDescriptor::parse(&fields, &Limits::default()).is_err());
        fields.set_varint(field::PAGE, true, 0);
        assert!(LayerDescriptor::parse(&fields, &Limits::default()).is_err());
    }
}
