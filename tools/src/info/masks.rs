//! What masks of block-sparse attention say of themselves.

use super::inventory::Item;
use mcodec_format::{EntryDescriptor, PLANE_AXES, PlaneOrder};
use serde::Serialize;
use serde_json::Value;

/// Longest text of a record that is shown.
pub(super) const LONGEST: u64 = 1 << 14;

/// Masks.
#[derive(Debug, Serialize)]
pub(crate) struct MaskInfo {
    /// Axes of the source, outermost first.
    axes: String,
    steps: u64,
    layers: u64,
    heads: u64,
    /// Blocks of queries and of keys.
    rows: u64,
    columns: u64,
    /// Planes of a group, the unit of access.
    group: u64,
    /// Bits that a bit of the masks takes.
    bits_per_bit: f64,
}

/// What the tensor of a row says of itself as masks, if it does.
pub(super) fn mask_info(item: &Item) -> Option<MaskInfo> {
    let row = item.row.get();
    let Ok(EntryDescriptor::Tensor(tensor)) = &item.descriptor else { return None };
    let order = PlaneOrder::of(&row.fields).ok()??;
    let shape = <[u64; PLANE_AXES.len()]>::try_from(tensor.shape.as_slice()).ok()?;
    let [layers, heads, steps, rows, columns] = shape;
    let plane = rows.checked_mul(columns)?;
    Some(MaskInfo {
        axes: order.text(),
        steps,
        layers,
        heads,
        rows,
        columns,
        group: tensor.chunking.chunk_len.checked_div(plane).unwrap_or(0),
        bits_per_bit: item.coded as f64 * 8.0 / tensor.chunking.byte_len.max(1) as f64,
    })
}

impl MaskInfo {
    /// On one line.
    pub(super) fn line(&self) -> String {
        let Self { steps, layers, heads, rows, columns, .. } = self;
        format!(
            "masks {}: {steps} steps, {layers} layers, {heads} heads of {rows} x {columns} blocks, groups of {} planes, {:.4} bits for each",
            self.axes, self.group, self.bits_per_bit
        )
    }
}

/// What a record says of how masks were made, on one line.
pub(super) fn told(record: &Value) -> Option<String> {
    let all = record.as_object()?;
    let one = |(key, value): (&String, &Value)| match value {
        Value::String(text) => format!("{key} {text}"),
        value => format!("{key} {value}"),
    };
    (!all.is_empty()).then(|| all.iter().map(one).collect::<Vec<_>>().join(", "))
}
