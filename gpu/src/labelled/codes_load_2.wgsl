        //# each j
        var pair$j = 0u;
        if element + $au < job.len {
            pair$j = out[job.out_word + element / 2u + $ju];
        }
        let number$a = pair$j & 0xffffu;
        let number$b = pair$j >> 16u;
        //# end
