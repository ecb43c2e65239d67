// Lists the Gaussians that reach each square of tiles, by rising index: a workgroup for each square.

@group(0) @binding(0) var<uniform> grid: Grid;
@group(0) @binding(1) var<storage, read> centres: array<f32>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> shapes: array<Shape>;
@group(0) @binding(4) var<storage, read_write> lists: array<u32>;

var<workgroup> hits: array<atomic<u32>, 8>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) me: u32) {
    let pixels = grid.side * TILE;
    let first = vec2u(id.x, id.y) * pixels;
    let last = min(first + pixels, vec2u(grid.width, grid.height)) - 1u;
    let area = vec4f(
        centres[first.x], centres[grid.width + first.y], centres[last.x], centres[grid.width + last.y],
    );
    let at = (id.y * grid.squares.x + id.x) * (1u + grid.room);
    let word = me >> 5u;
    let bit = 1u << (me & 31u);
    var filled = 0u;
    for (var base = grid.first; base < grid.end; base += BATCH) {
        if me < 8u {
            atomicStore(&hits[me], 0u);
        }
        workgroupBarrier();
        let index = base + me;
        var is_hit = false;
        if index < min(grid.end, counts[0]) {
            is_hit = reaches(shapes[index], area);
        }
        if is_hit {
            atomicOr(&hits[word], bit);
        }
        workgroupBarrier();
        var before = 0u;
        var all = 0u;
        for (var i = 0u; i < 8u; i++) {
            let bits = atomicLoad(&hits[i]);
            let own = select(select(0u, bits & (bit - 1u), i == word), bits, i < word);
            before += countOneBits(own);
            all += countOneBits(bits);
        }
        if is_hit {
            lists[at + 1u + filled + before] = index;
        }
        filled += all;
        workgroupBarrier();
    }
    if me == 0u {
        lists[at] = filled;
    }
}
