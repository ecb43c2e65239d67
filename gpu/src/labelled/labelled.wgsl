// Decodes labelled floats (SPEC.md section 7.4). The text of `chunk.wgsl` comes before it.

const NO_BIAS: u32 = 16u;

// By degree of bias and octave: out of 128, how often the commoner sign.
var<workgroup> commoner: array<u32, 112>;

// Class and trailing zeros (from bit 8 up) of a row, and where in the low plane its column 0 would be.
fn row_of(rows: u32, row: u32) -> vec2<u32> {
    let at = rows + 2u * row;
    return vec2<u32>(data[at], data[at + 1u]);
}

// Class (6 bits), bias + 16 (5 bits) and raw signs in the columns before (20 bits) of a column.
fn label_of(flags: u32, labels: u32, column: u32) -> u32 {
    if (flags & FLAG_LABELS) == 0u {
        return NO_BIAS << 6u;
    }
    return shared_words[labels + column];
}

fn bias_of(label: u32) -> u32 {
    return (label >> 6u) & 31u;
}

//# entry
    for (var i = local; i < 112u; i += GROUP * CHUNKS) {
        commoner[i] = shared_words[jobs[workgroup * CHUNKS].classes + COMMONER + i];
    }
    //# begin
    let top = shared_words[job.classes + 1u];
    let low_bits = shared_words[job.classes + 3u];
    let first_octave = shared_words[job.classes + 4u];

    //# each k
    var x$k = data[job.states + first_lane + $ku];
    var column$k = (job.first_column + first_lane + $ku) % job.columns;
    var row$k = (job.first_column + first_lane + $ku) / job.columns;
    var info$k = row_of(job.rows, row$k);
    var label$k = label_of(job.flags, job.labels, column$k);
    //# end
    var used = 0u;
    var escaped = 0u;

    for (var step = 0u; step < steps; step++) {
        let element = step * LANES + first_lane;

        // What does not wait for symbols is read before they are. Plane bits that are not stored read as 0 here, and come in the second
        // pass. Raw signs follow each other in the sign plane, coded ones come from the states.
        var sign_at = element;
        if (job.flags & FLAG_BIASES) != 0u {
            sign_at = row0 * job.raw_per_row + (label0 >> 11u) - job.raw_first;
        }
        var raw_signs = bits_at(job.planes, job.sign_start + sign_at);
        //# low

        //# each k
        let class_of$k = info$k.x + label$k;
        //# end
        //# symbols

        var minus = 0u;
        if (job.flags & FLAG_BIASES) != 0u {
            var signs = 0u;
            //# each k
            let bias$k = bias_of(label$k);
            if bias$k == NO_BIAS {
                minus |= (raw_signs & 1u) << $ku;
                raw_signs >>= 1u;
            } else if on$k {
                let octaves = select((max(symbol$k >> top, first_octave) - first_octave), 0u, symbol$k >= ZERO);
                let degree = max(bias$k, NO_BIAS) - min(bias$k, NO_BIAS) - 1u;
                let often = commoner[min(8u * degree + min(octaves, 7u), 111u)];
                let slot = x$k & 127u;
                let rarer = slot >= often;
                let freq = select(often, 128u - often, rarer);
                x$k = freq * (x$k >> 7u) + select(slot, slot - often, rarer);
                signs |= select(0u, 1u << $ku, x$k < STATE_START);
                minus |= select(0u, 1u << $ku, rarer != (bias$k < NO_BIAS));
            }
            //# end
            let refills = vote(lane, signs, 0u);
            //# each k
            if (signs & (1u << $ku)) != 0u {
                let at = used + refills.words_before + countOneBits(signs & mask($ku));
                x$k = (x$k << 16u) | stream_word(job.words, job.word_count, at);
            }
            //# end
            used += refills.words;
        } else {
            minus = raw_signs;
        }

        //# store

        //# each k
        column$k += step_columns;
        if step_rows > 0u || column$k >= job.columns {
            let wraps = column$k >= job.columns;
            column$k -= select(0u, job.columns, wraps);
            row$k += step_rows + select(0u, 1u, wraps);
            info$k = row_of(job.rows, row$k);
        }
        label$k = label_of(job.flags, job.labels, column$k);
        //# end
    }

    //# last states

    for (var step = job.replay; step < steps; step++) {
        for (var k = 0u; k < OWN; k++) {
            let element = step * LANES + first_lane + k;
            if element >= job.len {
                break;
            }
            let place = job.first_column + element;
            let row = place / job.columns;
            let column = place % job.columns;
            let info = row_of(job.rows, row);
            let label = label_of(job.flags, job.labels, column);
            let zeros = info.x >> 8u;
            let low_at = info.y + column * (low_bits - zeros);
            var bits = vec2<u32>(plane_bits(group, job.planes, job.stored_bits, low_at), 0u);
            if BYTES == 8u {
                bits.y = plane_bits(group, job.planes, job.stored_bits, low_at + 32u);
            }
            bits = shifted_up(masked(bits, low_bits - zeros), zeros);
            if bias_of(label) == NO_BIAS {
                var sign_at = element;
                if (job.flags & FLAG_BIASES) != 0u {
                    sign_at = row * job.raw_per_row + (label >> 11u) - job.raw_first;
                }
                let minus = plane_bits(group, job.planes, job.stored_bits, job.sign_start + sign_at) & 1u;
                bits[(BYTES - 1u) / 4u] |= minus << ((BYTES * 8u - 1u) & 31u);
            }
            if BYTES == 2u {
                out[job.out_word + element / 2u] |= bits.x << ((element & 1u) * 16u);
            } else if BYTES == 4u {
                out[job.out_word + element] |= bits.x;
            } else {
                out[job.out_word + 2u * element] |= bits.x;
                out[job.out_word + 2u * element + 1u] |= bits.y;
            }
        }
    }

    if lane == 0u {
        wrong |= select(0u, STATUS_WORDS, used != job.word_count);
        wrong |= select(0u, STATUS_ESCAPES, escaped != job.escape_count);
        // Each plane is filled with zero bits to a byte.
        let low_fill = plane_bits(group, job.planes, job.stored_bits, job.low_bits) & mask((8u - (job.low_bits & 7u)) & 7u);
        let sign_end = job.sign_start + job.sign_bits;
        let sign_fill = plane_bits(group, job.planes, job.stored_bits, sign_end) & mask((8u - (sign_end & 7u)) & 7u);
        wrong |= select(0u, STATUS_FILL, (low_fill | sign_fill) != 0u);
    }
    //# end of chunk
}
