// From which energy on maxima are collected: as many as there is room for, whole bins. Clears the bins.

@group(0) @binding(0) var<uniform> fit: Fit;
@group(0) @binding(1) var<storage, read_write> bins: array<u32>;
@group(0) @binding(2) var<storage, read_write> state: array<u32>;

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
    var bin = (me + 1u) * EACH;
    if above <= fit.places {
        for (; bin > me * EACH; bin--) {
            above += bins[bin - 1u];
            if above > fit.places {
                break;
            }
        }
    } else {
        bin = BINS;
    }
    least[me] = bin;
    for (var i = 0u; i < EACH; i++) {
        bins[me * EACH + i] = 0u;
    }
    workgroupBarrier();
    if me == 0u {
        var first = BINS;
        for (var i = 0u; i < 256u; i++) {
            first = min(first, least[i]);
        }
        state[THRESHOLD] = first;
        state[COLLECTED] = 0u;
    }
}
