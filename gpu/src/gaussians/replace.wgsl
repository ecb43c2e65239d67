// Draws what the turns of a round chose in place of their Gaussians as they were: `parts` workgroups for each turn, each with bands of 8 rows of its
// own. The text of `reached.wgsl` comes before it.

@group(0) @binding(0) var<uniform> now: Round;
@group(0) @binding(1) var<storage, read> turns: array<Turn>;
@group(0) @binding(2) var<storage, read> shapes: array<Shape>;
// Colours of the Gaussians as they are, turn by turn.
@group(0) @binding(3) var<storage, read> olds: array<f32>;
@group(0) @binding(4) var<storage, read_write> canvas: array<f32>;
// Four numbers; then of each turn which candidate, how much squared error it saves, and its colours in steps.
@group(0) @binding(5) var<storage, read> chosen: array<f32>;
// Of each candidate the bits of its form, then the step of each channel.
@group(0) @binding(6) var<storage, read> prices: array<f32>;

const SUMS: u32 = 2u + CHANNELS;
const HEAD: u32 = 4u;

// Adds the part of a Gaussian to all views that have it, or takes it away.
fn draw(
    index: u32, turn: u32, part: u32, local: vec2u, factor: f32, values: ptr<function, array<f32, CHANNELS>>,
) {
    let shape = shapes[index];
    let pixels = now.width * now.height;
    let rows = rows_of(shape, now.height);
    // Bands are of the picture, so that a row is in the same part of both.
    let first = rows.x / 8u;
    for (var band = first + (part + now.parts - first % now.parts) % now.parts; band * 8u < rows.y; band += now.parts) {
        let row = band * 8u + local.y;
        if row < rows.x || row >= rows.y {
            continue;
        }
        let columns = columns_of(shape, row, now.width);
        // A column is always of the same invocation.
        for (var column = columns.x / 8u * 8u + local.x; column < columns.y; column += 8u) {
            if column < columns.x {
                continue;
            }
            let w = factor * value_at(shape, f32(column) + 0.5 - shape.at.x, f32(row) + 0.5 - shape.at.y);
            for (var view = 0u; view < now.views; view++) {
                if turns[turn].gaussian >= now.of_views[view].x {
                    continue;
                }
                let sums = (view * pixels + row * now.width + column) * (1u + CHANNELS);
                canvas[sums] += w;
                for (var c = 0u; c < CHANNELS; c++) {
                    canvas[sums + 1u + c] = fma(w, (*values)[c], canvas[sums + 1u + c]);
                }
            }
        }
    }
}

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) all: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let at = id.y * all.x + id.x;
    let turn = now.first + at / now.parts;
    let part = at % now.parts;
    if turn >= now.end {
        return;
    }
    let first = turn * now.most;
    let to = HEAD + turn * SUMS;
    let candidate = first + u32(chosen[to]);
    var before = array<f32, CHANNELS>();
    var after = array<f32, CHANNELS>();
    var is_same = candidate == first;
    for (var c = 0u; c < CHANNELS; c++) {
        before[c] = olds[turn * CHANNELS + c];
        after[c] = chosen[to + 2u + c] * prices[candidate * (1u + CHANNELS) + 1u + c];
        is_same = is_same && before[c] == after[c];
    }
    if is_same {
        return;
    }
    // Both go to a pixel from the same invocation, one after the other.
    draw(first, turn, part, local.xy, -1.0, &before);
    draw(candidate, turn, part, local.xy, 1.0, &after);
}
