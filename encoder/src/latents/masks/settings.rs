//! How masks are made, and what a file says of that (SPEC section 5.9, record schema `masks`).

use serde_json::{Map, Value};

/// The order in which tokens are cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// As they come: time, rows, columns.
    Raster,
    /// The generalised Hilbert curve through their grid.
    Gilbert,
}

impl Curve {
    fn name(self) -> &'static str {
        match self {
            Self::Raster => "raster",
            Self::Gilbert => "gilbert",
        }
    }
}

/// How masks are made. By default as Video-BLADE has it for Wan 2.1.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskSettings {
    /// Tokens of a block: 1 to 65536.
    pub block: usize,
    /// The order of tokens.
    pub curve: Curve,
    /// The grid of tokens: time, rows, columns.
    pub grid: Option<[usize; 3]>,
    /// Tokens before those of the grid, which are left out.
    pub text: usize,
    /// Tokens of a block whose attention is worked out.
    pub sample: usize,
    /// What these are drawn by.
    pub seed: u64,
    /// The share of a row's scores that is kept: above 0, at most 1.
    pub energy: f64,
    /// The share of a row's blocks that is kept at least: 0 to 1.
    pub min_ratio: f64,
    /// The share that is kept at most.
    pub max_ratio: f64,
    /// Tokens that one mean of keys stands for, in the attention that is added to that of the blocks; it is only told.
    pub gap: Option<u64>,
}

impl Default for MaskSettings {
    fn default() -> Self {
        Self {
            block: 128,
            curve: Curve::Gilbert,
            grid: None,
            text: 0,
            sample: 32,
            seed: 0,
            energy: 0.95,
            min_ratio: 0.05,
            max_ratio: 0.2,
            gap: None,
        }
    }
}

/// Keys of what is said of masks.
const KEYS: &str = "block, curve, grid, text, sample, seed, energy, ratio, gap";

impl MaskSettings {
    /// Reads `KEY=VALUE,...`: `block=128`, `curve=gilbert` or `raster`, `grid=21x30x52`, `text=0`, `sample=32`, `seed=0`, `energy=0.95`,
    /// `ratio=0.05..0.2`, `gap=30`. Returns what is said, as the members of a record.
    ///
    /// # Errors
    /// What is not understood, or out of range.
    pub fn parse(text: &str) -> Result<Map<String, Value>, String> {
        let mut said = Self::default();
        let mut keys = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let fail = |what: &str| format!("{part:?}: {what}");
            let whole = || value.parse::<u64>().map_err(|_| fail("not a whole number"));
            let number = |text: &str| text.parse::<f64>().map_err(|_| fail("not a number"));
            match key {
                "block" => said.block = usize::try_from(whole()?).unwrap_or(usize::MAX),
                "text" => said.text = usize::try_from(whole()?).unwrap_or(usize::MAX),
                "sample" => said.sample = usize::try_from(whole()?).unwrap_or(usize::MAX),
                "seed" => said.seed = whole()?,
                "gap" => said.gap = Some(whole()?),
                "energy" => said.energy = number(value)?,
                "grid" => said.grid = Some(Self::grid(value, 'x').map_err(|e| fail(&e))?),
                "curve" => {
                    let found = [Curve::Raster, Curve::Gilbert].into_iter().find(|c| c.name() == value);
                    said.curve = found.ok_or_else(|| fail("neither gilbert nor raster"))?;
                }
                "ratio" => {
                    let (least, most) = value.split_once("..").ok_or_else(|| fail("not as 0.05..0.2"))?;
                    (said.min_ratio, said.max_ratio) = (number(least)?, number(most)?);
                    keys.extend(["min_ratio", "max_ratio"]);
                }
                _ => return Err(fail(&format!("is none of {KEYS}"))),
            }
            keys.push(key);
        }
        said.sample = if keys.contains(&"sample") { said.sample } else { said.sample.min(said.block) };
        let mut all = said.checked()?.record();
        all.retain(|key, _| keys.contains(&key.as_str()));
        Ok(all)
    }

    /// Reads a grid: time, rows, columns.
    ///
    /// # Errors
    /// If it is none.
    pub fn grid(text: &str, between: char) -> Result<[usize; 3], String> {
        let sizes: Option<Vec<usize>> = text.split(between).map(|n| n.trim().parse().ok()).collect();
        let sizes = sizes.and_then(|sizes| <[usize; 3]>::try_from(sizes).ok());
        let fits = |sizes: &[usize; 3]| {
            let count = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
            count.is_some_and(|n| (1..=1 << 28).contains(&n))
        };
        sizes.filter(fits).ok_or_else(|| {
            format!("not three numbers with {between:?} between them, as 21{between}30{between}52")
        })
    }

    /// Itself, if its numbers make sense.
    ///
    /// # Errors
    /// Which does not.
    pub fn checked(self) -> Result<Self, String> {
        if !(1..=1 << 16).contains(&self.block) {
            return Err(format!("a block of {} tokens: 1 to 65536", self.block));
        }
        if !(1..=self.block).contains(&self.sample) {
            return Err(format!("{} sampled tokens of a block: 1 to {}", self.sample, self.block));
        }
        let share = |ratio: f64| (0.0..=1.0).contains(&ratio);
        if !share(self.energy) || self.energy == 0.0 {
            return Err(format!("an energy of {}: above 0, at most 1", self.energy));
        }
        if !share(self.min_ratio) || !share(self.max_ratio) || self.min_ratio > self.max_ratio {
            return Err(format!("ratios of {}..{}: from 0 to 1", self.min_ratio, self.max_ratio));
        }
        Ok(self)
    }

    /// As the members of a record.
    #[must_use]
    pub fn record(&self) -> Map<String, Value> {
        let mut all = Map::new();
        let mut put = |key: &str, value: Value| all.insert(key.into(), value);
        put("block", self.block.into());
        put("curve", self.curve.name().into());
        put("text", self.text.into());
        put("sample", self.sample.into());
        put("seed", self.seed.into());
        put("energy", self.energy.into());
        put("min_ratio", self.min_ratio.into());
        put("max_ratio", self.max_ratio.into());
        if let Some(grid) = self.grid {
            put("grid", grid.to_vec().into());
        }
        if let Some(gap) = self.gap {
            put("gap", gap.into());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_kept_and_nothing_else() {
        let said = MaskSettings::parse("block=64,curve=raster,ratio=0.05..0.1,grid=21x30x52,gap=30").unwrap();
        let text =
            r#"{"block":64,"curve":"raster","gap":30,"grid":[21,30,52],"max_ratio":0.1,"min_ratio":0.05}"#;
        assert_eq!(Value::Object(said), serde_json::from_str::<Value>(text).unwrap());
        assert!(MaskSettings::parse("").unwrap().is_empty());
        for bad in
            ["block", "block=0", "sample=200", "energy=0", "energy=2", "ratio=0.3..0.2", "ratio=1", "x=1"]
        {
            assert!(MaskSettings::parse(bad).is_err(), "{bad}");
        }
        for bad in ["curve=hilbert", "grid=1x2", "grid=0x1x1", "grid=99999999x99999999x9", "seed=-1"] {
            assert!(MaskSettings::parse(bad).is_err(), "{bad}");
        }
    }
}
