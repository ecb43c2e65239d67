//! Files of other versions, or that use what this version does not know.

use crate::hand::{Draft, Shell, model, raw_tensor, record};
use crate::sound::hash_bytes;
use crate::vector::{Expect, Vector};
use mcodec_format::registry::{entry, field};
use mcodec_format::{EntryRow, Preamble};

pub fn all() -> Vec<Vector> {
    vec![
        newer_minor(),
        unknown_parts(),
        unknown_mode(),
        unknown_asset_kinds(),
        critical_entry_kind(),
        critical_asset_field(),
        required_schema(),
        record_of_another_hash(),
        refused_preamble(
            "v_major_2",
            "major version 2",
            |p| (p.major, p.reader_minor) = (2, 3),
            "needs a reader of version 2.3",
        ),
        refused_preamble(
            "v_least_minor",
            "least minor version above this one",
            |p| (p.minor, p.reader_minor) = (4, 2),
            "needs a reader of version 1.2",
        ),
        refused_preamble(
            "v_required_feature",
            "an unknown required feature",
            |p| p.required = 1 << 9,
            "required feature bit 9",
        ),
    ]
}

pub const GOOD: &[u8] = b"good";

/// A model with one readable tensor.
pub fn good(name: &str) -> Draft {
    let mut draft = Draft::of(vec![model(0, name)]);
    draft.add(raw_tensor(0, "good", GOOD));
    hash_bytes(&mut draft, 0, &[("good", 4, &GOOD.to_vec())]);
    draft
}

fn refused_preamble(
    name: &'static str,
    about: &'static str,
    change: impl Fn(&mut Preamble),
    error: &'static str,
) -> Vector {
    let mut shell = Shell::default();
    change(&mut shell.preamble);
    Vector::refused(name, about, good("m").finished(&shell), error)
}

fn newer_minor() -> Vector {
    let mut draft = good("newer");
    draft.page.rows[0].fields.set(900, false, b"hint".to_vec());
    draft.page.assets[0].fields.set(77, false, b"tag".to_vec());
    let (row, payloads) = raw_tensor(1, "sketch", b"?");
    draft.add((EntryRow { kind: 31, critical: false, ..row }, payloads));
    let bound = draft.page.assets[0].hash;
    draft.add(record(2, "notes", "example.org/notes", bound, "[]"));
    let mut shell = Shell::default();
    shell.preamble.minor = 1;
    shell.preamble.optional = 1 << 5;
    shell.root_fields.set(3, false, b"made elsewhere".to_vec());
    let expect = Expect {
        warnings: &["format version 1.1", "optional feature bit 5"],
        unknown: &[
            "format version 1.1",
            "optional feature bit 5",
            "field 900 of \"good\"",
            "\"sketch\" of kind 31",
        ],
        entries: &[("sketch", "entry kind 31")],
        ..Expect::default()
    };
    Vector::opens(
        "v_newer_minor",
        "minor version 1 with an unknown optional feature, file field, asset field, descriptor field, entry kind and record schema",
        draft.finished(&shell),
        expect,
    )
}

fn unknown_parts() -> Vector {
    let mut draft = good("unknown");
    let changed: [(&str, u64, bool, u8); 4] = [
        ("representation", field::REPRESENTATION, true, 77),
        ("coding", field::CODING, true, 9),
        ("dtype", field::DTYPE, true, 99),
        ("critical field", 120, true, 0),
    ];
    for (id, (name, field, critical, value)) in (1u32..).zip(changed) {
        let (mut row, payloads) = raw_tensor(id, name, GOOD);
        row.fields.set(field, critical, vec![value]);
        draft.add((row, payloads));
    }
    let (mut row, payloads) = crate::hand::file(8, "layout", 5, GOOD);
    row.fields.set_varint(field::FILE_LAYOUT, true, 5);
    draft.add((row, payloads));
    let expect = Expect {
        unknown: &[
            "representation 77",
            "coding 9",
            "dtype 99",
            "critical descriptor field 120",
            "file layout 5",
        ],
        entries: &[
            ("representation", "representation 77"),
            ("coding", "coding 9"),
            ("dtype", "dtype 99"),
            ("critical field", "critical descriptor field 120"),
            ("layout", "file layout 5"),
        ],
        ..Expect::default()
    };
    Vector::opens(
        "v_unknown_parts",
        "tensors of unknown representation, coding, element type and critical field, a file of unknown layout; another tensor is readable",
        draft.finished(&Shell::default()),
        expect,
    )
}

