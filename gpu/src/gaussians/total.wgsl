// The squared error of a step, of those of its tiles.

@group(0) @binding(0) var<uniform> pass_of: Pass;
@group(0) @binding(1) var<storage, read> errors: array<f32>;
@group(0) @binding(2) var<storage, read_write> state: array<u32>;

var<workgroup> parts: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) me: u32) {
    var sum = 0.0;
    for (var i = me; i < pass_of.tiles; i += 256u) {
        sum += errors[i];
    }
    parts[me] = sum;
    workgroupBarrier();
    if me == 0u {
        var all = 0.0;
        for (var i = 0u; i < 256u; i++) {
            all += parts[i];
        }
        state[ERROR] = bitcast<u32>(all);
        state[STEP] += pass_of.is_last;
    }
}
