// Gradient of half the weighted squared error in each Gaussian's parameters: a workgroup for each. The text of `reached.wgsl` comes before it.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<uniform> pass_of: Pass;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> shapes: array<Shape>;
@group(0) @binding(4) var<storage, read> values: array<f32>;
@group(0) @binding(5) var<storage, read> image: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradients: array<f32>;

const SUMS: u32 = 5u + CHANNELS;
var<workgroup> parts: array<f32, 64u * SUMS>;
var<workgroup> sums: array<f32, SUMS>;

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) all: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) me: u32,
) {
    let index = id.y * all.x + id.x;
    let is_there = index >= fit.frozen && index < min(pass_of.end, state[COUNT]);
    var moments = array<f32, 5>();
    var by_channel = array<f32, CHANNELS>();
    if is_there {
        let shape = shapes[index];
        var colours = array<f32, CHANNELS>();
        for (var c = 0u; c < CHANNELS; c++) {
            colours[c] = values[index * STRIDE + GEOMETRY + c];
        }
        let rows = rows_of(shape, fit.height);
        for (var row = rows.x + local.y; row < rows.y; row += 8u) {
            let columns = columns_of(shape, row, fit.width);
            let dy = f32(row) + 0.5 - shape.at.y;
            for (var column = columns.x + local.x; column < columns.y; column += 8u) {
                let dx = f32(column) + 0.5 - shape.at.x;
                let w = value_at(shape, dx, dy);
                let place = (row * fit.width + column) * (1u + CHANNELS);
                var less = image[place];
                for (var c = 0u; c < CHANNELS; c++) {
                    let gradient = image[place + 1u + c];
                    less = fma(-gradient, colours[c], less);
                    by_channel[c] = fma(gradient, w, by_channel[c]);
                }
                let z = select(0.0, (w + CUT) * less, w > 0.0);
                moments[0] += z * dx;
                moments[1] += z * dy;
                moments[2] = fma(z * dx, dx, moments[2]);
                moments[3] = fma(z * dy, dx, moments[3]);
                moments[4] = fma(z * dy, dy, moments[4]);
            }
        }
    }
    for (var i = 0u; i < 5u; i++) {
        parts[i * 64u + me] = moments[i];
    }
    for (var c = 0u; c < CHANNELS; c++) {
        parts[(5u + c) * 64u + me] = by_channel[c];
    }
    workgroupBarrier();
    if me < SUMS {
        var sum = 0.0;
        for (var i = 0u; i < 64u; i++) {
            sum += parts[me * 64u + i];
        }
        sums[me] = sum;
    }
    workgroupBarrier();
    if me != 0u || !is_there {
        return;
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
