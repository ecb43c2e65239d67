// How much the weighted squared error rises if one Gaussian alone is dropped: a workgroup for each. The text of `reached.wgsl` comes before it.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<uniform> event: Event;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> shapes: array<Shape>;
@group(0) @binding(4) var<storage, read> values: array<f32>;
@group(0) @binding(5) var<storage, read> image: array<f32>;
@group(0) @binding(6) var<storage, read> goals: array<f32>;
@group(0) @binding(7) var<storage, read_write> sources: array<u32>;

// The least weight left when a Gaussian is dropped.
const LEAST_LEFT: f32 = 0.02;
var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) all: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) me: u32,
) {
    let index = id.y * all.x + id.x;
    let is_there = index >= event.first && index < min(event.end, state[COUNT]);
    var sum = 0.0;
    if is_there {
        let shape = shapes[index];
        let rows = rows_of(shape, fit.height);
        for (var row = rows.x + local.y; row < rows.y; row += 8u) {
            let columns = columns_of(shape, row, fit.width);
            for (var column = columns.x + local.x; column < columns.y; column += 8u) {
                let w = value_at(shape, f32(column) + 0.5 - shape.at.x, f32(row) + 0.5 - shape.at.y);
                let place = (row * fit.width + column) * (1u + CHANNELS);
                let share = w / max(image[place] + MEAN_WEIGHT - w, LEAST_LEFT);
                var rise = 0.0;
                for (var c = 0u; c < CHANNELS; c++) {
                    let blended = image[place + 1u + c];
                    let d = share * (blended - values[index * STRIDE + GEOMETRY + c]);
                    let off = blended - goals[place + 1u + c];
                    rise = fma(d, d + 2.0 * off, rise);
                }
                sum = fma(rise, goals[place], sum);
            }
        }
    }
    parts[me] = sum;
    workgroupBarrier();
    if me == 0u && is_there {
        var whole = 0.0;
        for (var i = 0u; i < 64u; i++) {
            whole += parts[i];
        }
        let to = 2u * fit.room + index;
        whole *= event.weight;
        if event.is_added != 0u {
            whole += bitcast<f32>(sources[to]);
        }
        sources[to] = bitcast<u32>(whole);
    }
}
