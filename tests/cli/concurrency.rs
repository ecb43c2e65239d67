//! Two at once.

use crate::small_models::{long, small};
use crate::workplace::{Workplace, end};

#[test]
fn of_two_appends_one_waits_or_loses() {
    for round in 0..6u64 {
        let place = Workplace::new();
        let target = place.encoded("m.safetensors", &small(1));
        let names = ["one", "two", "three"];
        for (i, name) in names.iter().enumerate() {
            place.write(
                &format!("{name}.safetensors"),
                if i == 0 { long(2) } else { small(round + i as u64) },
            );
        }
        let all: Vec<_> = names
            .iter()
            .map(|n| place.command(&["append", &target, &format!("{n}.safetensors")]).spawn().unwrap())
            .collect();
        let codes: Vec<i32> = all
            .into_iter()
            .map(|child| {
                let ended = end("append".into(), child);
                match ended.code {
                    0 => 0,
                    // The only reason to lose is that another was there first.
                    _ => ended.refused(1, &["being changed"]).code,
                }
            })
            .collect();
        assert!(codes.contains(&0), "{codes:?}");
        let info = place.run(&["info", &target, "--json"]).done().json();
        let won = codes.iter().filter(|&&c| c == 0).count();
        assert_eq!(info["assets"].as_array().unwrap().len(), 1 + won, "{codes:?}");
        place.run(&["verify", "--deep", &target]).done();
        for (name, code) in names.iter().zip(codes) {
            let ended =
                place.run(&["decode", &target, "--asset", name, "-o", "-"]).with(i32::from(code != 0));
            assert!(code != 0 || ended.out == place.read(&format!("{name}.safetensors")));
        }
    }
}

#[test]
fn of_two_encodes_to_one_place_one_wins() {
    let place = Workplace::new();
    place.write("one.safetensors", small(1));
    place.write("two.safetensors", small(2));
    for force in [false, true] {
        for _ in 0..6 {
            let all: Vec<_> = ["one.safetensors", "two.safetensors"]
                .iter()
                .map(|n| {
                    let mut args = vec!["encode", n, "-o", "out.mcodec"];
                    args.extend(force.then_some("-f"));
                    place.command(&args).spawn().unwrap()
                })
                .collect();
            let codes: Vec<i32> = all.into_iter().map(|child| end("encode".into(), child).code).collect();
            let wanted = if force { codes == [0, 0] } else { codes == [0, 2] || codes == [2, 0] };
            assert!(wanted, "{codes:?}");
            let back = place.run(&["decode", "out.mcodec", "-o", "-"]).done().out;
            assert!(if force {
                back == small(1) || back == small(2)
            } else {
                back == small(1 + u64::from(codes[0] != 0))
            });
            std::fs::remove_file(place.path("out.mcodec")).unwrap();
        }
    }
    assert_eq!(place.everything().len(), 2);
}

#[test]
fn reading_goes_on_while_a_file_grows() {
    let place = Workplace::new();
    let target = place.encoded("m.safetensors", &small(1));
    place.write("more.safetensors", long(4));
    let child = place.command(&["append", &target, "more.safetensors"]).spawn().unwrap();
    for _ in 0..20 {
        assert!(place.run(&["decode", &target, "--asset", "m", "-o", "-"]).done().out == small(1));
    }
    end("append".into(), child).done();
    place.run(&["verify", &target]).done();
}
