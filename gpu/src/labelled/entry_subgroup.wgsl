@compute @workgroup_size(GROUP * CHUNKS)
fn decode(
    @builtin(workgroup_id) workgroup_id: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    // Subgroups are full: a workgroup is a whole number of the largest.
    let workgroup = workgroup_id.x;
    let local = subgroup * subgroup_size + invocation;
    var group = local / GROUP;
    let lane = local % GROUP;
    group_start = invocation - lane;
    if SUBGROUP_MAX == GROUP {
        // The same for all: so the compiler knows that what is read of the chunk is, too.
        group = subgroupBroadcastFirst(group);
    }
    let misfit = subgroup_size % GROUP != 0u;
