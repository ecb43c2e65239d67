// What kernels of the fit share.

// Parameters of a Gaussian before its colours: x, y, ln of both standard deviations, angle.
const GEOMETRY: u32 = 5u;
const STRIDE: u32 = GEOMETRY + CHANNELS;
// Words of the state: Gaussians, steps done, squared error of the last, Gaussians before the last event, places taken by it, places
// collected for it, energy from which on they are.
const COUNT: u32 = 0u;
const STEP: u32 = 1u;
const ERROR: u32 = 2u;
const BASE: u32 = 3u;
const TAKEN: u32 = 4u;
const COLLECTED: u32 = 5u;
const THRESHOLD: u32 = 6u;

// What does not change in a fit.
struct Fit {
    width: u32,
    height: u32,
    // Gaussians that stay as they are.
    frozen: u32,
    // Pixels count differently.
    is_weighted: u32,
    // Pixels times channels.
    samples: f32,
    // Levels of the surroundings.
    levels: u32,
    // Gaussians that there is room for, and places.
    room: u32,
    places: u32,
    // Workgroups that share a Gaussian, at most.
    parts: u32,
}

// What an event of growth or relocation wants.
struct Event {
    // Gaussians wanted in all, or 0: a relocation of so many of those in its range, in 1/2^20.
    target_count: u32,
    part: u32,
    searches: u32,
    // What a place's energy counts for, against what dropping a Gaussian costs.
    trust: f32,
    // Gaussians of a relocation.
    first: u32,
    end: u32,
    // What removal energies count, and whether they are added to those that are there.
    weight: f32,
    is_added: u32,
}

// One pass of a step.
struct Pass {
    // What its gradient counts.
    weight: f32,
    // Gaussians that take part.
    end: u32,
    // The step ends with it.
    is_last: u32,
    // Tiles of the picture.
    tiles: u32,
}

// Sine and cosine, of the same precision on every device.
fn sine_cosine(angle: f32) -> vec2f {
    let quarter = round(angle * 0.63661975);
    // pi/2 in parts.
    let r = fma(-quarter, 4.371139e-8 * -1.0, fma(-quarter, 1.5707964, angle));
    let s = r * r;
    let sine = r * fma(s, fma(s, fma(s, -1.9515296e-4, 8.3321609e-3), -1.6666655e-1), 1.0);
    let cosine = fma(s, fma(s, fma(s, 2.4433157e-5, -1.3887316e-3), 4.1666646e-2) * s, fma(s, -0.5, 1.0));
    let q = i32(quarter) & 3;
    switch q {
        case 0: { return vec2f(sine, cosine); }
        case 1: { return vec2f(cosine, -sine); }
        case 2: { return vec2f(-sine, -cosine); }
        default: { return vec2f(-cosine, sine); }
    }
}
