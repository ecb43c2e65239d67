// The blend of each pixel and the residual. The text of `sums.wgsl` comes before it.

@group(0) @binding(5) var<storage, read> goals: array<f32>;
// Of each pixel the sum of weights, then each channel.
@group(0) @binding(6) var<storage, read_write> image: array<f32>;
// Planes of the residual times how much pixels count, then, if that differs, how much.
@group(0) @binding(7) var<storage, read_write> pyramid: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) me: u32) {
    let first = first_pixel(id.xy, me);
    let pixels = grid.width * grid.height;
    var sums: Sums;
    add_all(&sums, id.xy, me, STRIDE, GEOMETRY);
    for (var k = 0u; k < OWN; k++) {
        if first.x >= grid.width || first.y + k >= grid.height {
            continue;
        }
        let at = (first.y + k) * grid.width + first.x;
        let place = at * (1u + CHANNELS);
        let whole = sums.weight[k] + MEAN_WEIGHT;
        let importance = goals[place];
        image[place] = sums.weight[k];
        for (var c = 0u; c < CHANNELS; c++) {
            let mean = goals[pixels * (1u + CHANNELS) + c];
            let colour = (sums.colour[k * CHANNELS + c] + MEAN_WEIGHT * mean) / whole;
            image[place + 1u + c] = colour;
            pyramid[c * pixels + at] = (goals[place + 1u + c] - colour) * importance;
        }
        if grid.not_last != 0u {
            pyramid[CHANNELS * pixels + at] = importance;
        }
    }
}
