// The blend of each pixel, its error, and what the way back needs of it. The text of `sums.wgsl` comes before it.

// Of each pixel how much it counts, then each channel; after all pixels the mean colour.
@group(0) @binding(5) var<storage, read> goals: array<f32>;
// Of each pixel the gradient of what all divide by, then of each channel's sum.
@group(0) @binding(6) var<storage, read_write> image: array<f32>;
// Weighted squared error of each tile.
@group(0) @binding(7) var<storage, read_write> errors: array<f32>;

var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) me: u32) {
    let first = first_pixel(id.xy, me);
    var sums: Sums;
    add_all(&sums, id.xy, me, STRIDE, GEOMETRY);
    var error = 0.0;
    let means = grid.width * grid.height * (1u + CHANNELS);
    for (var k = 0u; k < OWN; k++) {
        if first.x >= grid.width || first.y + k >= grid.height {
            continue;
        }
        let place = ((first.y + k) * grid.width + first.x) * (1u + CHANNELS);
        let whole = 1.0 / (sums.weight[k] + MEAN_WEIGHT);
        let importance = goals[place];
        var all = 0.0;
        for (var c = 0u; c < CHANNELS; c++) {
            let colour = (sums.colour[k * CHANNELS + c] + MEAN_WEIGHT * goals[means + c]) * whole;
            let off = colour - goals[place + 1u + c];
            let weighted = off * importance;
            error = fma(weighted, off, error);
            let gradient = weighted * whole;
            all = fma(gradient, colour, all);
            image[place + 1u + c] = gradient;
        }
        image[place] = all;
    }
    parts[me] = error;
    workgroupBarrier();
    if me == 0u {
        var sum = 0.0;
        for (var i = 0u; i < 64u; i++) {
            sum += parts[i];
        }
        errors[id.y * grid.tiles.x + id.x] = sum;
    }
}
