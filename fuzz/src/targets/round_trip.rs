//! Encoding and decoding: a model comes back byte for byte, whatever its names, dtypes, shapes and values.
//!
//! An input is a byte of options and a safetensors file.

use mcodec_decode::{ReadOptions, Reader, source_files, verify};
use mcodec_encode::import::safetensors::{HeaderLimits, read_header};
use mcodec_encode::{
    AssetKind, EncodeError, EncodeOptions, Output, SymbolCodes, encode_path, encode_stream, pack,
};
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Through files rather than memory.
pub const FILES: u8 = 8;
/// Tensors stored raw.
pub const MAPPABLE: u8 = 16;
/// Prefix codes.
pub const PREFIX: u8 = 32;

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Some((&how, model)) = bytes.split_first() else { return };
    let sound = read_header(&mut &model[..], Some(model.len() as u64), &HeaderLimits::default());
    let Ok((_, header)) = sound else { return };
    let mut options = EncodeOptions::default();
    options.threads = 1;
    options.effort = 1 + (how & 7);
    options.mappable = how & MAPPABLE != 0;
    options.codes = if how & PREFIX != 0 { SymbolCodes::Prefix } else { SymbolCodes::Rans };
    let encoded = through_memory(model, &options);
    if header.tensors.iter().any(|t| t.name.contains('\0')) {
        assert!(encoded.is_err(), "a name that no reader takes is written");
        return;
    }
    let streamed = encoded.expect("a sound model is encoded");
    same(&streamed, model);
    if how & FILES != 0 {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        through_files(model, &streamed, dir.expect("a folder").path(), &options);
    }
}

/// What a writer was given.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn through_memory(model: &[u8], options: &EncodeOptions) -> Result<Vec<u8>, EncodeError> {
    let out = Shared::default();
    let (input, output) = (Box::new(Cursor::new(model.to_vec())), Output::Stream(Box::new(out.clone())));
    encode_stream(input, "m", Some(AssetKind::Model), output, options)?;
    Ok(std::mem::take(&mut *out.0.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn through_files(model: &[u8], streamed: &[u8], dir: &Path, options: &EncodeOptions) {
    let path = |name: &str| dir.join(name);
    let file = |name: &str| Output::File { path: dir.join(name), force: false };
    let read = |name: &str| std::fs::read(dir.join(name)).expect("what was written");
    std::fs::write(path("m.safetensors"), model).expect("a file");
    encode_path(&path("m.safetensors"), None, file("finished"), options).expect("a sound model is encoded");
    same(&read("finished"), model);
    std::fs::write(path("streamed"), streamed).expect("a file");
    pack(&path("streamed"), file("packed"), options).expect("a sound file is packed");
    same(&read("packed"), model);
}

/// The file is sound, and its only source file is the model.
fn same(file: &[u8], model: &[u8]) {
    let reader = Reader::open(file, ReadOptions::default()).expect("what was written is opened");
    assert_eq!(reader.warnings(), []);
    let report = verify(&reader, true).expect("what was written is read");
    assert_eq!(report.damage, []);
    assert_eq!(report.bytes, file.len() as u64, "bytes that nothing covers");
    let asset = reader.asset(None).expect("one asset");
    let files = source_files(&reader, &asset).expect("source files");
    let [source] = &files[..] else { panic!("{} source files", files.len()) };
    assert_eq!(source.byte_len(), model.len() as u64);
    let bytes = source.read(&reader).expect("content");
    assert!(bytes == model, "the model comes back differently");
}
