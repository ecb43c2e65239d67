// Puts a Gaussian at each place that was taken: after all others, or in place of the one that matters least.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<uniform> event: Event;
@group(0) @binding(2) var<storage, read> searches: array<Search>;
@group(0) @binding(3) var<storage, read> state: array<u32>;
@group(0) @binding(4) var<storage, read> places: array<vec4f>;
// Of each place where it is among all maxima, then Gaussians by rising removal energy, then these energies.
@group(0) @binding(5) var<storage, read> sources: array<u32>;
@group(0) @binding(6) var<storage, read> pyramid: array<f32>;
@group(0) @binding(7) var<storage, read> image: array<f32>;
@group(0) @binding(8) var<storage, read_write> record: array<f32>;

fn tap(radius: i32, i: i32) -> f32 {
    var narrow = NARROW;
    var wide = WIDE;
    if radius == NARROW_RADIUS {
        return narrow[min(abs(i), NARROW_RADIUS)];
    }
    return wide[min(abs(i), WIDE_RADIUS)];
}

fn blurred(search: u32, plane: u32, column: i32, row: i32) -> f32 {
    let level = searches[search];
    let radius = i32(level.radius);
    var sum = 0.0;
    for (var j = -radius; j <= radius; j++) {
        let y = row + j;
        if y < 0 || y >= i32(level.height) {
            continue;
        }
        var in_row = 0.0;
        for (var i = -radius; i <= radius; i++) {
            let x = column + i;
            if x >= 0 && x < i32(level.width) {
                let at = level.planes_at + (plane * level.height + u32(y)) * level.width + u32(x);
                in_row += tap(radius, i) * pyramid[at];
            }
        }
        sum += tap(radius, j) * in_row;
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let place = (id.y * all.x + id.x) * 64u + me;
    if place >= state[TAKEN] {
        return;
    }
    let found = places[place];
    var index = state[BASE] + place;
    if event.target_count == 0u {
        index = sources[fit.room + place];
        if event.trust * found.w < bitcast<f32>(sources[2u * fit.room + index]) {
            return;
        }
    }
    let source = sources[place];
    var search = 0u;
    while search + 1u < event.searches && source >= searches[search + 1u].maxima {
        search++;
    }
    let level = searches[search];
    let at = source - level.maxima;
    let column = i32(at % level.width);
    let row = i32(at / level.width);
    var whole = 1.0;
    if fit.is_weighted != 0u {
        whole = max(blurred(search, CHANNELS, column, row), LEAST_IMPORTANCE);
    }
    let x = min(u32(found.x), fit.width - 1u);
    let y = min(u32(found.y), fit.height - 1u);
    let pixel = (y * fit.width + x) * (1u + CHANNELS);
    let gain = 1.0 + min(image[pixel] + MEAN_WEIGHT, 2.0);
    let to = index * STRIDE;
    let ln = log(max(0.8 * found.z, 0.5));
    record[to] = found.x;
    record[to + 1u] = found.y;
    // Not quite round, so that its angle has a gradient.
    record[to + 2u] = ln + 0.02;
    record[to + 3u] = ln - 0.02;
    record[to + 4u] = 0.0;
    for (var c = 0u; c < CHANNELS; c++) {
        let residual = blurred(search, c, column, row) / whole;
        record[to + GEOMETRY + c] = image[pixel + 1u + c] + clamp(gain * residual, -0.8, 0.8);
    }
    // Adam starts over.
    let moments = fit.room * STRIDE;
    for (var i = 0u; i < STRIDE; i++) {
        record[moments + to + i] = 0.0;
        record[2u * moments + to + i] = 0.0;
    }
    record[3u * moments + index] = 0.0;
}
