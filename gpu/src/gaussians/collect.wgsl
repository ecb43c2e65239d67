// Collects the maxima from the threshold on: energy and where it is among all. Bins are in order, what is in one is not.

struct Extent {
    maxima: u32,
    places: u32,
    padding: vec2u,
}

@group(0) @binding(0) var<uniform> extent: Extent;
@group(0) @binding(1) var<storage, read> maxima: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read_write> bins: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> collected: array<vec2u>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let at = (id.y * all.x + id.x) * 64u + me;
    if at >= extent.maxima {
        return;
    }
    let bits = bitcast<u32>(maxima[at]);
    let bin = min(bits >> BIN_SHIFT, BINS - 1u);
    if bits == 0u || bin < state[THRESHOLD] {
        return;
    }
    let place = starts[bin] + atomicAdd(&bins[bin], 1u);
    if place < extent.places {
        collected[place] = vec2u(bits, at);
    }
}
