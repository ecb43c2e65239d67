//! The float fit: blend, gradient and Adam, growth and relocation, all on the device. What is read back is only what the caller asks for.

use bytemuck::{Pod, Zeroable};
use wgpu::{Buffer, BufferUsages};

use super::MAX_CHANNELS;
use super::grid::Grid;
use super::kernel::{Bound, Text, Work, bind, prepare, storage, uniform, workgroups, zeros};
use super::pursuit::{self, Event, Pursuit};
use super::render::BIN;
use crate::device::Gpu;
use crate::error::{GpuError, Result};

/// Parameters of a Gaussian before its colours: x, y, ln of both standard deviations, angle.
pub const GEOMETRY: usize = 5;
/// How fast colours move.
const COLOUR_RATE: f32 = 0.01;
/// Levels of what is around a Gaussian.
const LEVELS: usize = 7;
/// Workgroups that share a large Gaussian, at most, and that there are for all Gaussians together: of very many few are large.
const MOST_PARTS: usize = 16;
const MOST_PARTS_ROOM: usize = 1 << 18;

const COMMON: &str = include_str!("fit.wgsl");
const SUMS: &str = include_str!("sums.wgsl");
pub(super) const REACHED: &str = include_str!("reached.wgsl");
const SHAPE: Text = Text("Gaussians of a fit", &[COMMON, include_str!("shape_fit.wgsl")]);
const STEP: Text = Text("blend and error", &[COMMON, SUMS, include_str!("step.wgsl")]);
const BLEND: Text = Text("blend and residual", &[COMMON, SUMS, include_str!("blend.wgsl")]);
const TOTAL: Text = Text("error of a step", &[COMMON, include_str!("total.wgsl")]);
const BACK: Text = Text("moments", &[COMMON, REACHED, include_str!("back.wgsl")]);
const GRADIENT: Text = Text("gradients", &[COMMON, REACHED, include_str!("gradient.wgsl")]);
const ADAM: Text = Text("Adam update", &[COMMON, include_str!("adam.wgsl")]);
const REMOVAL: Text = Text("removal energies", &[COMMON, REACHED, include_str!("removal.wgsl")]);
const WEAKEST: Text = Text("weakest Gaussians", &[COMMON, include_str!("weakest.wgsl")]);
/// All of a fit, apart from the search for places.
const KERNELS: [Text; 10] = [SHAPE, BIN, STEP, BLEND, TOTAL, BACK, GRADIENT, ADAM, REMOVAL, WEAKEST];

/// What is fitted.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Planes, row by row, one after another.
    pub planes: &'a [f32],
    /// Of each plane the colour that the blend tends to.
    pub mean: &'a [f32],
    /// Of each pixel how much its squared error counts; none: 1.
    pub importance: Option<&'a [f32]>,
}

/// What is fitted to it.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Gaussians to begin with: x, y, ln of both standard deviations, angle, colours.
    pub values: &'a [f32],
    /// So many of them, the first, stay as they are.
    pub frozen: usize,
    /// Gaussians there will be at most.
    pub room: usize,
    /// Gaussians that one growth or relocation adds or moves at most.
    pub most_moved: usize,
    /// Of each step the common factor of its learning rates.
    pub rates: &'a [f32],
    /// How many times larger each plane is than by itself: so much faster its colours move. Empty: all 1.
    pub gains: &'a [f32],
    /// Prefixes that are to be good pictures at once: Gaussians of each, the last all of them, and how much its squared error counts. Empty: only
    /// the whole.
    pub prefixes: &'a [(usize, f32)],
}

/// What a relocation moves.
#[derive(Debug, Clone, Copy)]
pub struct Moves {
    /// The part of Gaussians that it may move.
    pub part: f64,
    /// What a place's energy counts for, against what dropping a Gaussian costs.
    pub trust: f32,
}

/// Words of the state, as the kernels have them.
const STATE: usize = 8;
const COUNT: usize = 0;
const ERROR: usize = 2;

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct FitUniform {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) frozen: u32,
    pub(super) is_weighted: u32,
    pub(super) samples: f32,
    pub(super) levels: u32,
    pub(super) room: u32,
    pub(super) places: u32,
    pub(super) parts: u32,
}

