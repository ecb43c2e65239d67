// Puts what was collected in order, strongest first, by counting what comes before in the same bin.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read> collected: array<vec2u>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> bins: array<u32>;
@group(0) @binding(5) var<storage, read_write> ranked: array<vec2u>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let at = (id.y * all.x + id.x) * 64u + me;
    let count = min(state[COLLECTED], fit.places);
    if at >= count {
        return;
    }
    let own = collected[at];
    let bin = min(own.x >> BIN_SHIFT, BINS - 1u);
    let first = starts[bin];
    let end = min(first + bins[bin], count);
    var before = first;
    for (var i = first; i < end; i++) {
        let other = collected[i];
        before += u32(other.x > own.x || (other.x == own.x && other.y < own.y));
    }
    ranked[before] = own;
}
