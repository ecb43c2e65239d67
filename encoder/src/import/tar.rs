//! The members of a tar, as WebDataset keeps samples in one: where the bytes of each are. Nothing is unpacked here, and no file is opened by a
//! name that is found.
//!
//! Read are ustar, GNU's long names and numbers, and the paths and sizes of pax. What could mislead is refused: a tar that was cut off, lengths
//! beyond its end, paths out of the folder, a path that two members have, links and sparse files.

use super::zip::Source;
use mcodec_decode::is_safe_path;
use std::collections::HashSet;
use std::io;

const BLOCK: u64 = 512;
/// Most members, of all kinds.
pub const MAX_MEMBERS: usize = 1 << 22;
/// Most bytes of the paths of all members together.
pub const MAX_PATH_BYTES: usize = 256 << 20;
/// Longest header of a name, or of pax.
const MAX_EXTRA: u64 = 1 << 16;
/// Bytes that are looked at together behind the end.
const WINDOW: u64 = 1 << 16;

/// A regular file in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path, without `./` at the start.
    pub path: String,
    /// Where its bytes begin in the tar.
    pub offset: u64,
    /// How many there are.
    pub len: u64,
}

/// Why a tar is refused. Offsets count from the start of the file.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The input failed.
    #[error("reading failed at byte {offset}: {source}")]
    Io {
        /// Where.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// What should be a header is none.
    #[error("at byte {offset} there is no header of a tar: {reason}")]
    Header {
        /// Where it should be.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file ends before its members do.
    #[error("it was cut off: it ends at byte {len}, {what}")]
    Truncated {
        /// The length of the file.
        len: u64,
        /// What is missing.
        what: String,
    },
    /// Bytes follow the end.
    #[error("bytes follow its end, from byte {offset} on: tars that were joined are to be given one by one")]
    Trailing {
        /// Where the first of them is, about.
        offset: u64,
    },
    /// A member that is not read.
    #[error("member {path:?}, at byte {offset}: {reason}")]
    Member {
        /// Its path.
        path: String,
        /// Where its header is.
        offset: u64,
        /// Why it is not read.
        reason: &'static str,
    },
    /// There is more than is held in memory.
    #[error("{what} are over the limit of {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// What headers before a member say of it.
#[derive(Default)]
struct Extra {
    path: Option<String>,
    len: Option<u64>,
    sparse: bool,
}

/// The regular files of a tar that `wanted` says are, by their paths, in its order. Of others no more is asked than where they end.
///
/// # Errors
/// What is wrong with it.
pub fn read_members(
    source: &(impl Source + ?Sized),
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Member>, TarError> {
    let all = source.byte_len();
    let (mut members, mut paths, mut path_bytes) = (Vec::new(), HashSet::new(), 0usize);
    let (mut extra, mut at) = (Extra::default(), 0u64);
    for count in 0.. {
        if count > MAX_MEMBERS {
            return Err(TarError::Limit { what: "its members", limit: MAX_MEMBERS as u64 });
        }
        let Some((head, offset)) = header(source, at)? else { break };
        let kind = head[156];
        let own =
            number(&head[124..136]).ok_or(TarError::Header { offset: at, reason: "it has no length" })?;
        let is_file = matches!(kind, b'0' | 0 | b'7');
        let len = extra.len.take_if(|_| is_file).unwrap_or(own);
        // What has no bytes may still be given a length.
        let len = if matches!(kind, b'1'..=b'6') { 0 } else { len };
        let end = len.checked_next_multiple_of(BLOCK).and_then(|len| offset.checked_add(len));
        // Of the last member the padding may be missing; its bytes may not.
        let Some(end) = end.filter(|_| all - offset >= len) else {
            let what = format!("and {:?} has {len} bytes from byte {offset} on", own_path(&head));
            return Err(TarError::Truncated { len: all, what });
        };
        match kind {
            b'L' | b'x' => {
                if len > MAX_EXTRA {
                    return Err(TarError::Header {
                        offset: at,
                        reason: "what it says of a member is too long",
                    });
                }
                let mut bytes = vec![0; len as usize];
                read(source, offset, &mut bytes)?;
                if kind == b'L' {
                    extra.path = Some(text(&bytes));
                } else {
                    pax(&bytes, &mut extra)
                        .ok_or(TarError::Header { offset: at, reason: "records of pax are malformed" })?;
                }
            }
            // Said of all members: comments, and who made it. The target of a link.
            b'g' | b'K' => {}
            _ => {
                let said = std::mem::take(&mut extra);
                let path = said.path.unwrap_or_else(|| own_path(&head));
                let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
                let fail = |reason| TarError::Member { path: path.clone(), offset: at, reason };
                if kind != b'5' && wanted(&path) {
                    if let b'1' | b'2' = kind {
                        return Err(fail("it is a link, which is not followed"));
                    }
                    if !is_file || said.sparse {
                        return Err(fail("it is no regular file, or a sparse one"));
                    }
                    if !is_safe_path(&path) {
                        return Err(fail("its path leads out of the folder, or is no path everywhere"));
                    }
                    path_bytes = path_bytes.saturating_add(path.len());
                    if path_bytes > MAX_PATH_BYTES {
                        let limit = MAX_PATH_BYTES as u64;
                        return Err(TarError::Limit { what: "the bytes of its paths", limit });
                    }
                    if !paths.insert(path.clone()) {
                        return Err(fail("another before it has the same path"));
                    }
                    members.push(Member { path, offset, len });
                }
            }
        }
        at = end;
    }
    Ok(members)
}

fn read(source: &(impl Source + ?Sized), offset: u64, buffer: &mut [u8]) -> Result<(), TarError> {
    source.read(offset, buffer).map_err(|source| TarError::Io { offset, source })
}

/// The header at `at` and where what it is of begins; `None` at the end, behind which there is nothing.
fn header(source: &(impl Source + ?Sized), at: u64) -> Result<Option<([u8; BLOCK as usize], u64)>, TarError> {
    let all = source.byte_len();
    let Some(offset) = at.checked_add(BLOCK).filter(|&end| end <= all) else {
        let what = "without the blocks of zeros that end a tar".to_owned();
        return Err(TarError::Truncated { len: all, what });
    };
    let mut head = [0u8; BLOCK as usize];
    read(source, at, &mut head)?;
    if head.iter().all(|&b| b == 0) {
        return nothing_but_zeros(source, offset).map(|()| None);
    }
    let sum: u64 =
        head.iter().enumerate().map(|(i, &b)| if (148..156).contains(&i) { 32 } else { u64::from(b) }).sum();
    if number(&head[148..156]) != Some(sum) {
        return Err(TarError::Header { offset: at, reason: "its checksum is another" });
    }
    Ok(Some((head, offset)))
}

fn nothing_but_zeros(source: &(impl Source + ?Sized), from: u64) -> Result<(), TarError> {
    let (mut at, all) = (from, source.byte_len());
    let mut window = vec![0u8; WINDOW as usize];
    while at < all {
        let window = &mut window[..(all - at).min(WINDOW) as usize];
        read(source, at, window)?;
        if window.iter().any(|&b| b != 0) {
            return Err(TarError::Trailing { offset: at });
        }
        at += window.len() as u64;
    }
    Ok(())
}

/// The path that a header has room for.
fn own_path(head: &[u8; BLOCK as usize]) -> String {
    let (name, prefix) = (text(&head[..100]), text(&head[345..500]));
    let ustar = &head[257..262] == b"ustar" && head[262] == 0 && !prefix.is_empty();
    if ustar { format!("{prefix}/{name}") } else { name }
}

/// Text up to a zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A number of a header: octal digits, or base 256.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        return field[1..].iter().try_fold(0u64, |n, &b| n.checked_mul(256)?.checked_add(b.into()));
    }
    let text = text(field);
    let digits = text.trim();
    if digits.is_empty() { None } else { u64::from_str_radix(digits, 8).ok() }
}

/// Takes what records of pax say of the next member: `LENGTH KEY=VALUE` and a line's end each, the length that of it all.
fn pax(records: &[u8], extra: &mut Extra) -> Option<()> {
    let mut rest = records;
    while !rest.is_empty() {
        let space = rest.iter().position(|&b| b == b' ')?;
        let len: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
        let record = rest.get(space + 1..len)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&b| b == b'=')?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => extra.path = Some(String::from_utf8_lossy(value).into_owned()),
            b"size" => extra.len = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
            _ => extra.sparse |= key.starts_with(b"GNU.sparse."),
        }
        rest = rest.get(len..)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(path: &str, kind: u8, len: u64) -> Vec<u8> {
        let mut head = vec![0u8; 512];
        head[..path.len()].copy_from_slice(path.as_bytes());
        head[124..135].copy_from_slice(format!("{len:011o}").as_bytes());
        head[148..156].fill(b' ');
        head[156] = kind;
        head[257..263].copy_from_slice(b"ustar\0");
        let sum: u64 = head.iter().map(|&b| u64::from(b)).sum();
        head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        head
    }

    fn member(path: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = block(path, kind, bytes.len() as u64);
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }

    fn ended(parts: &[Vec<u8>]) -> Vec<u8> {
        let mut out = parts.concat();
        out.resize(out.len() + 1024, 0);
        out
    }

    fn members(bytes: &[u8]) -> Result<Vec<Member>, TarError> {
        read_members(bytes, |path| path.ends_with(".npy"))
    }

    fn refused(bytes: &[u8]) -> String {
        members(bytes).expect_err("it is refused").to_string()
    }

    #[test]
    fn members_are_where_they_are() {
        let long = format!("{}/{}.npy", "d".repeat(90), "n".repeat(90));
        let pax_record = |body: &str| format!("{} {body}\n", body.len() + 4).into_bytes();
        let tar = ended(&[
            member("./a.npy", b'0', b"abc"),
            member("a.json", b'0', &[7; 600]),
            member("linked.json", b'2', b""),
            member("folder", b'5', b""),
            member("././@LongLink", b'L', long.as_bytes()),
            member("cut", b'0', b"de"),
            member("x", b'x', &pax_record(&format!("path={}", "p/q.npy"))),
            member("short", 0, b"f"),
        ]);
        let found = members(&tar).expect("it is read");
        let all: Vec<(&str, &[u8])> =
            found.iter().map(|m| (&m.path[..], &tar[m.offset as usize..][..m.len as usize])).collect();
        assert_eq!(all, [("a.npy", &b"abc"[..]), (&long[..], b"de"), ("p/q.npy", b"f")]);
        // Files of pax can be longer than a header has digits for.
        let sized = ended(&[member("x", b'x', &pax_record("size=3")), {
            let mut out = block("b.npy", b'0', 0);
            out.extend(member("", b'0', b"xyz").split_off(512));
            out
        }]);
        assert_eq!(members(&sized).expect("it is read")[0].len, 3);
    }

    #[test]
    fn what_misleads_is_refused() {
        let whole = ended(&[member("a.npy", b'0', &[1; 700]), member("b.npy", b'0', &[2; 10])]);
        assert!(members(&whole).is_ok());
        // Every way to be cut off, but for what is after the first block of zeros.
        for end in (0..whole.len() - 1024).chain([whole.len() - 600]) {
            assert!(refused(&whole[..end]).contains("cut off"), "{end}");
        }
        assert!(members(&whole[..whole.len() - 512]).is_ok());
        let joined = [whole.clone(), whole.clone()].concat();
        assert!(refused(&joined).contains("one by one"));
        let twice = ended(&[member("a.npy", b'0', b"1"), member("./a.npy", b'0', b"2")]);
        assert!(refused(&twice).contains("same path"));
        for path in ["../a.npy", "/etc/a.npy", "x/../../a.npy", "C:\\a.npy"] {
            assert!(refused(&ended(&[member(path, b'0', b"1")])).contains("leads out"), "{path}");
        }
        for kind in [b'1', b'2'] {
            assert!(refused(&ended(&[member("a.npy", kind, b"")])).contains("link"));
        }
        assert!(refused(&ended(&[member("a.npy", b'S', b"1")])).contains("sparse"));
        let mut damaged = whole.clone();
        damaged[3] ^= 1;
        assert!(refused(&damaged).contains("checksum"));
        let huge = ended(&[block("a.npy", b'0', 0o77_777_777_777)]);
        assert!(refused(&huge).contains("cut off"));
        // A length that no number holds.
        let mut base256 = block("a.npy", b'0', 0);
        base256[124..136].fill(0xff);
        base256[124] = 0x80;
        base256[148..156].fill(b' ');
        let sum: u64 = base256.iter().map(|&b| u64::from(b)).sum();
        base256[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        assert!(refused(&ended(&[base256])).contains("length"));
        assert!(refused(&ended(&[member("x", b'x', b"99 path=a\n")])).contains("pax"));
    }
}
