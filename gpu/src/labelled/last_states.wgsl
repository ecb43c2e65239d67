    let is_held = (job.flags & FLAG_HELD) != 0u;
    var wrong = select(0u, STATUS_GROUP, misfit);
    //# each k
    wrong |= select(0u, STATUS_STATES, select(x$k != STATE_START, (x$k >> 31u) == 0u, is_held));
    held[group * LANES + first_lane + $ku] = select(0u, x$k & 0x7fffffffu, is_held);
    //# end
    workgroupBarrier();
