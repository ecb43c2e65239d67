//! Seeds and regressions of every fuzz target, through the same functions, without libFuzzer. With `MCODEC_FUZZ_CORPUS` set,
//! what was collected in `fuzz/corpus` too: to measure what it covers.

use std::path::Path;

#[path = "../../fuzz/src/targets/mod.rs"]
#[allow(unreachable_pub, dead_code)]
mod targets;

fn replay(target: &str, run: targets::Target) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut inputs = 0;
    let collected = std::env::var_os("MCODEC_FUZZ_CORPUS").map(|_| "corpus");
    for folder in ["seeds", "regressions"].into_iter().chain(collected) {
        let Ok(list) = std::fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        let mut paths: Vec<_> = list.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            // Captured unless the test fails; then the last line names the input.
            println!("{}", path.display());
            run(&std::fs::read(&path).unwrap());
            inputs += 1;
        }
    }
    assert!(inputs > 0, "there are no seeds of {target}");
}

macro_rules! replays {
    ($($target:ident),*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target), targets::$target::run);
        })*

        #[test]
        fn every_target_is_replayed() {
            assert_eq!(targets::ALL.map(|(name, _)| name), [$(stringify!($target)),*]);
        }
    };
}

replays!(
    container,
    index,
    tables,
    decode,
    forward,
    safetensors_header,
    gguf_header,
    round_trip,
    no_limits,
    archive,
    pickle,
    npy,
    gaussians,
    render,
    grids,
    codes,
    tokens,
    built
);
