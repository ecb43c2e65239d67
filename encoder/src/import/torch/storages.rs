//! Where the tensors of a file of `torch.save` lie in its storages.
//!
//! Each byte is stored once: a tensor is taken from a storage as it is where it is a contiguous part that no larger tensor has, and
//! equal parts become aliases. What else a storage holds stays a row of elements.

use super::by_key;
use super::pickle::{Node, Pickle, Value, View};
use super::walk::Named;
use crate::import::pieces::{Parts, shown};
use crate::import::safetensors::HeaderEntry;
use mcodec_format::registry::Dtype;
use std::collections::{BTreeMap, HashMap};

/// Shortest part of a storage that belongs to no tensor and becomes a row of its own.
const LEAST_ROW: u64 = 4096;

/// A storage, by its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) key: String,
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// The element type by the name of a storage class or dtype of PyTorch, and whether it is all there is to the values.
fn dtype_of(name: &str) -> Option<(&'static str, bool)> {
    let name = name.rsplit(' ').next().unwrap_or(name);
    Some(match name {
        "DoubleStorage" | "float64" => ("F64", true),
        "FloatStorage" | "float32" => ("F32", true),
        "HalfStorage" | "float16" => ("F16", true),
        "BFloat16Storage" | "bfloat16" => ("BF16", true),
        "LongStorage" | "int64" => ("I64", true),
        "IntStorage" | "int32" => ("I32", true),
        "ShortStorage" | "int16" => ("I16", true),
        "CharStorage" | "int8" => ("I8", true),
        "ByteStorage" | "uint8" => ("U8", true),
        "BoolStorage" | "bool" => ("BOOL", true),
        "ComplexFloatStorage" | "complex64" => ("C64", true),
        "ComplexDoubleStorage" | "complex128" => ("C128", true),
        "uint16" => ("U16", true),
        "uint32" => ("U32", true),
        "uint64" => ("U64", true),
        "float8_e4m3fn" => ("F8_E4M3", true),
        "float8_e5m2" => ("F8_E5M2", true),
        "float8_e4m3fnuz" => ("F8_E4M3FNUZ", true),
        "float8_e5m2fnuz" => ("F8_E5M2FNUZ", true),
        "float8_e8m0fnu" => ("F8_E8M0", true),
        "UntypedStorage" => ("U8", true),
        // Scale and zero point are in the pickle.
        "QInt8Storage" | "qint8" => ("I8", false),
        "QUInt8Storage" | "quint8" => ("U8", false),
        "QInt32Storage" | "qint32" => ("I32", false),
        _ => return None,
    })
}

/// The element type of a storage class.
pub(super) fn storage_dtype(class: &str) -> Option<Dtype> {
    Dtype::by_name(dtype_of(class)?.0)
}

/// What keeps tensors from being entries as they are: how many, and the first one's name.
#[derive(Default)]
struct Told {
    what: BTreeMap<&'static str, (u64, String)>,
}

impl Told {
    fn add(&mut self, what: &'static str, name: &str) {
        self.what.entry(what).or_insert_with(|| (0, shown(name))).0 += 1;
    }

    fn notes(self) -> impl Iterator<Item = String> {
        self.what.into_iter().map(|(what, (count, first))| format!("{count} tensors {what}, like {first:?}"))
    }
}

/// A tensor that could be an entry.
struct Candidate {
    entry: HeaderEntry,
    storage: usize,
}

/// The entries that the named tensors, and what they leave of the storages, become.
pub(super) fn place(pickle: &Pickle, named: Vec<Named>, storages: &[Storage], big_endian: bool) -> Parts {
    let keys = by_key(storages);
    let mut told = Told::default();
    let mut kinds: HashMap<usize, &'static str> = HashMap::new();
    let mut candidates = Vec::new();
    for node in &pickle.nodes {
        if let Node::Storage(id) = node
            && let Some((key, class)) = storage_id(pickle, id)
            && let (Some(storage), Some((dtype, _))) = (keys.get(key), dtype_of(class))
        {
            kinds.insert(*storage, dtype);
        }
    }
    for (name, node) in named {
        let Some(Node::Tensor(view)) = pickle.nodes.get(node) else { continue };
        match candidate(pickle, view, name, &keys, storages) {
            Ok((candidate, whole)) => {
                if !whole {
                    told.add(
                        "are quantised: their codes are kept, scales and zero points stay in the pickle",
                        &candidate.entry.name,
                    );
                }
                candidates.push(candidate);
            }
            Err((why, name)) => told.add(why, &name),
        }
    }
    let mut tensors = choose(candidates, &mut told);
    rows(&mut tensors, storages, &kinds);
    if big_endian {
        for tensor in &mut tensors {
            if Dtype::by_name(&tensor.dtype).is_some_and(|d| d.bits > 8) {
                told.add("are big-endian: their dtype is kept by name only", &tensor.name);
                tensor.dtype.push_str("_BE");
            }
        }
    }
    Parts { tensors, notes: told.notes().collect() }
}

/// (key, class) of a persistent id `("storage", class, key, device, elements)`; before 1.6 a view of another storage may follow, which is
/// not known here.
pub(super) fn storage_id<'a>(pickle: &'a Pickle, id: &'a Value) -> Option<(&'a str, &'a str)> {
    match pickle.items(id)? {
        [Value::Text(kind), Value::Global(class), Value::Text(key), rest @ ..]
            if &**kind == "storage" && rest.get(2).is_none_or(|view| *view == Value::Other) =>
        {
            Some((key, class))
        }
        _ => None,
    }
}

