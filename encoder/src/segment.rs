//! A segment: pieces of entries that are in memory at once and share tables. Chunks are coded in parallel; the bytes do not depend on it.

use crate::delta::encode_delta;
use crate::difference::{self, Member as Pair, Plan};
use crate::items::{Content, GROUP_DEPENDENCIES, Item, elements_of};
use crate::labelled::{ClassSet, Coder, Matrix, Member, label, share_classes};
use crate::plain::{ChunkCode, Element, SharedTable, encode_chunk, encode_fields, shared_tables};
use crate::writer::{ContainerWriter, NewEntry};
use crate::{EncodeError, EncodeOptions, Result};
use mcodec_coding::labelled::ColumnLabels;
use mcodec_coding::{CodingError, fields};
use mcodec_format::{Dependency, Fields, registry};
use rayon::prelude::*;
use std::collections::HashMap;

/// Content up to this length is offered shared tables.
const SMALL: u64 = 64 << 10;
/// Labelled chunks up to this many bytes are also coded as fields: the shorter form is kept.
const ALSO_FIELDS: usize = 16 << 10;

/// Content of one item within a segment.
pub(crate) struct Piece {
    pub(crate) item: usize,
    /// Offset of the bytes within the item.
    pub(crate) start: u64,
    pub(crate) bytes: Vec<u8>,
    /// The base's bytes at the same place, if the item is told against one.
    pub(crate) base: Vec<u8>,
    /// Of the item's bytes before these.
    pub(crate) hasher: blake3::Hasher,
    /// Whether the item ends here.
    pub(crate) last: bool,
}

pub(crate) struct Segment<'w, 'i> {
    writer: &'w mut ContainerWriter,
    asset: usize,
    first_id: u32,
    items: &'w [Item<'i>],
    options: &'w EncodeOptions,
    /// What each item consists of.
    elements: Vec<Element>,
    /// Id of the next shared object.
    next_shared: &'w mut u32,
    /// Objects that are known by their content.
    objects: HashMap<(u64, [u8; 32]), u32>,
}

/// A chunk's shared objects, before they have entry ids.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Needs {
    /// The shared table of this number.
    Table(usize),
    /// The class set of this number.
    Classes(usize),
    /// Labels of the piece's own columns.
    Labels(ColumnLabels),
    /// The tables of differences.
    Differences,
    /// Labels and factors of the columns of this stack of differences.
    Columns(usize),
    /// In their place: there are none.
    NoColumns,
    /// An object of this kind and content, which others may have too.
    Object(u64, Vec<u8>),
}

/// The coded chunks of a piece, and the shared objects they use (in the order of their dependency indices).
pub(crate) struct Coded {
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) needs: Vec<Needs>,
    /// The same without shared objects, of small labelled pieces.
    pub(crate) alone: Option<Vec<u8>>,
}

/// A segment's shared objects, with the entry ids of those that are written.
struct Shared<'s> {
    tables: &'s [SharedTable],
    sets: &'s [ClassSet],
    table_ids: Vec<Option<u32>>,
    set_ids: Vec<Option<u32>>,
    plan: Option<&'s Plan>,
    tables_id: Option<u32>,
    columns_ids: HashMap<usize, u32>,
}

/// A labelled piece's part in the segment.
struct Labelled<'s> {
    coder: Coder<'s>,
    set: usize,
}

