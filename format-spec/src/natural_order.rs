//! Natural order of names (SPEC 3.3): `layers.2` comes before `layers.10`.

use std::cmp::Ordering;

/// Compares two names in natural order.
///
/// A name is read as a sequence of tokens: maximal runs of ASCII digits, compared by numeric value, and single bytes.
/// Digits are neighbours in ASCII, so a byte that is no digit sorts on the same side of every number, and the order of
/// token sequences is total. Names with equal tokens (`a1`, `a01`) are ordered bytewise, so only equal names are `Equal`.
#[must_use]
pub fn natural_cmp(a: &[u8], b: &[u8]) -> Ordering {
    let (mut x, mut y) = (a, b);
    loop {
        match (x.split_first(), y.split_first()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((p, _)), Some((q, _))) if p.is_ascii_digit() && q.is_ascii_digit() => {
                let (run_x, rest_x) = split_run(x);
                let (run_y, rest_y) = split_run(y);
                let order = run_x.len().cmp(&run_y.len()).then_with(|| run_x.cmp(run_y));
                if order.is_ne() {
                    return order;
                }
                (x, y) = (rest_x, rest_y);
            }
            (Some((p, rest_x)), Some((q, rest_y))) => {
                if p != q {
                    return p.cmp(q);
                }
                (x, y) = (rest_x, rest_y);
            }
        }
    }
}

/// Cuts the run of digits at the start of `s`; the run comes without its leading zeros.
fn split_run(s: &[u8]) -> (&[u8], &[u8]) {
    let end = s.iter().position(|c| !c.is_ascii_digit()).unwrap_or(s.len());
    let (run, rest) = s.split_at(end);
    let zeros = run.iter().take_while(|c| **c == b'0').count();
    (run.split_at(zeros).1, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascending(names: &[&str]) {
        for (i, a) in names.iter().enumerate() {
            for (j, b) in names.iter().enumerate() {
                assert_eq!(natural_cmp(a.as_bytes(), b.as_bytes()), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn layers_are_in_numeric_order() {
        ascending(&["model.layers.2.b", "model.layers.9.a", "model.layers.10.a", "model.layers.10.b"]);
        ascending(&["", "a", "a.", "a.0", "a.1", "a.1.w", "a.2", "a.11", "a.100", "aa", "b"]);
    }

    #[test]
    fn leading_zeros_do_not_count_but_break_ties() {
        ascending(&["a0", "a00", "a000", "a01", "a1", "a002", "a02", "a2", "a010"]);
        // The tie is broken only after all tokens: the later number decides first.
        ascending(&["a1b1", "a01b2", "a1b3"]);
        ascending(&["0", "00", "0a"]);
    }

    #[test]
    fn digits_against_other_bytes_compare_as_bytes() {
        ascending(&["a/b", "a0", "a9", "a99999999999999999999999", "a:b", "ab", "a\u{e9}"]);
    }

    #[test]
    fn numbers_of_any_length() {
        let small = format!("w{}", "9".repeat(5000));
        let large = format!("w1{}", "0".repeat(5000));
        let padded = format!("w{}{}", "0".repeat(9000), "9".repeat(5000));
        ascending(&[&padded, &small, &large]);
    }

    /// Every name of up to four symbols has its own rank and all pairs agree with the ranks: the order is total.
    #[test]
    fn total_order_exhaustively() {
        let mut names: Vec<Vec<u8>> = vec![Vec::new()];
        let mut from = 0;
        for _ in 0..4 {
            let to = names.len();
            for i in from..to {
                for c in b"/012a" {
                    let mut longer = names[i].clone();
                    longer.push(*c);
                    names.push(longer);
                }
            }
            from = to;
        }
        assert_eq!(names.len(), 1 + 5 + 25 + 125 + 625);
        names.sort_by(|a, b| natural_cmp(a, b));
        for (i, a) in names.iter().enumerate() {
            for (j, b) in names.iter().enumerate() {
                assert_eq!(natural_cmp(a, b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }
}
