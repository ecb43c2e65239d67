// What kernels of the pursuit share: where new Gaussians pay most, as `pursuit.rs` of the encoder.

// A blur of one level of the pyramid.
struct Search {
    // Where the level's planes begin, and its maxima.
    planes_at: u32,
    maxima: u32,
    width: u32,
    height: u32,
    // Planes that are blurred; one of them is how much pixels count if they count differently.
    planes: u32,
    radius: u32,
    // What energy is multiplied by: 4 pi scale^2; and the scale: standard deviation of the blur, image pixels.
    gain: f32,
    scale: f32,
    // Image pixels along one of the level.
    pixel: f32,
    padding: array<f32, 3>,
}

const LEAST_ENERGY: f32 = 1e-9;
const LEAST_IMPORTANCE: f32 = 1e-6;
// Bits of an energy below those that it is counted by.
const BIN_SHIFT: u32 = 16u;
const BINS: u32 = 32768u;

// Weights of both blurs, of standard deviations 1 and sqrt(2): at the middle, then further out.
const NARROW_RADIUS: i32 = 3;
const NARROW = array<f32, 4>(0.39905028, 0.24203623, 0.054005583, 0.0044330482);
const WIDE_RADIUS: i32 = 5;
const WIDE = array<f32, 6>(0.28211521, 0.21971155, 0.10378439, 0.029734725, 0.0051671204, 0.00054461048);
