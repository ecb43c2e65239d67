// Weighted squared error of the last view, of many parts.

@group(0) @binding(0) var<uniform> now: Round;
@group(0) @binding(1) var<storage, read> canvas: array<f32>;
@group(0) @binding(2) var<storage, read> goals: array<f32>;
@group(0) @binding(3) var<storage, read_write> errors: array<f32>;

var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let pixels = now.width * now.height;
    let first = (now.views - 1u) * pixels;
    var error = 0.0;
    for (var at = id.x * 64u + me; at < pixels; at += all.x * 64u) {
        let place = at * (1u + CHANNELS);
        let sums = (first + at) * (1u + CHANNELS);
        let whole = 1.0 / (max(canvas[sums], 0.0) + MEAN_WEIGHT);
        var off_all = 0.0;
        for (var c = 0u; c < CHANNELS; c++) {
            let off = goals[place + 1u + c] - canvas[sums + 1u + c] * whole;
            off_all = fma(off, off, off_all);
        }
        error = fma(off_all, goals[place], error);
    }
    parts[me] = error;
    workgroupBarrier();
    if me == 0u {
        var sum = 0.0;
        for (var i = 0u; i < 64u; i++) {
            sum += parts[i];
        }
        errors[id.x] = sum;
    }
}
