//! Masks of block-sparse attention: planes of bits, one for each layer, head and step, coded under what is around a bit in its plane, in the
//! plane of the step before, and in that of the head before (`SPEC.md` section 7.11.4).

use super::avx2::{self, Work};
use super::dense::Decisions;
use super::grid::FORM;
use super::mixing::{Correction, Mixer};
use super::tables::Tables;
use crate::binary::{BinaryDecoder, BinaryEncoder};
use crate::error::{CodingError, Result, corrupt, invalid};
use crate::varint::{put, take, take_u8};

/// Lists of what is around a bit.
const LISTS: usize = 12;
/// Counters are believed by the decisions they have seen; in sixteenths.
const TRUST: [i32; 16] = [0, 4, 6, 8, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15];
/// Decisions a counter remembers.
const MEMORY: u8 = 120;
/// Zeros around a plane, so that what is beyond its edges needs no question.
const EDGE: usize = 2;

#[derive(Debug, Clone, Copy)]
struct Counter {
    one: u16,
    seen: u8,
}

/// Rows, and columns, of a plane at most.
pub const MAX_MASK_SIDE: usize = 1 << 16;

/// Size of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PlaneShape {
    rows: usize,
    columns: usize,
}

/// Planes of bits to be coded: those of the steps of a head one after another, then the next head's.
#[derive(Debug, Clone, Copy)]
pub struct Masks<'a> {
    /// Rows of a plane, 1 to [`MAX_MASK_SIDE`]: blocks of queries.
    pub rows: usize,
    /// Columns of a plane, as many: blocks of keys.
    pub columns: usize,
    /// Steps of a head.
    pub steps: u64,
    /// The step of the first plane.
    pub first: u64,
    /// The planes, row by row: 0 or 1 in a byte.
    pub bits: &'a [u8],
}

/// Codes planes.
///
/// # Errors
/// If there are none, the bits are not whole planes, or one is neither 0 nor 1.
pub fn encode_masks(masks: &Masks<'_>) -> Result<Vec<u8>> {
    let Masks { rows, columns, steps, first, bits } = *masks;
    let sides = 1..=MAX_MASK_SIDE;
    if !sides.contains(&rows) || !sides.contains(&columns) || first >= steps {
        return Err(invalid("the size of masks"));
    }
    if bits.is_empty() || !bits.len().is_multiple_of(rows * columns) || bits.iter().any(|&b| b > 1) {
        return Err(invalid("bits of masks"));
    }
    let mut out = vec![FORM];
    for number in [steps, first, rows as u64, columns as u64] {
        put(&mut out, number);
    }
    let mut encoder = BinaryEncoder::new();
    let mut planes = bits.to_vec();
    code_all(&mut encoder, PlaneShape { rows, columns }, (steps, first), &mut planes);
    out.extend(encoder.finish());
    Ok(out)
}

/// Decodes a chunk into `out`, of the chunk's decoded length.
///
/// # Errors
/// What is malformed.
pub fn decode_masks(payload: &[u8], out: &mut [u8]) -> Result<()> {
    let mut rest = payload;
    let form = take_u8(&mut rest, "head of masks")?;
    if form != FORM {
        return Err(CodingError::Unsupported { what: "form of masks", id: form.into() });
    }
    let (steps, first) = (take(&mut rest)?, take(&mut rest)?);
    let mut side = || {
        let side = usize::try_from(take(&mut rest)?).unwrap_or(usize::MAX);
        if (1..=MAX_MASK_SIDE).contains(&side) { Ok(side) } else { Err(corrupt("the size of masks")) }
    };
    let (rows, columns) = (side()?, side()?);
    let area = rows.checked_mul(columns).filter(|&area| area <= out.len() && out.len().is_multiple_of(area));
    if area.is_none() || first >= steps {
        return Err(corrupt("the size of masks is not that of the chunk"));
    }
    let mut decoder = BinaryDecoder::new(rest);
    code_all(&mut decoder, PlaneShape { rows, columns }, (steps, first), out);
    if decoder.is_drained() { Ok(()) } else { Err(corrupt("bytes follow the masks")) }
}

/// Codes all planes of a chunk.
fn code_all(
    decisions: &mut impl Decisions,
    shape: PlaneShape,
    (steps, first): (u64, u64),
    planes: &mut [u8],
) {
    let mut job = Job { coder: MaskCoder::new(shape), steps, first, planes };
    avx2::run(&mut job, decisions, &mut []);
}

/// Planes, and what codes them.
struct Job<'a> {
    coder: MaskCoder,
    steps: u64,
    first: u64,
    planes: &'a mut [u8],
}

