// Blurs along rows, with zeros outside.

@group(0) @binding(0) var<storage, read> search: Search;
@group(0) @binding(1) var<storage, read> pyramid: array<f32>;
@group(0) @binding(2) var<storage, read_write> across: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let at = (id.y * all.x + id.x) * 64u + me;
    if at >= search.width * search.height * search.planes {
        return;
    }
    let column = i32(at % search.width);
    let last = i32(search.width) - 1;
    let row = i32(search.planes_at + at) - column;
    var sum = 0.0;
    if search.radius == u32(NARROW_RADIUS) {
        for (var i = -NARROW_RADIUS; i <= NARROW_RADIUS; i++) {
            let x = column + i;
            let is_inside = x >= 0 && x <= last;
            sum = fma(select(0.0, NARROW[abs(i)], is_inside), pyramid[row + clamp(x, 0, last)], sum);
        }
    } else {
        for (var i = -WIDE_RADIUS; i <= WIDE_RADIUS; i++) {
            let x = column + i;
            let is_inside = x >= 0 && x <= last;
            sum = fma(select(0.0, WIDE[abs(i)], is_inside), pyramid[row + clamp(x, 0, last)], sum);
        }
    }
    across[at] = sum;
}
