//! Writes the seeds: `cargo run --bin make_seeds -- fuzz/seeds`.

use mcodec_coding::Table;
use mcodec_encode::{
    AssetKind, Attachment, EncodeOptions, Output, append, attach, encode_path, encode_stream, pack,
};
use mcodec_format::registry::{coding, entry, field};
use mcodec_fuzz::handmade::{Handmade, fields, finished, with_leaves};
use std::error::Error;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let root = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "seeds".into()));
    let scratch = tempfile::tempdir()?;
    let mut files = encoded(scratch.path())?;
    files.push(("shared-table", shared_table()?));
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    for name in [
        "labelled_forms",
        "labelled_signs",
        "dependency_groups",
        "deltas",
        "x_deltas",
        "image_pages",
        "image_alpha",
        "quant",
        "grouped",
        "low_rank",
        "select",
        "x_low_rank",
        "x_select",
    ] {
        files.push((name, fs::read(vectors.join(name).with_extension("mcodec"))?));
    }
    files.push(("leaves", with_leaves(3, 4, 1)));
    files.push(("leaves-appended", with_leaves(3, 4, 2)));
    for target in ["container", "decode", "no_limits"] {
        for (name, bytes) in &files {
            save(&root, target, name, bytes)?;
        }
    }
    for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with("stream")) {
        save(&root, "forward", name, bytes)?;
    }
    pages(&root, &files)?;
    tables(&root)?;
    headers(&root)?;
    archives(&root)?;
    gguf(&root)?;
    gaussians(&root)?;
    render(&root)?;
    grids(&root)?;
    codes(&root)?;
    tokens(&root)?;
    built(&root)?;
    Ok(())
}

/// Steps of making arrays, drawn at random; a mask and a list of an index map, and bundles.
fn built(root: &Path) -> Result<()> {
    let mut state = 0x2545_F491u32;
    for seed in 0..24usize {
        let mut bytes = Vec::new();
        for _ in 0..60 + 20 * seed {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            bytes.push((state >> 24) as u8);
        }
        save(root, "built", &format!("steps-{seed}"), &bytes)?;
    }
    save(root, "built", "mask", &[0, 6, 4, 0, 0b10_1101])?;
    save(root, "built", "list", &[1, 2, 4, 0, 4, 0, 0, 0, 0, 0, 0, 0])?;
    save(root, "built", "bundles", &[1, 1, b'b', 1, 6, 2, 2, 6, 2, 1, 0, 3, 0, 1, 1, b'v', 40, 0])
}

/// The chunks of the vectors of quantised tensors.
fn codes(root: &Path) -> Result<()> {
    use mcodec_decode::{ReadOptions, Reader};
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    let mut classes = Vec::new();
    for (file, asset) in [("quant", "quantised"), ("grouped", "grouped")] {
        let bytes = fs::read(vectors.join(file).with_extension("mcodec"))?;
        let reader = Reader::open(bytes.clone(), ReadOptions::default())?;
        if file == "quant" {
            classes = reader.read_all(&reader.entry(asset, entry::CLASSES, "classes")?)?;
        }
        for row in reader.rows(asset)?.into_iter().filter(|row| row.get().kind == entry::TENSOR) {
            let chunking = *reader.resolve(row.clone())?.chunking();
            for span in row.get().spans(row.asset().ordinal) {
                let range = chunking.chunk_range(span.place.chunk);
                let len = ((range.end - range.start) as u16).to_le_bytes();
                let payload = &bytes[span.payload.start as usize..span.payload.end as usize];
                let called = format!("{file}-{}-{}", span.place.entry, span.place.chunk);
                let head = [&len[..], &(classes.len() as u16).to_le_bytes()].concat();
                save(root, "codes", &called, &[&head[..], &classes, payload].concat())?;
            }
        }
    }
    Ok(())
}

