    if wrong != 0u {
        atomicOr(&damage[group], wrong);
    }
    workgroupBarrier();
    if lane == 0u {
        status[number] = STATUS_DONE | atomicLoad(&damage[group]);
    }
