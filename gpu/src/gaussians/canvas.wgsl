// Sums of each pixel, with the mean colour's part. The text of `sums.wgsl` comes before it.

@group(0) @binding(5) var<storage, read> goals: array<f32>;
// Of each pixel the sum of weights, then each channel's; of one view after the other.
@group(0) @binding(6) var<storage, read_write> canvas: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) me: u32) {
    let first = first_pixel(id.xy, me);
    let pixels = grid.width * grid.height;
    var sums: Sums;
    add_all(&sums, id.xy, me, CHANNELS, 0u);
    for (var k = 0u; k < OWN; k++) {
        if first.x >= grid.width || first.y + k >= grid.height {
            continue;
        }
        let at = (grid.not_last * pixels + (first.y + k) * grid.width + first.x) * (1u + CHANNELS);
        canvas[at] = sums.weight[k];
        for (var c = 0u; c < CHANNELS; c++) {
            let mean = MEAN_WEIGHT * goals[pixels * (1u + CHANNELS) + c];
            canvas[at + 1u + c] = sums.colour[k * CHANNELS + c] + mean;
        }
    }
}