/// The chunks of the vectors with tokens, and the models.
fn tokens(root: &Path) -> Result<()> {
    use mcodec_decode::{ReadOptions, Reader};
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    for (name, asset) in
        [("tokens", "tokens"), ("codes", "codes"), ("token_models", "models"), ("masks", "masks")]
    {
        let file = fs::read(vectors.join(name).with_extension("mcodec"))?;
        let reader = Reader::open(file.clone(), ReadOptions::default())?;
        for row in reader.rows(asset)? {
            let is_model = row.get().kind == entry::TOKEN_MODEL;
            if row.get().kind == entry::RECORD {
                continue;
            }
            let which = if name == "masks" { 128 } else { u8::from(is_model) };
            let chunking = *reader.resolve(row.clone())?.chunking();
            for span in row.get().spans(row.asset().ordinal) {
                let range = if is_model { 0..0 } else { chunking.chunk_range(span.place.chunk) };
                let len = ((range.end - range.start) as u16).to_le_bytes();
                let payload = &file[span.payload.start as usize..span.payload.end as usize];
                let called = format!("{name}-{}-{}", span.place.entry, span.place.chunk);
                save(root, "tokens", &called, &[&[which], &len[..], payload].concat())?;
            }
        }
    }
    Ok(())
}

/// The chunks of the vectors with grids.
fn grids(root: &Path) -> Result<()> {
    use mcodec_decode::{ReadOptions, Reader};
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    for (name, asset) in [
        ("grids_fast", "clip"),
        ("grids_light", "clip"),
        ("grids_dense", "clip"),
        ("tokens", "tokens"),
        ("refined", "refined"),
        ("levels", "levels"),
    ] {
        let file = fs::read(vectors.join(name).with_extension("mcodec"))?;
        let reader = Reader::open(file.clone(), ReadOptions::default())?;
        for row in reader.rows(asset)? {
            let found = reader.resolve(row.clone())?;
            let chunking = *found.chunking();
            let how = match (row.get().kind, chunking.coding) {
                (entry::DIGITS, _) => 4u8,
                (entry::LEVEL, _) => 132,
                (entry::TENSOR, coding::GRID_DENSE) if name == "levels" && found.is_refined() => 130,
                (entry::TENSOR, coding::TOKENS) => 3,
                (entry::TENSOR, coding::GRID_FAST) => 0,
                (entry::TENSOR, _) => 1 + u8::from(found.is_refined()),
                _ => continue,
            };
            for span in row.get().spans(row.asset().ordinal) {
                let range = chunking.chunk_range(span.place.chunk);
                let len = ((range.end - range.start) as u16).to_le_bytes();
                let len = if matches!(how, 4 | 132) { &[][..] } else { &len[..] };
                let payload = &file[span.payload.start as usize..span.payload.end as usize];
                let called = format!("{name}-{}-{}", span.place.entry, span.place.chunk);
                save(root, "grids", &called, &[&[how], len, payload].concat())?;
            }
        }
    }
    Ok(())
}

/// What PyTorch, NumPy and tarfile wrote for the tests.
fn archives(root: &Path) -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    for name in ["torch/tensor.pt", "torch/evil.pt", "torch/module.pt", "torch/legacy.pt", "torch/big.pt"] {
        let bytes = fs::read(data.join(name))?;
        save(root, "archive", &name.replace('/', "-"), &bytes)?;
        // From the first pickle on; what follows it is not read.
        if let Some(at) = bytes.windows(2).position(|pair| pair == b"\x80\x02") {
            save(root, "pickle", &name.replace('/', "-"), &bytes[at..])?;
        }
    }
    for name in ["numpy/arrays.npz", "numpy/odd.npz", "numpy/compressed.npz", "tar/samples.tar"] {
        save(root, "archive", &name.replace('/', "-"), &fs::read(data.join(name))?)?;
    }
    for name in ["numpy/single.npy", "numpy/version2.npy", "numpy/version3.npy"] {
        save(root, "npy", &name.replace('/', "-"), &fs::read(data.join(name))?)?;
    }
    Ok(())
}