impl<'w, 'i> Segment<'w, 'i> {
    pub(crate) fn new(
        writer: &'w mut ContainerWriter,
        asset: usize,
        first_id: u32,
        items: &'w [Item<'i>],
        options: &'w EncodeOptions,
        next_shared: &'w mut u32,
    ) -> Self {
        let elements = elements_of(items);
        Self { writer, asset, first_id, items, options, elements, next_shared, objects: HashMap::new() }
    }

    /// A forward-only reader needs all shapes before the first byte of a file that they are in.
    pub(crate) fn announce_all(&mut self) -> Result<()> {
        let rows: Vec<usize> = (0..self.items.len())
            .map(|at| {
                let id = self.first_id + at as u32;
                let entry = self.items[at].entry(self.asset, id, self.options);
                self.writer.draft().add_entry(entry)
            })
            .collect();
        self.writer.announce(&rows)
    }

    /// Encodes and writes the pieces; returns the hash state of a last piece whose item goes on.
    pub(crate) fn flush(
        &mut self,
        pieces: &mut Vec<Piece>,
        hashes: &mut [[u8; 32]],
    ) -> Result<Option<blake3::Hasher>> {
        let (mut members, places) = self.hash_and_label(pieces);
        let tables = self.tables(pieces)?;
        let effort = self.options.effort;
        let (sets, set_of) = share_classes(&mut members, effort, self.options.codes)
            .map_err(EncodeError::coding("classes"))?;
        let labelled: Vec<Option<Labelled<'_>>> = places
            .iter()
            .map(|place| place.map(|at| labelled_of(&members[at], &sets, set_of[at])).transpose())
            .collect::<Result<_, _>>()
            .map_err(EncodeError::coding("labels"))?;
        drop(members);
        let (items, options, elements) = (self.items, self.options, &self.elements);
        let pairs = pairs_of(items, pieces);
        let known: Vec<&Pair<'_>> = pairs.iter().flatten().collect();
        let plan = if known.is_empty() {
            None
        } else {
            Some(difference::plan(&known, effort).map_err(EncodeError::coding("differences"))?)
        };
        let mut number = 0;
        let mut coders: Vec<Option<difference::Coder<'_>>> = Vec::with_capacity(pairs.len());
        for pair in &pairs {
            coders.push(plan.as_ref().zip(pair.as_ref()).map(|(plan, pair)| {
                number += 1;
                difference::Coder::new(plan, number - 1, pair)
            }));
        }
        let mut coded: Vec<Coded> = pieces
            .par_iter()
            .zip(labelled.par_iter().zip(&coders))
            .map(|(piece, (labelled, coder))| {
                let item = &items[piece.item];
                let coded = if matches!(item.content, Content::Quantised(_) | Content::Coded(_)) {
                    return encode_codes(item, piece, options);
                } else if item.base.is_some() {
                    encode_delta(item, piece, coder.as_ref(), options)
                } else {
                    encode_piece(item, (piece, elements[piece.item]), &tables, labelled.as_ref(), options)
                };
                coded.map_err(EncodeError::coding(&item.name))
            })
            .collect::<Result<_>>()?;
        drop_unprofitable(&sets, &mut coded);
        let (table_ids, set_ids) = (vec![None; tables.len()], vec![None; sets.len()]);
        drop((coders, pairs));
        let (tables_id, columns_ids) = (None, HashMap::new());
        let plan = plan.as_ref();
        let mut shared =
            Shared { tables: &tables, sets: &sets, table_ids, set_ids, plan, tables_id, columns_ids };
        let mut open = None;
        for (piece, coded) in pieces.drain(..).zip(coded) {
            self.write_piece(&piece, coded, &mut shared)?;
            if piece.last {
                hashes[piece.item] = *piece.hasher.finalize().as_bytes();
            } else {
                open = Some(piece.hasher);
            }
        }
        Ok(open)
    }

    /// Tables that small pieces may share.
    fn tables(&self, pieces: &[Piece]) -> Result<Vec<SharedTable>> {
        let small = pieces.iter().filter(|p| is_small(&self.items[p.item], p, self.options));
        let offered: Vec<(&[u8], Element)> =
            small.map(|p| (p.bytes.as_slice(), self.elements[p.item])).collect();
        if self.options.mappable || offered.len() < 2 {
            return Ok(Vec::new());
        }
        shared_tables(&offered, self.options.effort).map_err(EncodeError::coding("shared tables"))
    }

    /// Hashes all pieces; returns those that are coded under labels, and which of these each piece is.
    fn hash_and_label(&self, pieces: &mut [Piece]) -> (Vec<Member>, Vec<Option<usize>>) {
        let (items, options) = (self.items, self.options);
        let made: Vec<Option<Member>> = pieces
            .par_iter_mut()
            .map(|piece| {
                piece.hasher.update(&piece.bytes);
                let item = &items[piece.item];
                let format = item.float_format(options).filter(|_| !piece.bytes.is_empty())?;
                let start = piece.start / format.bytes() as u64;
                let matrix = Matrix::new(format, item.shape(), start, &piece.bytes);
                let labels = label(&matrix, options.effort);
                Some(Member { matrix, labels })
            })
            .collect();
        let mut next = 0..;
        let places = made.iter().map(|member| member.as_ref().and_then(|_| next.next())).collect();
        (made.into_iter().flatten().collect(), places)
    }

    /// Stores a shared object; returns its entry id.
    fn write_object(&mut self, kind: u64, content: &[u8]) -> Result<u32> {
        let id = *self.next_shared;
        *self.next_shared += 1;
        let of = registry::name_of(&registry::entry::ALL, kind).unwrap_or("object");
        let entry = NewEntry {
            asset: self.asset,
            kind,
            critical: true,
            id,
            name: format!("{of}-{id}"),
            fields: Fields::default(),
            dependencies: Vec::new(),
        };
        let row = self.writer.draft().add_entry(entry);
        self.writer.announce(&[row])?;
        self.writer.put_chunk(self.asset, id, content)?;
        Ok(id)
    }

    /// Stores a shared object, if it is not stored yet; returns its entry id.
    fn write_shared(&mut self, needs: Needs, shared: &mut Shared<'_>) -> Result<u32> {
        let (kind, known, content) = match needs {
            Needs::Table(at) => {
                let content = shared.tables[at].table.to_bytes();
                (registry::entry::TABLE, &mut shared.table_ids[at], content)
            }
            Needs::Classes(at) => {
                let content = shared.sets[at].classes.to_bytes();
                (registry::entry::CLASSES, &mut shared.set_ids[at], content)
            }
            Needs::Labels(labels) => {
                return self.write_object(registry::entry::COLUMN_LABELS, &labels.to_bytes());
            }
            Needs::Differences => {
                let content = shared.plan.map(|plan| plan.tables.to_bytes()).unwrap_or_default();
                (registry::entry::DIFFERENCE_TABLES, &mut shared.tables_id, content)
            }
            Needs::Columns(stack) => {
                if let Some(&id) = shared.columns_ids.get(&stack) {
                    return Ok(id);
                }
                let columns = shared.plan.and_then(|plan| plan.columns(stack));
                let content = columns.map(|(columns, _)| columns.to_bytes()).unwrap_or_default();
                let id = self.write_object(registry::entry::DIFFERENCE_COLUMNS, &content)?;
                shared.columns_ids.insert(stack, id);
                return Ok(id);
            }
            Needs::Object(kind, content) => {
                let key = (kind, *blake3::hash(&content).as_bytes());
                if let Some(&id) = self.objects.get(&key) {
                    return Ok(id);
                }
                let id = self.write_object(kind, &content)?;
                self.objects.insert(key, id);
                return Ok(id);
            }
            Needs::NoColumns => return self.write_object(registry::entry::DIFFERENCE_COLUMNS, &[1, 0]),
        };
        let id = if let Some(id) = *known { id } else { self.write_object(kind, &content)? };
        *known = Some(id);
        Ok(id)
    }

    /// Shared objects lie before the first chunk that needs them: one read then often has both.
    fn write_piece(&mut self, piece: &Piece, coded: Coded, shared: &mut Shared<'_>) -> Result<()> {
        let id = self.first_id + piece.item as u32;
        let mut used = Vec::with_capacity(coded.needs.len());
        for needs in coded.needs {
            used.push(Dependency::Entry(self.write_shared(needs, shared)?));
        }
        if !used.is_empty() {
            let row = self.writer.draft().row_of(self.asset, id);
            self.writer.draft().rows[row].dependencies.extend(used);
            self.writer.announce(&[row])?;
        }
        if piece.last && piece.start > 0 {
            self.writer.draft().share_dependencies(self.asset, id);
        }
        let raw = self.options.mappable && self.items[piece.item].kind() == registry::entry::TENSOR;
        for payload in &coded.payloads {
            if raw {
                self.writer.put_gathered(self.asset, id, payload)?;
            } else {
                self.writer.put_chunk(self.asset, id, payload)?;
            }
        }
        if piece.last { self.writer.end_gathered() } else { Ok(()) }
    }
}

