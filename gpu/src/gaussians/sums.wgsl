// Sums of weights and of weighted colours of one pixel for each invocation of a tile, Gaussians by rising index.

@group(0) @binding(0) var<uniform> grid: Grid;
@group(0) @binding(1) var<storage, read> centres: array<f32>;
@group(0) @binding(2) var<storage, read> lists: array<u32>;
@group(0) @binding(3) var<storage, read> shapes: array<Shape>;
@group(0) @binding(4) var<storage, read> colours: array<f32>;

var<workgroup> hits: array<atomic<u32>, 8>;
var<workgroup> indices: array<u32, 256>;

struct Sums {
    weight: f32,
    colour: array<f32, CHANNELS>,
}

// Adds the Gaussians of the tile to `sums`. Colours of a Gaussian are at `stride` times its index, plus `offset`.
fn add_all(sums: ptr<function, Sums>, tile: vec2u, me: u32, stride: u32, offset: u32) {
    let first = tile * TILE;
    let last = min(first + TILE, vec2u(grid.width, grid.height)) - 1u;
    let area = vec4f(
        centres[first.x], centres[grid.width + first.y], centres[last.x], centres[grid.width + last.y],
    );
    let pixel = min(first + vec2u(me % TILE, me / TILE), last);
    let here = vec2f(centres[pixel.x], centres[grid.width + pixel.y]);
    let square = tile / grid.side;
    let at = (square.y * grid.squares.x + square.x) * (1u + grid.room);
    let count = lists[at];
    for (var base = 0u; base < count; base += BATCH) {
        if me < 8u {
            atomicStore(&hits[me], 0u);
        }
        workgroupBarrier();
        if base + me < count {
            let index = lists[at + 1u + base + me];
            indices[me] = index;
            if reaches(shapes[index], area) {
                atomicOr(&hits[me >> 5u], 1u << (me & 31u));
            }
        }
        workgroupBarrier();
        for (var word = 0u; word < 8u; word++) {
            var bits = atomicLoad(&hits[word]);
            while bits != 0u {
                let bit = firstTrailingBit(bits);
                bits &= bits - 1u;
                let index = indices[word * 32u + bit];
                let shape = shapes[index];
                let w = value_at(shape, here.x - shape.at.x, here.y - shape.at.y);
                (*sums).weight += w;
                for (var c = 0u; c < CHANNELS; c++) {
                    (*sums).colour[c] = fma(w, colours[index * stride + offset + c], (*sums).colour[c]);
                }
            }
        }
        workgroupBarrier();
    }
}