fn save(root: &Path, target: &str, name: &str, bytes: &[u8]) -> Result<()> {
    let folder = root.join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}

/// A safetensors file: name, dtype, shape and bytes of each tensor.
fn safetensors(metadata: &str, tensors: &[(&str, &str, &[u64], Vec<u8>)]) -> Vec<u8> {
    let mut json = String::from("{");
    json.push_str(metadata);
    let mut at = 0;
    for (name, dtype, shape, bytes) in tensors {
        if json.len() > 1 {
            json.push(',');
        }
        let end = at + bytes.len();
        let shape = shape.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        json.push_str(&format!(
            "\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"data_offsets\":[{at},{end}]}}"
        ));
        at = end;
    }
    json.push('}');
    json.push_str(&" ".repeat(json.len().next_multiple_of(8) - json.len()));
    let mut out = (json.len() as u64).to_le_bytes().to_vec();
    out.extend(json.as_bytes());
    tensors.iter().for_each(|(_, _, _, bytes)| out.extend(bytes));
    out
}

/// Skewed bytes, so that entropy coding gains.
fn weights(n: usize) -> Vec<u8> {
    let mut x = 1u64;
    (0..n)
        .map(|i| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if i % 2 == 0 { (x >> 56) as u8 } else { 0x3C | ((x >> 60) & (x >> 52) & 3) as u8 }
        })
        .collect()
}

fn small_model() -> Vec<u8> {
    safetensors(
        "\"__metadata__\":{\"format\":\"pt\"}",
        &[
            ("layers.2.w", "BF16", &[8, 16], weights(256)),
            ("layers.10.w", "BF16", &[8, 16], weights(256)),
            ("empty", "F32", &[0, 3], vec![]),
            ("odd", "F9_NEW", &[3], vec![1, 2, 3]),
        ],
    )
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().map_err(|_| std::io::ErrorKind::Other)?.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Files that the encoder writes.
fn encoded(dir: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut options = EncodeOptions::default();
    options.threads = 1;
    let at = |name: &str| dir.join(name);
    let file = |name: &str| Output::File { path: dir.join(name), force: true };
    fs::write(at("m.safetensors"), small_model())?;
    let one = safetensors("", &[("w", "U8", &[3], vec![1, 2, 3])]);
    fs::write(at("one.safetensors"), &one)?;
    fs::write(at("none.safetensors"), safetensors("", &[]))?;
    fs::write(at("notes.txt"), "some notes, some notes, some notes")?;
    let mut all = Vec::new();
    let mut add = |name: &'static str| -> Result<()> {
        all.push((name, fs::read(dir.join(name))?));
        Ok(())
    };

    encode_path(&at("m.safetensors"), None, file("finished"), &options)?;
    add("finished")?;
    encode_path(&at("one.safetensors"), None, file("tiny"), &options)?;
    add("tiny")?;
    encode_path(&at("none.safetensors"), None, file("no-tensors"), &options)?;
    add("no-tensors")?;
    encode_path(&at("notes.txt"), Some(AssetKind::Blob), file("blob"), &options)?;
    add("blob")?;
    let mut mapped = options.clone();
    mapped.mappable = true;
    encode_path(&at("m.safetensors"), None, file("mappable"), &mapped)?;
    add("mappable")?;

    fs::copy(at("finished"), at("appended"))?;
    append(&at("appended"), &at("one.safetensors"), None, &options)?;
    append(&at("appended"), &at("notes.txt"), Some(AssetKind::Blob), &options)?;
    add("appended")?;
    fs::copy(at("tiny"), at("record"))?;
    let record = Attachment {
        name: "eval/2026-11",
        asset: None,
        schema: "json",
        required: true,
        json: b"{\"loss\": 2.5}",
        tensors: Some(&at("one.safetensors")),
    };
    attach(&at("record"), &record, &options)?;
    add("record")?;
    pack(&at("record"), file("record-packed"), &options)?;
    add("record-packed")?;

    let twins = safetensors("", &[("a", "U8", &[4, 16], weights(64)), ("b", "U8", &[4, 16], weights(64))]);
    fs::write(at("twins.safetensors"), twins)?;
    encode_path(&at("twins.safetensors"), None, file("alias"), &options)?;
    add("alias")?;
    for (name, input) in [("stream", small_model()), ("stream-tiny", one)] {
        let out = Shared::default();
        encode_stream(
            Box::new(Cursor::new(input)),
            "s",
            None,
            Output::Stream(Box::new(out.clone())),
            &options,
        )?;
        fs::write(at(name), out.0.lock().map_err(|_| "poisoned")?.as_slice())?;
        add(name)?;
    }
    Ok(all)
}

