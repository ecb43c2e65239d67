// What all kernels of Gaussians share. CHANNELS is put before it.

// Weight of the mean colour in the blend.
const MEAN_WEIGHT: f32 = 0.1;
// exp(-4.5): what is taken off a Gaussian's value, so that it ends at three standard deviations.
const CUT: f32 = 0.011108997;
// Standard deviations that lists reach to, and pixels of slack: as the renderer of the CPU.
const REACH: f32 = 3.002;
const SLACK: f32 = 0.01;
// sqrt(0.5 * log2(e)).
const ROOT: f32 = 0.8493218;
// Pixels along a tile, and invocations of a workgroup that goes through lists.
const TILE: u32 = 16u;
const BATCH: u32 = 256u;

// A Gaussian ready to be evaluated, as `Shape` of the decoder.
struct Shape {
    // x, y, u per dx, u per dy.
    at: vec4f,
    // v per dy, covariance xx, xy, yy.
    form: vec4f,
    // Determinant, half the box across and down, what values are multiplied by.
    reach: vec4f,
}

// Pixels, tiles, and squares of tiles that have lists of their own.
struct Grid {
    width: u32,
    height: u32,
    // Tiles across and down.
    tiles: vec2u,
    // Squares across and down.
    squares: vec2u,
    // Tiles along a square.
    side: u32,
    // Room of a square's list, after its length.
    room: u32,
    // Gaussians that are listed.
    first: u32,
    end: u32,
    // Sums go on from the pass before; they are not the last.
    goes_on: u32,
    not_last: u32,
}

fn shape_of(x: f32, y: f32, covariance: vec3f, determinant: f32, weight: f32) -> Shape {
    let xx = covariance.x;
    let xy = covariance.y;
    let yy = covariance.z;
    let across = ROOT * sqrt(yy / determinant);
    var out: Shape;
    out.at = vec4f(x, y, across, -across * xy / yy);
    out.form = vec4f(ROOT / sqrt(yy), xx, xy, yy);
    out.reach = vec4f(determinant, REACH * sqrt(xx), REACH * sqrt(yy), weight);
    return out;
}

// 2^t for t <= 0, as the rendering rule defines it.
fn exp2_rule(exponent: f32) -> f32 {
    let t = max(exponent, -64.0);
    let n = round(t);
    let r = t - n;
    let p = fma(fma(fma(fma(0.009618129, r, 0.05550411), r, 0.2402265), r, 0.6931472), r, 1.0);
    return bitcast<f32>(bitcast<i32>(p) + (i32(n) << 23u));
}

// A Gaussian's value at a distance from its centre.
fn value_at(shape: Shape, dx: f32, dy: f32) -> f32 {
    let u = shape.at.z * dx + shape.at.w * dy;
    let v = shape.form.x * dy;
    return max(exp2_rule(-u * u - v * v) - CUT, 0.0) * shape.reach.w;
}

// The extent of an ellipse along one axis within a band [low, high] of the other, whose half-extent and variance are given: from, to, and
// whether there is any. All relative to the centre.
fn span(low: f32, high: f32, half: f32, other_half: f32, variance: f32, xy: f32, determinant: f32) -> vec3f {
    let a = max(low, -half);
    let b = min(high, half);
    if a > b {
        return vec3f(0.0, 0.0, 0.0);
    }
    let slope = xy / variance;
    let spread = determinant / variance;
    let peak = REACH * REACH * xy / other_half;
    let top = clamp(peak, a, b);
    let bottom = clamp(-peak, a, b);
    let out_top = sqrt(max(REACH * REACH - top * top / variance, 0.0) * spread);
    let out_bottom = sqrt(max(REACH * REACH - bottom * bottom / variance, 0.0) * spread);
    return vec3f(slope * bottom - out_bottom - SLACK, slope * top + out_top + SLACK, 1.0);
}

// Whether a Gaussian may reach pixels with centres in a rectangle: left, top, right, bottom.
fn reaches(shape: Shape, area: vec4f) -> bool {
    let away = area - shape.at.xyxy;
    let columns = span(away.y, away.w, shape.reach.z, shape.reach.y, shape.form.w, shape.form.z, shape.reach.x);
    return columns.z > 0.0 && columns.y >= away.x && columns.x <= away.z;
}
