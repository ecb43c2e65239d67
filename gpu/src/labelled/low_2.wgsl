        //# each j
        let zeros$a = info$a.x >> 8u;
        let zeros$b = info$b.x >> 8u;
        let width$a = low_bits - zeros$a;
        let width$b = low_bits - zeros$b;
        // The low bits of both are next to each other, 20 at most.
        let window$j = bits_at(job.planes, info$a.y + column$a * width$a);
        let low$a = (window$j & mask(width$a)) << zeros$a;
        let low$b = ((window$j >> width$a) & mask(width$b)) << zeros$b;
        //# end