/// The floats that are told against a base, beside it.
fn pairs_of<'p>(items: &'p [Item<'_>], pieces: &'p [Piece]) -> Vec<Option<Pair<'p>>> {
    let pair = |piece: &'p Piece| {
        let item = &items[piece.item];
        let format = item.delta_format().filter(|_| !piece.bytes.is_empty())?;
        let start = piece.start / format.bytes() as u64;
        Some(Pair::new(&item.name, format, item.shape(), start, (&piece.base, &piece.bytes)))
    };
    pieces.iter().map(pair).collect()
}

/// Whether the piece is all of a small item of one chunk that is not coded under labels.
fn is_small(item: &Item<'_>, piece: &Piece, options: &EncodeOptions) -> bool {
    let len = piece.bytes.len() as u64;
    let whole = piece.start == 0 && piece.last && (1..=SMALL).contains(&len);
    let otherwise = matches!(
        item.content,
        Content::Track(_)
            | Content::Masks(_)
            | Content::Quantised(_)
            | Content::Coded(_)
            | Content::Built(_)
            | Content::Object { .. }
    ) || item.float_format(options).is_some()
        || item.block_type().is_some()
        || item.base.is_some();
    whole && len <= item.chunk_len(options.chunk_len) && !otherwise
}

/// A piece of a quantised tensor; its objects go with the first one.
fn encode_codes(item: &Item<'_>, piece: &Piece, options: &EncodeOptions) -> Result<Coded> {
    let chunk_len = item.chunk_len(options.chunk_len);
    let (payloads, objects) = match &item.content {
        Content::Quantised(content) => {
            let made = content.encode(piece.start, piece.bytes.len(), chunk_len)?;
            if piece.last {
                content.release();
            }
            made
        }
        Content::Coded(content) => content.encode(piece.start, piece.bytes.len(), chunk_len)?,
        _ => return Err(EncodeError::Request(format!("{:?} has no codes", item.name))),
    };
    let needs = objects.into_iter().map(|(kind, bytes)| Needs::Object(kind, bytes)).collect();
    Ok(Coded { payloads, needs, alone: None })
}

