//! Records: whether they may be used (SPEC section 5.6).

use crate::{DecodeError, Entry, Result};
use mcodec_format::{Asset, EntryDescriptor, FormatError, Page, registry};

/// Checks that a record is bound to the asset it lies in.
///
/// # Errors
/// If its bound hash is not the asset's content hash.
pub fn check_record(entry: &Entry) -> Result<()> {
    let EntryDescriptor::Record(record) = entry.descriptor() else { return Ok(()) };
    if record.bound == entry.asset().hash {
        return Ok(());
    }
    let why = format!("it is bound to content hash {}, not to this asset's", crate::hex(&record.bound));
    Err(DecodeError::Entry {
        kind: "record",
        name: entry.name().to_owned(),
        source: FormatError::corrupt("record", 0, why),
    })
}

/// Checks that an asset may be decoded: its kind is known, and so are its critical fields and the schemas of its required records.
///
/// # Errors
/// [`FormatError::Unsupported`], naming what is not.
pub fn check_asset<'a>(asset: &Asset, pages: impl Iterator<Item = &'a Page>) -> Result<()> {
    let refuse = |what: String| {
        let needs = format!("asset {:?} needs a newer reader", asset.name);
        Err(DecodeError::Format(FormatError::Unsupported { what, needs }))
    };
    if registry::name_of(&registry::asset::ALL, asset.kind).is_none() && asset.critical {
        return refuse(format!("asset kind {}", asset.kind));
    }
    if let Some(field) = asset.fields.unknown(&registry::asset_field::IDS).find(|f| f.critical) {
        return refuse(format!("critical asset field {}", field.id));
    }
    for page in pages {
        let rows = page.rows.iter().filter(|r| !r.copy && r.critical);
        for row in rows.filter(|r| page.asset_of(r).is_some_and(|a| a.ordinal == asset.ordinal)) {
            if registry::name_of(&registry::entry::ALL, row.kind).is_none() {
                return refuse(format!("entry kind {} of {:?}", row.kind, row.name));
            }
            let schema = row.fields.get(registry::field::SCHEMA).unwrap_or_default();
            let known = registry::SCHEMAS.iter().any(|s| s.as_bytes() == schema);
            if row.kind == registry::entry::RECORD && !known {
                return refuse(format!(
                    "schema {:?} of required record {:?}",
                    String::from_utf8_lossy(schema),
                    row.name
                ));
            }
        }
    }
    Ok(())
}
