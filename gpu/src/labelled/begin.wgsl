    for (var i = local; i < 64u; i += GROUP * CHUNKS) {
        class_map[i] = shared_words[jobs[workgroup * CHUNKS].classes + CLASS_MAP + i];
    }
    for (var i = local; i < TABLES * 64u; i += GROUP * CHUNKS) {
        let at = jobs[workgroup * CHUNKS].classes + BUCKETS + 2u * i;
        buckets[i] = vec2<u32>(shared_words[at], shared_words[at + 1u]);
    }
    if local < CHUNKS {
        atomicStore(&damage[local], 0u);
    }
    workgroupBarrier();

    let number = workgroup * CHUNKS + group;
    let job = jobs[number];
    let slot_bits = shared_words[job.classes];
    let high_bits = shared_words[job.classes + 2u];
    let slot_mask = mask(slot_bits);
    let bucket_shift = slot_bits - 6u;
    let place_mask = mask(bucket_shift);
    let high_mask = mask(high_bits);
    let steps = (job.len + LANES - 1u) / LANES;
    let step_rows = LANES / job.columns;
    let step_columns = LANES % job.columns;
    let first_lane = lane * OWN;
