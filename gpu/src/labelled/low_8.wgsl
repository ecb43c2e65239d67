        //# each k
        let zeros$k = info$k.x >> 8u;
        let width$k = low_bits - zeros$k;
        let low_at$k = info$k.y + column$k * width$k;
        let window$k = vec2<u32>(bits_at(job.planes, low_at$k), bits_at(job.planes, low_at$k + 32u));
        let low$k = shifted_up(masked(window$k, width$k), zeros$k);
        //# end
