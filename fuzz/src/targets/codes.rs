//! Chunks of codes, and of grouped codes: decoded length (2 bytes), the length of a `classes` object (2 bytes), that object, payload. Steps and classes of
//! columns are fixed.

use mcodec_coding::codes::{Classes, ColumnClasses, ColumnSteps, SharedObjects, decode, ledger};
use mcodec_coding::grouped::{self, Codebook};
use mcodec_coding::labelled::Level;

/// Columns of the fixed objects.
const COLUMNS: usize = 24;

struct Shared {
    classes: Classes,
    steps: ColumnSteps,
    of_columns: ColumnClasses,
}

impl SharedObjects for Shared {
    fn classes(&self, dependency: u32) -> Option<&Classes> {
        (dependency == 0).then_some(&self.classes)
    }
    fn column_steps(&self, dependency: u32) -> Option<&ColumnSteps> {
        (dependency == 1).then_some(&self.steps)
    }
    fn column_classes(&self, dependency: u32) -> Option<&ColumnClasses> {
        (dependency == 2).then_some(&self.of_columns)
    }
}

struct Book(Codebook);

impl grouped::SharedObjects for Book {
    fn codebook(&self, dependency: u32) -> Option<&Codebook> {
        (dependency == 0).then_some(&self.0)
    }
}

impl mcodec_coding::fields::SharedTables for Book {
    fn table(&self, _: u32) -> Option<&mcodec_coding::DecodeTable> {
        None
    }
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let _ = (ColumnSteps::parse(bytes), ColumnClasses::parse(bytes), Codebook::parse(bytes));
    let Some((len, rest)) = bytes.split_first_chunk::<2>() else { return };
    let Some((classes_len, rest)) = rest.split_first_chunk::<2>() else { return };
    let Some((classes, payload)) = rest.split_at_checked(u16::from_le_bytes(*classes_len).into()) else {
        return;
    };
    let (Ok(classes), Ok(steps), Ok(of_columns)) = (
        Classes::parse(classes),
        ColumnSteps::new((0..COLUMNS as i16).map(|j| j % 7 - 3).collect()),
        ColumnClasses::new((0..COLUMNS as i16).map(|j| j % 3).collect()),
    ) else {
        return;
    };
    let shared = Shared { classes, steps, of_columns };
    let mut out = vec![0; usize::from(u16::from_le_bytes(*len)) % 8192];
    if let Ok(book) = Codebook::new(2, (0..64).map(|i| i as f32 / 8.0 - 4.0).collect()) {
        let _ = grouped::decode(payload, &Book(book), &mut out);
    }
    let _ = ledger(payload, &shared, out.len());
    let found = decode(payload, &shared, &mut out);
    let mut again = vec![0xFF; out.len()];
    let scalar = mcodec_coding::codes::decode_at(Level::Scalar, payload, &shared, &mut again);
    assert_eq!(found.is_ok(), scalar.is_ok(), "vector and portable code differ");
    assert!(found.is_err() || out == again, "vector and portable code differ");
}
