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
    let width = i32(search.width);
    let last = i32(search.height) - 1;
    let row = i32(at / search.width);
    var out = 0.0;
    for (var plane = 0u; plane < search.planes; plane++) {
        let top = i32(plane * pixels + at) - row * width;
        var sum = 0.0;
        if search.radius == u32(NARROW_RADIUS) {
            for (var i = -NARROW_RADIUS; i <= NARROW_RADIUS; i++) {
                let y = row + i;
                let is_inside = y >= 0 && y <= last;
                sum = fma(select(0.0, NARROW[abs(i)], is_inside), across[top + clamp(y, 0, last) * width], sum);
            }
        } else {
            for (var i = -WIDE_RADIUS; i <= WIDE_RADIUS; i++) {
                let y = row + i;
                let is_inside = y >= 0 && y <= last;
                sum = fma(select(0.0, WIDE[abs(i)], is_inside), across[top + clamp(y, 0, last) * width], sum);
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
