// Shapes of the Gaussians of a fit.

@group(0) @binding(0) var<storage, read> state: array<u32>;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> shapes: array<Shape>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let index = (id.y * all.x + id.x) * 64u + me;
    if index >= state[COUNT] {
        return;
    }
    let at = index * STRIDE;
    let turn = sine_cosine(values[at + 4u]);
    let v0 = exp(2.0 * values[at + 2u]);
    let v1 = exp(2.0 * values[at + 3u]);
    let xx = turn.y * turn.y * v0 + turn.x * turn.x * v1;
    let yy = turn.x * turn.x * v0 + turn.y * turn.y * v1;
    let xy = turn.y * turn.x * (v0 - v1);
    shapes[index] = shape_of(values[at], values[at + 1u], vec3f(xx, xy, yy), v0 * v1, 1.0);
}