fn a_table() -> Result<Table> {
    Ok(Table::from_counts(&[1, 2, 3, 60], &[1000, 300, 20, 1], 12)?)
}

/// Two tensors coded under a table that both depend on.
fn shared_table() -> Result<Vec<u8>> {
    let table = a_table()?;
    let symbols: Vec<u16> = (0..64).map(|i| [1, 1, 1, 2, 1, 3, 1, 2][i % 8]).collect();
    let stream = table.encoder().encode(&symbols, 2)?;
    let mut payload = vec![8, 1, 8, 4, 0, stream.len() as u8];
    payload.extend(&stream);
    let tensor = |name| {
        let said = fields(&[(field::DTYPE, &[dtype("U8")]), (field::SHAPE, &[4, 16])]);
        Handmade::new(entry::TENSOR, name, said).needs(0).chunk(&payload)
    };
    let shared = Handmade::new(entry::TABLE, "t", fields(&[])).chunk(&table.to_bytes());
    Ok(finished(&[shared, tensor("a"), tensor("b")]))
}

fn dtype(name: &str) -> u64 {
    mcodec_format::registry::Dtype::by_name(name).map_or(0, |d| d.id)
}

/// Root and leaf payloads of the files, with a byte before that says how to read them.
fn pages(root: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    use mcodec_format::Tag;
    use mcodec_fuzz::mutate::locate;
    for (name, bytes) in files {
        for (i, frame) in locate::walk(bytes).enumerate() {
            let how = match frame.head.tag {
                Tag::ROOT => 0,
                Tag::LEAF => 1,
                Tag::DESCRIPTORS => 2,
                _ => continue,
            };
            let payload = [&[how], &bytes[frame.payload()]].concat();
            save(root, "index", &format!("{name}-{i}"), &payload)?;
        }
    }
    Ok(())
}

/// Tables, streams and payloads, with the bytes before them that `targets::tables` reads.
fn tables(root: &Path) -> Result<()> {
    let table = a_table()?;
    save(root, "tables", "table", &[&[0], &table.to_bytes()[..]].concat())?;
    let symbols: Vec<u16> = (0..200).map(|i| [1, 1, 1, 2, 1, 3, 1, 60][i % 8]).collect();
    for lanes in [0, 2, 5] {
        let stream = table.encoder().encode(&symbols, lanes)?;
        let input = [&[1, 200, 0], &table.to_bytes()[..], &stream].concat();
        save(root, "tables", &format!("stream-{lanes}"), &input)?;
    }
    use mcodec_coding::fields::{FieldCode, FieldSpec, encode};
    let bytes = weights(256);
    let wide: Vec<u16> = (0..256).collect();
    let any = Table::from_counts(&wide, &[1; 256], 12)?;
    let rans = FieldSpec { width: 8, code: FieldCode::Rans { table: &any, lanes_log2: 3 } };
    let zstd = FieldSpec { width: 8, code: FieldCode::Zstd { level: 3 } };
    let packed = FieldSpec { width: 3, code: FieldCode::Packed };
    let rest = FieldSpec { width: 5, code: FieldCode::Packed };
    let zero = FieldSpec { width: 8, code: FieldCode::Constant(9) };
    for (name, unit, specs, input) in [
        ("rans-zstd", 16, &[rans, zstd][..], &bytes[..]),
        ("packed", 8, &[packed, rest][..], &bytes[..]),
        ("constant", 8, &[zero][..], &[9; 256][..]),
    ] {
        let payload = encode(input, unit, specs)?;
        save(root, "tables", name, &[&[2, 0, 1], &payload[..]].concat())?;
    }
    labelled_payloads(root)?;
    difference_payloads(root)?;
    for kind in mcodec_coding::blocks::types() {
        let len = 6 * mcodec_coding::blocks::block_bytes(kind).unwrap_or_default();
        let payload = mcodec_encode::blocks::encode_chunk(&[0x11, 0x31].repeat(len)[..len], kind, 9)?;
        save(root, "tables", &format!("blocks-{kind}"), &[&[3, 6], &payload[..]].concat())?;
    }
    Ok(())
}

