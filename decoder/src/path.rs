//! Which names files may have.

/// Longest path of a `file` entry, in bytes.
pub const MAX_PATH_LEN: usize = 4096;

/// Whether `name` can be the path of a `file` entry: relative, divided by `/`, and inside the folder it is joined to on
/// every system.
///
/// Besides what SPEC 5.4 names, control characters and paths over [`MAX_PATH_LEN`] bytes are refused.
#[must_use]
pub fn is_safe_path(name: &str) -> bool {
    name.len() <= MAX_PATH_LEN
        && !name.contains(|c: char| c == '\\' || c.is_control())
        && name.split('/').all(|part| !matches!(part, "" | "." | "..") && !has_drive_letter(part))
}

/// Any component counts: on Windows, joining `C:x` to a folder leaves that folder.
fn has_drive_letter(part: &str) -> bool {
    matches!(part.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_paths() {
        for good in [
            "a",
            "a/b.json",
            "model-00001-of-00002.safetensors",
            "...",
            "..a",
            "a..",
            ".git",
            "é/ü",
            "ab:c",
            " ",
        ] {
            assert!(is_safe_path(good), "{good:?}");
        }
        let bad = [
            "",
            "/",
            "/etc/x",
            "../x",
            "a/../../b",
            "a/..",
            "..",
            ".",
            "./a",
            "a/.",
            "a//b",
            "a/",
            "C:\\x",
            "C:x",
            "c:",
            "a/C:x",
            "a\\b",
            "\\\\host\\x",
            "a\0b",
            "a\nb",
            "a\u{1b}[31m",
            "\u{7f}",
            "\u{85}",
        ];
        for bad in bad {
            assert!(!is_safe_path(bad), "{bad:?}");
        }
        assert!(is_safe_path(&"a".repeat(MAX_PATH_LEN)));
        assert!(!is_safe_path(&"a".repeat(MAX_PATH_LEN + 1)));
    }
}
