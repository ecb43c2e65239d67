// Gaussians widened for a view.

struct Widening {
    // What is added to variances across and down.
    by: vec2f,
    count: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> widening: Widening;
// x, y, covariance xx, xy, yy, determinant, and two that are not used.
@group(0) @binding(1) var<storage, read> forms: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> shapes: array<Shape>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let index = (id.y * all.x + id.x) * 64u + me;
    if index >= widening.count {
        return;
    }
    let a = forms[2u * index];
    let b = forms[2u * index + 1u];
    let by = widening.by;
    let plain = b.y;
    let determinant = plain + by.x * b.x + by.y * a.z + by.x * by.y;
    let covariance = vec3f(a.z + by.x, a.w, b.x + by.y);
    let weight = select(sqrt(plain / determinant), 1.0, by.x == 0.0 && by.y == 0.0);
    shapes[index] = shape_of(a.x, a.y, covariance, determinant, weight);
}
