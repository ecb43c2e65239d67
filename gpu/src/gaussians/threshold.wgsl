// From which energy on maxima are collected: as many as there is room for, whole bins. Of each bin where its maxima begin in the order; clears
// the counts.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<storage, read_write> bins: array<u32>;
@group(0) @binding(2) var<storage, read_write> state: array<u32>;
@group(0) @binding(3) var<storage, read_write> starts: array<u32>;

const EACH: u32 = BINS / 256u;
var<workgroup> counts: array<u32, 256>;
var<workgroup> least: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) me: u32) {
    var count = 0u;
    for (var i = 0u; i < EACH; i++) {
        count += bins[me * EACH + i];
    }
    counts[me] = count;
    workgroupBarrier();
    var above = 0u;
    for (var i = me + 1u; i < 256u; i++) {
        above += counts[i];
    }
    // The lowest bin of this part down to which all fit.
    var lowest = BINS;
    var fitting = 0u;
    for (var bin = (me + 1u) * EACH; bin > me * EACH; bin--) {
        starts[bin - 1u] = above;
        above += bins[bin - 1u];
        bins[bin - 1u] = 0u;
        if above <= fit.places {
            lowest = bin - 1u;
            fitting = above;
        }
    }
    least[me] = lowest;
    workgroupBarrier();
    counts[me] = fitting;
    workgroupBarrier();
    if me == 0u {
        var first = BINS;
        var collected = 0u;
        for (var i = 0u; i < 256u; i++) {
            first = min(first, least[i]);
            collected = max(collected, counts[i]);
        }
        state[THRESHOLD] = first;
        state[COLLECTED] = collected;
    }
}