impl Work for Job<'_> {
    #[inline(always)]
    fn work(&mut self, decisions: &mut impl Decisions, _: &mut [u16]) {
        let area = self.coder.shape.rows * self.coder.shape.columns;
        for number in 0..self.planes.len() / area {
            let step = ((u128::from(self.first) + number as u128) % u128::from(self.steps)) as u64;
            let head = usize::try_from(self.steps).ok().and_then(|steps| number.checked_sub(steps));
            self.coder.code_plane(decisions, self.planes, number, step, head);
        }
    }
}

/// A plane with zeros around it.
struct Plane {
    stride: usize,
    bits: Vec<u8>,
}

impl Plane {
    fn new(shape: PlaneShape) -> Self {
        let stride = shape.columns + 2 * EDGE;
        Self { stride, bits: vec![0; stride * (shape.rows + 2 * EDGE)] }
    }

    /// Takes the bits of a plane, or zeros.
    fn fill(&mut self, columns: usize, bits: Option<&[u8]>) {
        match bits {
            None => self.bits.fill(0),
            Some(bits) => {
                for (y, row) in bits.chunks_exact(columns).enumerate() {
                    let from = (y + EDGE) * self.stride + EDGE;
                    self.bits[from..from + columns].copy_from_slice(row);
                }
            }
        }
    }

    #[inline(always)]
    fn at(&self, here: usize, down: isize, right: isize) -> usize {
        let place = here as isize + down * self.stride as isize + right;
        usize::from(self.bits[place as usize])
    }
}

/// A plane that is known, and what is around each of its places.
struct Before {
    plane: Plane,
    /// Of each place, the nine bits at and around it, the upper left one the highest, and how many of the 25 are ones: `nine << 5 | count`.
    around: Vec<u16>,
}

impl Before {
    fn new(shape: PlaneShape) -> Self {
        Self { plane: Plane::new(shape), around: vec![0; shape.rows * shape.columns] }
    }

    fn fill(&mut self, columns: usize, bits: Option<&[u8]>) {
        self.plane.fill(columns, bits);
        if bits.is_none() {
            self.around.fill(0);
            return;
        }
        let plane = &self.plane;
        for (y, row) in self.around.chunks_exact_mut(columns).enumerate() {
            let start = (y + EDGE) * plane.stride + EDGE;
            for (x, around) in row.iter_mut().enumerate() {
                let here = start + x;
                let mut count = 0;
                for down in 0..5 {
                    let from = here + down * plane.stride - 2 * plane.stride - 2;
                    count += plane.bits[from..from + 5].iter().sum::<u8>();
                }
                let nine = [-1, 0, 1]
                    .into_iter()
                    .flat_map(|down| [-1, 0, 1].map(|right| plane.at(here, down, right)));
                *around = (nine.fold(0, |bits, bit| bits << 1 | bit) << 5) as u16 | u16::from(count);
            }
        }
    }
}

/// Codes planes of bits and learns from them.
struct MaskCoder {
    tables: &'static Tables,
    shape: PlaneShape,
    now: Plane,
    /// Of the step before, the one before that, and the head before.
    step: Before,
    older: Plane,
    head: Before,
    /// The last bits at each place, whatever plane they were of, and how many ones there were.
    past: Vec<u8>,
    ones: Vec<u8>,
    /// Ones of each column of the plane.
    in_column: Vec<u32>,
    counters: [Vec<Counter>; LISTS],
    by_bits: Mixer<LISTS>,
    by_row: Mixer<LISTS>,
    by_near: Mixer<LISTS>,
    last: Mixer<3>,
    first_correction: Correction,
    second_correction: Correction,
    divisors: [i32; 256],
}

/// What is known of a bit before it.
struct Known {
    lists: [usize; LISTS],
    by_bits: usize,
    by_row: usize,
    by_near: usize,
}

/// `floor(log2(x + 1))`, at most `most`.
#[inline(always)]
fn class(x: usize, most: usize) -> usize {
    ((x + 1).ilog2() as usize).min(most)
}

impl MaskCoder {
    fn new(shape: PlaneShape) -> Self {
        let tables = Tables::get();
        let plane = || Plane::new(shape);
        let area = shape.rows * shape.columns;
        let sizes = [256, 4096, 4096, 1024, 4 * shape.columns, 2048, 512, 4096, 1024, 256, 512, 128];
        let start = [4 * 65_536 / LISTS as i32 / 2; LISTS];
        Self {
            tables,
            shape,
            now: plane(),
            step: Before::new(shape),
            older: plane(),
            head: Before::new(shape),
            past: vec![0; area],
            ones: vec![0; area],
            in_column: vec![0; shape.columns],
            counters: sizes.map(|n| vec![Counter { one: 1 << 15, seen: 0 }; n]),
            by_bits: Mixer::new(64, start, 12),
            by_row: Mixer::new(256, start, 12),
            by_near: Mixer::new(256, start, 12),
            last: Mixer::new(64, [21_845; 3], 2),
            first_correction: Correction::new(64, tables),
            second_correction: Correction::new(4096, tables),
            divisors: core::array::from_fn(|n| 131_072 / (2 * n as i32 + 3)),
        }
    }

