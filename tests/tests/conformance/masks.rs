//! Masks: coding 48, and the record of how they were made.

use crate::hand::{Draft, Shell, bytes_tensor, chunking, model, record, row};
use crate::vector::Vector;
use mcodec_coding::latents::{Masks, encode_masks};
use mcodec_format::registry::{Dtype, asset, coding, entry};
use mcodec_format::{Asset, PlaneOrder, TensorDescriptor};

pub fn all() -> Vec<Vector> {
    vec![masks()]
}

/// Bands along the diagonal that change from head to head, and a little from step to step.
fn bands([layers, heads, steps, rows, columns]: [usize; 5]) -> Vec<u8> {
    let mut bits = Vec::new();
    for plane in 0..layers * heads * steps {
        let (head, step) = (plane / steps, plane % steps);
        for y in 0..rows {
            for x in 0..columns {
                let odd = (plane * 31 + y * 17 + x * 101) % 19 == 0 || x == head;
                bits.push(u8::from((x + step / 2).abs_diff(y) < 2 + head || odd));
            }
        }
    }
    bits
}

/// Planes that are square and that are not, groups of whole heads and groups that begin at some step, a group that is stored.
fn masks() -> Vector {
    let mut draft = Draft::of(vec![Asset { kind: asset::LATENTS, ..model(0, "masks") }]);
    let mut hashed = Vec::new();
    let kinds = [
        ("square", "BOOL", "SLHQK", [1usize, 2, 3, 11, 11], 4usize),
        ("wide", "U8", "HQK", [1, 2, 1, 6, 40], 2),
        ("tall", "BOOL", "QK", [1, 1, 1, 19, 5], 1),
        ("stored", "BOOL", "LSK", [2, 1, 2, 1, 3], 4),
    ];
    for (id, (name, dtype, axes, shape, group)) in (0u32..).zip(kinds) {
        let bits = bands(shape);
        let [_, _, steps, rows, columns] = shape;
        let chunk = group * rows * columns;
        let code = |(at, bits): (usize, &[u8])| {
            if name == "stored" {
                return [&[0], bits].concat();
            }
            let first = (at * group % steps) as u64;
            encode_masks(&Masks { rows, columns, steps: steps as u64, first, bits }).expect("masks are coded")
        };
        let payloads = bits.chunks(chunk).enumerate().map(code).collect();
        let dtype = Dtype::by_name(dtype).expect("registered");
        let descriptor = TensorDescriptor {
            dtype: Some(dtype),
            dtype_name: dtype.name.into(),
            shape: shape.map(|n| n as u64).to_vec(),
            ..bytes_tensor(chunking(coding::MASKS, chunk, bits.len()))
        };
        let mut fields = descriptor.to_fields();
        PlaneOrder::parse(axes).expect("an order").put(&mut fields);
        draft.add((row(id, entry::TENSOR, name, fields), payloads));
        hashed.push((name, descriptor, bits));
    }
    let list: Vec<_> = hashed.iter().map(|(n, d, b)| (*n, &d.dtype_name[..], &d.shape[..], &b[..])).collect();
    draft.hash(0, &list);
    let bound = draft.page.assets[0].hash;
    let made = r#"{"block":128,"curve":"gilbert","energy":0.95,"grid":[2,30,23],"max_ratio":0.2,"min_ratio":0.05,"sample":32}"#;
    draft.add(record(9, "masks", "masks", bound, made));
    Vector::sound("masks", "masks of block-sparse attention", draft.finished(&Shell::default()))
}
