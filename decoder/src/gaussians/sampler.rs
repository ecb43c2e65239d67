//! Single points of a scene.

use mcodec_coding::gaussians::MAX_PLANES;
use mcodec_format::Limits;

use super::lanes::{self, Kernel, LANES, Lanes};
use super::render::{MOST_AT_LEAST, MOST_PER_TILE, value};
use super::{MEAN_WEIGHT, Scene, Shape, Splat};
use crate::{DecodeError, Result};

type Group = [f32; LANES];
/// Numbers of a Gaussian's form, and colours that lie beside them.
const FORM: usize = 5;
const BESIDE: usize = LANES - FORM;
/// Groups of a Gaussian's other colours at most.
const MOST_GROUPS: usize = (MAX_PLANES - BESIDE).div_ceil(LANES);

/// A scene with the Gaussians of each small square listed, for single points.
#[derive(Debug)]
pub struct Sampler {
    scene: Scene,
    /// Of each Gaussian x, y, across, along and down as [`Shape`] has them, then its first colours; last one that weighs nothing anywhere.
    forms: Vec<Group>,
    /// Of each Gaussian the colours that `forms` has no room for, in whole groups.
    colours: Vec<Group>,
    columns: usize,
    rows: usize,
    /// Of each square where its Gaussians begin in `listed`.
    start: Vec<u32>,
    /// Eight at once, by rising index; the last eight of a square are filled up with the one that weighs nothing.
    listed: Vec<[u32; LANES]>,
}

/// Source pixels along one side of a sampler's squares.
const SQUARE: f32 = 8.0;

impl Sampler {
    /// Lists the Gaussians of a source of this many pixels.
    ///
    /// # Errors
    /// If too many reach it.
    pub fn new(scene: Scene, width: u32, height: u32) -> Result<Self> {
        let squares = |pixels: u32| (pixels as usize).div_ceil(SQUARE as usize).max(1);
        let (columns, rows) = (squares(width), squares(height));
        let shapes: Vec<Shape> = scene.splats.iter().map(Splat::shape).collect();
        let index = |at: f32, count: usize| (at / SQUARE).floor().clamp(0.0, count as f32 - 1.0) as usize;
        let each = |shape: &Shape, found: &mut dyn FnMut(usize)| {
            let top = index(shape.y - shape.half[1], rows);
            for row in top..=index(shape.y + shape.half[1], rows) {
                let first = row as f32 * SQUARE - shape.y;
                let Some((left, right)) = shape.columns(first, first + SQUARE) else { continue };
                for column in index(shape.x + left, columns)..=index(shape.x + right, columns) {
                    found(row * columns + column);
                }
            }
        };
        let most = (MOST_PER_TILE * (rows * columns) as u64).max(MOST_AT_LEAST);
        let boxes = shapes.iter().map(|s| {
            ((2.0 * s.half[0] / SQUARE) as u64 + 2).min(columns as u64)
                * ((2.0 * s.half[1] / SQUARE) as u64 + 2).min(rows as u64)
        });
        Limits::check("number of squares that Gaussians reach", boxes.sum(), most).map_err(|source| {
            DecodeError::Entry { kind: "picture", name: "of Gaussians".to_owned(), source }
        })?;
        let mut counts = vec![0u32; columns * rows];
        shapes.iter().for_each(|shape| each(shape, &mut |square| counts[square] += 1));
        let mut start = Vec::with_capacity(counts.len() + 1);
        let mut end = 0;
        for count in &mut counts {
            start.push(end);
            end += count.div_ceil(LANES as u32);
            *count = 0;
        }
        start.push(end);
        let mut listed = vec![[shapes.len() as u32; LANES]; end as usize];
        for (i, shape) in (0u32..).zip(&shapes) {
            each(shape, &mut |square| {
                let place = counts[square] as usize;
                listed[start[square] as usize + place / LANES][place % LANES] = i;
                counts[square] += 1;
            });
        }
        let (forms, colours) = (forms(&shapes, &scene), colours(&scene));
        Ok(Self { scene, forms, colours, columns, rows, start, listed })
    }

    /// What is drawn.
    #[must_use]
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Gaussians listed for the square of a point: those whose values [`Self::sample`] computes.
    #[must_use]
    pub fn reaching(&self, x: f32, y: f32) -> usize {
        let all = self.list(x, y).as_flattened();
        all.iter().filter(|&&index| index as usize != self.scene.len()).count()
    }

