//! A page of one empty tensor, column by column, so that any column can be spoilt.

use crate::hand::{Shell, root_file};
use crate::vector::Vector;

/// The columns of the page in their order.
pub struct Columns(Vec<(&'static str, Vec<u8>)>);

impl Default for Columns {
    fn default() -> Self {
        let asset = [&[0, 3, 1, b'm'][..], &[0; 32], &[0]].concat();
        Self(vec![
            ("form", vec![0]),
            ("asset count", vec![1]),
            ("assets", asset),
            ("entry count", vec![1]),
            ("asset", vec![0]),
            ("kind", vec![5]),
            ("id", vec![0]),
            ("shared", vec![0]),
            ("suffix", vec![1]),
            ("names", vec![b'a']),
            ("descriptor length", vec![6]),
            // U8, shape [0].
            ("descriptors", vec![3, 1, 21, 7, 1, 0]),
            ("dependency count", vec![0]),
            ("dependencies", vec![]),
            ("first", vec![0]),
            ("count", vec![0]),
            ("layout", vec![0]),
            ("offset", vec![0]),
            ("lengths", vec![]),
        ])
    }
}

impl Columns {
    /// The columns with one replaced.
    pub fn with(mut self, name: &str, bytes: &[u8]) -> Self {
        let column = self.0.iter_mut().find(|c| c.0 == name).expect("column is there");
        column.1 = bytes.to_vec();
        self
    }

    /// A file whose root holds the page.
    pub fn file(&self) -> Vec<u8> {
        let mut root = vec![1, 1, 0, 0, 0, 0, 0];
        self.0.iter().for_each(|c| root.extend(&c.1));
        root_file(&Shell::default(), &root, &[])
    }
}

pub fn all() -> Vec<Vector> {
    let other_asset = [&[0, 3, 1, b'm'][..], &[0; 32], &[4, 4, 0, 2, 0]].concat();
    vec![
        page_with("x_page_form", "a page of unknown form", &[("form", &[2])], "unknown page mode"),
        page_with("x_page_zstd", "a page that is no zstd frame", &[("form", &[1])], "zstd"),
        page_with(
            "x_page_tail",
            "bytes after the last column",
            &[("lengths", &[0])],
            "bytes follow the last column",
        ),
        page_with("x_entry_count", "more entries than bytes", &[("entry count", &[200, 1])], "truncated"),
        page_with(
            "x_asset_index",
            "a row of an asset that is not there",
            &[("asset", &[1])],
            "asset is not in the page",
        ),
        page_with("x_entry_id", "an entry id below zero", &[("id", &[1])], "entry id"),
        page_with(
            "x_name_shared",
            "a name that shares more than there is",
            &[("shared", &[1])],
            "shares more bytes",
        ),
        page_with("x_name_utf8", "a name that is not UTF-8", &[("names", &[0xff])], "not UTF-8"),
        page_with("x_name_zero", "a zero byte in a name", &[("names", &[0])], "zero byte"),
        page_with(
            "x_descriptor_order",
            "field ids that do not ascend",
            &[("descriptors", &[7, 1, 0, 3, 1, 21])],
            "malformed fields",
        ),
        page_with(
            "x_descriptor_cut",
            "a field longer than its descriptor",
            &[("descriptors", &[3, 1, 21, 7, 9, 0])],
            "malformed fields",
        ),
        page_with(
            "x_asset_fields",
            "asset fields that do not ascend",
            &[("assets", &other_asset)],
            "malformed fields",
        ),
        page_with(
            "x_dependency_kind",
            "an unknown kind of dependency",
            &[("dependency count", &[1]), ("dependencies", &[3, 0])],
            "unknown kind of dependency",
        ),
        page_with("x_row_layout", "an unknown layout of a row", &[("layout", &[3])], "unknown layout"),
        page_with(
            "x_offset_of_nothing",
            "a row without chunks that has an offset",
            &[("offset", &[2])],
            "without chunks has an offset",
        ),
        page_with("x_many_lengths", "more chunks than bytes", &[("count", &[100])], "truncated"),
        page_with(
            "x_length",
            "a payload length below zero",
            &[("count", &[2]), ("lengths", &[1, 3])],
            "out of range",
        ),
    ]
}

fn page_with(
    name: &'static str,
    about: &'static str,
    changes: &[(&str, &[u8])],
    error: &'static str,
) -> Vector {
    let columns = changes.iter().fold(Columns::default(), |all, (column, bytes)| all.with(column, bytes));
    Vector::refused(name, about, columns.file(), error)
}
