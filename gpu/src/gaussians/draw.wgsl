// Draws a view: a workgroup for each tile, a pixel for each invocation. The text of `sums.wgsl` comes before it.

@group(0) @binding(5) var<storage, read> mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> kept: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) me: u32) {
    let pixel = id.xy * TILE + vec2u(me % TILE, me / TILE);
    let is_inside = pixel.x < grid.width && pixel.y < grid.height;
    let place = pixel.y * grid.width + pixel.x;
    var sums: Sums;
    if grid.goes_on != 0u && is_inside {
        sums.weight = kept[place * (1u + CHANNELS)];
        for (var c = 0u; c < CHANNELS; c++) {
            sums.colour[c] = kept[place * (1u + CHANNELS) + 1u + c];
        }
    }
    add_all(&sums, id.xy, me, CHANNELS, 0u);
    if !is_inside {
        return;
    }
    if grid.not_last != 0u {
        kept[place * (1u + CHANNELS)] = sums.weight;
        for (var c = 0u; c < CHANNELS; c++) {
            kept[place * (1u + CHANNELS) + 1u + c] = sums.colour[c];
        }
        return;
    }
    let whole = sums.weight + MEAN_WEIGHT;
    for (var c = 0u; c < CHANNELS; c++) {
        out[place * CHANNELS + c] = (sums.colour[c] + MEAN_WEIGHT * mean[c]) / whole;
    }
}