fn encode_piece(
    item: &Item<'_>,
    (piece, element): (&Piece, Element),
    tables: &[SharedTable],
    labelled: Option<&Labelled<'_>>,
    options: &EncodeOptions,
) -> Result<Coded, CodingError> {
    if let Content::Track(track) = &item.content {
        let payloads = crate::latents::encode_track(track, piece.start, &piece.bytes)?;
        return Ok(Coded { payloads, needs: Vec::new(), alone: None });
    }
    if let Content::Masks(masks) = &item.content {
        let payloads = masks.encode(piece.start, &piece.bytes)?;
        return Ok(Coded { payloads, needs: Vec::new(), alone: None });
    }
    if let Content::Object { .. } = &item.content {
        return Ok(Coded { payloads: vec![piece.bytes.clone()], needs: Vec::new(), alone: None });
    }
    let chunk_len = item.chunk_len(options.chunk_len) as usize;
    let (bytes, effort) = (&piece.bytes, options.effort);
    if options.mappable && item.kind() == registry::entry::TENSOR {
        let payloads = bytes.chunks(chunk_len).map(<[u8]>::to_vec).collect();
        return Ok(Coded { payloads, needs: Vec::new(), alone: None });
    }
    if let Some(kind) = item.block_type() {
        let chunks = bytes.par_chunks(chunk_len);
        let payloads =
            chunks.map(|chunk| crate::blocks::encode_chunk(chunk, kind, effort)).collect::<Result<_, _>>()?;
        return Ok(Coded { payloads, needs: Vec::new(), alone: None });
    }
    if let Some(labelled) = labelled {
        let grouped = item.group_chunks(options).is_some();
        return encode_labelled(labelled, bytes, element, (effort, chunk_len), grouped);
    }
    if !tables.is_empty() && is_small(item, piece, options) {
        let all: Vec<(u32, &SharedTable)> = (0u32..).zip(tables).collect();
        let code = encode_chunk(bytes, element, effort, &all)?;
        let used = if code.raw { Vec::new() } else { fields::dependencies(&code.payload, bytes.len())? };
        let few: Vec<(u32, &SharedTable)> =
            (0u32..).zip(used.iter().filter_map(|&i| tables.get(i as usize))).collect();
        let code = if used.is_empty() { code } else { encode_chunk(bytes, element, effort, &few)? };
        let needs = used.iter().map(|&i| Needs::Table(i as usize)).collect();
        return Ok(Coded { payloads: vec![payload_of(code)], needs, alone: None });
    }
    let payloads = bytes
        .par_chunks(chunk_len)
        .map(|chunk| encode_chunk(chunk, element, effort, &[]).map(payload_of))
        .collect::<Result<_, _>>()?;
    Ok(Coded { payloads, needs: Vec::new(), alone: None })
}

fn labelled_of<'s>(member: &Member, sets: &'s [ClassSet], set: usize) -> Result<Labelled<'s>, CodingError> {
    Ok(Labelled { coder: Coder::new(member, &sets[set])?, set })
}

/// A coded chunk, whether it is under labels, and if it is small its form without.
type LabelledChunk = (Vec<u8>, bool, Option<Vec<u8>>);

