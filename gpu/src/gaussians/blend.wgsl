// The blend of each pixel and the residual. The text of `sums.wgsl` comes before it.

@group(0) @binding(5) var<storage, read> goals: array<f32>;
// Of each pixel the sum of weights, then each channel.
@group(0) @binding(6) var<storage, read_write> image: array<f32>;
// Planes of the residual times how much pixels count, then, if that differs, how much.
@group(0) @binding(7) var<storage, read_write> pyramid: array<f32>;

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) me: u32) {
    let pixel = id.xy * TILE + vec2u(me % TILE, me / TILE);
    let is_inside = pixel.x < grid.width && pixel.y < grid.height;
    let pixels = grid.width * grid.height;
    let at = pixel.y * grid.width + pixel.x;
    let place = at * (1u + CHANNELS);
    var sums: Sums;
    add_all(&sums, id.xy, me, STRIDE, GEOMETRY);
    if !is_inside {
        return;
    }
    let whole = sums.weight + MEAN_WEIGHT;
    let importance = goals[place];
    image[place] = sums.weight;
    for (var c = 0u; c < CHANNELS; c++) {
        let colour = (sums.colour[c] + MEAN_WEIGHT * goals[pixels * (1u + CHANNELS) + c]) / whole;
        image[place + 1u + c] = colour;
        pyramid[c * pixels + at] = (goals[place + 1u + c] - colour) * importance;
    }
    if grid.not_last != 0u {
        pyramid[CHANNELS * pixels + at] = importance;
    }
}
