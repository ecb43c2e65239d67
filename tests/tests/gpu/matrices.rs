//! Matrices of all kinds, and the classes and labels that they are coded under.

use mcodec_coding::Table;
use mcodec_coding::labelled::{
    BlockSpec, Class, Classes, ColumnLabels, Columns, ESCAPE, FloatFormat, SignCosts, ZERO, encode,
};
use mcodec_decode::SharedObject;
use mcodec_tests::inputs::Noise;
use std::sync::Arc;

pub const FORMATS: [FloatFormat; 4] =
    [FloatFormat::Bf16, FloatFormat::F16, FloatFormat::F32, FloatFormat::F64];

/// A chunk to code.
#[derive(Debug, Clone)]
pub struct Case {
    pub format: FloatFormat,
    pub top: u8,
    pub tables: u8,
    pub precision: u8,
    pub columns: usize,
    pub first_column: usize,
    pub len: usize,
    pub lanes_log2: u8,
    /// Bit 0: column classes, bit 1: biases, bit 2: labels are shared.
    pub labelled: u8,
    pub seed: u64,
}

/// What it was coded to.
pub struct Coded {
    pub bytes: Vec<u8>,
    pub payload: Vec<u8>,
    pub shared: Vec<Option<Arc<SharedObject>>>,
}

fn uniform(noise: &mut Noise) -> f64 {
    (noise.word() >> 11) as f64 / (1u64 << 53) as f64
}

/// Floats whose rows and columns have scales; zeros, NaNs with payloads, infinities, subnormals and other odd ones among them, and
/// every third row of f32 and f64 with trailing zeros.
fn matrix(case: &Case, noise: &mut Noise) -> Vec<u8> {
    let size = case.format.bytes();
    let mut out = Vec::with_capacity(case.len * size);
    for i in 0..case.len {
        let (row, column) = ((case.first_column + i) / case.columns, (case.first_column + i) % case.columns);
        let scale = 2f64.powi((row % 5) as i32 - 8 + (column % 3) as i32);
        let bell = (0..6).map(|_| uniform(noise)).sum::<f64>() - 3.0;
        let value = match noise.word() % 64 {
            0 => 0.0,
            1 => -0.0,
            _ => bell * scale,
        };
        let word = match case.format {
            FloatFormat::Bf16 => u64::from((value as f32).to_bits() >> 16),
            FloatFormat::F16 => {
                let bits = (value as f32).to_bits();
                let exponent = ((bits >> 23 & 255) as i32 - 112).clamp(0, 31) as u32;
                u64::from(bits >> 31 << 15 | exponent << 10 | bits >> 13 & 1023)
            }
            FloatFormat::F32 => u64::from((value as f32).to_bits()),
            FloatFormat::F64 => value.to_bits(),
        };
        let cut = if row % 3 == 1 && size > 2 { 13 } else { 0 };
        let word = if noise.word().is_multiple_of(150) { noise.word() } else { word };
        out.extend_from_slice(&(word >> cut << cut).to_le_bytes()[..size]);
    }
    out
}

pub fn classes(case: &Case) -> Classes {
    let bias = (1 << (case.format.exponent_bits() - 1)) - 1;
    let low = u16::try_from((bias - 13i32).max(0)).unwrap();
    let tables = u16::from(case.tables);
    let map = (0..32u16).map(|k| Class { table: (k % tables) as u8, octaves: low + k / 4 }).collect();
    let table = |t: u8| {
        let peak = 7u64 << case.top;
        let count = |v: &u16| match *v as u8 {
            ZERO => 500,
            ESCAPE => 60 + 30 * u64::from(t),
            v => 1 + 40_000 / (1 + u64::from(v).abs_diff(peak + u64::from(t)).pow(2)),
        };
        let values: Vec<u16> =
            (0..64).filter(|v| *v < u16::from(ZERO - t % 3) || *v >= u16::from(ZERO)).collect();
        Table::from_counts(&values, &values.iter().map(count).collect::<Vec<_>>(), case.precision).unwrap()
    };
    let commoner = core::array::from_fn(|b| core::array::from_fn(|d| 64 + (b * 4 + d / 2) as u8));
    let signs = Some(SignCosts { first_octave: 3, commoner });
    Classes::new(case.format, case.top, map, (0..case.tables).map(table).collect(), signs).unwrap()
}

impl Case {
    pub fn code(&self) -> Coded {
        let mut noise = Noise(self.seed | 1);
        let classes = classes(self);
        let bytes = matrix(self, &mut noise);
        let rows = (self.first_column + self.len).div_ceil(self.columns);
        let flag = |bit: u8| self.labelled & bit != 0;
        let labels = ColumnLabels::new(
            self.columns,
            if flag(1) { (0..self.columns).map(|c| (c % 9) as u8).collect() } else { vec![] },
            if flag(2) { (0..self.columns).map(|c| (c % 29) as i8 - 14).collect() } else { vec![] },
        )
        .unwrap();
        let row_classes: Vec<u8> = (0..rows).map(|r| (r * 5 % 21) as u8).collect();
        let size = self.format.bytes();
        let zeros: Vec<u8> = (0..rows)
            .map(|r| {
                let start = (r * self.columns).saturating_sub(self.first_column);
                let end = ((r + 1) * self.columns - self.first_column).min(self.len);
                let least = (start..end).fold(64, |all, i| {
                    let mut word = [0; 8];
                    word[..size].copy_from_slice(&bytes[i * size..(i + 1) * size]);
                    all.min(u64::from_le_bytes(word).trailing_zeros())
                });
                least.min(classes.low_bits()) as u8
            })
            .collect();
        let spec = BlockSpec {
            classes_dependency: 0,
            classes: &classes,
            columns: self.columns,
            first_column: self.first_column,
            column_labels: if flag(4) { Columns::Shared(1, &labels) } else { Columns::Inline(&labels) },
            row_classes: &row_classes,
            row_zeros: if size > 2 { &zeros } else { &[] },
            lanes_log2: self.lanes_log2,
        };
        let payload = encode(&bytes, &spec).unwrap();
        let objects = [SharedObject::Classes(Box::new(classes)), SharedObject::ColumnLabels(labels)];
        Coded { bytes, payload, shared: objects.map(|object| Some(Arc::new(object))).into() }
    }
}
