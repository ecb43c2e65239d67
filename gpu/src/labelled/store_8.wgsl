        let out_at = job.out_word + 2u * element;
        //# each k
        if on$k {
            let zeros = info$k.x >> 8u;
            let width = low_bits - zeros;
            let low_at = info$k.y + column$k * width;
            let bits = vec2<u32>(bits_at(job.planes, low_at), bits_at(job.planes, low_at + 32u));
            let low = shifted_up(masked(bits, width), zeros);
            out[out_at + 2u * $ku] = low.x;
            out[out_at + 2u * $ku + 1u] = (((minus >> $ku) & 1u) << 31u) | (high$k << (low_bits - 32u)) | low.y;
        }
        //# end
