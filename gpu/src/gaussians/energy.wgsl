// Blurs down, and the energy of what comes out.

@group(0) @binding(0) var<storage, read> search: Search;
@group(0) @binding(1) var<storage, read> across: array<f32>;
@group(0) @binding(2) var<storage, read_write> energy: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let at = (id.y * all.x + id.x) * 64u + me;
    let pixels = search.width * search.height;
    if at >= pixels {
        return;
    }
    let row = i32(at / search.width);
    let radius = i32(search.radius);
    var out = 0.0;
    for (var plane = 0u; plane < search.planes; plane++) {
        var sum = 0.0;
        for (var i = 0; i <= 2 * radius; i++) {
            let source = row + i - radius;
            if source >= 0 && source < i32(search.height) {
                let place = u32(i32(plane * pixels + at) + (source - row) * i32(search.width));
                sum = fma(search.taps[i / 4][i % 4], across[place], sum);
            }
        }
        if plane == CHANNELS {
            out /= max(sum, LEAST_IMPORTANCE);
        } else {
            out += sum * sum;
        }
    }
    energy[at] = out;
}
