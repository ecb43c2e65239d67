//! Arrays that are built from others: the bytes are read as an index map and as bundles, then as steps of making a model: each array from those
//! before it, as far as the builder takes it. What is written is sound, every block is a part of the whole, and so is every level.

use mcodec_coding::index_map::IndexMap;
use mcodec_decode::built::{AxisLevels, Block, Kept, Levels};
use mcodec_decode::{ReadOptions, Reader, verify};
use mcodec_encode::build::{ArrayId, Base, LowRank, ModelBuilder, Role};
use mcodec_encode::{EncodeOptions, Output};
use mcodec_format::{Bundle, Bundles, CutAxis, Limits, MatrixAxis, Member, NestOrder, built};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// What is written, in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Numbers from the bytes, then zeros.
struct Steps<'b>(&'b [u8]);

impl Steps<'_> {
    fn next(&mut self, below: u64) -> u64 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        u64::from(byte) % below.max(1)
    }

    fn array(&mut self, made: &[(ArrayId, Vec<u64>)]) -> Option<(ArrayId, Vec<u64>)> {
        let at = self.next(made.len() as u64);
        made.get(usize::try_from(at).ok()?).cloned()
    }

    fn places(&mut self, count: u64, sources: u64) -> Vec<Option<u32>> {
        (0..count).map(|_| u32::try_from(self.next(sources + 1)).ok()?.checked_sub(1)).collect()
    }
}

/// The most arrays of a model, and places of an axis.
const ARRAYS: u64 = 12;
const PLACES: u64 = 9;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    if let Ok(map) = IndexMap::parse(bytes) {
        assert!((0..map.len()).all(|at| map.source(at).is_none_or(|source| source < map.sources())));
    }
    if let Ok(bundles) = Bundles::parse(bytes) {
        assert!(Bundles::parse(&bundles.to_bytes()).as_ref() == Ok(&bundles), "bundles change when written");
    }
    let mut steps = Steps(bytes);
    let mut model = ModelBuilder::new("m");
    let mut made: Vec<(ArrayId, Vec<u64>)> = Vec::new();
    for at in 0..2 + steps.next(ARRAYS) {
        let name = format!("a{at}");
        let role = if steps.next(2) == 0 { Role::Tensor } else { Role::Array };
        let shape = [1 + steps.next(PLACES), 1 + steps.next(PLACES)];
        let dtype = ["F32", "BF16", "F16"][steps.next(3) as usize];
        let found = match steps.next(if at < 2 { 1 } else { 4 }) {
            0 => {
                let size = if dtype == "F32" { 4 } else { 2 };
                let bytes = (0..shape[0] * shape[1] * size).map(|_| steps.next(256) as u8).collect();
                model.plain(&name, role, dtype, &shape, bytes)
            }
            1 => {
                let (Some(left), Some(right)) = (steps.array(&made), steps.array(&made)) else { continue };
                let flags = steps.next(8);
                let (left_by_rank, right_by_column) = (flags & 1 != 0, flags & 2 != 0);
                let rows = left.1[usize::from(left_by_rank)];
                let columns = right.1[usize::from(!right_by_column)];
                let base = steps.array(&made).filter(|_| flags & 4 != 0).map(|base| Base::Array(base.0));
                let (left, right, ranks) = (left.0, right.0, vec![1 + steps.next(3)]);
                let of = LowRank { left, left_by_rank, right, right_by_column, base, ranks };
                model.low_rank(&name, role, dtype, &[rows, columns], of)
            }
            2 => {
                let Some((source, of)) = steps.array(&made) else { continue };
                let axes = steps.next(4);
                let rows = (axes & 1 != 0).then(|| steps.places(shape[0], of[0]));
                let columns = (axes & 2 != 0).then(|| steps.places(shape[1], of[1]));
                let shape = [
                    if rows.is_some() { shape[0] } else { of[0] },
                    if columns.is_some() { shape[1] } else { of[1] },
                ];
                model.select(&name, role, &shape, source, rows.as_deref(), columns.as_deref())
            }
            _ => {
                let axis = if steps.next(2) == 0 { MatrixAxis::Rows } else { MatrixAxis::Columns };
                let along = usize::from(axis == MatrixAxis::Columns);
                let (mut runs, mut shape) = (Vec::new(), [0, 0]);
                for _ in 0..1 + steps.next(3) {
                    let Some((run, of)) = steps.array(&made) else { continue };
                    let there = steps.next(3) > 0;
                    runs.push((of[along], there.then_some(run)));
                    shape[along] += of[along];
                    shape[1 - along] = of[1 - along];
                }
                model.tiers(&name, role, &shape, axis, &runs)
            }
        };
        if let Ok(id) = found {
            made.extend(model.shape(id).map(|shape| (id, shape)));
        }
    }
    cut(&mut model, &made, &mut steps);
    let out = Memory::default();
    let mut options = EncodeOptions::default();
    options.threads = 1;
    options.effort = 1;
    if model.write(Output::Stream(Box::new(out.clone())), &options).is_err() {
        return;
    }
    let file = out.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    check(&file, &mut steps);
}

/// A bundle of the rows of an array.
fn cut(model: &mut ModelBuilder, made: &[(ArrayId, Vec<u64>)], steps: &mut Steps<'_>) {
    if let Some((id, shape)) = steps.array(made) {
        let (order, members) = (NestOrder::Prefix, vec![Member { entry: id.entry(), axis: CutAxis::Rows }]);
        let width = steps.next(shape[0]);
        model.bundle(Bundle {
            name: "b".into(),
            order,
            unit: shape[0],
            levels: vec![width, shape[0]],
            members,
        });
        model.variant("v", &[0]);
    }
}

fn check(file: &[u8], steps: &mut Steps<'_>) {
    let options = ReadOptions::default().limits(Limits::default());
    let reader = Reader::open(file, options).expect("what is written opens");
    let report = verify(&reader, true).expect("memory is read");
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    for row in reader.rows("m").expect("it has rows") {
        let entry = reader.resolve(row).expect("what is written resolves");
        let Some((rows, columns)) = entry.tensor().and_then(|t| built::matrix(&t.shape)) else { continue };
        let whole = reader.read_all(&entry).expect("it is read");
        let size = whole.len() / (rows * columns) as usize;
        let (a, b) = (steps.next(rows), steps.next(columns));
        let block =
            Block { rows: a..rows - steps.next(rows - a), columns: b..columns - steps.next(columns - b) };
        let kept = Kept { unit: rows, width: steps.next(rows + 1) };
        let levels = AxisLevels { rows: Some(kept), ..AxisLevels::default() };
        let cut = Levels::default().with(0, entry.id(), levels);
        let part = reader.read_block(&entry, &block, &Levels::default()).expect("a block is read");
        let low = reader.read_block(&entry, &block, &cut).expect("a level is read");
        let width = (block.columns.end - block.columns.start) as usize * size;
        for (at, row) in block.rows.clone().enumerate() {
            let from = (row * columns + block.columns.start) as usize * size;
            let here = at * width..(at + 1) * width;
            assert!(part[here.clone()] == whole[from..from + width], "a block is another part");
            let zero = low[here.clone()].iter().all(|&byte| byte == 0);
            assert!(if kept.has(row) { low[here.clone()] == part[here] } else { zero }, "a level is no part");
        }
        _ = reader.plan_block(&entry, &block, &cut).expect("a block is planned");
    }
}
