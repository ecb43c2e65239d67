//! Which registered ids the vectors have, by their twins.

use mcodec_format::Tag;
use mcodec_format::registry::{self, Named};
use serde_json::Value;
use std::collections::BTreeSet;

/// Tables of named ids, by the headings of `REGISTRY.md`.
pub fn named_tables() -> [(&'static str, &'static [Named]); 10] {
    [
        ("Asset kinds", &registry::asset::ALL),
        ("Entry kinds", &registry::entry::ALL),
        ("Representations", &registry::representation::ALL),
        ("Codings", &registry::coding::ALL),
        ("Field modes", &registry::FIELD_MODES),
        ("Difference forms", &registry::DIFFERENCE_FORMS),
        ("File layouts", &registry::file_layout::ALL),
        ("Dependency kinds", &registry::DEPENDENCY_KINDS),
        ("Required features", &registry::REQUIRED_FEATURES),
        ("Optional features", &registry::OPTIONAL_FEATURES),
    ]
}

/// Frame tags, in the order of `REGISTRY.md`.
pub const TAGS: [(Tag, &str); 8] = [
    (Tag::ROOT, "R"),
    (Tag::LEAF, "L"),
    (Tag::DESCRIPTORS, "D"),
    (Tag::CHUNK, "C"),
    (Tag::INDEXED, "I"),
    (Tag::GATHERED, "G"),
    (Tag::PAD, "P"),
    (Tag::TRAILER, "T"),
];

