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
    let radius = i32(search.radius);
    var sum = 0.0;
    for (var i = 0; i <= 2 * radius; i++) {
        let source = column + i - radius;
        if source >= 0 && source < i32(search.width) {
            sum = fma(search.taps[i / 4][i % 4], pyramid[search.planes_at + at + u32(source - column)], sum);
        }
    }
    across[at] = sum;
}
