//! Mutations of what the index says: one number, name or list of one row, asset, leaf pointer or of the root.

use super::dice::Dice;
use super::{locate, splice};
use mcodec_format::registry::{field, representation};
use mcodec_format::wire::put_varint;
use mcodec_format::{Dependency, EntryRow, Fields, Layout, LeafPointer, Limits, Page, Root, RootBody, Tag};

/// Changes the index of the current generation in one to three respects, and writes it back.
pub fn mutate(file: &mut Vec<u8>, dice: &mut Dice) {
    let Some((frame, mut root)) = locate::current_root(file) else { return };
    let leaves = if let RootBody::Leaves(leaves) = &root.body { leaves.len() } else { 0 };
    if leaves > 0 && !dice.one_in(3) {
        let leaf = dice.index(leaves);
        if let Some(mut page) = leaf_page(file, &root, leaf) {
            (0..=dice.below(3)).for_each(|_| mutate_page(&mut page, dice));
            splice::leaf(file, frame, &root, leaf, &page);
        }
        return;
    }
    for _ in 0..=dice.below(3) {
        match &mut root.body {
            RootBody::Inline(page) if !dice.one_in(8) => mutate_page(page, dice),
            RootBody::Leaves(leaves) if !dice.one_in(4) => mutate_pointers(leaves, dice),
            _ => mutate_root(&mut root, dice),
        }
    }
    splice::root(file, frame, &root);
}

fn leaf_page(file: &[u8], root: &Root, leaf: usize) -> Option<Page> {
    let RootBody::Leaves(leaves) = &root.body else { return None };
    let pointer = leaves.get(leaf)?;
    let frame = locate::Frame::find(file, usize::try_from(pointer.offset).ok()?)?;
    let base = if pointer.based { root.data_base } else { 0 };
    let payload = (frame.head.tag == Tag::LEAF).then(|| &file[frame.payload()])?;
    Page::parse(payload, base, true, &Limits::strict()).ok()
}

fn mutate_root(root: &mut Root, dice: &mut Dice) {
    match dice.below(5) {
        0 => root.generation = dice.number(root.generation.into()) as u32,
        1 => root.assets = dice.number(root.assets),
        2 => root.data_base = dice.number(root.data_base),
        3 => root.previous = Some((dice.number(96), dice.number(40))),
        _ => mutate_fields(&mut root.fields, dice),
    }
}

fn mutate_pointers(leaves: &mut Vec<LeafPointer>, dice: &mut Dice) {
    if leaves.is_empty() {
        return;
    }
    let at = dice.index(leaves.len());
    let twin = leaves[at].clone();
    let leaf = &mut leaves[at];
    match dice.below(8) {
        0 => leaf.offset = dice.number(leaf.offset),
        1 => leaf.len = dice.number(leaf.len),
        2 => leaf.based = !leaf.based,
        3 => leaf.generation = dice.number(leaf.generation.into()) as u32,
        4 => leaf.first_chunk = dice.number(leaf.first_chunk),
        5 => leaf.separator.push(b'0'),
        6 => drop(leaf.separator.pop()),
        _ => {
            let mut twin = twin;
            twin.separator.extend(b"~1");
            leaves.insert(at + 1, twin);
        }
    }
}

fn mutate_page(page: &mut Page, dice: &mut Dice) {
    if !page.assets.is_empty() && dice.one_in(5) {
        return mutate_asset(page, dice);
    }
    if page.rows.is_empty() {
        return;
    }
    let at = dice.index(page.rows.len());
    match dice.below(16) {
        0 => {
            let mut twin = page.rows[at].clone();
            match dice.below(3) {
                0 => twin.copy = true,
                1 => twin.first_chunk = twin.lengths.len() as u64,
                _ => twin.name.push('0'),
            }
            page.rows.insert(if twin.copy { page.rows.len() } else { at + 1 }, twin);
        }
        1 => drop(page.rows.remove(at)),
        2 => {
            let other = dice.index(page.rows.len());
            page.rows.swap(at, other);
        }
        _ => mutate_row(&mut page.rows[at], dice),
    }
}

