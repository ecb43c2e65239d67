// Squared error of all parts, at the start or the end of a sweep, and at the start what a bit is worth.

struct Worth {
    // Squared error that a bit is worth, as a part of that of the whole.
    part: f32,
    parts: u32,
    is_end: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> worth: Worth;
@group(0) @binding(1) var<storage, read> errors: array<f32>;
// What a bit is worth, the error at the start and at the end, one that is not used; then what each turn chose.
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(1)
fn main() {
    var sum = 0.0;
    for (var i = 0u; i < worth.parts; i++) {
        sum += errors[i];
    }
    if worth.is_end != 0u {
        out[2] = sum;
    } else {
        out[0] = worth.part * sum;
        out[1] = sum;
    }
}
