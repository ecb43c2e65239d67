//! The directory of a ZIP file: where its members' bytes are. Nothing is decompressed here.
//!
//! The records are read by `rawzip`; what makes a file safe to take apart by position is checked on top: that members lie inside
//! the file, before its directory, without overlap, each under a name of its own that its local header repeats.

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use rawzip::{CompressionMethod, ReaderAt, ZipArchive, ZipLocator};

use super::ShardFile;

/// Most members.
pub const MAX_MEMBERS: usize = 1 << 20;
/// Most bytes of names together.
pub const MAX_NAME_BYTES: usize = 64 << 20;
/// What a record of the directory, or a local header, may take: its three lengths have 16 bits.
const BUFFER: usize = 46 + 3 * 0xFFFF;

/// A file, or bytes, read by position.
pub trait Source {
    /// Bytes in all.
    fn byte_len(&self) -> u64;

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// If the range is not in the source, or reading fails.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl Source for [u8] {
    fn byte_len(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let from = start.and_then(|start| self.get(start..)?.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Source for ShardFile {
    fn byte_len(&self) -> u64 {
        self.len()
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_at(offset, buffer).map_err(io::Error::other)
    }
}

/// The bytes of `range`, which must be short.
pub(super) fn read_range(source: &(impl Source + ?Sized), range: Range<u64>) -> io::Result<Vec<u8>> {
    let len = range.end.checked_sub(range.start).and_then(|len| usize::try_from(len).ok());
    let mut bytes = vec![0; len.ok_or(io::ErrorKind::InvalidInput)?];
    source.read(range.start, &mut bytes)?;
    Ok(bytes)
}

/// How a member's bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// As they are.
    Stored,
    /// Compressed by the method of this number.
    Compressed(u16),
    /// Encrypted.
    Encrypted,
}

/// A member of a ZIP file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name. It is a name only: no file is opened by it.
    pub name: String,
    /// Where its bytes, as they are kept, are in the file.
    pub body: Range<u64>,
    /// How they are kept.
    pub kept: Kept,
}

/// Why a ZIP file is not taken apart.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The input failed.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// A record is malformed or missing.
    #[error("the ZIP directory: {0}")]
    Record(String),
    /// There is more than the limits allow.
    #[error("{what} of {value} is over the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// Its size.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// A member breaks a rule.
    #[error("member {name:?}: {reason}")]
    Member {
        /// The member.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Whether a file that starts with these bytes may be a ZIP file with members.
#[must_use]
pub fn looks_like_zip(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(b"PK\x03\x04")
}

/// `rawzip` asks for what may lie beyond the end, and takes a short read for the end.
struct Bounded<'a, S: ?Sized>(&'a S);

impl<S: Source + ?Sized> ReaderAt for Bounded<'_, S> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.0.byte_len().saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.0.read(offset, buffer.get_mut(..count).unwrap_or_default())?;
        Ok(count)
    }
}

/// The members of a ZIP file in the order of their bytes.
///
/// # Errors
/// [`ZipError`] if it is not one, or is not sound.
pub fn read_directory(source: &(impl Source + ?Sized)) -> Result<Vec<Member>, ZipError> {
    let len = source.byte_len();
    let mut buffer = vec![0; BUFFER];
    let archive =
        ZipLocator::new().locate_in_reader(Bounded(source), &mut buffer, len).map_err(|(_, e)| record(e))?;
    let directory = archive.directory_offset();
    let mut found = Vec::new();
    let mut name_bytes = 0;
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(record)? {
        check("number of members", found.len() + 1, MAX_MEMBERS)?;
        let path = entry.file_path();
        let raw: &[u8] = path.as_ref();
        name_bytes += raw.len();
        check("length of the names", name_bytes, MAX_NAME_BYTES)?;
        let name = std::str::from_utf8(raw).map_err(|_| {
            ZipError::Record(format!("the name {:?} is not UTF-8", raw.escape_ascii().to_string()))
        })?;
        let kept = match entry.compression_method() {
            _ if entry.flags().is_encrypted() => Kept::Encrypted,
            CompressionMethod::STORE => Kept::Stored,
            method => Kept::Compressed(method.as_u16()),
        };
        let sizes = (entry.compressed_size_hint(), entry.uncompressed_size_hint());
        if kept == Kept::Stored && sizes.0 != sizes.1 {
            let reason = format!("it is stored, but {} bytes are said to be {}", sizes.0, sizes.1);
            return Err(member(name, reason));
        }
        found.push((name.to_owned(), kept, entry.local_header_offset(), entry.wayfinder()));
    }
    let mut names = HashSet::new();
    if let Some((name, ..)) = found.iter().find(|(name, ..)| !names.insert(name.as_str())) {
        return Err(member(name, "the name occurs twice".into()));
    }
    let mut members = Vec::with_capacity(found.len());
    for (name, kept, header, place) in found {
        let body = locate(&archive, &name, place, &mut buffer)?;
        if body.end > directory.min(len) {
            let reason =
                format!("its bytes {}..{} run into the directory at {directory}", body.start, body.end);
            return Err(member(&name, reason));
        }
        members.push((header, Member { name, body, kept }));
    }
    members.sort_by_key(|(header, _)| *header);
    for pair in members.windows(2) {
        if let [(_, first), (header, second)] = pair
            && first.body.end > *header
        {
            return Err(member(&second.name, format!("it overlaps member {:?}", first.name)));
        }
    }
    Ok(members.into_iter().map(|(_, member)| member).collect())
}

/// Where a member's bytes are, by its local header.
fn locate<R: ReaderAt>(
    archive: &ZipArchive<R>,
    name: &str,
    place: rawzip::ZipArchiveEntryWayfinder,
    buffer: &mut [u8],
) -> Result<Range<u64>, ZipError> {
    let bad = |e: rawzip::Error| match record(e) {
        ZipError::Record(why) => member(name, why),
        other => other,
    };
    let entry = archive.get_entry(place).map_err(bad)?;
    let (begin, end) = entry.compressed_data_range();
    let local = entry.local_header(buffer).map_err(bad)?;
    let path = local.file_path();
    let local_name: &[u8] = path.as_ref();
    // Readers that go by the local headers would see another file.
    if local_name != name.as_bytes() {
        return Err(member(name, "its local header has another name".into()));
    }
    Ok(begin..end)
}

fn check(what: &'static str, value: usize, limit: usize) -> Result<(), ZipError> {
    if value > limit {
        return Err(ZipError::Limit { what, value: value as u64, limit: limit as u64 });
    }
    Ok(())
}

fn record(error: rawzip::Error) -> ZipError {
    match error.into_kind() {
        rawzip::ErrorKind::IO(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            ZipError::Io(source)
        }
        kind => ZipError::Record(rawzip::Error::from(kind).to_string()),
    }
}

fn member(name: &str, reason: String) -> ZipError {
    ZipError::Member { name: name.to_owned(), reason }
}