impl FitUniform {
    fn of(picture: &Picture<'_>, plan: &Plan<'_>, levels: u32) -> Self {
        let (width, height, channels) = (picture.width, picture.height, picture.mean.len());
        let room = plan.room.max(plan.values.len() / (GEOMETRY + channels)).max(1);
        // Far more than are taken, since most are close to a stronger one; of pictures that are not large, all that there can be.
        let enough = plan.most_moved.saturating_mul(16).saturating_add(4096);
        let places = enough.max((width * height / 2).min(1 << 18)).min(1 << 22);
        Self {
            width: width as u32,
            height: height as u32,
            frozen: plan.frozen as u32,
            is_weighted: u32::from(picture.importance.is_some()),
            samples: (width * height * channels) as f32,
            levels,
            room: room as u32,
            places: places as u32,
            parts: (MOST_PARTS_ROOM / room).clamp(1, MOST_PARTS) as u32,
        }
    }
}

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct PassUniform {
    weight: f32,
    end: u32,
    is_last: u32,
    tiles: u32,
}

/// Kernels of one prefix in one step.
struct Pass {
    bin: Bound,
    step: Bound,
    total: Bound,
    back: Bound,
    gradient: Bound,
}

/// Buffers of a fit that the pursuit needs too.
pub(super) struct Buffers {
    pub(super) fit: Buffer,
    /// Values, both moments, ages.
    pub(super) record: Buffer,
    pub(super) state: Buffer,
    pub(super) image: Buffer,
}

impl Buffers {
    fn new(gpu: &Gpu, picture: &Picture<'_>, plan: &Plan<'_>, fit: &FitUniform) -> Result<Self> {
        let stride = GEOMETRY + picture.mean.len();
        let pixels = picture.width * picture.height;
        let mut state = [0u32; STATE];
        state[COUNT] = (plan.values.len() / stride) as u32;
        let record = zeros(gpu, "Gaussians of a fit", (3 * stride + 1) * fit.room as usize)?;
        gpu.write(&record, 0, bytemuck::cast_slice(plan.values))?;
        Ok(Self {
            fit: uniform(gpu, "fit", bytemuck::bytes_of(fit))?,
            record,
            state: storage(gpu, "state of a fit", bytemuck::cast_slice(&state))?,
            image: zeros(gpu, "pixels of a fit", pixels * (1 + picture.mean.len()))?,
        })
    }
}

/// A fit on a device.
pub struct Fit<'g> {
    gpu: &'g Gpu,
    channels: usize,
    room: usize,
    frozen: usize,
    parts: usize,
    grid: Grid,
    buffers: Buffers,
    shape: Bound,
    passes: Vec<Pass>,
    adam: Bound,
    blend: Bound,
    /// Of several prefixes the first: its Gaussians, what its squared error counts, and its blend.
    first: Option<(usize, f32, Bound)>,
    removal: Bound,
    weakest: Bound,
    pursuit: Pursuit,
}

impl std::fmt::Debug for Fit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fit").field("channels", &self.channels).field("room", &self.room).finish()
    }
}

