// What the gradient of half the weighted squared error in each Gaussian's parameters is made of: `parts` workgroups for each Gaussian, of which small
// ones need one. The text of `reached.wgsl` comes before it.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<uniform> pass_of: Pass;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> shapes: array<Shape>;
@group(0) @binding(4) var<storage, read> values: array<f32>;
@group(0) @binding(5) var<storage, read> image: array<f32>;
// Of each part of a Gaussian its moments, then the gradient of each channel.
@group(0) @binding(6) var<storage, read_write> moments_of: array<f32>;

const SUMS: u32 = 5u + CHANNELS;
var<workgroup> parts: array<f32, 64u * SUMS>;

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) all: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) me: u32,
) {
    let at = id.y * all.x + id.x;
    let index = at / fit.parts;
    let part = at % fit.parts;
    if index < fit.frozen || index >= min(pass_of.end, state[COUNT]) {
        return;
    }
    let shape = shapes[index];
    let share = parts_of(shape, fit.parts);
    if part >= share {
        return;
    }
    var moments = array<f32, 5>();
    var by_channel = array<f32, CHANNELS>();
    var colours = array<f32, CHANNELS>();
    for (var c = 0u; c < CHANNELS; c++) {
        colours[c] = values[index * STRIDE + GEOMETRY + c];
    }
    let rows = rows_of(shape, fit.height);
    for (var row = rows.x + 8u * part + local.y; row < rows.y; row += 8u * share) {
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
        moments_of[at * SUMS + me] = sum;
    }
}
