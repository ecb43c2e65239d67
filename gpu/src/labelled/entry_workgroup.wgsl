@compute @workgroup_size(GROUP)
fn decode(
    @builtin(workgroup_id) workgroup_id: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = workgroup_id.x;
    let group = 0u;
    let lane = local;
    turn = 0u;
    length_turn = 0u;
    let misfit = false;
