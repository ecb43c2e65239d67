//! Row ranges as the user writes them.

use std::ops::Range;

/// A half-open range of rows; either end may be left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    start: u64,
    end: Option<u64>,
}

impl Rows {
    /// The rows of a tensor that has `count` of them. Not checked against the count.
    pub(crate) fn of(self, count: u64) -> Range<u64> {
        self.start..self.end.unwrap_or(count)
    }
}

/// Reads `a..b`, `a..` or `..b`.
pub(crate) fn parse(text: &str) -> Result<Rows, String> {
    let wrong = || "rows are written a..b, from a up to but without b".to_owned();
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |digits: &str| {
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        digits.parse::<u64>().map_err(|_| format!("{digits} is not a row number"))
    };
    let start = if start.is_empty() { 0 } else { number(start)? };
    let end = if end.is_empty() { None } else { Some(number(end)?) };
    match end {
        Some(end) if end < start => Err(format!("the range ends before it starts: {text}")),
        _ => Ok(Rows { start, end }),
    }
}

/// Reads `a..b,c..d`.
pub(crate) fn parse_crop(text: &str) -> Result<(Rows, Rows), String> {
    let (rows, columns) = text.split_once(',').ok_or("a crop is written y0..y1,x0..x1")?;
    Ok((parse(rows)?, parse(columns)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open() {
        assert_eq!(parse("100..164").unwrap().of(1000), 100..164);
        assert_eq!(parse("5..").unwrap().of(9), 5..9);
        assert_eq!(parse("..5").unwrap().of(9), 0..5);
        assert_eq!(parse("..").unwrap().of(9), 0..9);
        assert_eq!(parse("3..3").unwrap().of(9), 3..3);
        for bad in
            ["", "5", "5..4", "a..b", "-1..2", "+1..2", "1...2", "1..=2", "99999999999999999999..", "1,2"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