/// Codes the chunks of a labelled piece, each under labels or as fields, whichever is shorter. Column labels are stored beside the
/// chunks if there are several, and always in a group.
fn encode_labelled(
    labelled: &Labelled<'_>,
    bytes: &[u8],
    element: Element,
    (effort, chunk_len): (u8, usize),
    grouped: bool,
) -> Result<Coded, CodingError> {
    let beside = grouped || bytes.len() > chunk_len;
    let labels = match labelled.coder.column_labels() {
        Some(labels) if beside => Some(labels.clone()),
        None if grouped => Some(ColumnLabels::new(1, Vec::new(), Vec::new())?),
        _ => None,
    };
    let dependency = labels.as_ref().map(|_| 1);
    let size = usize::from(element.unit_bits() / 8);
    let mut chunks: Vec<LabelledChunk> = bytes
        .par_chunks(chunk_len)
        .enumerate()
        .map(|(at, chunk)| {
            let start = at * chunk_len / size;
            let under_labels = labelled.coder.encode(chunk, start, 0, dependency)?;
            let doubtful = chunk.len() <= ALSO_FIELDS || effort >= 7 || has_low_structure(chunk, element);
            let as_fields = if doubtful { encode_fields(chunk, element, effort, &[])? } else { Vec::new() };
            let labelled = !doubtful || under_labels.len() <= as_fields.len();
            let is_small = chunk.len() <= ALSO_FIELDS && chunk.len() == bytes.len();
            let stored = || payload_of(ChunkCode { payload: chunk.to_vec(), raw: true });
            let or_stored = |code: Vec<u8>| if code.len() <= chunk.len() { code } else { stored() };
            if labelled && under_labels.len() <= chunk.len() {
                return Ok((under_labels, true, is_small.then(|| or_stored(as_fields))));
            }
            Ok((if doubtful { or_stored(as_fields) } else { stored() }, false, None))
        })
        .collect::<Result<_, CodingError>>()?;
    let mut needs = Vec::new();
    if grouped || chunks.iter().any(|(_, labelled, _)| *labelled) {
        needs.push(Needs::Classes(labelled.set));
        needs.extend(labels.map(Needs::Labels));
    }
    debug_assert!(!grouped || needs.len() as u64 == GROUP_DEPENDENCIES);
    let alone =
        chunks.first_mut().and_then(|(_, _, alone)| alone.take()).filter(|_| chunks.len() == 1 && !grouped);
    Ok(Coded { payloads: chunks.into_iter().map(|(payload, ..)| payload).collect(), needs, alone })
}

/// About what an entry of classes takes beside its bytes.
const ENTRY_BYTES: usize = 48;

/// Takes classes away that do not save what they take themselves.
fn drop_unprofitable(sets: &[ClassSet], coded: &mut [Coded]) {
    for (number, set) in sets.iter().enumerate() {
        let needs = Needs::Classes(number);
        let mut saved = 0;
        let mut can_do_without = true;
        for piece in coded.iter().filter(|c| c.needs.contains(&needs)) {
            let own: usize = piece.payloads.iter().map(Vec::len).sum();
            match &piece.alone {
                Some(alone) => saved += alone.len().saturating_sub(own),
                None => can_do_without = false,
            }
        }
        if can_do_without && saved < set.classes.to_bytes().len() + ENTRY_BYTES {
            for piece in coded.iter_mut().filter(|c| c.needs.contains(&needs)) {
                piece.payloads = piece.alone.take().into_iter().collect();
                piece.needs.clear();
            }
        }
    }
}

/// Whether the lowest bits of floats look like more than noise, which only other codings can use.
fn has_low_structure(chunk: &[u8], element: Element) -> bool {
    /// Elements looked at.
    const SAMPLE: usize = 4096;
    let size = usize::from(element.unit_bits() / 8);
    let stride = (chunk.len() / size / SAMPLE).max(1);
    let (mut counts, mut n) = ([0u32; 16], 0u32);
    for element in chunk.chunks_exact(size).step_by(stride) {
        counts[usize::from(element[0] & 15)] += 1;
        n += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    // Twice the share of a sixteenth; the noise of so many draws stays far below.
    n >= 256 && most > n / 8
}

/// A chunk that does not gain is stored, after a zero byte.
pub(crate) fn payload_of(code: ChunkCode) -> Vec<u8> {
    if !code.raw {
        return code.payload;
    }
    let mut stored = Vec::with_capacity(code.payload.len() + 1);
    stored.push(0);
    stored.extend(code.payload);
    stored
}
