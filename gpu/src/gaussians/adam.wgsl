// The Adam update with its clamps, as `adam.rs` of the encoder.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<storage, read> state: array<u32>;
// How fast the colours of each plane move, then the common factor of the learning rates of each step.
@group(0) @binding(2) var<storage, read> rates: array<f32>;
// The target at ever lower resolution, plane by plane.
@group(0) @binding(3) var<storage, read> surroundings: array<f32>;
// Values of all Gaussians, first moments, second moments, then ages.
@group(0) @binding(4) var<storage, read_write> record: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradients: array<f32>;

const FIRST_DECAY: f32 = 0.9;
const SECOND_DECAY: f32 = 0.95;
const EPSILON: f32 = 1e-7;
const MAX_AGE: f32 = 1000.0;
const PULL: f32 = 85.0;
const MOST_PULL: f32 = 0.05;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) all: vec3u, @builtin(local_invocation_index) me: u32) {
    let index = fit.frozen + (id.y * all.x + id.x) * 64u + me;
    if index >= state[COUNT] {
        return;
    }
    let at = index * STRIDE;
    let firsts = fit.room * STRIDE;
    let seconds = 2u * firsts;
    let age = min(record[3u * firsts + index] + 1.0, MAX_AGE);
    record[3u * firsts + index] = age;
    let error = bitcast<f32>(state[ERROR]) / fit.samples;
    let pull = min(PULL * error, MOST_PULL);
    let ln0 = record[at + 2u];
    let ln1 = record[at + 3u];
    let size = exp(ln0 + ln1);
    // The level whose pixels are about four standard deviations wide.
    let wanted = u32(round(log2(max(4.0 * sqrt(size), 1.0))));
    var width = fit.width;
    var height = fit.height;
    var start = 0u;
    var level = 0u;
    for (; level < min(wanted, fit.levels - 1u); level++) {
        start += width * height * CHANNELS;
        width /= 2u;
        height /= 2u;
    }
    let pixel = f32(1u << level);
    let column = min(u32(max(record[at] / pixel, 0.0)), width - 1u);
    let row = min(u32(max(record[at + 1u] / pixel, 0.0)), height - 1u);
    for (var c = 0u; c < CHANNELS; c++) {
        let around = surroundings[start + (c * height + row) * width + column];
        gradients[at + GEOMETRY + c] += pull * size * (record[at + GEOMETRY + c] - around);
    }
    let position = 0.08 * min(exp(0.5 * (ln0 + ln1)), 8.0);
    let apart = abs(ln0 - ln1);
    let angle = 0.06 / clamp(0.5 * (exp(apart) - exp(-apart)), 0.3, 4.0);
    let first_part = 1.0 - pow(FIRST_DECAY, age);
    let second_part = 1.0 - pow(SECOND_DECAY, age);
    let rate = rates[CHANNELS + state[STEP] - 1u];
    for (var i = 0u; i < STRIDE; i++) {
        var own = angle;
        if i < 2u {
            own = position;
        } else if i < 4u {
            own = 0.05;
        } else if i >= GEOMETRY {
            own = rates[i - GEOMETRY];
        }
        let g = gradients[at + i];
        gradients[at + i] = 0.0;
        let first = record[firsts + at + i] + (1.0 - FIRST_DECAY) * (g - record[firsts + at + i]);
        let second = record[seconds + at + i] + (1.0 - SECOND_DECAY) * (g * g - record[seconds + at + i]);
        record[firsts + at + i] = first;
        record[seconds + at + i] = second;
        let moved = (first / first_part) / (sqrt(second / second_part) + EPSILON);
        var value = record[at + i] - rate * own * moved;
        if i == 0u {
            value = max(min(value, f32(fit.width) - 0.6), 0.3);
        } else if i == 1u {
            value = max(min(value, f32(fit.height) - 0.6), 0.3);
        } else if i < 4u {
            value = clamp(value, -0.9, 4.564348);
        } else if i > 4u {
            value = clamp(value, -2.5, 3.0);
        }
        record[at + i] = value;
    }
}