/// Ids (and other things that must be shown) of which no readable vector has any.
pub fn missing(twins: &[Value]) -> Vec<String> {
    let mut have = BTreeSet::new();
    for twin in twins.iter().filter(|t| t["refused"].is_null()) {
        collect(twin, &mut have);
    }
    let mut wanted: Vec<String> = Vec::new();
    let mut want = |heading: &str, name: &str| wanted.push(format!("{heading}: {name}"));
    for (heading, table) in named_tables() {
        table.iter().for_each(|n| want(heading, n.name));
    }
    TAGS.iter().for_each(|t| want("Frame tags", t.1));
    ["indexed", "gathered", "described"].iter().for_each(|l| want("Row layouts", l));
    registry::DTYPES.iter().chain(&registry::BLOCKS).for_each(|d| want("Element types", d.name));
    want("Element types", "opaque");
    registry::field::ALL.iter().for_each(|f| want("Entry descriptor fields", f.1));
    registry::SCHEMAS.iter().for_each(|s| want("Record schemas", s));
    want("Asset fields", "1");
    want("Asset fields", "2");
    want("Asset fields", "3");
    for kind in ["grey", "colour", "grey with alpha", "colour with alpha", "data"] {
        want("Channel groups", kind);
    }
    for transfer in ["sRGB", "linear", "logarithm"] {
        want("Transfers", transfer);
    }
    for depth in ["0", "1", "2"] {
        want("Depths", depth);
    }
    for other in ["preset 0", "preset 1", "preset 127", "gains", "repeats", "names", "channel names"] {
        want("Images", other);
    }
    for other in ["one chunk", "pages", "reach", "empty set"] {
        want("Layers", other);
    }
    for other in ["none", "shared", "inline"] {
        want("Columns of differences", other);
    }
    for other in ["0", "2", "8", "16", "32", "64"] {
        want("Units", other);
    }
    for other in ["slot A", "slot B", "trailer", "root at 96"] {
        want("Generations", other);
    }
    for other in ["generation 1", "generation 2", "inline", "leaves", "parts", "check of 4", "check of 8"] {
        want("Forms", other);
    }
    for other in ["none", "shared", "inline", "row zeros", "bits in states", "no bits in states"] {
        want("Labelled", other);
    }
    for lanes in [1, 2, 4, 8, 16, 32, 64] {
        want("Labelled", &format!("{lanes} lanes"));
    }
    wanted.retain(|w| !have.contains(w));
    wanted
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn collect(twin: &Value, have: &mut BTreeSet<String>) {
    let mut add = |heading: &str, name: &Value| {
        have.insert(format!("{heading}: {}", name.as_str().map_or_else(|| name.to_string(), str::to_owned)));
    };
    add("Generations", &twin["found_by"]);
    add("Forms", &Value::from(format!("generation {}", twin["root"]["generation"])));
    add("Forms", &Value::from(if list(&twin["root"]["leaves"]).is_empty() { "inline" } else { "leaves" }));
    list(&twin["frames"]).iter().for_each(|f| add("Frame tags", &f[0]));
    for (heading, table, bits) in [
        ("Required features", &registry::REQUIRED_FEATURES[..], &twin["preamble"]["required"]),
        ("Optional features", &registry::OPTIONAL_FEATURES[..], &twin["preamble"]["optional"]),
    ] {
        let set = |n: &&Named| bits.as_u64().unwrap_or(0) >> n.id & 1 == 1;
        table.iter().filter(set).for_each(|n| add(heading, &n.name.into()));
    }
    for asset in list(&twin["assets"]).iter().filter(|a| a["refused"].is_null()) {
        add("Asset kinds", &asset["kind"]);
        if !asset["source"].is_null() {
            add("Asset fields", &"1".into());
        }
        if !asset["base"].is_null() {
            add("Asset fields", &"2".into());
        }
        if !asset["image"].is_null() {
            add("Asset fields", &"3".into());
            collect_image(&asset["image"], &mut add);
        }
    }
    for entry in list(&twin["entries"]) {
        collect_entry(entry, &mut add);
    }
}

fn collect_entry(entry: &Value, add: &mut impl FnMut(&str, &Value)) {
    list(&entry["dependencies"]).iter().for_each(|d| add("Dependency kinds", &d["kind"]));
    if !entry["refused"].is_null() {
        return;
    }
    add("Entry kinds", &entry["kind"]);
    let descriptor = &entry["descriptor"];
    for name in descriptor.as_object().into_iter().flat_map(|d| d.keys()) {
        add("Entry descriptor fields", &name.as_str().into());
    }
    if entry["kind"] == "layer" {
        collect_layer(entry, add);
    }
    add("Element types", &descriptor["dtype"]);
    add("File layouts", &descriptor["layout"]);
    if entry["kind"] == "file" && descriptor["layout"].is_null() {
        add("File layouts", &"bytes".into());
    }
    add("Record schemas", &descriptor["schema"]);
    add("Representations", &descriptor["representation"][0]);
    add("Codings", &descriptor["coding"]);
    if list(&entry["parts"]).len() > 1 {
        add("Forms", &"parts".into());
    }
    for part in list(&entry["parts"]) {
        for chunk in list(&part["chunks"]) {
            add("Row layouts", &part["layout"]);
            add("Forms", &Value::from(format!("check of {}", chunk["check_bytes"])));
            if !chunk["labelled"].is_null() {
                collect_labelled(&chunk["labelled"], add);
            }
            if !chunk["difference"].is_null() {
                add("Difference forms", &chunk["difference"]["form"]);
                add("Columns of differences", &chunk["difference"]["columns_at"]);
            }
            let Some((unit, fields)) = list(&chunk["fields"]).split_first() else { continue };
            add("Codings", &"fields".into());
            add("Units", unit);
            fields.iter().for_each(|f| add("Field modes", &f[1]));
        }
    }
}

fn collect_labelled(chunk: &Value, add: &mut impl FnMut(&str, &Value)) {
    add("Labelled", &chunk["labels"]);
    if chunk["row_zeros"] == true {
        add("Labelled", &"row zeros".into());
    }
    let held = if chunk["absorbed"] == true { "bits in states" } else { "no bits in states" };
    add("Labelled", &held.into());
    let lanes = &chunk["lanes"];
    add("Labelled", &Value::from(format!("{lanes} lanes")));
}

fn collect_image(image: &Value, add: &mut impl FnMut(&str, &Value)) {
    for group in list(&image["groups"]) {
        add("Channel groups", &group["kind"]);
        add("Transfers", &group["transfer"]);
        add("Depths", &group["depth"]);
        if group["name"] != "" {
            add("Images", &"names".into());
        }
        if list(&group["channels"]).iter().any(|name| *name != "") {
            add("Images", &"channel names".into());
        }
    }
    let constants = match image["constants"].to_string().as_str() {
        "[80,42,80,60,75]" => "preset 0",
        "[60,30,60,36,75]" => "preset 1",
        _ => "preset 127",
    };
    add("Images", &constants.into());
    if list(&image["gains"]).iter().any(|gain| *gain != 0) {
        add("Images", &"gains".into());
    }
    if list(&image["repeats"]).iter().any(|along| *along == true) {
        add("Images", &"repeats".into());
    }
}

fn collect_layer(entry: &Value, add: &mut impl FnMut(&str, &Value)) {
    // What an absent field means is a coding too.
    add("Codings", &"gaussians".into());
    let descriptor = &entry["descriptor"];
    add("Layers", &Value::from(if descriptor["page"].is_null() { "one chunk" } else { "pages" }));
    let is_far = |page: &Value| list(page).iter().any(|reach| *reach != 0);
    if list(&descriptor["reach"]).iter().any(is_far) {
        add("Layers", &"reach".into());
    }
    if list(&entry["content"]["sets"]).iter().any(|count| *count == 0) {
        add("Layers", &"empty set".into());
    }
}
