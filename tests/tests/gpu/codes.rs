//! Chunks of codes: what the GPU makes of them is what the CPU does, bit for bit.

use crate::devices;
use mcodec_coding::Table;
use mcodec_coding::codes::{
    Classes, CodesSpec, ColumnClasses, ColumnClassesAt, ColumnSteps, Element, classes, encode,
};
use mcodec_decode::gpu::{ChunkError, DeviceChunk, Gpu, Shares, decode_chunks};
use mcodec_decode::{SharedObject, decode_chunk};
use mcodec_format::registry::coding;
use mcodec_tests::inputs::Noise;
use std::sync::Arc;

/// A chunk to code.
#[derive(Debug, Clone, Copy)]
struct Case {
    element: Element,
    tables: u8,
    rows: usize,
    columns: usize,
    first_column: usize,
    /// Step exponents of rows are about this.
    step: i16,
    /// Classes of elements are about this.
    class: i16,
    /// Bit 0: steps of columns; 0 to 2 in those above: where classes of columns are.
    columned: u8,
    seed: u64,
}

struct Coded {
    payload: Vec<u8>,
    shared: Vec<Option<Arc<SharedObject>>>,
    len: usize,
}

fn classes_of(tables: u8) -> Classes {
    let table = |t: u8| {
        let values: Vec<u16> = (0..[62, 40, 9][usize::from(t) % 3]).chain([63]).collect();
        let fall = 2f64.powf(-f64::from(t) * 8.0 / f64::from(tables));
        let count = |v: &u16| 1 + (1e6 * (-f64::from(*v) * fall).exp()) as u64;
        let counts: Vec<u64> = values.iter().map(count).collect();
        Table::from_counts(&values, &counts, 10 + tables % 3).unwrap()
    };
    classes(&(0..24).map(|k| k % tables).collect::<Vec<u8>>(), (0..tables).map(table).collect()).unwrap()
}

impl Case {
    fn code(&self) -> Coded {
        let mut noise = Noise(self.seed | 1);
        let mut next = |n: u64| (noise.word() % n) as i16;
        let steps = ColumnSteps::new((0..self.columns).map(|_| next(9) - 4).collect()).unwrap();
        let of_columns = ColumnClasses::new((0..self.columns).map(|_| next(5) - 2).collect()).unwrap();
        let row_steps: Vec<i16> = (0..self.rows).map(|_| (self.step + next(9)).clamp(-240, 240)).collect();
        let row_classes: Vec<i16> =
            row_steps.iter().map(|step| self.class + (step >> 1) + next(3) - 1).collect();
        let len = self.rows * self.columns - self.first_column;
        let codes: Vec<i32> = (0..len)
            .map(|_| {
                let far = [0, 0, 0, 0, 0, 0, 0, 3, 9, 16][(noise.word() % 40).min(9) as usize];
                let sigma = 2f64.powf(f64::from(self.class - 6) / 2.0 + f64::from(far));
                let bell = (0..4).map(|_| (noise.word() >> 32) as f64 / 2f64.powi(31) - 1.0).sum::<f64>();
                ((bell * sigma) as i32).clamp(-(1 << 24) + 1, (1 << 24) - 1)
            })
            .collect();
        let classes = classes_of(self.tables);
        let spec = CodesSpec {
            element: self.element,
            classes_dependency: 0,
            classes: &classes,
            columns: self.columns,
            first_column: self.first_column,
            column_steps: (self.columned & 1 != 0).then_some((1, &steps)),
            column_classes: match self.columned >> 1 {
                0 => ColumnClassesAt::Zero,
                1 => ColumnClassesAt::Inline(&of_columns),
                _ => ColumnClassesAt::Shared(2, &of_columns),
            },
            row_steps: &row_steps,
            row_classes: &row_classes,
            lanes_log2: 6,
        };
        let payload = encode(&codes, &spec).unwrap();
        let objects = [
            SharedObject::Classes(Box::new(classes)),
            SharedObject::ColumnSteps(steps),
            SharedObject::ColumnClasses(of_columns),
        ];
        let shared = objects.map(|object| Some(Arc::new(object))).into();
        Coded { payload, shared, len: len * self.element.bytes() }
    }
}

