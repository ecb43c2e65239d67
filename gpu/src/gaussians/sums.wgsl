// Sums of weights and of weighted colours, Gaussians by rising index: a workgroup for each tile, four pixels of a column for each invocation.

@group(0) @binding(0) var<uniform> grid: Grid;
@group(0) @binding(1) var<storage, read> centres: array<f32>;
@group(0) @binding(2) var<storage, read> lists: array<u32>;
@group(0) @binding(3) var<storage, read> shapes: array<Shape>;
@group(0) @binding(4) var<storage, read> colours: array<f32>;

// Gaussians that are held against the tile at once, and pixels of an invocation.
const HELD: u32 = 64u;
const OWN: u32 = 4u;
var<workgroup> hits: array<atomic<u32>, 2>;
var<workgroup> indices: array<u32, HELD>;

struct Sums {
    weight: array<f32, OWN>,
    // Of each pixel all channels.
    colour: array<f32, OWN * CHANNELS>,
}

// The first of an invocation's pixels; the others are below it.
fn first_pixel(tile: vec2u, me: u32) -> vec2u {
    return tile * TILE + vec2u(me % TILE, me / TILE * OWN);
}

// Adds the Gaussians of the tile to `sums`. Colours of a Gaussian are at `stride` times its index, plus `offset`.
fn add_all(sums: ptr<function, Sums>, tile: vec2u, me: u32, stride: u32, offset: u32) {
    let first = tile * TILE;
    let last = min(first + TILE, vec2u(grid.width, grid.height)) - 1u;
    let area = vec4f(
        centres[first.x], centres[grid.width + first.y], centres[last.x], centres[grid.width + last.y],
    );
    let pixel = first_pixel(tile, me);
    let x = centres[min(pixel.x, last.x)];
    var y: array<f32, OWN>;
    for (var k = 0u; k < OWN; k++) {
        y[k] = centres[grid.width + min(pixel.y + k, last.y)];
    }
    let square = tile / grid.side;
    let at = (square.y * grid.squares.x + square.x) * (1u + grid.room);
    let count = lists[at];
    for (var base = 0u; base < count; base += HELD) {
        if me < 2u {
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
        for (var word = 0u; word < 2u; word++) {
            var bits = atomicLoad(&hits[word]);
            while bits != 0u {
                let bit = firstTrailingBit(bits);
                bits &= bits - 1u;
                let index = indices[word * 32u + bit];
                let shape = shapes[index];
                let dx = x - shape.at.x;
                var w: array<f32, OWN>;
                for (var k = 0u; k < OWN; k++) {
                    w[k] = value_at(shape, dx, y[k] - shape.at.y);
                    (*sums).weight[k] += w[k];
                }
                for (var c = 0u; c < CHANNELS; c++) {
                    let colour = colours[index * stride + offset + c];
                    for (var k = 0u; k < OWN; k++) {
                        let to = k * CHANNELS + c;
                        (*sums).colour[to] = fma(w[k], colour, (*sums).colour[to]);
                    }
                }
            }
        }
        workgroupBarrier();
    }
}
