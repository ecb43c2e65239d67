// Puts Gaussians that move in order of their removal energies, by counting what comes before.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read_write> sources: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let at = fit.frozen + (id.y * all.x + id.x) * 64u + me;
    let count = state[COUNT];
    if at >= count {
        return;
    }
    let own = bitcast<f32>(sources[2u * fit.room + at]);
    var before = 0u;
    for (var i = fit.frozen; i < count; i++) {
        let other = bitcast<f32>(sources[2u * fit.room + i]);
        before += u32(other < own || (other == own && i < at));
    }
    sources[fit.room + before] = at;
}