    /// Codes plane `number` of `planes`, of which those before it are known. `step` says whether the plane before is of the step before, `head` which
    /// plane is of the head before.
    #[inline(always)]
    fn code_plane(
        &mut self,
        decisions: &mut impl Decisions,
        planes: &mut [u8],
        number: usize,
        step: u64,
        head: Option<usize>,
    ) {
        let PlaneShape { rows, columns } = self.shape;
        let area = rows * columns;
        let plane = |n: Option<usize>| n.map(|n| &planes[n * area..][..area]);
        self.step.fill(columns, plane(if step > 0 { number.checked_sub(1) } else { None }));
        self.older.fill(columns, plane(if step > 1 { number.checked_sub(2) } else { None }));
        self.head.fill(columns, plane(head));
        self.now.fill(columns, None);
        self.in_column.fill(0);
        let told = usize::from(step > 0 && number > 0) | usize::from(head.is_some()) << 1;
        let bits = &mut planes[number * area..][..area];
        for y in 0..rows {
            let mut in_row = 0usize;
            for x in 0..columns {
                let known = self.known(y, x, told, in_row);
                let at = y * columns + x;
                let bit = self.code_bit(decisions, &known, bits[at] == 1);
                bits[at] = bit.into();
                let here = (y + EDGE) * self.now.stride + x + EDGE;
                self.now.bits[here] = bit.into();
                in_row += usize::from(bit);
                self.in_column[x] += u32::from(bit);
                self.past[at] = self.past[at] << 1 | u8::from(bit);
                self.ones[at] = self.ones[at].saturating_add(bit.into());
            }
        }
    }

    #[inline(always)]
    fn known(&self, y: usize, x: usize, told: usize, in_row: usize) -> Known {
        let PlaneShape { rows, columns } = self.shape;
        let here = (y + EDGE) * self.now.stride + x + EDGE;
        let now = |down: isize, right: isize| self.now.at(here, down, right);
        let (w, n) = (now(0, -1), now(-1, 0));
        let wn = w | n << 1;
        let own = wn
            | now(0, -2) << 2
            | now(-1, -1) << 3
            | now(-1, 1) << 4
            | now(-2, 0) << 5
            | now(-1, 2) << 6
            | now(-1, -2) << 7;
        let place = y * columns + x;
        let (of_step, of_head) = (usize::from(self.step.around[place]), usize::from(self.head.around[place]));
        let (a, b, o) = (of_step >> 9 & 1, of_head >> 9 & 1, self.older.at(here, 0, 0));
        // Of the place with row and column changed over: of this plane if it is known, else of the step before.
        let square = x < rows && y < columns;
        let mirrored = square && x < y;
        let there = (x + EDGE) * self.now.stride + y + EDGE;
        let (t, cross) = if !square {
            (0, 0)
        } else {
            let of = if mirrored { &self.now } else { &self.step.plane };
            let t = of.at(there, 0, 0);
            (
                t,
                of.at(there, 0, -1)
                    | of.at(there, 0, 1) << 1
                    | of.at(there, -1, 0) << 2
                    | of.at(there, 1, 0) << 3,
            )
        };
        let m = usize::from(mirrored);
        let distance = x as isize - y as isize;
        let far = class(distance.unsigned_abs(), 7);
        let past = usize::from(self.past[place]);
        let ones = usize::from(self.ones[place]).min(15);
        let near = own.count_ones() as usize;
        let column = (self.in_column[x] as usize * 16 / (y + 1)).min(15);
        let left = class(columns - x, 15);
        let lists = [
            own,
            of_step >> 5 | wn << 9 | (told & 1) << 11,
            of_head >> 5 | wn << 9 | (told >> 1) << 11,
            a | b << 1 | t << 2 | wn << 3 | o << 5 | far << 6 | m << 9,
            4 * x + wn,
            (distance.clamp(-511, 511) + 512) as usize * 2 + a,
            t | cross << 1 | wn << 5 | a << 7 | m << 8,
            in_row.min(255) * 16 + left,
            (past & 15) | ones << 4 | wn << 8,
            (of_step & 31) * 9 + near,
            ((of_head & 31) * 9 + near) * 2 + a,
            column * 8 + wn * 2 + a,
        ];
        Known {
            lists,
            by_bits: a | t << 1 | wn << 2 | (told & 1) << 4 | m << 5,
            by_row: in_row.min(15) * 16 + left,
            by_near: near * 26 + (of_step & 31),
        }
    }

