// Counting in workgroup memory, for devices without subgroups. A workgroup is one group.

struct Counted {
    words_before: u32,
    words: u32,
    escapes_before: u32,
    escapes: u32,
}

// Bit i of a word is invocation i's. A vote uses one of three sets and clears the next, which nobody has read since two barriers.
const SET: u32 = 2u * PLANES;
var<workgroup> votes: array<atomic<u32>, 3u * SET>;
var<private> turn: u32;

fn vote(lane: u32, needs: u32, escapes: u32) -> Counted {
    let below = mask(lane);
    let first = turn * SET;
    turn = select(turn + 1u, 0u, turn == 2u);
    if lane < SET {
        atomicStore(&votes[turn * SET + lane], 0u);
    }
    let own = counts(needs);
    let own_escapes = counts(escapes);
    //# each p
    if ((own >> $pu) & 1u) != 0u {
        atomicOr(&votes[first + $pu], 1u << lane);
    }
    if ((own_escapes >> $pu) & 1u) != 0u {
        atomicOr(&votes[first + PLANES + $pu], 1u << lane);
    }
    //# end
    workgroupBarrier();
    var counted = Counted(0u, 0u, 0u, 0u);
    //# each p
    let words$p = atomicLoad(&votes[first + $pu]);
    counted.words_before += countOneBits(words$p & below) << ($pu * WEIGHED);
    counted.words += countOneBits(words$p) << ($pu * WEIGHED);
    let escapes$p = atomicLoad(&votes[first + PLANES + $pu]);
    counted.escapes_before += countOneBits(escapes$p & below) << ($pu * WEIGHED);
    counted.escapes += countOneBits(escapes$p) << ($pu * WEIGHED);
    //# end
    return counted;
}

// Two sets, used in turn: what one holds is read before the barrier of the next.
var<workgroup> lengths: array<u32, 2u * GROUP>;
var<private> length_turn: u32;

// Bits of the invocations before this one, and of the group, when each has so many.
fn bits_before(lane: u32, bits: u32) -> vec2<u32> {
    let first = length_turn * GROUP;
    length_turn = 1u - length_turn;
    lengths[first + lane] = bits;
    workgroupBarrier();
    var sums = vec2<u32>(0u, 0u);
    for (var i = 0u; i < GROUP; i++) {
        let other = lengths[first + i];
        sums += vec2<u32>(select(0u, other, i < lane), other);
    }
    return sums;
}
