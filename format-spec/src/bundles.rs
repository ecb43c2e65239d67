//! Bundles and variants: which axes of which arrays are cut together, and how far (SPEC section 6.2).

use crate::wire::{self, Parse};
use crate::{FormatError, Result};

/// What of an array is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CutAxis {
    /// Its rows: all dimensions but the last.
    Rows,
    /// Its columns: the last dimension.
    Columns,
    /// Terms of a low-rank array.
    Rank,
}

/// Which places of a unit a level keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NestOrder {
    /// The first ones.
    Prefix,
    /// The first ones of either half: dimensions that a rotary embedding turns together are half a unit apart.
    Paired,
}

/// An axis of an array that a bundle cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Entry id of the tensor or array.
    pub entry: u32,
    /// What of it is cut.
    pub axis: CutAxis,
}

/// Axes that are cut together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its name.
    pub name: String,
    /// What a level keeps of each unit.
    pub order: NestOrder,
    /// Places of a unit; each axis is whole units: an attention head, or all of it.
    pub unit: u64,
    /// How many places of a unit each level keeps, ascending; the last is all.
    pub levels: Vec<u64>,
    /// What is cut.
    pub members: Vec<Member>,
}

/// A level for each bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Bytes of the chunks that it needs, as the writer counted them.
    pub bytes: u64,
    /// The level of each bundle, by its number from 0.
    pub levels: Vec<u64>,
}

/// All bundles and variants of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bundles {
    /// Bundles; their names differ.
    pub bundles: Vec<Bundle>,
    /// Variants; their names differ.
    pub variants: Vec<Variant>,
}

/// The most bytes of a name.
const NAME: u64 = 4096;
/// The most of anything that is counted.
const MOST: u64 = 1 << 20;
const WHAT: &str = "bundles";

impl Bundles {
    /// Reads what fills `bytes`.
    ///
    /// # Errors
    /// Any breach of section 6.2 that the bytes alone show.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (rest, found) = wire::finish(WHAT, bytes, all(bytes))?;
        if !rest.is_empty() {
            return Err(FormatError::corrupt(WHAT, 0, "bytes follow the last variant"));
        }
        found.check()?;
        Ok(found)
    }

    /// Checks what does not depend on the arrays.
    ///
    /// # Errors
    /// [`FormatError::Corrupt`], naming the bundle or variant.
    pub fn check(&self) -> Result<()> {
        let corrupt = |why: String| Err(FormatError::corrupt(WHAT, 0, why));
        let mut names: Vec<&str> = self.bundles.iter().map(|b| &*b.name).collect();
        names.sort_unstable();
        let mut variants: Vec<&str> = self.variants.iter().map(|v| &*v.name).collect();
        variants.sort_unstable();
        if [names, variants].iter().any(|list| list.iter().zip(list.iter().skip(1)).any(|(a, b)| a == b)) {
            return corrupt("two bundles or two variants have one name".into());
        }
        for bundle in &self.bundles {
            let name = &bundle.name;
            let ascending = bundle.levels.iter().zip(bundle.levels.iter().skip(1)).all(|(a, b)| a < b);
            if bundle.unit == 0 || !ascending || bundle.levels.last() != Some(&bundle.unit) {
                return corrupt(format!("the levels of bundle {name:?} do not rise to its unit"));
            }
            let paired = bundle.order == NestOrder::Paired;
            if paired && bundle.levels.iter().any(|level| level % 2 != 0) {
                return corrupt(format!("levels of bundle {name:?}, which is of pairs, are not even"));
            }
            if bundle.members.is_empty() || paired && bundle.members.iter().any(|m| m.axis == CutAxis::Rank) {
                return corrupt(format!("bundle {name:?} cuts nothing, or a rank in pairs"));
            }
        }
        for variant in &self.variants {
            let fits = variant.levels.len() == self.bundles.len()
                && variant.levels.iter().zip(&self.bundles).all(|(l, b)| *l < b.levels.len() as u64);
            if !fits {
                let name = &variant.name;
                return corrupt(format!("variant {name:?} names levels that its bundles do not have"));
            }
        }
        Ok(())
    }

    /// The bytes that say this.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        wire::put_varint(&mut out, self.bundles.len() as u64);
        for bundle in &self.bundles {
            wire::put_string(&mut out, &bundle.name);
            out.push(u8::from(bundle.order == NestOrder::Paired));
            wire::put_varint(&mut out, bundle.unit);
            wire::put_varint(&mut out, bundle.levels.len() as u64);
            bundle.levels.iter().for_each(|&level| wire::put_varint(&mut out, level));
            wire::put_varint(&mut out, bundle.members.len() as u64);
            for member in &bundle.members {
                wire::put_varint(&mut out, member.entry.into());
                out.push(match member.axis {
                    CutAxis::Rows => 0,
                    CutAxis::Columns => 1,
                    CutAxis::Rank => 2,
                });
            }
        }
        wire::put_varint(&mut out, self.variants.len() as u64);
        for variant in &self.variants {
            wire::put_string(&mut out, &variant.name);
            wire::put_varint(&mut out, variant.bytes);
            variant.levels.iter().for_each(|&level| wire::put_varint(&mut out, level));
        }
        out
    }

    /// The variant of this name.
    #[must_use]
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|v| v.name == name)
    }
}

fn all(input: &[u8]) -> Parse<'_, Bundles> {
    let (mut rest, count) = wire::count(input, "bundles", MOST)?;
    let mut bundles = Vec::new();
    for _ in 0..count {
        let (after, found) = bundle(rest)?;
        bundles.push(found);
        rest = after;
    }
    let (mut rest, count) = wire::count(rest, "variants", MOST)?;
    let mut variants = Vec::new();
    for _ in 0..count {
        let (after, name) = wire::string(rest, "length of a name", NAME)?;
        let (after, bytes) = wire::varint(after)?;
        let (after, levels) = varints(after, bundles.len())?;
        variants.push(Variant { name: name.to_owned(), bytes, levels });
        rest = after;
    }
    Ok((rest, Bundles { bundles, variants }))
}

fn bundle(input: &[u8]) -> Parse<'_, Bundle> {
    let (rest, name) = wire::string(input, "length of a name", NAME)?;
    let (rest, order) = wire::u8(rest)?;
    let order = match order {
        0 => NestOrder::Prefix,
        1 => NestOrder::Paired,
        _ => return wire::broken(rest, "order of a nest"),
    };
    let (rest, unit) = wire::varint(rest)?;
    let (rest, count) = wire::count(rest, "levels of a bundle", MOST)?;
    let (rest, levels) = varints(rest, count)?;
    let (mut rest, count) = wire::count(rest, "members of a bundle", MOST)?;
    let mut members = Vec::new();
    for _ in 0..count {
        let (after, entry) = wire::varint_within(rest, "entry id", u32::MAX.into())?;
        let (after, axis) = wire::u8(after)?;
        let axis = match axis {
            0 => CutAxis::Rows,
            1 => CutAxis::Columns,
            2 => CutAxis::Rank,
            _ => return wire::broken(rest, "axis of a member"),
        };
        members.push(Member { entry: entry as u32, axis });
        rest = after;
    }
    Ok((rest, Bundle { name: name.to_owned(), order, unit, levels, members }))
}

fn varints(mut rest: &[u8], count: usize) -> Parse<'_, Vec<u64>> {
    let mut list = Vec::new();
    for _ in 0..count {
        let (after, value) = wire::varint(rest)?;
        list.push(value);
        rest = after;
    }
    Ok((rest, list))
}
