//! A Hugging Face model folder: which of its files are the model, which travel with it, and which stay behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mcodec_decode::is_safe_path;

use super::ImportOptions;
use super::error::ImportError;
use super::json::{self, Fault};

/// Name of the index of a model in several shards.
pub const INDEX_NAME: &str = "model.safetensors.index.json";
/// Name of a model in one file.
pub const MODEL_NAME: &str = "model.safetensors";
/// As [`INDEX_NAME`] and [`MODEL_NAME`], of files of PyTorch: taken if there is none of safetensors.
pub const TORCH_NAMES: [&str; 2] = ["pytorch_model.bin.index.json", "pytorch_model.bin"];
/// Extensions of other model files: the only file with one of them is taken if there is no model by name. Of two kinds, the first.
const OTHER_EXTENSIONS: [&[&str]; 3] = [&["safetensors"], &["gguf"], &["pt", "pth"]];

const MAX_INDEX_LEN: u64 = 100_000_000;
const MAX_FILES: usize = 1 << 20;
const MAX_DEPTH: usize = 64;
const MAX_LISTED: usize = 20;

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFile {
    /// The file itself, links resolved.
    pub path: PathBuf,
    /// Its name relative to the folder, divided by `/`.
    pub name: String,
}

/// What a folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderSource {
    /// The files with the model's tensors, in bytewise order of their names.
    pub shards: Vec<FolderFile>,
    /// The index's file name, and the index as (tensor, shard name) in its order, if the model has one.
    pub index: Option<(&'static str, Vec<(String, String)>)>,
    /// The files that travel with the model, in bytewise order of their names.
    pub verbatim: Vec<FolderFile>,
    /// Names of what is left out; folders end with `/`.
    pub left_out: Vec<String>,
    /// What the user should be told.
    pub notes: Vec<String>,
}

/// Whether a file next to a model travels with it unasked: JSON, tokenizer and template files.
#[must_use]
pub fn is_companion(name: &str) -> bool {
    const SUFFIXES: [&str; 3] = [".json", ".tiktoken", ".jinja"];
    const PREFIXES: [&str; 4] = ["tokenizer.model", "chat_template", "special_tokens", "added_tokens"];
    const NAMES: [&str; 3] = ["vocab.txt", "merges.txt", "spiece.model"];
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || NAMES.contains(&name)
        || (name.starts_with("sentencepiece") && name.ends_with(".model"))
}

/// Finds the model in the folder `dir`.
///
/// # Errors
/// [`ImportError`] if the folder cannot be read, has no model, has a malformed index, or if a file that is taken has an unsafe
/// name, is not a regular file, or lies outside the folder behind a link and [`ImportOptions::follow_links`] is not set.
pub fn scan_folder(dir: &Path, options: &ImportOptions) -> Result<FolderSource, ImportError> {
    let root = fs::canonicalize(dir).map_err(|source| ImportError::io(dir, source))?;
    let scan = Scan { root: &root, options };
    let items = scan.list(&root)?;
    let mut found = FolderSource::default();
    let shard_names = scan.find_shards(dir, &items, &mut found)?;
    for name in &shard_names {
        found.shards.push(scan.admit(name)?);
    }
    let mut taken = shard_names;
    scan.collect(&items, "", &mut vec![root.clone()], &mut taken, &mut found)?;
    found.verbatim.sort_by(|a, b| a.name.cmp(&b.name));
    found.left_out.sort();
    Ok(found)
}

struct Item {
    /// None if the name is not UTF-8.
    name: Option<String>,
    path: PathBuf,
    kind: fs::FileType,
}

impl Item {
    fn shown(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        if self.kind.is_dir() { format!("{name}/") } else { name.into_owned() }
    }

    fn has_name(&self, name: &str) -> bool {
        !self.kind.is_dir() && self.name.as_deref() == Some(name)
    }
}

struct Scan<'a> {
    root: &'a Path,
    options: &'a ImportOptions,
}

