//! A vector and what must come of it.

/// A conformance vector.
pub struct Vector {
    /// Name of its files.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// The file, built anew.
    pub bytes: Vec<u8>,
    /// An encoder made it, so the committed file stands and new bytes may differ.
    pub encoded: bool,
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of opening a vector.
#[derive(Default)]
pub struct Expect {
    /// It must not open, with an error that contains this.
    pub refused: Option<&'static str>,
    /// Warnings of the reader, by what they contain.
    pub warnings: &'static [&'static str],
    /// Unknown things that `verify` reports, by what they contain.
    pub unknown: &'static [&'static str],
    /// Damage that `verify` reports, by what it contains; none other.
    pub damage: &'static [&'static str],
    /// Entries that must be refused, with what the error contains; all others must be readable.
    pub entries: &'static [(&'static str, &'static str)],
    /// Assets that must be refused as a whole, with what the error contains.
    pub assets: &'static [(&'static str, &'static str)],
}

impl Vector {
    /// A file that opens and is sound.
    pub fn sound(name: &'static str, about: &'static str, bytes: Vec<u8>) -> Self {
        Self { name, about, bytes, encoded: false, expect: Expect::default() }
    }

    /// As [`Vector::sound`], made by the encoder.
    pub fn encoded(name: &'static str, about: &'static str, bytes: Vec<u8>) -> Self {
        Self { encoded: true, ..Self::sound(name, about, bytes) }
    }

    /// A file that does not open.
    pub fn refused(name: &'static str, about: &'static str, bytes: Vec<u8>, error: &'static str) -> Self {
        let expect = Expect { refused: Some(error), ..Expect::default() };
        Self { expect, ..Self::sound(name, about, bytes) }
    }

    /// A file that opens, with something to report.
    pub fn opens(name: &'static str, about: &'static str, bytes: Vec<u8>, expect: Expect) -> Self {
        Self { expect, ..Self::sound(name, about, bytes) }
    }
}
