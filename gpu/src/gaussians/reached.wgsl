// The pixels that a Gaussian reaches, shared among the 8 x 8 invocations of a workgroup, and, if it is large, among several workgroups.

// Pixels of a Gaussian's box for each workgroup, about.
const PART: f32 = 2048.0;

// How many workgroups share a Gaussian, up to `most`. Each takes every so many bands of 8 rows.
fn parts_of(shape: Shape, most: u32) -> u32 {
    return clamp(u32(min(4.0 * shape.reach.y * shape.reach.z / PART, 65536.0)), 1u, most);
}

// Rows: the first, and the one past the last.
fn rows_of(shape: Shape, height: u32) -> vec2u {
    let top = clamp(ceil(shape.at.y - shape.reach.z - 0.5), 0.0, f32(height));
    let bottom = clamp(floor(shape.at.y + shape.reach.z - 0.5) + 1.0, 0.0, f32(height));
    return vec2u(u32(top), u32(bottom));
}

// Columns of a row: the first, and the one past the last.
fn columns_of(shape: Shape, row: u32, width: u32) -> vec2u {
    let dy = f32(row) + 0.5 - shape.at.y;
    let yy = shape.form.w;
    let left = REACH * REACH - dy * dy / yy;
    if left < 0.0 {
        return vec2u(0u, 0u);
    }
    let middle = shape.at.x + shape.form.z / yy * dy - 0.5;
    let out = sqrt(left * shape.reach.x / yy) + SLACK;
    let first = clamp(ceil(middle - out), 0.0, f32(width));
    let end = clamp(floor(middle + out) + 1.0, 0.0, f32(width));
    return vec2u(u32(first), u32(end));
}