fn unknown_mode() -> Vector {
    let mut draft = good("mode");
    draft.add(crate::hand::fields_tensor(1, "mode", 4, vec![8, 1, 8, 17, 0]));
    let expect =
        Expect { unknown: &["field mode 17"], entries: &[("mode", "field mode 17")], ..Expect::default() };
    Vector::opens(
        "v_unknown_mode",
        "a chunk with a field of unknown mode",
        draft.finished(&Shell::default()),
        expect,
    )
}

fn unknown_asset_kinds() -> Vector {
    let mut draft = good("known");
    for (at, critical) in [(1, false), (2, true)] {
        let mut asset = model(at, if critical { "critical" } else { "optional" });
        (asset.kind, asset.critical) = (40, critical);
        draft.page.assets.push(asset);
    }
    draft.add_of(1, raw_tensor(0, "inside", b"1"));
    let expect = Expect {
        unknown: &["\"optional\" of kind 40", "\"critical\" of kind 40"],
        assets: &[("critical", "asset kind 40")],
        ..Expect::default()
    };
    Vector::opens(
        "v_asset_kinds",
        "assets of unknown kind beside a readable model",
        draft.finished(&Shell::default()),
        expect,
    )
}

fn critical_entry_kind() -> Vector {
    let mut draft = good("entries");
    let (row, payloads) = raw_tensor(1, "adapter", b"?");
    draft.add((EntryRow { kind: 32, ..row }, payloads));
    let expect = Expect {
        unknown: &["\"adapter\" of kind 32"],
        entries: &[("adapter", "entry kind 32")],
        assets: &[("entries", "entry kind 32 of \"adapter\"")],
        ..Expect::default()
    };
    Vector::opens(
        "v_critical_entry_kind",
        "a critical entry of unknown kind: the asset is not decoded as a whole, its tensors are readable by name",
        draft.finished(&Shell::default()),
        expect,
    )
}

fn critical_asset_field() -> Vector {
    let mut draft = good("fields");
    draft.page.assets[0].fields.set(90, true, vec![1]);
    let expect = Expect { assets: &[("fields", "critical asset field 90")], ..Expect::default() };
    Vector::opens(
        "v_critical_asset_field",
        "an asset with an unknown critical field",
        draft.finished(&Shell::default()),
        expect,
    )
}

fn required_schema() -> Vector {
    let mut draft = good("required");
    let bound = draft.page.assets[0].hash;
    let (row, payloads) = record(1, "schedule", "example.org/schedule", bound, "{}");
    draft.add((EntryRow { critical: true, ..row }, payloads));
    let expect = Expect {
        assets: &[("required", "schema \"example.org/schedule\" of required record \"schedule\"")],
        ..Expect::default()
    };
    Vector::opens(
        "v_required_schema",
        "a required record of unknown schema: the asset is listed, not decoded",
        draft.finished(&Shell::default()),
        expect,
    )
}

fn record_of_another_hash() -> Vector {
    let mut draft = good("bound");
    draft.add(record(1, "stale", "json", [0x11; 32], "{}"));
    assert_eq!(draft.page.rows[1].kind, entry::RECORD);
    let expect = Expect {
        damage: &["bound to content hash 1111"],
        entries: &[("stale", "bound to content hash 1111")],
        ..Expect::default()
    };
    Vector::opens(
        "x_record_hash",
        "a record that is bound to another content hash",
        draft.finished(&Shell::default()),
        expect,
    )
}
