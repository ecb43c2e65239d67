        //# each k
        let zeros$k = info$k.x >> 8u;
        let width$k = low_bits - zeros$k;
        let low$k = (bits_at(job.planes, info$k.y + column$k * width$k) & mask(width$k)) << zeros$k;
        //# end