impl Scan<'_> {
    /// The entries of a folder in bytewise order of their names.
    fn list(&self, dir: &Path) -> Result<Vec<Item>, ImportError> {
        let fail = |source| ImportError::io(dir, source);
        let mut items = Vec::new();
        for entry in fs::read_dir(dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            self.check_count(items.len())?;
            let kind = entry.file_type().map_err(fail)?;
            items.push(Item { name: entry.file_name().into_string().ok(), path: entry.path(), kind });
        }
        items.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(items)
    }

    fn check_count(&self, count: usize) -> Result<(), ImportError> {
        if count >= MAX_FILES {
            let path = self.root.to_owned();
            return Err(ImportError::Limit {
                path,
                what: "file count",
                value: count as u64 + 1,
                limit: MAX_FILES as u64,
            });
        }
        Ok(())
    }

    /// The names of the files that are the model.
    fn find_shards(
        &self,
        dir: &Path,
        items: &[Item],
        found: &mut FolderSource,
    ) -> Result<BTreeSet<String>, ImportError> {
        for [index_name, model_name] in [[INDEX_NAME, MODEL_NAME], TORCH_NAMES] {
            if items.iter().any(|item| item.has_name(index_name)) {
                let index = self.admit(index_name)?;
                let map = read_index(&index.path, self.options.limits.tensors)?;
                let names: BTreeSet<String> = map.iter().map(|(_, shard)| shard.clone()).collect();
                let bad = |name: &&String| !is_safe_path(name) || *name == index_name;
                if let Some(name) = names.iter().find(bad) {
                    return Err(ImportError::Name { path: index.path, name: name.clone() });
                }
                found.index = Some((index_name, map));
                return Ok(names);
            }
            if items.iter().any(|item| item.has_name(model_name)) {
                return Ok(BTreeSet::from([model_name.into()]));
            }
        }
        for extensions in OTHER_EXTENSIONS {
            let has = |name: &&str| name.rsplit_once('.').is_some_and(|(_, e)| extensions.contains(&e));
            let files = items.iter().filter(|item| !item.kind.is_dir());
            let mut others = files.filter_map(|item| item.name.as_deref()).filter(has);
            if let (Some(only), None) = (others.next(), others.next()) {
                let kind = extensions.join(" or .");
                found.notes.push(format!("{only:?} is taken for the model: it is the only .{kind} file"));
                return Ok(BTreeSet::from([only.to_owned()]));
            }
        }
        Err(ImportError::NoModel { path: dir.to_owned(), found: listing(items) })
    }

    /// Checks the file `name` of the folder and finds where it really is.
    fn admit(&self, name: &str) -> Result<FolderFile, ImportError> {
        if !is_safe_path(name) {
            return Err(ImportError::Name { path: self.root.to_owned(), name: name.to_owned() });
        }
        let path = self.root.join(name);
        let target = self.resolve(&path)?;
        let meta = fs::metadata(&target).map_err(|source| ImportError::io(&path, source))?;
        // Opening a pipe would wait for a writer, so this is checked before.
        if !meta.is_file() {
            return Err(ImportError::Special { path });
        }
        Ok(FolderFile { path: target, name: name.to_owned() })
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, ImportError> {
        let target = fs::canonicalize(path).map_err(|source| ImportError::io(path, source))?;
        if !self.options.follow_links && !target.starts_with(self.root) {
            return Err(ImportError::Link { path: path.to_owned(), target });
        }
        Ok(target)
    }

    /// Sorts the entries of one folder into those that travel and those that stay. `parents` are the real folders on the way.
    fn collect(
        &self,
        items: &[Item],
        prefix: &str,
        parents: &mut Vec<PathBuf>,
        taken: &mut BTreeSet<String>,
        found: &mut FolderSource,
    ) -> Result<(), ImportError> {
        for item in items {
            let shown = format!("{prefix}{}", item.shown());
            let name = item.name.as_ref().map(|name| format!("{prefix}{name}"));
            if name.as_ref().is_some_and(|name| taken.contains(name)) {
                continue;
            }
            if item.kind.is_dir()
                || (item.kind.is_symlink() && fs::metadata(&item.path).is_ok_and(|meta| meta.is_dir()))
            {
                self.collect_dir(item, shown, parents, taken, found)?;
                continue;
            }
            let base = item.path.file_name().unwrap_or_default().to_string_lossy();
            if !self.options.all_files && !is_companion(&base) {
                found.left_out.push(shown);
                continue;
            }
            let name = name.ok_or_else(|| ImportError::Name { path: self.root.to_owned(), name: shown })?;
            let file = self.admit(&name)?;
            self.check_count(found.verbatim.len())?;
            found.verbatim.push(file);
            taken.insert(name);
        }
        Ok(())
    }

    fn collect_dir(
        &self,
        item: &Item,
        mut shown: String,
        parents: &mut Vec<PathBuf>,
        taken: &mut BTreeSet<String>,
        found: &mut FolderSource,
    ) -> Result<(), ImportError> {
        if !shown.ends_with('/') {
            shown.push('/');
        }
        let hidden = item.path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !self.options.all_files {
            found.left_out.push(shown);
            return Ok(());
        }
        if hidden {
            found.notes.push(format!("{shown:?} is left out: a hidden folder"));
            found.left_out.push(shown);
            return Ok(());
        }
        let target = self.resolve(&item.path)?;
        // A link to a folder inside would bring its files twice, or without end.
        let looped = parents.contains(&target);
        if looped || (item.kind.is_symlink() && target.starts_with(self.root)) {
            found
                .notes
                .push(format!("{shown:?} is left out: a link to a folder that is taken at its own place"));
            found.left_out.push(shown);
            return Ok(());
        }
        if parents.len() > MAX_DEPTH {
            let (value, limit) = (parents.len() as u64, MAX_DEPTH as u64);
            return Err(ImportError::Limit { path: item.path.clone(), what: "folder depth", value, limit });
        }
        // Listed through the link, so that `root.join(name)` finds the files again.
        let items = self.list(&item.path)?;
        parents.push(target);
        self.collect(&items, &shown, parents, taken, found)?;
        parents.pop();
        Ok(())
    }
}