type Failed = (&'static str, String);

fn candidate(
    pickle: &Pickle,
    view: &View,
    name: String,
    keys: &HashMap<&str, usize>,
    storages: &[Storage],
) -> Result<(Candidate, bool), Failed> {
    const UNKNOWN: &str = "are of a kind that is not known: their storages are kept as rows";
    let id = match pickle.nodes.get(view.storage) {
        Some(Node::Storage(id)) => storage_id(pickle, id),
        _ => None,
    };
    let Some((key, class)) = id else { return Err((UNKNOWN, name)) };
    let Some((dtype, whole)) = dtype_of(view.dtype.as_deref().unwrap_or(class)) else {
        return Err((UNKNOWN, name));
    };
    let Some(&at) = keys.get(key) else { return Err(("have no storage in the file", name)) };
    let Some(storage) = storages.get(at) else { return Err((UNKNOWN, name)) };
    if !view.plain || !is_contiguous(view) {
        return Err(("are views that are not contiguous: their storages are kept as rows", name));
    }
    const BEYOND: &str = "reach beyond their storages: these are kept as rows";
    let bytes = Dtype::by_name(dtype).and_then(|d| Some((d.byte_len(&view.shape)?, u64::from(d.bits / 8))));
    let Some((len, width)) = bytes else { return Err((BEYOND, name)) };
    let begin = if len == 0 {
        Some(storage.begin)
    } else {
        view.offset.checked_mul(width).and_then(|o| o.checked_add(storage.begin))
    };
    let place =
        begin.and_then(|begin| Some((begin, begin.checked_add(len).filter(|end| *end <= storage.end)?)));
    let Some((begin, end)) = place else { return Err((BEYOND, name)) };
    let entry = HeaderEntry { name, dtype: dtype.into(), shape: view.shape.clone(), begin, end };
    Ok((Candidate { entry, storage: at }, whole))
}

/// Whether the elements lie one after another, the last dimension fastest.
fn is_contiguous(view: &View) -> bool {
    if view.shape.contains(&0) {
        return true;
    }
    let mut expected = Some(1u64);
    for (size, stride) in view.shape.iter().zip(&view.strides).rev() {
        if *size != 1 && Some(*stride) != expected {
            return false;
        }
        expected = expected.and_then(|e| e.checked_mul(*size));
    }
    true
}

/// Those that do not overlap, the largest first; of those at one place, all of one dtype and shape.
fn choose(mut candidates: Vec<Candidate>, told: &mut Told) -> Vec<HeaderEntry> {
    candidates.sort_by_key(|c| (c.storage, std::cmp::Reverse(c.entry.byte_len())));
    let mut chosen: Vec<HeaderEntry> = Vec::with_capacity(candidates.len());
    // By their begin: the end, and the index of the first.
    let mut taken: BTreeMap<u64, (u64, usize)> = BTreeMap::new();
    for Candidate { entry, .. } in candidates {
        let (begin, end) = (entry.begin, entry.end);
        if begin == end {
            chosen.push(entry);
            continue;
        }
        let same =
            taken.get(&begin).filter(|(other, _)| *other == end).and_then(|(_, first)| chosen.get(*first));
        if same.is_some_and(|first| first.dtype == entry.dtype && first.shape == entry.shape) {
            chosen.push(entry);
        } else if taken.range(..end).next_back().is_some_and(|(_, (other, _))| *other > begin) {
            told.add("are parts of others: they are not listed", &entry.name);
        } else {
            taken.insert(begin, (end, chosen.len()));
            chosen.push(entry);
        }
    }
    chosen
}

/// Adds what the tensors leave of the storages.
fn rows(tensors: &mut Vec<HeaderEntry>, storages: &[Storage], kinds: &HashMap<usize, &'static str>) {
    let mut taken: Vec<(u64, u64)> =
        tensors.iter().map(|t| (t.begin, t.end)).filter(|(a, b)| a < b).collect();
    taken.sort_unstable();
    for (index, storage) in storages.iter().enumerate() {
        let from = taken.partition_point(|(begin, _)| *begin < storage.begin);
        let mut at = storage.begin;
        let inside = taken.iter().skip(from).copied().take_while(|(begin, _)| *begin < storage.end);
        for (begin, end) in inside.chain([(storage.end, storage.end)]) {
            let whole = (at, begin) == (storage.begin, storage.end);
            if begin > at && (whole || begin - at >= LEAST_ROW) {
                let name = if whole {
                    format!("data/{}", storage.key)
                } else {
                    format!("data/{}@{}", storage.key, at - storage.begin)
                };
                tensors.push(row(name, kinds.get(&index).copied(), at, begin));
            }
            at = at.max(end);
        }
    }
}

fn row(name: String, kind: Option<&str>, begin: u64, end: u64) -> HeaderEntry {
    let width = |name: &str| Dtype::by_name(name).map_or(1, |d| u64::from(d.bits / 8)).max(1);
    let kind = kind.filter(|kind| (end - begin).is_multiple_of(width(kind))).unwrap_or("U8");
    HeaderEntry { name, dtype: kind.into(), shape: vec![(end - begin) / width(kind)], begin, end }
}