/// Differences under the tables and columns of `targets::difference`, and such objects.
fn difference_payloads(root: &Path) -> Result<()> {
    use mcodec_coding::difference::{ChunkSpec, ColumnsAt, Form, encode, encode_whole};
    use mcodec_coding::labelled::FloatFormat;
    use mcodec_fuzz::targets::difference::{base, fixed};
    let (tables, all) = fixed();
    save(root, "tables", "difference-tables", &[&[8], &tables.to_bytes()[..]].concat())?;
    save(root, "tables", "difference-columns", &[&[8], &all[1].to_bytes()[..]].concat())?;
    let n = 100u16;
    for (name, format, label) in [
        ("bf16", FloatFormat::Bf16, -48),
        ("f16", FloatFormat::F16, -8),
        ("f32", FloatFormat::F32, -60),
        ("f64", FloatFormat::F64, -60),
    ] {
        let of = base(usize::from(n) * format.bytes(), 9);
        let mut bytes = of.clone();
        bytes.iter_mut().step_by(format.bytes()).for_each(|b| *b = b.wrapping_add(3));
        for (how, columns, columns_at) in [
            ("plain", 50, ColumnsAt::Nowhere),
            ("inline", 7, ColumnsAt::Inline(&all[1])),
            ("shared", 64, ColumnsAt::Shared(3, &all[2])),
        ] {
            let rows = usize::from(n).div_ceil(columns);
            let rank = if how == "plain" { 0 } else { 3 };
            let spec = ChunkSpec {
                format,
                tables_dependency: 0,
                tables,
                columns,
                first_column: 0,
                columns_at,
                row_labels: &vec![label; rows],
                row_factors: &vec![2; rows * rank],
                lanes_log2: 1,
            };
            let payload = encode(&of, &bytes, &spec)?;
            let input = [&[7][..], &n.to_le_bytes(), &[9], &payload].concat();
            save(root, "tables", &format!("difference-{name}-{how}"), &input)?;
        }
    }
    let of = base(200, 9);
    let packed = |made: &[u8]| {
        use mcodec_coding::fields::{FieldCode, FieldSpec, encode};
        encode(made, 16, &[FieldSpec { width: 16, code: FieldCode::Packed }])
    };
    for (name, form) in
        [("same", Form::Same), ("xor", Form::Xor), ("integer", Form::Integer), ("alone", Form::Alone)]
    {
        let bytes = if form == Form::Same { of.clone() } else { base(200, 10) };
        let payload = encode_whole(form, &of, &bytes, 16, packed)?;
        let input = [&[7][..], &n.to_le_bytes(), &[9], &payload].concat();
        save(root, "tables", &format!("difference-{name}"), &input)?;
    }
    Ok(())
}