fn mutate_asset(page: &mut Page, dice: &mut Dice) {
    let at = dice.index(page.assets.len());
    let asset = &mut page.assets[at];
    match dice.below(7) {
        0 => asset.ordinal = dice.number(asset.ordinal.into()) as u32,
        1 => asset.kind = dice.number(asset.kind),
        2 => asset.critical = !asset.critical,
        3 => mutate_name(&mut asset.name, dice),
        4 => asset.hash[dice.index(32)] ^= 1,
        5 => mutate_fields(&mut asset.fields, dice),
        _ => {
            let mut twin = asset.clone();
            twin.ordinal = twin.ordinal.wrapping_add(1);
            twin.name.push('a');
            page.assets.push(twin);
        }
    }
}

fn mutate_row(row: &mut EntryRow, dice: &mut Dice) {
    match dice.below(14) {
        0 => row.asset = dice.index(4),
        1 => row.kind = if dice.one_in(2) { 1 + u64::from(dice.below(6)) } else { dice.number(row.kind) },
        2 => row.copy = !row.copy,
        3 => row.critical = !row.critical,
        4 => row.id = dice.number(row.id.into()) as u32,
        5 => mutate_name(&mut row.name, dice),
        6 | 7 => mutate_fields(&mut row.fields, dice),
        8 => mutate_dependencies(&mut row.dependencies, dice),
        9 => row.first_chunk = dice.number(row.first_chunk).min(1 << 33),
        10 => {
            let all = [Layout::Indexed, Layout::Gathered, Layout::Described];
            row.layout = all[dice.index(3)];
        }
        11 => row.offset = dice.number(row.offset),
        12 if !row.lengths.is_empty() => {
            let at = dice.index(row.lengths.len());
            row.lengths[at] = dice.number(row.lengths[at]);
        }
        _ => match row.lengths.last() {
            Some(&last) if dice.one_in(2) => row.lengths.push(last),
            _ => drop(row.lengths.pop()),
        },
    }
}

fn mutate_name(name: &mut String, dice: &mut Dice) {
    const PARTS: [&str; 12] = ["0", "00", "10", "/", "..", "a", "\u{e9}", "\n", "\"", "\\", "C:", "model"];
    if dice.one_in(3) {
        name.pop();
    } else {
        name.push_str(PARTS[dice.index(PARTS.len())]);
    }
}

fn mutate_fields(fields: &mut Fields, dice: &mut Dice) {
    let mut value = Vec::new();
    if dice.one_in(3) {
        // A representation: 1 plain, 2 alias of an entry.
        let alias = dice.one_in(2);
        put_varint(&mut value, if alias { representation::ALIAS } else { representation::PLAIN });
        if alias {
            put_varint(&mut value, dice.below(6).into());
        }
        return fields.set(field::REPRESENTATION, true, value);
    }
    let id = if dice.one_in(8) { dice.below(40).into() } else { field::IDS[dice.index(field::IDS.len())] };
    let old = fields.varint("fuzz", id).ok().flatten().unwrap_or(1);
    put_varint(&mut value, dice.number(old));
    let is_list = id == field::SHAPE || id == field::DEPENDENCY_GROUPS;
    if is_list && dice.one_in(2) {
        let last = dice.number(2);
        put_varint(&mut value, last);
    }
    fields.set(id, !dice.one_in(4), value);
}

fn mutate_dependencies(dependencies: &mut Vec<Dependency>, dice: &mut Dice) {
    let small = dice.below(8);
    match dice.below(5) {
        0 => drop(dependencies.pop()),
        1 => dependencies.push(Dependency::Other { asset: dice.below(3), entry: small }),
        2 => dependencies.push(Dependency::External { hash: [7; 32], name: "x".into() }),
        _ => dependencies.push(Dependency::Entry(small)),
    }
}
