// Decodes codes (SPEC.md section 7.13) of classes that have no low bits. The text of `chunk.wgsl` comes before it.
//
// The stream gives numbers, which stand in the output until it is known what the last states hold. Then come signs, whose places follow from
// the numbers before them, and what the codes are worth: in integers, since a device may round products as it likes.

// A number that says that its code is written in full, and the bits of such a code.
const IN_FULL: u32 = 2047u;
const FULL_BITS: u32 = 24u;
// Bits that the last states hold.
const HELD_BITS: u32 = 1984u;
// 2^0 to 2^(3/4), times 2^23.
const QUARTERS = array<u32, 4>(0x800000u, 0x9837F0u, 0xB504F3u, 0xD744FDu);

// Class and step exponent of a row or column, 16 bits each.
fn line_of(word: u32) -> vec2<i32> {
    return vec2<i32>(extractBits(bitcast<i32>(word), 0u, 16u), bitcast<i32>(word) >> 16u);
}

fn column_of(flags: u32, labels: u32, column: u32) -> vec2<i32> {
    if (flags & FLAG_LABELS) == 0u {
        return vec2<i32>(0, 0);
    }
    return line_of(shared_words[labels + column]);
}

// The binary32 nearest to a magnitude, not 0, times 2^(exponent / 4), of two the even one: its bits.
fn worth(magnitude: u32, exponent: i32) -> u32 {
    var quarters = QUARTERS;
    let quarter = quarters[exponent & 3];
    // The product, 48 bits, of halves of 12 bits.
    let below = (magnitude & 0xfffu) * (quarter & 0xfffu);
    let middle = (magnitude & 0xfffu) * (quarter >> 12u) + (magnitude >> 12u) * (quarter & 0xfffu);
    let above = (magnitude >> 12u) * (quarter >> 12u);
    let sum = below + (middle << 12u);
    let low = sum + (above << 24u);
    let high = (above >> 8u) + (middle >> 20u) + select(0u, 1u, sum < below) + select(0u, 1u, low < sum);
    let top = select(firstLeadingBit(low), 32u + firstLeadingBit(high), high != 0u);
    let shift = top - 23u;
    var mantissa = low;
    if shift > 0u {
        let rest = low & mask(shift);
        let half = 1u << (shift - 1u);
        mantissa = (high << (32u - shift)) | (low >> shift);
        mantissa += select(0u, 1u, rest > half || (rest == half && (mantissa & 1u) != 0u));
    }
    return (u32(127 + i32(shift) + (exponent >> 2u)) << 23u) + (mantissa - 0x800000u);
}

// The nearest bfloat16 to a binary32, both without sign.
fn to_bf16(bits: u32) -> u32 {
    return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

// The nearest half; infinite beyond the greatest.
fn to_f16(bits: u32) -> u32 {
    if bits >= 0x47800000u {
        return 0x7c00u;
    }
    if bits < 0x38800000u {
        // Below the least normal half: multiples of 2^-24.
        let shift = min(126u - (bits >> 23u), 31u);
        let whole = (bits & 0x7fffffu) | 0x800000u;
        let rest = whole & mask(shift);
        let half = 1u << (shift - 1u);
        let kept = whole >> shift;
        return kept + select(0u, 1u, rest > half || (rest == half && (kept & 1u) != 0u));
    }
    return (bits + 0x0fffu + ((bits >> 13u) & 1u) - 0x38000000u) >> 13u;
}

// An element as it is stored.
fn element_of(magnitude: u32, minus: u32, exponent: i32) -> u32 {
    if magnitude == 0u {
        return 0u;
    }
    let bits = worth(magnitude, exponent);
    if ELEMENT == 0u {
        return to_bf16(bits) | (minus << 15u);
    }
    if ELEMENT == 1u {
        return to_f16(bits) | (minus << 15u);
    }
    return bits | (minus << 31u);
}

//# entry
    //# begin
    let last_class = i32(shared_words[job.classes + 5u]);

    //# each k
    var x$k = data[job.states + first_lane + $ku];
    var column$k = (job.first_column + first_lane + $ku) % job.columns;
    var row$k = (job.first_column + first_lane + $ku) / job.columns;
    var of_row$k = line_of(data[job.rows + row$k]);
    var of_column$k = column_of(job.flags, job.labels, column$k);
    //# end
    var used = 0u;
    var escaped = 0u;

    for (var step = 0u; step < steps; step++) {
        let element = step * LANES + first_lane;
        //# each k
        let class_of$k = u32(clamp(of_row$k.x + of_column$k.x, 0, last_class));
        //# end
        //# symbols
        //# store number

        //# advance
    }

    //# last states

    //# each k
    column$k = (job.first_column + first_lane + $ku) % job.columns;
    row$k = (job.first_column + first_lane + $ku) / job.columns;
    of_row$k = line_of(data[job.rows + row$k]);
    of_column$k = column_of(job.flags, job.labels, column$k);
    //# end
    var plane_at = 0u;
    for (var step = 0u; step < steps; step++) {
        let element = step * LANES + first_lane;
        var bits = 0u;
        //# load number
        //# each k
        let on$k = element + $ku < job.len;
        let in_full$k = number$k == IN_FULL;
        let sign$k = select(0u, 1u, number$k != 0u);
        bits += sign$k + select(0u, FULL_BITS, in_full$k);
        //# end
        let ahead = bits_before(lane, bits);
        var at = plane_at + ahead.x;
        var window = plane_bits(group, job.planes, job.stored_bits, at);
        var shift = 0u;
        //# each k
        var magnitude$k = number$k;
        if in_full$k {
            magnitude$k = plane_bits(group, job.planes, job.stored_bits, at) & mask(FULL_BITS);
            at += FULL_BITS;
            window = plane_bits(group, job.planes, job.stored_bits, at);
            shift = 0u;
            // A zero would have no sign: left to the CPU.
            wrong |= select(0u, STATUS_FULL, magnitude$k == 0u);
        }
        let minus$k = (window >> shift) & sign$k;
        shift += sign$k;
        at += sign$k;
        let high$k = element_of(magnitude$k, minus$k, of_row$k.y + of_column$k.y);
        //# end
        plane_at += ahead.y;
        //# store number

        //# advance
    }

    if lane == 0u {
        wrong |= select(0u, STATUS_WORDS, used != job.word_count);
        wrong |= select(0u, STATUS_ESCAPES, escaped != job.escape_count);
        // All of the plane is used but for zero bits that fill its last byte.
        let all = job.stored_bits + select(0u, HELD_BITS, is_held);
        let left = all - plane_at;
        wrong |= select(0u, STATUS_FILL, plane_at > all || left > 7u);
        let fill = plane_bits(group, job.planes, job.stored_bits, plane_at) & mask(left & 7u);
        wrong |= select(0u, STATUS_FILL, fill != 0u);
    }
    //# end of chunk
}
