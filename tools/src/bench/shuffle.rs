//! Byte shuffle: the first bytes of all elements, then the second ones, and so on; bytes after the last whole element stay.

/// Groups the bytes of `from` into `to`, which is as long. `width` is that of an element in bytes, at least 1.
pub(super) fn shuffle(from: &[u8], width: usize, to: &mut [u8]) {
    let count = from.len() / width;
    let (elements, rest) = from.split_at(count * width);
    let (planes, tail) = to.split_at_mut(count * width);
    for (place, plane) in planes.chunks_exact_mut(count.max(1)).enumerate() {
        for (to, element) in plane.iter_mut().zip(elements.chunks_exact(width)) {
            *to = element[place];
        }
    }
    tail.copy_from_slice(rest);
}

/// The reverse of [`shuffle`].
pub(super) fn unshuffle(from: &[u8], width: usize, to: &mut [u8]) {
    let count = from.len() / width;
    let (planes, rest) = from.split_at(count * width);
    let (elements, tail) = to.split_at_mut(count * width);
    tail.copy_from_slice(rest);
    // The common widths in one pass over the output; the others plane by plane.
    let plane = |place: usize| &planes[place * count..(place + 1) * count];
    match width {
        2 => {
            let from = plane(0).iter().zip(plane(1));
            elements.as_chunks_mut::<2>().0.iter_mut().zip(from).for_each(|(to, (a, b))| *to = [*a, *b]);
        }
        4 => {
            let from = plane(0).iter().zip(plane(1)).zip(plane(2).iter().zip(plane(3)));
            let to = elements.as_chunks_mut::<4>().0.iter_mut();
            to.zip(from).for_each(|(to, ((a, b), (c, d)))| *to = [*a, *b, *c, *d]);
        }
        _ => {
            for place in 0..width {
                let to = elements.iter_mut().skip(place).step_by(width);
                to.zip(plane(place)).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_grouped() {
        let mut out = [0; 7];
        shuffle(&[1, 2, 11, 12, 21, 22, 99], 2, &mut out);
        assert_eq!(out, [1, 11, 21, 2, 12, 22, 99]);
    }

    #[test]
    fn what_is_shuffled_comes_back() {
        for width in 1..=8 {
            for len in (0..40).chain([1000]) {
                let input: Vec<u8> = (0..len).map(|i| (i * 31 + i / 7) as u8).collect();
                let (mut there, mut back) = (vec![0xEE; len], vec![0xEE; len]);
                shuffle(&input, width, &mut there);
                unshuffle(&there, width, &mut back);
                assert_eq!(back, input, "{len} bytes in elements of {width}");
            }
        }
    }
}