impl<'g> Fit<'g> {
    /// Uploads the picture and the Gaussians to begin with.
    ///
    /// # Errors
    /// [`GpuError::Input`] if numbers of values do not match; [`GpuError::TooLarge`] if the picture is above what the device binds at once; what the
    /// device says.
    pub fn new(gpu: &'g Gpu, picture: &Picture<'_>, plan: &Plan<'_>) -> Result<Self> {
        check(picture, plan)?;
        prepare(gpu, picture.mean.len(), &[&KERNELS[..], &pursuit::KERNELS].concat());
        let (width, height, channels) = (picture.width, picture.height, picture.mean.len());
        let stride = GEOMETRY + channels;
        let (surroundings, levels) = surroundings(gpu, picture)?;
        let fit = FitUniform::of(picture, plan, levels);
        let (room, parts) = (fit.room as usize, fit.parts as usize);
        let upload = |what, floats: &[f32]| storage(gpu, what, bytemuck::cast_slice(floats));
        let goals = upload("what is fitted", &goals(picture))?;
        let centre = |i: usize| i as f32 + 0.5;
        let centres: Vec<f32> = (0..width).map(centre).chain((0..height).map(centre)).collect();
        let centres = upload("pixels", &centres)?;
        let gains = (0..channels).map(|plane| COLOUR_RATE * plan.gains.get(plane).unwrap_or(&1.0));
        let rates = upload("learning rates", &gains.chain(plan.rates.iter().copied()).collect::<Vec<f32>>())?;
        let buffers = Buffers::new(gpu, picture, plan, &fit)?;
        let gradients = zeros(gpu, "gradients", stride * room)?;
        let moments = zeros(gpu, "moments", stride * room * parts)?;
        let shapes = zeros(gpu, "shapes of a fit", 12 * room)?;
        let grid = Grid::new(width, height, room);
        let lists = zeros(gpu, "lists of Gaussians", grid.words())?;
        let tiles = (grid.tiles[0] * grid.tiles[1]) as usize;
        let errors = zeros(gpu, "errors of tiles", tiles)?;
        let Buffers { fit: fit_uniform, record, state, image } = &buffers;
        let all = [(room, 1.0)];
        let prefixes = if plan.prefixes.is_empty() { &all[..] } else { plan.prefixes };
        let grid_of = |end: u32, not_last: u32| {
            uniform(gpu, "grid", bytemuck::bytes_of(&Grid { end, not_last, ..grid }))
        };
        let mut passes = Vec::new();
        for (at, &(end, weight)) in prefixes.iter().enumerate() {
            let end = end.min(room) as u32;
            let own = grid_of(end, grid.not_last)?;
            let is_last = u32::from(at + 1 == prefixes.len());
            let pass = PassUniform { weight, end, is_last, tiles: tiles as u32 };
            let pass = uniform(gpu, "pass", bytemuck::bytes_of(&pass))?;
            let step = [&own, &centres, &lists, &shapes, record, &goals, image, &errors];
            let back = [fit_uniform, &pass, state, &shapes, record, image, &moments];
            let gradient = [fit_uniform, &pass, state, &shapes, record, &moments, &gradients];
            passes.push(Pass {
                bin: bind(gpu, BIN, channels, &[&own, &centres, state, &shapes, &lists])?,
                step: bind(gpu, STEP, channels, &step)?,
                total: bind(gpu, TOTAL, channels, &[&pass, &errors, state])?,
                back: bind(gpu, BACK, channels, &back)?,
                gradient: bind(gpu, GRADIENT, channels, &gradient)?,
            });
        }
        let pursuit = Pursuit::new(gpu, picture, &buffers, (room, fit.places as usize))?;
        let blend = |end: u32| {
            let grid = grid_of(end, fit.is_weighted)?;
            let buffers = [&grid, &centres, &lists, &shapes, record, &goals, image, &pursuit.pyramid];
            bind(gpu, BLEND, channels, &buffers)
        };
        let first = match prefixes {
            &[(end, weight), _, ..] => Some((end.min(room), weight, blend(end.min(room) as u32)?)),
            _ => None,
        };
        let event = &pursuit.event;
        let removal = [fit_uniform, event, state, &shapes, record, image, &goals, &pursuit.sources];
        let adam = [fit_uniform, state, &rates, &surroundings, record, &gradients];
        Ok(Self {
            shape: bind(gpu, SHAPE, channels, &[state, record, &shapes])?,
            adam: bind(gpu, ADAM, channels, &adam)?,
            blend: blend(grid.end)?,
            first,
            removal: bind(gpu, REMOVAL, channels, &removal)?,
            weakest: bind(gpu, WEAKEST, channels, &[fit_uniform, event, state, &pursuit.sources])?,
            gpu,
            channels,
            room,
            frozen: plan.frozen,
            parts,
            grid,
            buffers,
            passes,
            pursuit,
        })
    }

    /// Inserts Gaussians where they pay most, up to so many in all, if there are so many places.
    ///
    /// # Errors
    /// What the device says.
    pub fn grow(&self, count: usize) -> Result<()> {
        let mut work = Work::new(self.gpu);
        self.look_at_whole(&mut work);
        let nothing = Event::of(0..0, Moves { part: 0.0, trust: 0.0 });
        self.pursuit.want(&mut work, &Event { target: count.min(self.room) as u32, ..nothing })?;
        self.pursuit.run(&mut work);
        work.submit()
    }

    /// Moves those of the Gaussians that are not frozen that matter least to where they pay more.
    ///
    /// # Errors
    /// What the device says.
    pub fn relocate(&self, moves: Moves) -> Result<()> {
        let mut work = Work::new(self.gpu);
        self.look_at_whole(&mut work);
        self.pursuit.want(&mut work, &Event::of(self.frozen..self.room, moves))?;
        self.weigh(&mut work);
        self.run_relocation(&mut work);
        work.submit()
    }

