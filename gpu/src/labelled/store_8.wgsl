        let out_at = job.out_word + 2u * element;
        //# each k
        if on$k {
            let above = (((minus >> $ku) & 1u) << 31u) | (high$k << (low_bits - 32u));
            out[out_at + 2u * $ku] = low$k.x;
            out[out_at + 2u * $ku + 1u] = above | low$k.y;
        }
        //# end
