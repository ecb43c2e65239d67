//! JSON objects read member by member, in order, with byte offsets for faults.

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Objects and arrays deeper than this are refused. A safetensors header needs 3.
pub(super) const MAX_NESTING: usize = 64;

/// What is wrong with a JSON text, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) reason: String,
}

/// Calls `each` with every member of the object `json`, duplicates included. Nothing is kept, so memory does not grow
/// with the text.
pub(super) fn walk_object<'a, E: From<Fault>>(
    json: &'a str,
    mut each: impl FnMut(String, &'a str) -> Result<(), E>,
) -> Result<(), E> {
    let mut stop = None;
    let mut input = serde_json::Deserializer::from_str(json);
    let walked =
        input.deserialize_map(Walker { each: &mut each, stop: &mut stop }).and_then(|()| input.end());
    match (stop, walked) {
        (Some(stop), _) => Err(stop),
        (None, Err(error)) => Err(fault(json, &error).into()),
        (None, Ok(())) => Ok(()),
    }
}

/// Where and why serde_json gave up on `json`.
pub(super) fn fault(json: &str, error: &serde_json::Error) -> Fault {
    let lines_before = error.line().saturating_sub(1);
    let line_start: usize = json.split_inclusive('\n').take(lines_before).map(str::len).sum();
    let offset = line_start.saturating_add(error.column().saturating_sub(1)).min(json.len());
    let mut reason = error.to_string();
    // The place is stated as a byte offset instead.
    if let Some(end) = reason.rfind(" at line ") {
        reason.truncate(end);
    }
    Fault { offset, reason }
}

/// The byte offset of `part`, a slice of `whole`.
pub(super) fn offset_in(whole: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr())
}

/// Refuses deep nesting before anything recurses into it.
pub(super) fn check_nesting(json: &str) -> Result<(), Fault> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (offset, byte) in json.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Err(Fault { offset, reason: format!("nesting deeper than {MAX_NESTING}") });
        }
    }
    Ok(())
}

/// Checks that `bytes` are UTF-8.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes)
        .map_err(|error| Fault { offset: error.valid_up_to(), reason: "text that is not UTF-8".into() })
}

struct Walker<'w, F, E> {
    each: &'w mut F,
    // The typed error of `each`, which serde's own error cannot carry.
    stop: &'w mut Option<E>,
}

impl<'de, F, E> Visitor<'de> for Walker<'_, F, E>
where
    F: FnMut(String, &'de str) -> Result<(), E>,
{
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value::<&'de RawValue>()?.get();
            if let Err(error) = (self.each)(key, value) {
                *self.stop = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_byte_offsets() {
        let json = "{\"a\":1,\n\"ü\" 2}";
        let error = walk_object(json, |_, _| Ok::<(), Fault>(())).unwrap_err();
        assert_eq!(&json[error.offset..], "2}");
        assert!(!error.reason.contains("line"), "{}", error.reason);
        assert_eq!(walk_object("[]", |_, _| Ok::<(), Fault>(())).unwrap_err().offset, 0);
        assert_eq!(utf8(b"ab\xFF").unwrap_err().offset, 2);
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        let text = format!("{{\"{}\":1}}", "[\\\"".repeat(200));
        assert!(check_nesting(&text).is_ok());
        assert_eq!(check_nesting(&"[".repeat(100_000)).unwrap_err().offset, MAX_NESTING);
        assert!(check_nesting(&"[]".repeat(1000)).is_ok());
    }
}
