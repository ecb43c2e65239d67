// Takes the best candidate with its best colours: a workgroup for each turn of a round. The text of `reached.wgsl` comes before it.

@group(0) @binding(0) var<uniform> now: Round;
@group(0) @binding(1) var<storage, read> turns: array<Turn>;
@group(0) @binding(2) var<storage, read> shapes: array<Shape>;
// Of each part of a candidate of the round rise, curve, and pull of each channel.
@group(0) @binding(3) var<storage, read> trials: array<f32>;
// Of each turn and channel the colour that is expected, then the bits of each difference from it.
@group(0) @binding(4) var<storage, read> cards: array<f32>;
// What a bit is worth, the error at the start and at the end, one that is not used; then of each turn which candidate, how much squared error it
// saves, and its colours in steps.
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
// Of each candidate the bits of its form, then the step of each channel.
@group(0) @binding(6) var<storage, read> prices: array<f32>;

const SUMS: u32 = 2u + CHANNELS;
const HEAD: u32 = 4u;
// Range of colours.
const LEAST_COLOUR: f32 = -2.6;
const MOST_COLOUR: f32 = 2.8;
// Steps that a colour is tried from the best one towards the expected one.
const TOWARDS: i32 = 6;
// Bits of each step beyond the list.
const BEYOND: f32 = 0.25;

var<workgroup> costs: array<f32, 64>;
var<workgroup> chosen: u32;

fn bits_of(card: u32, index: i32, step: f32) -> f32 {
    let list = i32(now.priced);
    let most = (list - 1) / 2;
    let off = index - i32(floor(cards[card] / step + 0.5));
    let beyond = max(abs(off) - most, 0);
    return cards[card + 1u + u32(clamp(off, -most, most) + most)] + f32(beyond) * BEYOND;
}

// The best index of a colour, and what it costs.
fn best_colour(turn: u32, c: u32, step: f32, curve: f32, pull: f32) -> vec2f {
    let nearest = clamp(
        i32(round_away(pull / max(curve, 1e-6) / step)), i32(LEAST_COLOUR / step), i32(MOST_COLOUR / step),
    );
    let value = f32(nearest) * step;
    var best = vec2f(f32(nearest), value * (curve * value - 2.0 * pull));
    if now.is_priced == 0u {
        return best;
    }
    let card = (turn * CHANNELS + c) * (1u + now.priced);
    best.y += out[0] * bits_of(card, nearest, step);
    let expected = i32(round_away(cards[card] / step));
    let way = sign(expected - nearest);
    for (var i = 1; i <= min(abs(expected - nearest), TOWARDS); i++) {
        let index = nearest + i * way;
        let v = f32(index) * step;
        let cost = v * (curve * v - 2.0 * pull) + out[0] * bits_of(card, index, step);
        if cost < best.y {
            best = vec2f(f32(index), cost);
        }
    }
    return best;
}

// The nearest integer, halves away from zero, of any size that an i32 holds.
fn round_away(x: f32) -> f32 {
    return sign(x) * floor(min(abs(x), 1e6) + 0.5);
}

// A number of what came of a candidate's trial: the sum over its parts.
fn trial(candidate: u32, number: u32) -> f32 {
    var sum = 0.0;
    let first = (candidate - now.first * now.most) * now.parts;
    for (var part = 0u; part < parts_of(shapes[candidate], now.parts); part++) {
        sum += trials[(first + part) * SUMS + number];
    }
    return sum;
}

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) all: vec3u,
    @builtin(local_invocation_index) me: u32,
) {
    let turn = now.first + id.y * all.x + id.x;
    let is_there = turn < now.end;
    let first = turn * now.most;
    let to = HEAD + turn * SUMS;
    if is_there && me < turns[turn].candidates {
        let price = (first + me) * (1u + CHANNELS);
        let curve = trial(first + me, 1u);
        var cost = trial(first + me, 0u) + out[0] * prices[price];
        for (var c = 0u; c < CHANNELS; c++) {
            cost += best_colour(turn, c, prices[price + 1u + c], curve, trial(first + me, 2u + c)).y;
        }
        costs[me] = cost;
    }
    workgroupBarrier();
    if me == 0u {
        chosen = 0u;
        if is_there {
            for (var i = 1u; i < turns[turn].candidates; i++) {
                if costs[i] < costs[chosen] {
                    chosen = i;
                }
            }
            out[to] = f32(chosen);
            out[to + 1u] = -costs[chosen];
        }
    }
    workgroupBarrier();
    if me < CHANNELS && is_there {
        let step = prices[(first + chosen) * (1u + CHANNELS) + 1u + me];
        let pull = trial(first + chosen, 2u + me);
        out[to + 2u + me] = best_colour(turn, me, step, trial(first + chosen, 1u), pull).x;
    }
}