/// Decodes all at once, and compares with the CPU.
fn check(gpu: &Gpu, cases: &[Case], all: &[Coded]) -> Shares {
    let mut at = 0u64;
    let mut chunks = Vec::new();
    for coded in all {
        let (payload, shared) = (&coded.payload[..], &coded.shared[..]);
        chunks.push(DeviceChunk { coding: coding::CODES, payload, shared, len: coded.len, out_at: at });
        at = (at + coded.len as u64).next_multiple_of(4);
    }
    let out = gpu.buffer(at).unwrap();
    let shares = decode_chunks(gpu, &chunks, &out, false).unwrap();
    let bytes = gpu.download(&out, 0..at).unwrap();
    for (case, chunk) in cases.iter().zip(&chunks) {
        let mut expected = vec![0; chunk.len];
        decode_chunk(chunk.coding, chunk.payload, chunk.shared, &[], &mut expected).unwrap();
        let size = case.element.bytes();
        let found = &bytes[chunk.out_at as usize..][..chunk.len];
        let differs = found.chunks(size).zip(expected.chunks(size)).position(|(a, b)| a != b);
        assert!(differs.is_none(), "{}: element {differs:?} of {case:?}", gpu.info());
    }
    shares
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (e, element) in [Element::Bf16, Element::F16, Element::F32].into_iter().enumerate() {
        for (s, (rows, columns)) in
            [(30, 100), (1, 1), (7, 64), (2, 2000), (100, 9), (1, 63), (3, 333)].into_iter().enumerate()
        {
            // The last but one of a half's numbers below the normal ones, the last beyond its greatest.
            for (t, step) in [-40, 0, -200, -96, 60].into_iter().enumerate() {
                let mix = e + 3 * s + 7 * t;
                all.push(Case {
                    element,
                    tables: [1, 6, 8, 16][mix % 4],
                    rows,
                    columns,
                    first_column: [0, columns / 3, columns - 1][mix % 3],
                    step,
                    class: (mix % 12) as i16,
                    columned: (mix % 6) as u8,
                    seed: 5 + mix as u64,
                });
            }
        }
    }
    all
}

#[test]
fn codes_are_those_of_the_cpu() {
    let cases = cases();
    let coded: Vec<Coded> = cases.iter().map(Case::code).collect();
    for gpu in devices() {
        let shares = check(gpu, &cases, &coded);
        assert!(shares.gpu > 9 * shares.cpu, "{shares:?} on {}", gpu.info());
    }
}

/// Low bits, whose places only the one before knows, are the CPU's.
#[test]
fn what_the_kernel_does_not_take_comes_back_too() {
    let taken = Case { columned: 0, ..cases()[0] };
    let least = Case { step: -240, columned: 1, ..taken };
    let greatest = Case { step: 240, element: Element::F32, ..taken };
    for gpu in devices() {
        for (case, on_gpu) in
            [(taken, true), (Case { class: 19, ..taken }, false), (least, true), (greatest, true)]
        {
            let shares = check(gpu, &[case], &[case.code()]);
            assert_eq!(shares.gpu > 0, on_gpu, "{case:?}");
        }
    }
}

#[test]
fn mutated_payloads_say_what_they_say_to_the_cpu() {
    let mut noise = Noise(2027);
    let all = cases();
    let (mut refused, mut sound) = (0, 0);
    for round in 0..120 {
        let case = all[round * 7 % all.len()];
        let mut coded = case.code();
        for _ in 0..=noise.word() % 3 {
            let len = coded.payload.len() as u64;
            let range = if noise.word().is_multiple_of(2) { len } else { len.min(400) };
            let at = (noise.word() % range) as usize;
            match noise.word() % 8 {
                0 => coded.payload.truncate(at.max(1)),
                1 => coded.payload.insert(at, noise.word() as u8),
                _ => coded.payload[at] ^= 1 << (noise.word() % 8),
            }
        }
        let mut expected = vec![0; coded.len];
        let here = decode_chunk(coding::CODES, &coded.payload, &coded.shared, &[], &mut expected);
        for gpu in devices() {
            let (payload, shared) = (&coded.payload[..], &coded.shared[..]);
            let chunk = DeviceChunk { coding: coding::CODES, payload, shared, len: coded.len, out_at: 0 };
            let out = gpu.buffer(coded.len as u64).unwrap();
            match (&here, decode_chunks(gpu, &[chunk], &out, false)) {
                (Ok(()), Ok(_)) => {
                    assert!(gpu.download(&out, 0..out.len()).unwrap() == expected, "{case:?}");
                    sound += 1;
                }
                (Err(here), Err(ChunkError::Coding { index: 0, source })) => {
                    assert_eq!(source.to_string(), here.to_string());
                    refused += 1;
                }
                (here, there) => panic!("{here:?} here, {there:?} on {}, of {case:?}", gpu.info()),
            }
        }
    }
    assert!(devices().is_empty() || (refused > 20 && sound > 3), "{refused} refused, {sound} not");
}
