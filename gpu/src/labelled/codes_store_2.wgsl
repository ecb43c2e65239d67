        //# each j
        if on$a {
            out[job.out_word + element / 2u + $ju] = high$a | select(0u, high$b << 16u, on$b);
        }
        //# end
