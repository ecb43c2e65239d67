// Draws a view. The text of `sums.wgsl` comes before it.

@group(0) @binding(5) var<storage, read> mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> kept: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) me: u32) {
    let first = first_pixel(id.xy, me);
    var sums: Sums;
    if grid.goes_on != 0u && first.x < grid.width {
        for (var k = 0u; k < OWN; k++) {
            let place = ((first.y + k) * grid.width + first.x) * (1u + CHANNELS);
            if first.y + k < grid.height {
                sums.weight[k] = kept[place];
                for (var c = 0u; c < CHANNELS; c++) {
                    sums.colour[k * CHANNELS + c] = kept[place + 1u + c];
                }
            }
        }
    }
    add_all(&sums, id.xy, me, CHANNELS, 0u);
    for (var k = 0u; k < OWN; k++) {
        if first.x >= grid.width || first.y + k >= grid.height {
            continue;
        }
        let place = (first.y + k) * grid.width + first.x;
        if grid.not_last != 0u {
            kept[place * (1u + CHANNELS)] = sums.weight[k];
            for (var c = 0u; c < CHANNELS; c++) {
                kept[place * (1u + CHANNELS) + 1u + c] = sums.colour[k * CHANNELS + c];
            }
        } else {
            let whole = sums.weight[k] + MEAN_WEIGHT;
            for (var c = 0u; c < CHANNELS; c++) {
                out[place * CHANNELS + c] = (sums.colour[k * CHANNELS + c] + MEAN_WEIGHT * mean[c]) / whole;
            }
        }
    }
}
