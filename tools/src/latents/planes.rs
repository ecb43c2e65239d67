//! Planes of masks as the user names them.

use crate::rows::{self, Rows};
use mcodec_decode::latents::MaskPart;

/// Steps, layers and heads; `None` is all.
pub(crate) type Planes = [Option<Rows>; 3];

/// Reads `STEPS,LAYERS,HEADS`, each a number, `a..b` or `*`.
pub(crate) fn parse(text: &str) -> Result<Planes, String> {
    let parts: Vec<&str> = text.split(',').collect();
    let [steps, layers, heads] = parts[..] else {
        return Err("planes are written STEPS,LAYERS,HEADS, each a number, a..b or *".into());
    };
    let range = |part: &str| match part.trim() {
        "*" => Ok(None),
        part if part.contains("..") => rows::parse(part).map(Some),
        part => {
            let number: u64 =
                part.parse().map_err(|_| format!("{part:?} is no number, no a..b and not *"))?;
            let end = number.checked_add(1).ok_or("a number that is too large")?;
            rows::parse(&format!("{number}..{end}")).map(Some)
        }
    };
    Ok([range(steps)?, range(layers)?, range(heads)?])
}

/// What is asked for of masks with so many layers, heads and steps.
pub(crate) fn part_of(planes: &Planes, [layers, heads, steps]: [u64; 3]) -> MaskPart {
    let [of_steps, of_layers, of_heads] = planes;
    MaskPart {
        steps: of_steps.map(|rows| rows.of(steps)),
        layers: of_layers.map(|rows| rows.of(layers)),
        heads: of_heads.map(|rows| rows.of(heads)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_numbers_ranges_or_all() {
        let part = part_of(&parse("3,*,1..").unwrap(), [5, 6, 7]);
        assert_eq!(part, MaskPart { steps: Some(3..4), layers: None, heads: Some(1..6) });
        for bad in ["", "1,2", "1,2,3,4", "1,x,2", "-1,0,0", "1,2,3..2"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
