        let out_at = job.out_word + element;
        //# each k
        if on$k {
            let zeros = info$k.x >> 8u;
            let width = low_bits - zeros;
            let low = (bits_at(job.planes, info$k.y + column$k * width) & mask(width)) << zeros;
            out[out_at + $ku] = (((minus >> $ku) & 1u) << 31u) | (high$k << low_bits) | low;
        }
        //# end
