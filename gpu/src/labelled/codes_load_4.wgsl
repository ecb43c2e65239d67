        //# each k
        var number$k = 0u;
        if element + $ku < job.len {
            number$k = out[job.out_word + element + $ku];
        }
        //# end
