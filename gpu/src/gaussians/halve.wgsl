// Means of 2 x 2.

struct Halving {
    source: u32,
    to: u32,
    width: u32,
    height: u32,
    planes: u32,
    padding: array<u32, 3>,
}

@group(0) @binding(0) var<storage, read> halving: Halving;
@group(0) @binding(1) var<storage, read_write> pyramid: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let at = (id.y * all.x + id.x) * 64u + me;
    let width = halving.width / 2u;
    let pixels = width * (halving.height / 2u);
    if at >= pixels * halving.planes {
        return;
    }
    let plane = at / pixels;
    let row = at % pixels / width;
    let column = at % pixels % width;
    let source = halving.source + (plane * halving.height + 2u * row) * halving.width + 2u * column;
    let above = pyramid[source] + pyramid[source + 1u];
    let below = pyramid[source + halving.width] + pyramid[source + halving.width + 1u];
    pyramid[halving.to + at] = 0.25 * (above + below);
}
