// Rounds floats to integer multiples of steps: what IEEE arithmetic makes of `round_ties_even(weight / step)`, a quotient of binary32 that
// is rounded twice. In integers, since a device may divide floats as it likes.

// 2^0 to 2^(3/4), times 2^23.
const QUARTERS = array<u32, 4>(0x800000u, 0x9837F0u, 0xB504F3u, 0xD744FDu);
// The greatest magnitude of a code.
const MOST: u32 = 0xFFFFFFu;
const INFINITE: u32 = 0x7F800000u;

// Columns, elements, invocations of a row of the dispatch.
@group(0) @binding(0) var<uniform> shape: vec4u;
// Step exponents of the columns, in quarters of an octave, then those of the rows.
@group(0) @binding(1) var<storage, read> exponents: array<i32>;
// Floats, which codes take the place of.
@group(0) @binding(2) var<storage, read_write> elements: array<u32>;

// Magnitude of the code of a magnitude below infinity, under a step of 2^(exponent / 4).
fn code_of(magnitude: u32, exponent: i32) -> u32 {
    var fraction = magnitude & 0x7FFFFFu;
    var octave = i32(magnitude >> 23u);
    if octave > 0 {
        fraction |= 0x800000u;
    } else {
        if fraction == 0u {
            return 0u;
        }
        let up = countLeadingZeros(fraction) - 8u;
        fraction <<= up;
        octave = 1 - i32(up);
    }
    // Both fractions have 24 bits; the quotient's has as many, its last one worth 2^-below.
    let step = QUARTERS[exponent & 3];
    let smaller = u32(fraction < step);
    let below = 23 - (octave - 127 - (exponent >> 2u) - i32(smaller));
    if below < 0 {
        return MOST;
    }
    if below > 24 {
        return 0u;
    }
    var rest = fraction << smaller;
    var quotient = 0u;
    for (var bit = 0u; bit < 24u; bit++) {
        let fits = rest >= step;
        quotient = quotient << 1u | u32(fits);
        rest = (rest - select(0u, step, fits)) << 1u;
    }
    quotient += u32(rest > step || (rest == step && (quotient & 1u) == 1u));
    // To an integer, of two that are as near the even one.
    let whole = quotient >> u32(below);
    let left = quotient & ((1u << u32(below)) - 1u);
    let half = (1u << u32(below)) >> 1u;
    let up = below > 0 && (left > half || (left == half && (whole & 1u) == 1u));
    return min(whole + u32(up), MOST);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let at = id.y * shape.z + id.x;
    if at >= shape.y {
        return;
    }
    let row = at / shape.x;
    let exponent = exponents[at - row * shape.x] + exponents[shape.x + row];
    let bits = elements[at];
    let magnitude = bits & 0x7FFFFFFFu;
    var code = select(MOST, 0u, magnitude > INFINITE);
    if magnitude < INFINITE {
        code = code_of(magnitude, exponent);
    }
    elements[at] = select(code, 0u - code, bits != magnitude);
}
