// Counting by subgroup ballots. A group is GROUP invocations next to each other in a subgroup of at least as many.

struct Counted {
    words_before: u32,
    words: u32,
    escapes_before: u32,
    escapes: u32,
}

// Where in its subgroup the group begins.
var<private> group_start: u32;

fn ballot(bit: bool) -> u32 {
    let all = subgroupBallot(bit);
    if SUBGROUP_MAX == GROUP {
        return all.x;
    }
    if SUBGROUP_MAX <= 32u {
        return (all.x >> group_start) & GROUP_MASK;
    }
    return (all[(group_start >> 5u) & 3u] >> (group_start & 31u)) & GROUP_MASK;
}

// How many words the lanes of this invocation need (`needs`, one bit each) and how many of them escape: those of the invocations
// before it, and of the group.
fn vote(lane: u32, needs: u32, escapes: u32) -> Counted {
    let below = mask(lane);
    let own = counts(needs);
    var counted = Counted(0u, 0u, 0u, 0u);
    //# each p
    let words$p = ballot(((own >> $pu) & 1u) != 0u);
    counted.words_before += countOneBits(words$p & below) << ($pu * WEIGHED);
    counted.words += countOneBits(words$p) << ($pu * WEIGHED);
    //# end
    if ballot(escapes != 0u) != 0u {
        let own_escapes = counts(escapes);
        //# each p
        let escapes$p = ballot(((own_escapes >> $pu) & 1u) != 0u);
        counted.escapes_before += countOneBits(escapes$p & below) << ($pu * WEIGHED);
        counted.escapes += countOneBits(escapes$p) << ($pu * WEIGHED);
        //# end
    }
    return counted;
}

// Bits of the invocations before this one, and of the group, when each has so many, at most BITS_MOST.
fn bits_before(lane: u32, bits: u32) -> vec2<u32> {
    let below = mask(lane);
    var sums = vec2<u32>(0u, 0u);
    //# each p
    let bits$p = ballot(((bits >> $pu) & 1u) != 0u);
    sums += vec2<u32>(countOneBits(bits$p & below), countOneBits(bits$p)) << vec2<u32>($pu);
    //# end
    if ballot((bits >> PLANES) != 0u) != 0u {
        for (var p = PLANES; (BITS_MOST >> p) != 0u; p++) {
            let more = ballot(((bits >> p) & 1u) != 0u);
            sums += vec2<u32>(countOneBits(more & below), countOneBits(more)) << vec2<u32>(p);
        }
    }
    return sums;
}
