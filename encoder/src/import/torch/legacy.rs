//! Files of `torch.save` before PyTorch 1.6: pickles one after another, then the storages.
//!
//! The pickles are a magic number, a version, what wrote it, the object, and the keys of the storages in the order of the file. Each
//! storage is its number of elements (i64) and then these.

use super::pickle::{Node, Pickle, Value};
use super::storages::{Storage, place, storage_dtype, storage_id};
use super::{MAX_PICKLE, walk};
use crate::import::pieces::Parts;
use crate::import::safetensors::HeaderLimits;
use crate::import::zip::{Source, read_range};
use std::collections::HashMap;
use std::io;

/// The pickle of the magic number.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const VERSION: i64 = 1001;

/// Whether a file that starts with these bytes may be one of `torch.save` before 1.6.
#[must_use]
pub fn looks_like_legacy(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(MAGIC)
}

/// Takes such a file apart. `Ok(Err)` says why it is not understood.
///
/// # Errors
/// If reading the file fails.
pub fn parts(source: &(impl Source + ?Sized), limits: &HeaderLimits) -> io::Result<Result<Parts, String>> {
    let head = read_range(source, 0..source.byte_len().min(MAX_PICKLE))?;
    let found = match Pickles::read(&head) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let storages = match locate(source, &found)? {
        Ok(storages) => storages,
        Err(why) => return Ok(Err(why)),
    };
    let named = match walk::tensors(&found.object, limits) {
        Ok(named) => named,
        Err(why) => return Ok(Err(why)),
    };
    let mut parts = place(&found.object, named, &storages, found.big_endian);
    parts.fill_gaps(source.byte_len());
    parts.settle_names(limits.name_len);
    Ok(Ok(parts))
}

struct Pickles {
    big_endian: bool,
    object: Pickle,
    keys: Vec<String>,
    /// Where the storages start.
    len: u64,
}

impl Pickles {
    fn read(head: &[u8]) -> Result<Self, String> {
        let mut at = MAGIC.len();
        let mut next = || -> Result<Pickle, String> {
            let pickle = Pickle::read(head.get(at..).unwrap_or_default()).map_err(|e| e.to_string())?;
            at += pickle.len;
            Ok(pickle)
        };
        if next()?.root != Value::Int(VERSION) {
            return Err("its version is not known".into());
        }
        let system = next()?;
        let big_endian = match system.node(&system.root) {
            Some(Node::Dict(pairs)) => pairs.iter().any(|(key, value)| {
                matches!(key, Value::Text(key) if &**key == "little_endian") && *value == Value::Bool(false)
            }),
            _ => return Err("it does not say what wrote it".into()),
        };
        let object = next()?;
        let list = next()?;
        let key = |value: &Value| match value {
            Value::Text(key) => Some(key.to_string()),
            _ => None,
        };
        let keys = list.items(&list.root).and_then(|items| items.iter().map(key).collect::<Option<Vec<_>>>());
        let keys = keys.ok_or("it has no list of storages")?;
        Ok(Self { big_endian, object, keys, len: at as u64 })
    }
}

/// Where the storages are.
fn locate(source: &(impl Source + ?Sized), found: &Pickles) -> io::Result<Result<Vec<Storage>, String>> {
    let mut widths: HashMap<&str, u64> = HashMap::new();
    for node in &found.object.nodes {
        if let Node::Storage(id) = node
            && let Some((key, class)) = storage_id(&found.object, id)
            && let Some(dtype) = storage_dtype(class)
        {
            widths.insert(key, u64::from(dtype.bits / 8));
        }
    }
    let mut storages = Vec::with_capacity(found.keys.len());
    let mut at = found.len;
    for key in &found.keys {
        let Some(width) = widths.get(key.as_str()) else {
            return Ok(Err(format!("its storage {key:?} is of a kind that is not known")));
        };
        if source.byte_len().saturating_sub(at) < 8 {
            return Ok(Err("it ends within its storages".into()));
        }
        let mut count = [0; 8];
        source.read(at, &mut count)?;
        let count = if found.big_endian { u64::from_be_bytes(count) } else { u64::from_le_bytes(count) };
        let begin = at + 8;
        let end = count.checked_mul(*width).and_then(|len| begin.checked_add(len));
        let Some(end) = end.filter(|end| *end <= source.byte_len()) else {
            return Ok(Err("it ends within its storages".into()));
        };
        storages.push(Storage { key: key.clone(), begin, end });
        at = end;
    }
    Ok(Ok(storages))
}
