// What kernels of the descent share: each Gaussian's candidates are tried and the best is taken, as `refine.rs` of the encoder.

const MOST_VIEWS: u32 = 17u;

// A round: turns that do not see each other.
struct Round {
    width: u32,
    height: u32,
    // First turn, and one past the last.
    first: u32,
    end: u32,
    // Pictures of the first Gaussians, the last of all.
    views: u32,
    // Candidates that a turn may have.
    most: u32,
    // Bits count.
    is_priced: u32,
    // Numbers of a colour's price list, after the colour that is expected.
    priced: u32,
    // Workgroups that share a candidate, at most.
    parts: u32,
    // Of each view one past its last Gaussian, and as a float what its squared error counts.
    of_views: array<vec4u, MOST_VIEWS>,
}

struct Turn {
    // The Gaussian, and how many candidates it has; the first is as it is.
    gaussian: u32,
    candidates: u32,
}
