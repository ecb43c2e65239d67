        let out_at = job.out_word + element / 2u;
        //# each j
        let value$a = (((minus >> $au) & 1u) << 15u) | (high$a << low_bits) | low$a;
        let value$b = (((minus >> $bu) & 1u) << 15u) | (high$b << low_bits) | low$b;
        if on$a {
            out[out_at + $ju] = value$a | select(0u, value$b << 16u, on$b);
        }
        //# end
