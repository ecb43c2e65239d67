        let out_at = job.out_word + element;
        //# each k
        if on$k {
            out[out_at + $ku] = (((minus >> $ku) & 1u) << 31u) | (high$k << low_bits) | low$k;
        }
        //# end
