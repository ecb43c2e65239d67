// Puts Gaussians of a relocation in order of their removal energies, by counting what comes before.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<uniform> event: Event;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read_write> sources: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let at = event.first + (id.y * all.x + id.x) * 64u + me;
    let end = min(event.end, state[COUNT]);
    if at >= end {
        return;
    }
    let own = bitcast<f32>(sources[2u * fit.room + at]);
    var before = 0u;
    for (var i = event.first; i < end; i++) {
        let other = bitcast<f32>(sources[2u * fit.room + i]);
        before += u32(other < own || (other == own && i < at));
    }
    sources[fit.room + before] = at;
}