/// Labelled payloads under the classes and labels of `targets::labelled`, and such objects.
fn labelled_payloads(root: &Path) -> Result<()> {
    use mcodec_coding::labelled::{BlockSpec, ColumnLabels, Columns, FloatFormat, encode};
    use mcodec_fuzz::targets::labelled::{classes, labels};
    let (few, many) = (labels(7), labels(64));
    for (id, name, format, tables) in [
        (0, "bf16", FloatFormat::Bf16, 4),
        (1, "f16", FloatFormat::F16, 1),
        (2, "f32", FloatFormat::F32, 8),
        (3, "f64", FloatFormat::F64, 16),
    ] {
        let under = classes(format, tables);
        save(root, "tables", &format!("classes-{name}"), &[&[6], &under.to_bytes()[..]].concat())?;
        for (how, columns, column_labels, lanes_log2, n) in [
            ("plain", 50, Columns::Unlabelled, 2, 100u16),
            ("inline", 7, Columns::Inline(&few), 0, 60),
            ("shared", 64, Columns::Shared(6, &many), 6, 300),
        ] {
            let mut bytes = weights(usize::from(n) * format.bytes());
            // The highest byte of each element: sign and exponent, near those of the classes.
            bytes
                .iter_mut()
                .skip(format.bytes() - 1)
                .step_by(format.bytes())
                .for_each(|b| *b = *b & 0x83 | 0x3C);
            let rows = usize::from(n).div_ceil(columns);
            let spec = |classes_dependency| BlockSpec {
                classes_dependency,
                classes: &under,
                columns,
                first_column: 0,
                column_labels,
                row_classes: &[3, 9, 4, 5, 5, 6, 7, 8, 9][..rows],
                row_zeros: &[],
                lanes_log2,
            };
            let fixed = [&[4][..], &n.to_le_bytes(), &encode(&bytes, &spec(id))?].concat();
            save(root, "tables", &format!("labelled-{name}-{how}"), &fixed)?;
            if how == "shared" {
                let brought = |what: &str, spec: BlockSpec<'_>| {
                    let own = spec.classes.to_bytes();
                    let len = (own.len() as u16).to_le_bytes();
                    let input = [&[5][..], &len, &own, &n.to_le_bytes(), &encode(&bytes, &spec)?].concat();
                    save(root, "tables", &format!("labelled-{name}-{what}"), &input)
                };
                brought("classes", spec(7))?;
                let unbiased = ColumnLabels::new(columns, many.classes().to_vec(), Vec::new())?;
                let (classes, column_labels) = (&under.with_prefix_codes(), Columns::Inline(&unbiased));
                brought("prefix", BlockSpec { classes, column_labels, lanes_log2: 3, ..spec(7) })?;
            }
        }
    }
    save(root, "tables", "labels", &[&[6], &many.to_bytes()[..]].concat())
}

