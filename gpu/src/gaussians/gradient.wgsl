// Gradient of half the weighted squared error in each Gaussian's parameters, from the sums of its parts. The text of `reached.wgsl` comes before it.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<uniform> pass_of: Pass;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> shapes: array<Shape>;
@group(0) @binding(4) var<storage, read> values: array<f32>;
@group(0) @binding(5) var<storage, read> moments_of: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradients: array<f32>;

const SUMS: u32 = 5u + CHANNELS;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let index = (id.y * all.x + id.x) * 64u + me;
    if index < fit.frozen || index >= min(pass_of.end, state[COUNT]) {
        return;
    }
    var sums = array<f32, SUMS>();
    for (var part = 0u; part < parts_of(shapes[index], fit.parts); part++) {
        for (var i = 0u; i < SUMS; i++) {
            sums[i] += moments_of[(index * fit.parts + part) * SUMS + i];
        }
    }
    let at = index * STRIDE;
    let turn = sine_cosine(values[at + 4u]);
    let sine = turn.x;
    let cosine = turn.y;
    let across = exp(-2.0 * values[at + 2u]);
    let along = exp(-2.0 * values[at + 3u]);
    let qa = cosine * cosine * across + sine * sine * along;
    let qb = cosine * sine * (across - along);
    let qc = sine * sine * across + cosine * cosine * along;
    let uu = cosine * cosine * sums[2] + 2.0 * cosine * sine * sums[3] + sine * sine * sums[4];
    let vv = sine * sine * sums[2] - 2.0 * cosine * sine * sums[3] + cosine * cosine * sums[4];
    let uv = cosine * sine * (sums[4] - sums[2]) + (cosine * cosine - sine * sine) * sums[3];
    let weight = pass_of.weight;
    gradients[at] -= weight * (qa * sums[0] + qb * sums[1]);
    gradients[at + 1u] -= weight * (qb * sums[0] + qc * sums[1]);
    gradients[at + 2u] -= weight * uu * across;
    gradients[at + 3u] -= weight * vv * along;
    gradients[at + 4u] += weight * uv * (across - along);
    for (var c = 0u; c < CHANNELS; c++) {
        gradients[at + GEOMETRY + c] += weight * sums[5u + c];
    }
}
