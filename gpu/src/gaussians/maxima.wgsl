// Maxima of the energy: what each may save, 0 elsewhere, and how many there are of each size.

@group(0) @binding(0) var<storage, read> search: Search;
@group(0) @binding(1) var<storage, read> energy: array<f32>;
@group(0) @binding(2) var<storage, read_write> maxima: array<f32>;
@group(0) @binding(3) var<storage, read_write> bins: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let at = (id.y * all.x + id.x) * 64u + me;
    if at >= search.width * search.height {
        return;
    }
    let column = at % search.width;
    let row = at / search.width;
    let own = energy[at];
    var is_most = own >= LEAST_ENERGY;
    for (var y = max(row, 1u) - 1u; y <= min(row + 1u, search.height - 1u); y++) {
        for (var x = max(column, 1u) - 1u; x <= min(column + 1u, search.width - 1u); x++) {
            is_most = is_most && energy[y * search.width + x] <= own;
        }
    }
    let saves = search.gain * own;
    maxima[search.maxima + at] = select(0.0, saves, is_most);
    if is_most {
        atomicAdd(&bins[min(bitcast<u32>(saves) >> BIN_SHIFT, BINS - 1u)], 1u);
    }
}