/// Payloads of two sets, what images say, fields of layers.
fn gaussians(root: &Path) -> Result<()> {
    use mcodec_coding::binary::BinaryEncoder;
    use mcodec_coding::gaussians::{FastEncoder, GaussianSet, SetCoder, Symbols, canonical};
    use mcodec_format::{ChannelGroup, Depth, GroupKind, ImageDescriptor, LayerDescriptor, Transfer};
    use mcodec_fuzz::targets::gaussians::{areas, coded};
    for (name, planes, constants, size, page, n) in [
        ("grey", 0, [80, 42, 80, 60, 75], [9, 7], 0, 12u32),
        ("colour", 2, [60, 30, 60, 36, 75], [30, 20], 0, 40),
        ("page", 2, [80, 42, 80, 60, 75], [30, 20], 0x14, 20),
        ("planes", 15, [40, 255, 3, 9, 1], [20, 3], 0, 15),
        ("crowd", 3, [80, 1, 1, 200, 255], [1, 1], 1, 60),
        ("empty", 0, [1, 1, 1, 1, 1], [255, 255], 0, 0),
    ] {
        let (image, areas) = (coded(planes, constants), areas(size[0], size[1], page));
        let (mut io, mut coder) = (BinaryEncoder::new(), SetCoder::new(&image));
        let mut fast = FastEncoder::new(&image);
        for (area, scale) in areas.iter().zip([24, 6u32]) {
            let mut set = GaussianSet::default();
            for i in 0..n {
                let levels = image.quantiser.levels() as u32;
                let scales = [scale + i * 7 % scale, i * 5 % scale].map(|k| k.min(levels - 1) as u8);
                let [a, b] = scales;
                let symbols =
                    Symbols { x: i * 37 % 50, y: i * 11 % 30, scales: [a.max(b), a.min(b)], angle: 0 };
                let angle = (i * 29 % (1 << image.quantiser.angle_bits(symbols.scales))) as u8;
                let symbols = Symbols { angle, ..symbols };
                if area.cell(&image.quantiser, &symbols).is_some() {
                    set.symbols.push(symbols);
                    set.colours
                        .extend((0..=u32::from(planes)).map(|plane| (i * 13 + plane) as i32 % 40 - 11));
                }
            }
            let set = canonical(&image, area, &set).ok_or("a Gaussian outside of its area")?;
            coder.encode(&mut io, area, &set)?;
            fast.encode(area, &set)?;
        }
        let mut head = [&[0, planes][..], &constants, &size, &[page]].concat();
        save(root, "gaussians", name, &[&head[..], &io.finish()].concat())?;
        head[0] = 3;
        save(root, "gaussians", &format!("fast-{name}"), &[head, fast.finish()].concat())?;
    }
    let group = |kind, depth, transfer, channels: &[&str]| ChannelGroup {
        kind,
        transfer,
        depth,
        name: channels.first().copied().unwrap_or_default().into(),
        channels: channels.iter().map(|&name| name.into()).collect(),
        bounds: if depth == Depth::Float { [-1.5, 9.0] } else { [0.0, 1.0] },
    };
    let colour = group(GroupKind::ColourAlpha, Depth::Unorm8, Transfer::Srgb, &[]);
    let data = group(GroupKind::Data, Depth::Float, Transfer::Log2, &["x", "y"]);
    for (name, groups, constants) in [
        ("image", vec![colour.clone()], [80, 42, 80, 60, 75]),
        ("image-groups", vec![colour, data], [1, 2, 3, 4, 5]),
    ] {
        let planes: usize = groups.iter().map(ChannelGroup::channel_count).sum();
        let gains = (0..planes as i8).map(|plane| if constants[0] == 1 { plane - 2 } else { 0 }).collect();
        let means = vec![-2900; planes];
        let (width, height, wraps) = (640, 9, [true, false]);
        let image = ImageDescriptor { width, height, wraps, groups, constants, gains, means };
        save(root, "gaussians", name, &[&[1], &image.to_bytes()[..]].concat())?;
    }
    for (name, layer) in [
        ("layer", LayerDescriptor::new(None, Vec::new())),
        ("layer-pages", LayerDescriptor::new(Some(64), vec![[1, 2, 3, 15]; 6])),
    ] {
        save(root, "gaussians", name, &[&[2], &layer.to_fields().to_bytes()[..]].concat())?;
    }
    Ok(())
}

/// Gaussians to be drawn: few and many planes, pictures that repeat, and what is barely or not at all a Gaussian.
fn render(root: &Path) -> Result<()> {
    // Of each: planes, size, wraps with the size of the view, its scale, and how far sigmas go.
    for (name, planes, size, how, scale, sigma) in [
        ("colour", 3u8, [40, 30], 0x50, 0.5f32, 4.0f32),
        ("repeats", 1, [9, 47], 0x83, 2.0, 30.0),
        ("planes", 16, [20, 20], 0x20, 1.0, 2.0),
        ("thin", 2, [30, 5], 0xfc, 1e-3, 1e-5),
        ("huge", 4, [1, 1], 0x41, 1e5, 1e30),
    ] {
        let mut words: Vec<[u8; 4]> = vec![[planes, size[0], size[1], how]];
        let mut float = |value: f32| words.push(value.to_le_bytes());
        [-3.0, 2.5, scale].into_iter().for_each(&mut float);
        (0..planes).for_each(|plane| float(0.1 * f32::from(plane) - 0.3));
        (0..planes).for_each(|plane| float((f32::from(plane) / 4.0).exp2()));
        for i in 0..24u8 {
            let part = |k: u8| f32::from(i.wrapping_mul(k) % 32) / 32.0;
            [
                part(7) * 50.0,
                part(11) * 40.0,
                sigma * (part(5) + 0.1),
                sigma * (part(3) + 0.05),
                part(9) * 3.2,
            ]
            .into_iter()
            .chain((0..planes).map(|plane| part(plane + 1) - 0.5))
            .for_each(&mut float);
        }
        if name == "huge" {
            // Not numbers, and none of a size.
            [f32::NAN, f32::INFINITY, 0.0, -1.0, f32::MIN_POSITIVE]
                .into_iter()
                .cycle()
                .take(27)
                .for_each(float);
        }
        save(root, "render", name, &words.concat())?;
    }
    Ok(())
}

