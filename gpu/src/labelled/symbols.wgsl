        // Of each lane a symbol under the table of its class, `class_of$k`, and what that stands for, `high$k`.
        var needs = 0u;
        var escapes = 0u;
        //# each k
        let on$k = element + $ku < job.len;
        let class$k = class_map[class_of$k & 63u];
        let bucket$k = (x$k & slot_mask) >> bucket_shift;
        let place$k = x$k & place_mask;
        let found$k = buckets[(class$k & 0xffffu) + bucket$k];
        let own$k = place$k < (found$k.x >> 26u);
        let entry$k = select(found$k.y, found$k.x, own$k);
        let freq$k = entry$k & 0x1fffu;
        let rank$k = place$k + bitcast<u32>(extractBits(bitcast<i32>(entry$k), 13u, 13u));
        let symbol$k = select(found$k.y >> 26u, bucket$k, own$k);
        let next$k = freq$k * (x$k >> slot_bits) + rank$k;
        x$k = select(x$k, next$k, on$k);
        needs |= select(0u, 1u << $ku, on$k && next$k < STATE_START);
        escapes |= select(0u, 1u << $ku, on$k && symbol$k == ESCAPE);
        var high$k = select(((class$k >> 16u) + symbol$k) & high_mask, 0u, symbol$k == ZERO);
        //# end
        let counted = vote(lane, needs, escapes);
        //# each k
        if (needs & (1u << $ku)) != 0u {
            let before = countOneBits(needs & mask($ku));
            x$k = (x$k << 16u) | stream_word(job.words, job.word_count, used + counted.words_before + before);
        }
        //# end
        used += counted.words;
        if counted.escapes > 0u {
            //# each k
            if (escapes & (1u << $ku)) != 0u {
                let at = escaped + counted.escapes_before + countOneBits(escapes & mask($ku));
                high$k = 0u;
                if at < job.escape_count {
                    high$k = bits_at(job.escapes, at * high_bits) & high_mask;
                }
            }
            //# end
            escaped += counted.escapes;
        }