    fn list(&self, x: f32, y: f32) -> &[[u32; LANES]] {
        let index = |at: f32, count: usize| ((at / SQUARE).max(0.0) as usize).min(count - 1);
        let square = index(y, self.rows) * self.columns + index(x, self.columns);
        &self.listed[self.start[square] as usize..self.start[square + 1] as usize]
    }

    /// The planes at a point of the source; a pixel's centre is its integer position plus 0.5. Points outside give what is nearest listed.
    ///
    /// # Panics
    /// If `out` has not one number for each plane.
    pub fn sample(&self, x: f32, y: f32, out: &mut [f32]) {
        assert_eq!(out.len(), self.scene.planes(), "a number for each plane");
        match groups_of(self.scene.planes()) {
            0 => lanes::run(Sample::<0> { sampler: self, x, y, out }),
            1 => lanes::run(Sample::<1> { sampler: self, x, y, out }),
            _ => lanes::run(Sample::<MOST_GROUPS> { sampler: self, x, y, out }),
        }
    }
}

/// Groups of the colours that lie apart.
fn groups_of(planes: usize) -> usize {
    planes.saturating_sub(BESIDE).div_ceil(LANES)
}

/// What [`Sampler`] keeps of shapes, and the first colours.
fn forms(shapes: &[Shape], scene: &Scene) -> Vec<Group> {
    let nowhere = [0.0, 1e9, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    let form = |(s, colours): (&Shape, &[f32])| {
        let mut form = [s.x, s.y, s.across, s.along, s.down, 0.0, 0.0, 0.0];
        form[FORM..].iter_mut().zip(colours).for_each(|(to, &colour)| *to = colour);
        form
    };
    shapes.iter().zip(scene.colours.chunks_exact(scene.planes())).map(form).chain([nowhere]).collect()
}

/// What [`Sampler`] keeps of the other colours.
fn colours(scene: &Scene) -> Vec<Group> {
    let planes = scene.planes();
    let groups = groups_of(planes);
    let mut all = vec![[0.0; LANES]; (scene.len() + 1) * groups];
    if groups > 0 {
        for (own, colours) in all.chunks_exact_mut(groups).zip(scene.colours.chunks_exact(planes)) {
            own.as_flattened_mut()[..planes - BESIDE].copy_from_slice(&colours[BESIDE..]);
        }
    }
    all
}

/// A point; G groups hold the colours that lie apart.
struct Sample<'a, const G: usize> {
    sampler: &'a Sampler,
    x: f32,
    y: f32,
    out: &'a mut [f32],
}

impl<const G: usize> Kernel for Sample<'_, G> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { sampler, x, y, out } = self;
        let (x, y) = (l.splat(x), l.splat(y));
        // What is summed up of forms is of no use but for their colours.
        let (mut weight, mut first, mut rest) = (0.0, l.splat(0.0), [l.splat(0.0); G]);
        let mut weights = [0.0; LANES];
        for list in sampler.list(self.x, self.y) {
            // The values of eight Gaussians at once; their sums one by one, as a picture has them.
            let forms = list.map(|index| l.load(&sampler.forms[index as usize]));
            let [own_x, own_y, across, along, down, ..] = l.transpose(forms);
            let (dx, dy) = (l.sub(x, own_x), l.sub(y, own_y));
            let v = l.mul(down, dy);
            let u = l.add(l.mul(across, dx), l.mul(along, dy));
            l.store(value(l, u, l.sub(l.splat(0.0), l.mul(v, v))), &mut weights);
            for ((&w, form), &index) in weights.iter().zip(forms).zip(list) {
                weight += w;
                let w = l.splat(w);
                first = l.mul_add(w, form, first);
                let colours = &sampler.colours[index as usize * G..][..G];
                for (sum, colours) in rest.iter_mut().zip(colours) {
                    *sum = l.mul_add(w, l.load(colours), *sum);
                }
            }
        }
        let (mut beside, mut apart) = ([0.0; LANES], [[0.0; LANES]; G]);
        l.store(first, &mut beside);
        apart.iter_mut().zip(rest).for_each(|(to, sum)| l.store(sum, to));
        let sums = beside[FORM..].iter().chain(apart.as_flattened());
        let whole = weight + MEAN_WEIGHT;
        for ((out, sum), mean) in out.iter_mut().zip(sums).zip(&sampler.scene.mean) {
            *out = (sum + MEAN_WEIGHT * mean) / whole;
        }
    }
}