/// GGUF files: metadata of many kinds, tensors of a known, a block and an unknown type.
fn gguf(root: &Path) -> Result<()> {
    let text = |t: &str| [&(t.len() as u64).to_le_bytes(), t.as_bytes()].concat();
    let pair = |key: &str, kind: u32, value: &[u8]| [&text(key), &kind.to_le_bytes()[..], value].concat();
    let array = |kind: u32, n: u64, items: &[u8]| [&kind.to_le_bytes()[..], &n.to_le_bytes(), items].concat();
    let pairs = [
        pair("general.architecture", 8, &text("llama")),
        pair("general.alignment", 4, &16u32.to_le_bytes()),
        pair("u8", 0, &[1]),
        pair("f32", 6, &1f32.to_le_bytes()),
        pair("yes", 7, &[1]),
        pair("f64", 12, &[0; 8]),
        pair("tokens", 9, &array(8, 2, &[text("a"), text("b")].concat())),
        pair("nested", 9, &array(9, 1, &array(0, 3, &[1, 2, 3]))),
    ];
    let tensor = |name: &str, ne: &[u64], kind: u32, offset: u64| {
        let dims: Vec<u8> = ne.iter().flat_map(|n| n.to_le_bytes()).collect();
        let rank = (ne.len() as u32).to_le_bytes();
        [&text(name), &rank[..], &dims, &kind.to_le_bytes(), &offset.to_le_bytes()].concat()
    };
    let tensors = [tensor("w", &[4, 2], 0, 0), tensor("q", &[32, 1], 2, 32), tensor("new", &[7], 999, 64)];
    for (name, version, tensors, pairs) in [
        ("v3", 3u32, &tensors[..], &pairs[..]),
        ("v2", 2, &tensors[..1], &pairs[..2]),
        ("empty", 3, &[], &[]),
    ] {
        let mut file = b"GGUF".to_vec();
        file.extend(version.to_le_bytes());
        file.extend((tensors.len() as u64).to_le_bytes());
        file.extend((pairs.len() as u64).to_le_bytes());
        file.extend(pairs.concat());
        file.extend(tensors.concat());
        save(root, "gguf_header", name, &[&[100, 0], &file[..]].concat())?;
        file.resize(file.len().next_multiple_of(if pairs.len() > 1 { 16 } else { 32 }), 0);
        file.extend([7; 80]);
        save(root, "gguf_header", &format!("{name}-whole"), &[&[0, 0], &file[..]].concat())?;
    }
    Ok(())
}

fn headers(root: &Path) -> Result<()> {
    let model = small_model();
    save(root, "safetensors_header", "model", &model)?;
    save(root, "safetensors_header", "none", &safetensors("", &[]))?;
    save(root, "safetensors_header", "pieces", &[3, 8, 7, 2, b'h', b'e', b'a', b'd', b'x'])?;
    save(root, "round_trip", "model", &[&[4][..], &model].concat())?;
    let one = safetensors("", &[("w", "U8", &[3], vec![1, 2, 3])]);
    save(root, "round_trip", "tiny", &[&[0][..], &one].concat())?;
    Ok(())
}
