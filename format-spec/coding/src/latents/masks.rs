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
/// Inputs of mixers: of the lists, and zeros that fill whole vectors.
const INPUTS: usize = 16;
/// Counters are believed by the decisions they have seen; in sixteenths.
const TRUST: [i32; 16] = [0, 4, 6, 8, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15];
/// Decisions a counter remembers.
const MEMORY: u8 = 120;
/// Zeros around a plane, so that what is beyond its edges needs no question.
const EDGE: usize = 2;

#[derive(Debug, Clone, Copy)]
struct Counter {
    one: u16,
    /// What it says, stretched, as far as it is believed.
    said: i16,
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
    avx2::run(Job { coder: MaskCoder::new(shape), decisions, steps, first, planes });
}

/// Planes, and what codes them.
struct Job<'a, D> {
    coder: MaskCoder,
    decisions: &'a mut D,
    steps: u64,
    first: u64,
    planes: &'a mut [u8],
}

impl<D: Decisions> Work for Job<'_, D> {
    type Done = ();

    #[inline(always)]
    fn work(mut self) {
        let area = self.coder.shape.rows * self.coder.shape.columns;
        for number in 0..self.planes.len() / area {
            let step = ((u128::from(self.first) + number as u128) % u128::from(self.steps)) as u64;
            let head = usize::try_from(self.steps).ok().and_then(|steps| number.checked_sub(steps));
            self.coder.code_plane(self.decisions, self.planes, number, step, head);
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

    /// Row `y - EDGE` with the zeros beside it.
    #[inline(always)]
    fn row(&self, y: usize) -> &[u8] {
        &self.bits[y * self.stride..][..self.stride]
    }

    /// The bit at row `y` and column `x`, and those left and right of it, above and below it, as `t, l, r, a, b`, the lowest first.
    #[inline(always)]
    fn cross(&self, y: usize, x: usize) -> u32 {
        let at = |y: usize, x: usize| u32::from(self.bits[y * self.stride + x]);
        let (y, x) = (y + EDGE, x + EDGE);
        at(y, x) | at(y, x - 1) << 1 | at(y, x + 1) << 2 | at(y - 1, x) << 3 | at(y + 1, x) << 4
    }
}

/// A plane that is known, and what is around each of its places.
struct Before {
    plane: Plane,
    /// Of each place, the nine bits at and around it, the upper left one the highest, and how many of the 25 are ones: `nine << 5 | count`.
    around: Vec<u16>,
    /// How many ones are in five rows of each column.
    counts: Vec<u8>,
}

impl Before {
    fn new(shape: PlaneShape) -> Self {
        let counts = vec![0; shape.columns + 2 * EDGE];
        Self { plane: Plane::new(shape), around: vec![0; shape.rows * shape.columns], counts }
    }

    #[inline(always)]
    fn fill(&mut self, columns: usize, bits: Option<&[u8]>) {
        self.plane.fill(columns, bits);
        if bits.is_none() {
            self.around.fill(0);
            return;
        }
        let Self { plane, around, counts } = self;
        for (y, around) in around.chunks_exact_mut(columns).enumerate() {
            let rows: [&[u8]; 5] = core::array::from_fn(|i| plane.row(y + i));
            for (x, count) in counts.iter_mut().enumerate() {
                *count = rows[0][x] + rows[1][x] + rows[2][x] + rows[3][x] + rows[4][x];
            }
            let (above, own, below) = (rows[1], rows[2], rows[3]);
            let three = |row: &[u8], x: usize| {
                u16::from(row[x + 1]) << 2 | u16::from(row[x + 2]) << 1 | u16::from(row[x + 3])
            };
            for (x, around) in around.iter_mut().enumerate() {
                let count: u8 = counts[x..x + 5].iter().sum();
                let nine = three(above, x) << 6 | three(own, x) << 3 | three(below, x);
                *around = nine << 5 | u16::from(count);
            }
        }
    }
}

/// What is known of a place before its row: each list, without what the two bits to the left say.
#[derive(Clone, Copy)]
struct Place {
    lists: [u32; LISTS],
    by_bits: u32,
    by_near: u32,
    left: u32,
}

/// What the bit to the left adds to each list, and the one left of that.
const OF_LEFT: [u32; LISTS] = [1, 1 << 9, 1 << 9, 1 << 3, 1, 0, 1 << 5, 0, 1 << 8, 1, 2, 2];
const OF_FAR_LEFT: [u32; LISTS] = [1 << 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0];
/// The list of how many ones the row has so far.
const BY_ROW: usize = 7;

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
    /// What is known of the places of the row at hand.
    places: Vec<Place>,
    /// Counters of all lists, and where those of each begin.
    counters: Vec<Counter>,
    starts: [u32; LISTS],
    by_bits: Mixer<INPUTS>,
    by_row: Mixer<INPUTS>,
    by_near: Mixer<INPUTS>,
    last: Mixer<3>,
    first_correction: Correction,
    second_correction: Correction,
    divisors: [i32; 256],
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
        let mut all = 0;
        let starts = sizes.map(|size| {
            all += size;
            (all - size) as u32
        });
        let start = [4 * 65_536 / LISTS as i32 / 2; INPUTS];
        let nothing = Place { lists: [0; LISTS], by_bits: 0, by_near: 0, left: 0 };
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
            places: vec![nothing; shape.columns],
            counters: vec![Counter { one: 1 << 15, seen: 0, said: 0 }; all],
            starts,
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
        let told = u32::from(step > 0 && number > 0) | u32::from(head.is_some()) << 1;
        let bits = &mut planes[number * area..][..area];
        for (y, bits) in bits.chunks_exact_mut(columns).enumerate() {
            self.look_around(y, told);
            let (mut in_row, mut left, mut far_left) = (0u32, 0u32, 0u32);
            for (x, out) in bits.iter_mut().enumerate() {
                let bit = self.code_bit(decisions, x, (left, far_left), in_row, *out == 1);
                *out = bit.into();
                (far_left, left) = (left, bit.into());
                in_row += left;
            }
            let from = (y + EDGE) * self.now.stride + EDGE;
            self.now.bits[from..from + columns].copy_from_slice(bits);
            let places = y * columns..(y + 1) * columns;
            let (past, ones) = (&mut self.past[places.clone()], &mut self.ones[places]);
            for (((bit, past), ones), in_column) in bits.iter().zip(past).zip(ones).zip(&mut self.in_column) {
                *in_column += u32::from(*bit);
                *past = *past << 1 | *bit;
                *ones = ones.saturating_add(*bit);
            }
        }
    }

    /// Finds what is known of the places of row `y` before it.
    #[inline(always)]
    fn look_around(&mut self, y: usize, told: u32) {
        let PlaneShape { rows, columns } = self.shape;
        let (above, over) = (self.now.row(y + 1), self.now.row(y));
        let older = &self.older.row(y + EDGE)[EDGE..][..columns];
        let row = y * columns..(y + 1) * columns;
        let (of_step, of_head) = (&self.step.around[row.clone()], &self.head.around[row.clone()]);
        let (past, ones) = (&self.past[row.clone()], &self.ones[row]);
        // Of less than 2^24 by up to 2^16, this is the whole part of the quotient.
        let inverse = (1u64 << 40) / (y as u64 + 1) + 1;
        for (x, place) in self.places.iter_mut().enumerate() {
            let bit = |row: &[u8], x: usize| u32::from(row[x]);
            let n = bit(above, x + 2);
            let around: [u32; 5] =
                [bit(above, x + 1), bit(above, x + 3), bit(over, x + 2), bit(above, x + 4), bit(above, x)];
            let own = (0..5).fold(n << 1, |own, i| own | around[i] << (3 + i));
            let near = n + around.iter().sum::<u32>();
            let (of_step, of_head) = (u32::from(of_step[x]), u32::from(of_head[x]));
            let (a, b, o) = (of_step >> 9 & 1, of_head >> 9 & 1, u32::from(older[x]));
            // Of the place with row and column changed over: of this plane if it is known, else of the step before.
            let square = x < rows && y < columns;
            let mirrored = square && x < y;
            let turned = match (square, mirrored) {
                (false, _) => 0,
                (true, true) => self.now.cross(x, y),
                (true, false) => self.step.plane.cross(x, y),
            };
            let (t, m) = (turned & 1, u32::from(mirrored));
            let distance = x as i32 - y as i32;
            let far = class(distance.unsigned_abs() as usize, 7) as u32;
            let (past, ones) = (u32::from(past[x]), u32::from(ones[x]).min(15));
            let column = ((u64::from(self.in_column[x]) * 16 * inverse) >> 40).min(15) as u32;
            let left = class(columns - x, 15) as u32;
            let lists = [
                own,
                of_step >> 5 | n << 10 | (told & 1) << 11,
                of_head >> 5 | n << 10 | (told >> 1) << 11,
                a | b << 1 | t << 2 | n << 4 | o << 5 | far << 6 | m << 9,
                4 * x as u32 + 2 * n,
                (distance.clamp(-511, 511) + 512) as u32 * 2 + a,
                turned | n << 6 | a << 7 | m << 8,
                left,
                (past & 15) | ones << 4 | n << 9,
                (of_step & 31) * 9 + near,
                ((of_head & 31) * 9 + near) * 2 + a,
                column * 8 + n * 4 + a,
            ];
            place.lists = core::array::from_fn(|i| lists[i] + self.starts[i]);
            place.by_bits = a | t << 1 | n << 3 | (told & 1) << 4 | m << 5;
            place.by_near = near * 26 + (of_step & 31);
            place.left = left;
        }
    }

    #[inline(always)]
    fn code_bit(
        &mut self,
        decisions: &mut impl Decisions,
        x: usize,
        (left, far_left): (u32, u32),
        in_row: u32,
        bit: bool,
    ) -> bool {
        let place = &self.places[x];
        let mut lists = [0u32; LISTS];
        for (i, list) in lists.iter_mut().enumerate() {
            *list = place.lists[i] + left * OF_LEFT[i] + far_left * OF_FAR_LEFT[i];
        }
        let of_row = in_row.min(255) * 16;
        let second = (of_row + place.left) as usize;
        lists[BY_ROW] += of_row;
        let by_bits = (place.by_bits + left * 4) as usize;
        let by_row = (in_row.min(15) * 16 + place.left) as usize;
        let by_near = (place.by_near + (left + far_left) * 26) as usize;
        let mut inputs = [0i32; INPUTS];
        for (input, &at) in inputs.iter_mut().zip(&lists) {
            *input = self.counters[at as usize].said.into();
        }
        let mixed = [
            self.by_bits.mix(by_bits, &inputs),
            self.by_row.mix(by_row, &inputs),
            self.by_near.mix(by_near, &inputs),
        ];
        let together = self.last.mix(by_bits, &mixed);
        let said = self.tables.squash(together);
        let (first, first_point) = self.first_correction.look(by_bits, together);
        let (then, second_point) = self.second_correction.look(second, together);
        let one = (2 * said + first + then) >> 2;
        let bit = decisions.code(bit, one.clamp(24, 65_512));
        let target = if bit { 65_536 } else { 0 };
        self.by_bits.learn(by_bits, &inputs, self.tables.squash(mixed[0]), target);
        self.by_row.learn(by_row, &inputs, self.tables.squash(mixed[1]), target);
        self.by_near.learn(by_near, &inputs, self.tables.squash(mixed[2]), target);
        self.last.learn(by_bits, &mixed, said, target);
        self.first_correction.learn(by_bits, first_point, bit);
        self.second_correction.learn(second, second_point, bit);
        let target = if bit { 65_535 } else { 0 };
        let stretched = self.tables.stretched();
        for at in lists {
            let counter = &mut self.counters[at as usize];
            let gap = target - i32::from(counter.one);
            let step = ((i64::from(gap) * i64::from(self.divisors[usize::from(counter.seen)])) >> 16) as i32;
            let one = (i32::from(counter.one) + step).clamp(32, 65_504);
            let seen = (counter.seen + 1).min(MEMORY);
            counter.one = one as u16;
            counter.seen = seen;
            // What it says the next time is known now, when nothing waits for it.
            let trust = TRUST[usize::from(seen.min(15))];
            counter.said = ((i32::from(stretched[one as usize]) * trust) >> 4) as i16;
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
