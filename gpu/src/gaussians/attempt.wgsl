// Tries a candidate in place of its Gaussian: `parts` workgroups for each of a round, of which small ones need one. The squared error is then `rise` + sum of (`curve` c^2 - 2 `pull` c)
// above that without the Gaussian, for any colours c. The text of `reached.wgsl` comes before it.

@group(0) @binding(0) var<uniform> now: Round;
@group(0) @binding(1) var<storage, read> turns: array<Turn>;
@group(0) @binding(2) var<storage, read> shapes: array<Shape>;
// Colours of the Gaussians as they are, turn by turn.
@group(0) @binding(3) var<storage, read> olds: array<f32>;
@group(0) @binding(4) var<storage, read> canvas: array<f32>;
@group(0) @binding(5) var<storage, read> goals: array<f32>;
// Of each part of a candidate of the round rise, curve, and pull of each channel.
@group(0) @binding(6) var<storage, read_write> trials: array<f32>;

const SUMS: u32 = 2u + CHANNELS;
var<workgroup> parts: array<f32, 64u * SUMS>;

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) me: u32,
) {
    let turn = now.first + id.y;
    let part = id.x % now.parts;
    let own = id.x / now.parts;
    let candidate = turn * now.most + own;
    if turn >= now.end || own >= turns[turn].candidates {
        return;
    }
    let shape = shapes[candidate];
    let share = parts_of(shape, now.parts);
    if part >= share {
        return;
    }
    var rise = 0.0;
    var curve = 0.0;
    var pull = array<f32, CHANNELS>();
    let old = shapes[turn * now.most];
    var old_colours = array<f32, CHANNELS>();
    for (var c = 0u; c < CHANNELS; c++) {
        old_colours[c] = olds[turn * CHANNELS + c];
    }
    let pixels = now.width * now.height;
    let rows = rows_of(shape, now.height);
    for (var view = 0u; view < now.views; view++) {
        let of_view = now.of_views[view];
        if turns[turn].gaussian >= of_view.x {
            continue;
        }
        let counts = bitcast<f32>(of_view.y);
        for (var row = rows.x + 8u * part + local.y; row < rows.y; row += 8u * share) {
            let columns = columns_of(shape, row, now.width);
            for (var column = columns.x + local.x; column < columns.y; column += 8u) {
                let x = f32(column) + 0.5;
                let y = f32(row) + 0.5;
                let drawn = value_at(old, x - old.at.x, y - old.at.y);
                let w = value_at(shape, x - shape.at.x, y - shape.at.y);
                let at = row * now.width + column;
                let place = at * (1u + CHANNELS);
                let sums = (view * pixels + at) * (1u + CHANNELS);
                let whole = max(canvas[sums] - drawn, 0.0) + MEAN_WEIGHT;
                let over_before = 1.0 / whole;
                let over = 1.0 / (whole + w);
                let counted = goals[place] * counts;
                let share = w * over;
                curve = fma(share * share, counted, curve);
                var change = 0.0;
                for (var c = 0u; c < CHANNELS; c++) {
                    let sum = fma(-drawn, old_colours[c], canvas[sums + 1u + c]);
                    let wanted = goals[place + 1u + c];
                    let before = wanted - sum * over_before;
                    let off = wanted - sum * over;
                    change = fma(off - before, off + before, change);
                    pull[c] = fma(share * off, counted, pull[c]);
                }
                rise = fma(change, counted, rise);
            }
        }
    }
    parts[me] = rise;
    parts[64u + me] = curve;
    for (var c = 0u; c < CHANNELS; c++) {
        parts[(2u + c) * 64u + me] = pull[c];
    }
    workgroupBarrier();
    if me < SUMS {
        var sum = 0.0;
        for (var i = 0u; i < 64u; i++) {
            sum += parts[me * 64u + i];
        }
        trials[((candidate - now.first * now.most) * now.parts + part) * SUMS + me] = sum;
    }
}
