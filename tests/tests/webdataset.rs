//! Tars of samples, as WebDataset has them: the same file comes of them as of the folder that they were made of.

use mcodec_decode::latents::{TrackPart, read_track};
use mcodec_decode::{ReadOptions, Reader};
use mcodec_encode::latents::{LatentsOptions, encode_latents};
use mcodec_encode::{EncodeError, EncodeOptions, Output};
use mcodec_format::registry;
use mcodec_tests::npy;
use std::fs;
use std::path::Path;

/// A `.npy` file of `<f4` elements.
fn npy(shape: &[usize], first: usize) -> Vec<u8> {
    let value = |i: usize| ((i + first) * 7 % 31) as f32 / 8.0 - 2.0;
    let count = shape.iter().product();
    npy::npy("<f4", shape, &(0..count).flat_map(|i| value(i).to_le_bytes()).collect::<Vec<u8>>())
}

/// A safetensors file of one array.
fn safetensors(name: &str, shape: &[usize]) -> Vec<u8> {
    let bytes = 4 * shape.iter().product::<usize>();
    let mut header =
        format!(r#"{{"{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[0,{bytes}]}}}}"#);
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.bytes());
    out.extend((0..bytes / 4).flat_map(|i| (i as f32 * 0.5).to_le_bytes()));
    out
}

/// A member of a tar: its header, its bytes and what fills their last block.
fn member(path: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0u8; 512];
    out[..path.len()].copy_from_slice(path.as_bytes());
    out[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    out[148..156].fill(b' ');
    out[156] = kind;
    out[257..263].copy_from_slice(b"ustar\0");
    let sum: u64 = out.iter().map(|&b| u64::from(b)).sum();
    out[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn tar(members: &[Vec<u8>]) -> Vec<u8> {
    let mut out = members.concat();
    out.resize(out.len() + 1024, 0);
    out
}

fn encode(input: &Path, output: &Path) -> Result<Vec<u8>, EncodeError> {
    let output_file = Output::File { path: output.to_owned(), force: true };
    encode_latents(input, &LatentsOptions::default(), output_file, &EncodeOptions::default())?;
    Ok(fs::read(output).unwrap())
}

/// Files of every kind that holds arrays.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let data = |name: &str| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)).unwrap();
    vec![
        ("clip_10.npy", npy(&[3, 4, 5, 6], 1)),
        ("clip_2.npy", npy(&[2, 4, 3, 3], 5)),
        ("arrays.npz", data("tar/stored.npz")),
        ("module.pt", data("torch/tensor.pt")),
        ("named.safetensors", safetensors("latent", &[2, 3, 4])),
    ]
}

#[test]
fn a_tar_is_as_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let mut members = vec![member("notes.json", b'0', b"{}"), member("./", b'5', b"")];
    for (name, bytes) in files() {
        fs::write(folder.join(name), &bytes).unwrap();
        members.push(member(name, b'0', &bytes));
    }
    let path = dir.path().join("shard.tar");
    fs::write(&path, tar(&members)).unwrap();
    let of_folder = encode(&folder, &dir.path().join("a.mcodec")).unwrap();
    let of_tar = encode(&path, &dir.path().join("b.mcodec")).unwrap();
    assert!(of_folder == of_tar, "{} and {} bytes", of_folder.len(), of_tar.len());
}

#[test]
fn members_of_a_sample_are_one_asset() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shard.tar");
    let mut members = Vec::new();
    for n in 0..20 {
        members.push(member(&format!("00/{n:04}.latent.npy"), b'0', &npy(&[2, 2, 3, 4], n)));
        members.push(member(&format!("00/{n:04}.txt"), b'0', b"a caption"));
        members.push(member(&format!("00/{n:04}.more.safetensors"), b'0', &safetensors("cls", &[8])));
    }
    fs::write(&path, tar(&members)).unwrap();
    let bytes = encode(&path, &dir.path().join("out.mcodec")).unwrap();
    let reader = Reader::open(bytes, ReadOptions::default()).unwrap();
    assert_eq!(reader.assets().unwrap().len(), 20);
    let entry = reader.entry("00/0013", registry::entry::TENSOR, "latent").unwrap();
    let whole = read_track(&reader, &entry, &TrackPart::default()).unwrap();
    let source = npy(&[2, 2, 3, 4], 13);
    assert!(source.ends_with(&whole.bytes) && whole.bytes.len() == 2 * 2 * 3 * 4 * 4);
}

#[test]
fn what_pythons_tarfile_writes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tar/samples.tar");
    let reader =
        Reader::open(encode(&path, &dir.path().join("out.mcodec")).unwrap(), ReadOptions::default()).unwrap();
    for (n, folder) in ["a".to_owned(), "b".repeat(120), "ü".repeat(60)].into_iter().enumerate() {
        let entry = reader.entry(&format!("{folder}/{n:04}"), registry::entry::TENSOR, "latent").unwrap();
        let whole = read_track(&reader, &entry, &TrackPart::default()).unwrap();
        let wanted: Vec<u8> = (0..12).flat_map(|i| ((i + n) as f32).to_le_bytes()).collect();
        assert_eq!(whole.bytes, wanted);
    }
}

#[test]
fn bad_tars_are_refused_with_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let array = npy(&[2, 2, 3, 4], 0);
    let whole = tar(&[member("a.npy", b'0', &array), member("b.npy", b'0', &array)]);
    let far = {
        // The header says more than there is.
        let mut head = member("a.npy", b'0', b"");
        head[124..135].copy_from_slice(b"77777777777");
        head[148..156].fill(b' ');
        let sum: u64 = head.iter().map(|&b| u64::from(b)).sum();
        head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar(&[head])
    };
    // An array that says it is larger than its member.
    let mut long = npy(&[2, 2, 3, 4], 0);
    long.truncate(long.len() - 40);
    let cases = [
        ("cut within a member", whole[..1100].to_vec(), "cut off"),
        ("cut between members", whole[..whole.len() / 2].to_vec(), "cut off"),
        ("hostile length", far, "cut off"),
        ("path", tar(&[member("../../a.npy", b'0', &array)]), "leads out"),
        ("absolute path", tar(&[member("/a.npy", b'0', &array)]), "leads out"),
        ("symbolic link", tar(&[member("a.npy", b'2', b"")]), "link"),
        ("hard link", tar(&[member("b.npy", b'0', &array), member("a.npy", b'1', b"")]), "link"),
        ("twice", tar(&[member("a.npy", b'0', &array), member("a.npy", b'0', &array)]), "same path"),
        (
            "two arrays of one name",
            tar(&[
                member("a.x.npy", b'0', &array),
                member("a.x.safetensors", b'0', &safetensors("x", &[2, 3, 4])),
            ]),
            "two arrays",
        ),
        ("no arrays", tar(&[member("a.txt", b'0', b"text")]), "holds no clips"),
        ("short array", tar(&[member("a.npy", b'0', &long)]), "a.npy"),
        ("no tar", vec![7; 2048], "no header"),
    ];
    for (what, bytes, why) in cases {
        let path = dir.path().join("bad.tar");
        fs::write(&path, bytes).unwrap();
        let output = dir.path().join("no.mcodec");
        let error = encode(&path, &output).expect_err(what).to_string();
        assert!(error.contains(why) && error.contains("bad.tar"), "{what}: {error}");
        assert!(!output.exists(), "{what}");
    }
}
