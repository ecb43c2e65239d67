//! Files of `torch.save`: the ZIP form that it writes since PyTorch 1.6, and the one before ([`legacy`]).
//!
//! `NAME/data.pkl` says what there is, `NAME/data/KEY` are the storages, uncompressed. The pickle is read as data ([`pickle`]); what
//! it says only gives names, shapes and places, so that a file whose pickle is not understood is taken apart into its storages.

mod calls;
pub mod legacy;
pub mod pickle;
mod storages;
mod walk;

#[cfg(test)]
mod tests;

use super::pieces::{Parts, bytes_tensor};
use super::safetensors::HeaderLimits;
use super::zip::{Kept, Member, Source, read_range};
use pickle::Pickle;
use std::collections::HashMap;
use std::io;
use storages::{Storage, place};

/// Longest pickle that is read.
const MAX_PICKLE: u64 = 64 << 20;

/// The folder within the ZIP file that holds a file of `torch.save`.
#[must_use]
pub fn root_of(members: &[Member]) -> Option<&str> {
    members.iter().find_map(|m| m.name.strip_suffix("/data.pkl").filter(|root| !root.contains('/')))
}

/// Takes a file of `torch.save` apart whose directory has been read.
///
/// # Errors
/// If reading the file fails. A pickle that is not understood is none.
pub fn parts(
    source: &(impl Source + ?Sized),
    root: &str,
    members: &[Member],
    limits: &HeaderLimits,
) -> io::Result<Parts> {
    let inside = |name: &str| {
        members.iter().find(|m| m.name.strip_prefix(root).and_then(|r| r.strip_prefix('/')) == Some(name))
    };
    let big_endian = match inside("byteorder") {
        Some(m) if m.kept == Kept::Stored && m.body.end - m.body.start <= 16 => {
            read_range(source, m.body.clone())?.trim_ascii() == b"big"
        }
        _ => false,
    };
    let mut storages = Vec::new();
    let mut compressed = 0u64;
    for member in members {
        let path = member.name.strip_prefix(root).and_then(|rest| rest.strip_prefix('/'));
        let Some(key) = path.and_then(|path| path.strip_prefix("data/")).filter(|key| !key.is_empty()) else {
            continue;
        };
        match member.kept {
            Kept::Stored => {
                storages.push(Storage {
                    key: key.to_owned(),
                    begin: member.body.start,
                    end: member.body.end,
                });
            }
            _ => compressed += 1,
        }
    }
    let mut notes = Vec::new();
    if compressed > 0 {
        notes.push(format!(
            "{compressed} storages are compressed or encrypted: kept as they are, without their tensors"
        ));
    }
    let read = match inside("data.pkl") {
        Some(m) if m.kept == Kept::Stored && m.body.end - m.body.start <= MAX_PICKLE => {
            Pickle::read(&read_range(source, m.body.clone())?).map_err(|e| e.to_string())
        }
        _ => Err("its pickle is compressed or too long".to_owned()),
    };
    let mut found = finish(read, &storages, big_endian, limits);
    found.notes.splice(0..0, notes);
    found.fill_gaps(source.byte_len());
    found.settle_names(limits.name_len);
    Ok(found)
}

/// The names of the tensors in a pickle, as often as it holds them.
///
/// # Errors
/// Why it is not understood.
pub fn tensor_names(pickle: &[u8], limits: &HeaderLimits) -> Result<Vec<String>, String> {
    let pickle = Pickle::read(pickle).map_err(|e| e.to_string())?;
    Ok(walk::tensors(&pickle, limits)?.into_iter().map(|(name, _)| name).collect())
}

/// The tensors that a pickle puts in the storages; the storages themselves if it does not say.
fn finish(
    read: Result<Pickle, String>,
    storages: &[Storage],
    big_endian: bool,
    limits: &HeaderLimits,
) -> Parts {
    let named = read.and_then(|pickle| Ok((walk::tensors(&pickle, limits)?, pickle)));
    match named {
        Ok((named, pickle)) => place(&pickle, named, storages, big_endian),
        Err(why) => {
            let tensors =
                storages.iter().map(|s| bytes_tensor(format!("data/{}", s.key), s.begin, s.end)).collect();
            let notes =
                vec![format!("{why}: its storages are kept as rows of bytes, without the names of tensors")];
            Parts { tensors, notes }
        }
    }
}

/// Storages by their keys.
fn by_key(storages: &[Storage]) -> HashMap<&str, usize> {
    storages.iter().map(|s| s.key.as_str()).zip(0..).collect()
}