    /// Moves Gaussians of several prefixes that matter least, to all pictures that have them: those of the first to where that wants them, others to
    /// where the whole does.
    ///
    /// # Errors
    /// What the device says.
    pub fn relocate_together(&self, moves: Moves) -> Result<()> {
        let Some((end, weight, blend)) = &self.first else { return Ok(()) };
        let mut work = Work::new(self.gpu);
        self.look_at_whole(&mut work);
        self.pursuit.want(&mut work, &Event::of(self.frozen..self.room, moves))?;
        self.weigh(&mut work);
        self.pursuit.want(&mut work, &Event::of(self.frozen.max(*end)..self.room, moves))?;
        self.run_relocation(&mut work);
        work.run([(&self.passes[0].bin, self.grid.squares), (blend, self.grid.tiles)]);
        let of_first = Event { weight: *weight, is_added: true, ..Event::of(self.frozen..*end, moves) };
        self.pursuit.want(&mut work, &of_first)?;
        self.weigh(&mut work);
        self.run_relocation(&mut work);
        work.submit()
    }

    /// Blend and residual of all Gaussians.
    fn look_at_whole(&self, work: &mut Work<'_>) {
        let bin = &self.passes[self.passes.len() - 1].bin;
        work.run([
            (&self.shape, workgroups(self.room, 64)),
            (bin, self.grid.squares),
            (&self.blend, self.grid.tiles),
        ]);
    }

    /// Removal energies of the Gaussians that the event says, in the blend that is there.
    fn weigh(&self, work: &mut Work<'_>) {
        work.run([(&self.removal, workgroups(self.room, 1))]);
    }

    /// The relocation that the event says, by removal energies that are there.
    fn run_relocation(&self, work: &mut Work<'_>) {
        work.run([(&self.weakest, workgroups(self.room - self.frozen, 64))]);
        self.pursuit.run(work);
    }

    /// One step of Adam; submits it and does not wait.
    ///
    /// # Errors
    /// What the device says.
    pub fn step(&self) -> Result<()> {
        let mut work = Work::new(self.gpu);
        let mut all = vec![(&self.shape, workgroups(self.room, 64))];
        for pass in &self.passes {
            all.extend([
                (&pass.bin, self.grid.squares),
                (&pass.step, self.grid.tiles),
                (&pass.total, [1, 1]),
                (&pass.back, workgroups(self.room * self.parts, 1)),
                (&pass.gradient, workgroups(self.room, 64)),
            ]);
        }
        all.push((&self.adam, workgroups(self.room - self.frozen, 64)));
        work.run(all);
        work.submit()
    }

    /// Waits for all steps, and gives the weighted squared error at the start of the last. One buffer is mapped.
    ///
    /// # Errors
    /// What the device says.
    pub fn error(&self) -> Result<f64> {
        let bytes = self.gpu.read(&self.buffers.state, 0..4 * STATE as u64)?;
        Ok(error_of(&words(&bytes)))
    }

    /// Waits for all steps, and gives the Gaussians as they are and the weighted squared error at the start of the last step. One buffer is mapped.
    ///
    /// # Errors
    /// What the device says.
    pub fn finish(&self) -> Result<(Vec<f32>, f64)> {
        let (stride, head) = (GEOMETRY + self.channels, 4 * STATE as u64);
        let len = 4 * (stride * self.room) as u64;
        let usage = BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        let both = self.gpu.allocate("what was fitted", head + len, usage)?;
        self.gpu.scoped("what was fitted", head + len, || {
            let mut encoder =
                self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&self.buffers.state, 0, &both, 0, head);
            encoder.copy_buffer_to_buffer(&self.buffers.record, 0, &both, head, len);
            self.gpu.queue().submit([encoder.finish()]);
        })?;
        let words = words(&self.gpu.read(&both, 0..head + len)?);
        let count = (words[COUNT] as usize).min(self.room);
        let values = words[STATE..][..count * stride].iter().map(|&bits| f32::from_bits(bits));
        Ok((values.collect(), error_of(&words)))
    }
}