    #[inline(always)]
    fn code_bit(&mut self, decisions: &mut impl Decisions, known: &Known, bit: bool) -> bool {
        let mut inputs = [0i32; LISTS];
        for ((input, counters), &at) in inputs.iter_mut().zip(&self.counters).zip(&known.lists) {
            let counter = counters[at];
            *input = (self.tables.stretch(counter.one) * TRUST[usize::from(counter.seen.min(15))]) >> 4;
        }
        let mixed = [
            self.by_bits.mix(known.by_bits, &inputs),
            self.by_row.mix(known.by_row, &inputs),
            self.by_near.mix(known.by_near, &inputs),
        ];
        let together = self.last.mix(known.by_bits, &mixed);
        let said = self.tables.squash(together);
        let (first, first_point) = self.first_correction.look(known.by_bits, together);
        let (second, second_point) = self.second_correction.look(known.lists[7], together);
        let one = (2 * said + first + second) >> 2;
        let bit = decisions.code(bit, one.clamp(24, 65_512));
        let target = if bit { 65_536 } else { 0 };
        self.by_bits.learn(known.by_bits, &inputs, self.tables.squash(mixed[0]), target);
        self.by_row.learn(known.by_row, &inputs, self.tables.squash(mixed[1]), target);
        self.by_near.learn(known.by_near, &inputs, self.tables.squash(mixed[2]), target);
        self.last.learn(known.by_bits, &mixed, said, target);
        self.first_correction.learn(known.by_bits, first_point, bit);
        self.second_correction.learn(known.lists[7], second_point, bit);
        for (counters, &at) in self.counters.iter_mut().zip(&known.lists) {
            let counter = &mut counters[at];
            let gap = if bit { 65_535i32 } else { 0 } - i32::from(counter.one);
            let step = (i64::from(gap) * i64::from(self.divisors[usize::from(counter.seen)])) >> 16;
            counter.one = (i64::from(counter.one) + step).clamp(32, 65_504) as u16;
            counter.seen = (counter.seen + 1).min(MEMORY);
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bands along the diagonal, which change a little from step to step.
    fn bands(heads: usize, steps: usize, rows: usize, columns: usize) -> Vec<u8> {
        let mut bits = Vec::new();
        for plane in 0..heads * steps {
            for y in 0..rows {
                for x in 0..columns {
                    let noise = (plane * 31 + y * 17 + x * 101) % 23 == 0;
                    bits.push(u8::from(x.abs_diff(y) < 3 + plane / steps || noise));
                }
            }
        }
        bits
    }

    #[test]
    fn masks_come_back() {
        for (heads, steps, first, rows, columns) in
            [(2, 3, 0, 24, 24), (1, 5, 2, 9, 31), (3, 1, 0, 40, 7), (1, 1, 0, 1, 1), (1, 2, 1, 3, 600)]
        {
            let bits = bands(heads, steps, rows, columns);
            let masks = Masks { rows, columns, steps: steps as u64, first, bits: &bits };
            let payload = encode_masks(&masks).unwrap();
            let mut out = vec![7; bits.len()];
            decode_masks(&payload, &mut out).unwrap();
            assert_eq!(out, bits, "{rows} x {columns}");
            for end in 0..payload.len() {
                // A shorter payload may decode to something, which is what checksums are for, but never to a panic.
                let _ = decode_masks(&payload[..end], &mut out);
            }
        }
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        let masks = Masks { rows: 2, columns: 2, steps: 1, first: 0, bits: &[0, 1, 1, 0] };
        assert!(encode_masks(&masks).is_ok());
        assert!(encode_masks(&Masks { bits: &[0, 1, 2, 0], ..masks }).is_err());
        assert!(encode_masks(&Masks { bits: &[0, 1, 1], ..masks }).is_err());
        assert!(encode_masks(&Masks { bits: &[], ..masks }).is_err());
        assert!(encode_masks(&Masks { first: 1, ..masks }).is_err());
        assert!(encode_masks(&Masks { rows: 0, ..masks }).is_err());
        let payload = encode_masks(&masks).unwrap();
        assert!(decode_masks(&payload, &mut [0; 6]).is_err());
        assert!(decode_masks(&payload, &mut []).is_err());
        let long: Vec<u8> = payload.iter().copied().chain([9; 40]).collect();
        assert!(decode_masks(&long, &mut [0; 4]).is_err());
    }
}
