// Puts what was collected in order, strongest first, by counting what comes before.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read> collected: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> ranked: array<vec2u>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let at = (id.y * all.x + id.x) * 64u + me;
    let count = min(state[COLLECTED], fit.places);
    if at >= count {
        return;
    }
    let own = collected[at];
    var before = 0u;
    for (var i = 0u; i < count; i++) {
        let other = collected[i];
        before += u32(other.x > own.x || (other.x == own.x && other.y < own.y));
    }
    ranked[before] = own;
}