#[cfg(test)]
impl Fit<'_> {
    /// How long kernels take, one after another on what is there: name and seconds.
    pub(super) fn times(&self, runs: usize) -> Vec<(&'static str, f64)> {
        let pass = &self.passes[self.passes.len() - 1];
        let each = [
            (&self.shape, workgroups(self.room, 64), SHAPE),
            (&pass.bin, self.grid.squares, BIN),
            (&pass.step, self.grid.tiles, STEP),
            (&pass.total, [1, 1], TOTAL),
            (&pass.back, workgroups(self.room * self.parts, 1), BACK),
            (&pass.gradient, workgroups(self.room, 64), GRADIENT),
            (&self.adam, workgroups(self.room - self.frozen, 64), ADAM),
            (&self.blend, self.grid.tiles, BLEND),
            (&self.removal, workgroups(self.room, 1), REMOVAL),
            (&self.weakest, workgroups(self.room - self.frozen, 64), WEAKEST),
        ];
        let time = |(bound, groups, Text(name, _)): (&Bound, _, _)| {
            let mut work = Work::new(self.gpu);
            work.run(std::iter::repeat_n((bound, groups), runs));
            let start = std::time::Instant::now();
            work.submit().unwrap();
            self.gpu.wait().unwrap();
            (name, start.elapsed().as_secs_f64() / runs as f64)
        };
        each.into_iter().map(time).collect()
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

fn error_of(words: &[u32]) -> f64 {
    f64::from(f32::from_bits(words[ERROR]))
}

impl Picture<'_> {
    /// Whether numbers of values match, and sizes are those that kernels can count.
    pub(super) fn is_sound(&self) -> bool {
        const MOST_SIDE: usize = 1 << 16;
        let (width, height, channels) = (self.width, self.height, self.mean.len());
        (1..=MOST_SIDE).contains(&width)
            && (1..=MOST_SIDE).contains(&height)
            && (1..=MAX_CHANNELS).contains(&channels)
            && self.planes.len() == width * height * channels
            && self.importance.is_none_or(|importance| importance.len() == width * height)
    }
}

fn check(picture: &Picture<'_>, plan: &Plan<'_>) -> Result<()> {
    let stride = GEOMETRY + picture.mean.len();
    let is_plan = plan.values.len().is_multiple_of(stride)
        && plan.frozen <= plan.values.len() / stride
        && (plan.gains.is_empty() || plan.gains.len() == picture.mean.len())
        && plan.room <= 1 << 22
        && plan.values.len() / stride <= 1 << 22;
    if picture.is_sound() && is_plan {
        Ok(())
    } else {
        Err(GpuError::Input("a picture to fit, or Gaussians"))
    }
}

/// Of each pixel how much it counts, then each plane; after all the mean.
pub(super) fn goals(picture: &Picture<'_>) -> Vec<f32> {
    let (pixels, channels) = (picture.width * picture.height, picture.mean.len());
    let mut out = vec![1.0; pixels * (1 + channels) + channels];
    let (of_pixels, mean) = out.split_at_mut(pixels * (1 + channels));
    mean.copy_from_slice(picture.mean);
    let planes = picture.importance.into_iter().map(|importance| (0, importance));
    let planes = planes.chain((1..).zip(picture.planes.chunks_exact(pixels)));
    for (at, plane) in planes {
        of_pixels[at..].iter_mut().step_by(1 + channels).zip(plane).for_each(|(out, value)| *out = *value);
    }
    out
}

/// The planes at ever lower resolution, as means of 2 x 2, and how many levels.
fn surroundings(gpu: &Gpu, picture: &Picture<'_>) -> Result<(Buffer, u32)> {
    let channels = picture.mean.len();
    let mut sizes = vec![(picture.width, picture.height)];
    while let Some(&(width, height)) = sizes.last()
        && width > 1
        && height > 1
        && sizes.len() < LEVELS
    {
        sizes.push((width / 2, height / 2));
    }
    let words = |&(width, height): &(usize, usize)| width * height * channels;
    let pyramid = zeros(gpu, "surroundings", sizes.iter().map(words).sum())?;
    gpu.write(&pyramid, 0, bytemuck::cast_slice(picture.planes))?;
    let mut work = Work::new(gpu);
    let mut from = 0;
    for pair in sizes.windows(2) {
        let to = from + words(&pair[0]);
        let (halve, groups) = pursuit::halve(gpu, channels, (from, to), (pair[0], channels), &pyramid)?;
        work.run([(&halve, groups)]);
        from = to;
    }
    work.submit()?;
    Ok((pyramid, sizes.len() as u32))
}
