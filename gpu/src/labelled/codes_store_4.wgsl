        //# each k
        if on$k {
            out[job.out_word + element + $ku] = high$k;
        }
        //# end