/// The names of a folder's entries for a message, not all of them if there are many.
fn listing(items: &[Item]) -> String {
    if items.is_empty() {
        return "nothing".into();
    }
    let mut names: Vec<String> =
        items.iter().take(MAX_LISTED).map(|item| format!("{:?}", item.shown())).collect();
    if items.len() > MAX_LISTED {
        names.push(format!("and {} more", items.len() - MAX_LISTED));
    }
    names.join(", ")
}

/// Reads the pairs of tensor and shard from an index file.
fn read_index(path: &Path, most: usize) -> Result<Vec<(String, String)>, ImportError> {
    use std::io::Read as _;

    let fail = |source| ImportError::io(path, source);
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(fail)?.take(MAX_INDEX_LEN + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MAX_INDEX_LEN {
        let (path, value) = (path.to_owned(), bytes.len() as u64);
        return Err(ImportError::Limit { path, what: "index length", value, limit: MAX_INDEX_LEN });
    }
    parse_index(&bytes, most).map_err(|fault| ImportError::Index {
        path: path.to_owned(),
        offset: fault.offset as u64,
        reason: fault.reason,
    })
}

fn parse_index(bytes: &[u8], most: usize) -> Result<Vec<(String, String)>, Fault> {
    let json = json::utf8(bytes)?;
    json::check_nesting(json)?;
    let mut map = None;
    json::walk_object(json, |key, value| {
        if key != "weight_map" {
            return Ok(());
        }
        let offset = json::offset_in(json, value);
        if map.is_some() {
            return Err(Fault { offset, reason: "weight_map occurs twice".into() });
        }
        map = Some(parse_weight_map(json, value, most)?);
        Ok(())
    })?;
    let map = map.ok_or_else(|| Fault { offset: 0, reason: "there is no weight_map".into() })?;
    if map.is_empty() {
        return Err(Fault { offset: 0, reason: "weight_map is empty".into() });
    }
    Ok(map)
}

fn parse_weight_map(json: &str, text: &str, most: usize) -> Result<Vec<(String, String)>, Fault> {
    let start = json::offset_in(json, text);
    let mut seen = std::collections::HashSet::new();
    let mut map = Vec::new();
    let walked = json::walk_object(text, |tensor, value| {
        let offset = json::offset_in(text, value);
        let shard: String = serde_json::from_str(value)
            .map_err(|_| Fault { offset, reason: format!("the shard of {tensor:?} is not a string") })?;
        if !seen.insert(tensor.clone()) {
            return Err(Fault { offset, reason: format!("{tensor:?} occurs twice in weight_map") });
        }
        if map.len() == most {
            return Err(Fault { offset, reason: format!("more than {most} tensors") });
        }
        map.push((tensor, shard));
        Ok(())
    });
    walked.map_err(|fault| Fault { offset: start.saturating_add(fault.offset), ..fault })?;
    Ok(map)
}
