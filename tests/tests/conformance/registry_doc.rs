//! The tables of `REGISTRY.md`.

use std::collections::BTreeMap;
use std::path::Path;

/// Rows of each table, by the heading above it: the cells of each row.
pub fn tables() -> BTreeMap<String, Vec<Vec<String>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/REGISTRY.md");
    let text = std::fs::read_to_string(path).expect("REGISTRY.md is there");
    let mut all: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut heading);
        }
        if let Some(cells) = line.strip_prefix('|').and_then(|l| l.strip_suffix('|')) {
            let cells = cells.split('|').map(|c| c.trim().to_owned()).collect();
            all.entry(heading.clone()).or_default().push(cells);
        }
    }
    // The head of a table and the line below it.
    all.values_mut().for_each(|rows| drop(rows.drain(..2)));
    all
}

/// `id name` of every row of a table, the id read in this base.
pub fn ids(tables: &BTreeMap<String, Vec<Vec<String>>>, heading: &str, base: u32) -> Vec<(u64, String)> {
    let rows = tables.get(heading).unwrap_or_else(|| panic!("REGISTRY.md has no table {heading:?}"));
    let id = |cell: &str| {
        u64::from_str_radix(cell, base).unwrap_or_else(|_| panic!("{heading}: {cell:?} is no id"))
    };
    rows.iter().map(|row| (id(&row[0]), row[1].clone())).collect()
}
