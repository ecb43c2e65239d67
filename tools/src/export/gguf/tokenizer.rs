//! `tokenizer.json` as GGUF metadata.

use super::metadata::Model;
use super::values::Value;
use crate::outcome::usage;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};

/// ggml's kinds of tokens.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const ADDED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// The vocabulary as metadata.
pub(super) fn pairs(
    text: &[u8],
    model: &Model,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<(String, Value)>> {
    let file: Json = serde_json::from_slice(text).map_err(|e| usage(format!("tokenizer.json: {e}")))?;
    let of = file.get("model").unwrap_or(&Json::Null);
    let (Some(vocabulary), Some("BPE")) =
        (of.get("vocab").and_then(Json::as_object), of.get("type").and_then(Json::as_str))
    else {
        return Err(usage("tokenizer.json: only vocabularies of byte pairs have a form in GGUF files here"));
    };
    let mut by_id: BTreeMap<usize, (String, i32)> = BTreeMap::new();
    for (token, id) in vocabulary {
        let kind = if is_byte(token) { BYTE } else { NORMAL };
        by_id.insert(id.as_u64().unwrap_or(u64::MAX) as usize, (token.clone(), kind));
    }
    let added = file.get("added_tokens").and_then(Json::as_array);
    for token in added.into_iter().flatten() {
        let (Some(id), Some(content)) =
            (token.get("id").and_then(Json::as_u64), token.get("content").and_then(Json::as_str))
        else {
            continue;
        };
        let special = token.get("special").and_then(Json::as_bool).unwrap_or(false);
        let kind = if content == "<unk>" {
            UNKNOWN
        } else if special {
            CONTROL
        } else {
            ADDED
        };
        by_id.insert(id as usize, (content.to_owned(), kind));
    }
    let last = by_id.keys().next_back().copied().unwrap_or(0);
    let count = model.count("vocab_size").map_or(last + 1, |n| n as usize);
    if last >= count {
        return Err(usage(format!("tokenizer.json has a token {last}, and the model {count}")));
    }
    let unused = |id: usize| (format!("[PAD{id}]"), UNUSED);
    let tokens: Vec<(String, i32)> =
        (0..count).map(|id| by_id.remove(&id).unwrap_or_else(|| unused(id))).collect();
    let merges = merges(of);
    let is_bytes = has_kind(&file, "ByteLevel");
    let mut all = vec![
        ("model", Value::Text(if is_bytes { "gpt2" } else { "llama" }.into())),
        ("pre", Value::Text(splitting(&file, is_bytes, notes).into())),
        ("token_type", Value::I32s(tokens.iter().map(|t| t.1).collect())),
    ];
    if is_bytes {
        all.push(("merges", Value::Texts(merges)));
    } else {
        // Sentence pieces are joined by score: the earlier the merge, the higher.
        let rank: HashMap<String, usize> =
            merges.iter().enumerate().rev().map(|(at, m)| (m.replacen(' ', "", 1), at)).collect();
        let lowest = merges.len();
        let score = |(token, kind): &(String, i32)| match (*kind, rank.get(token)) {
            (NORMAL, Some(at)) => -(*at as f32),
            (NORMAL, None) => -(lowest as f32),
            _ => 0.0,
        };
        all.push(("scores", Value::F32s(tokens.iter().map(score).collect())));
    }
    all.push(("tokens", Value::Texts(tokens.into_iter().map(|t| t.0).collect())));
    for (key, of) in [("bos_token_id", "bos_token_id"), ("eos_token_id", "eos_token_id")] {
        all.extend(model.count(of).map(|id| (key, Value::U32(id))));
    }
    all.push(("add_bos_token", Value::Flag(has_kind_in(&file, "post_processor", "TemplateProcessing"))));
    Ok(all.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect())
}

/// Whether a token stands for one byte, as `<0x0A>`.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
    digits.is_some_and(|d| d.len() == 2 && d.chars().all(|c| c.is_ascii_hexdigit()))
}

/// Merges as "a b", the first first; they are written so, or as pairs.
fn merges(of: &Json) -> Vec<String> {
    let all = of.get("merges").and_then(Json::as_array);
    let one = |merge: &Json| match merge {
        Json::String(text) => Some(text.clone()),
        Json::Array(pair) => {
            let word = |at: usize| pair.get(at).and_then(Json::as_str);
            Some(format!("{} {}", word(0)?, word(1)?))
        }
        _ => None,
    };
    all.into_iter().flatten().filter_map(one).collect()
}

/// Whether something of this type stands anywhere in how texts are cut or put together.
fn has_kind(file: &Json, kind: &str) -> bool {
    ["pre_tokenizer", "decoder"].into_iter().any(|part| has_kind_in(file, part, kind))
}

fn has_kind_in(file: &Json, part: &str, kind: &str) -> bool {
    file.get(part).is_some_and(|v| v.to_string().contains(&format!("\"type\":\"{kind}\"")))
}

/// llama.cpp's name of how texts are cut, by what is known of it.
fn splitting(file: &Json, is_bytes: bool, notes: &mut Vec<String>) -> &'static str {
    if !is_bytes {
        return "default";
    }
    let text = file.get("pre_tokenizer").map(Json::to_string).unwrap_or_default();
    let digits = text.contains("\"individual_digits\":true");
    if text.contains("\\\\p{N}{1,3}") {
        "llama-bpe"
    } else if text.contains("\\\\p{N}") {
        "qwen2"
    } else if digits {
        "smollm"
    } else if text.contains("\"use_regex\":true") {
        "gpt-2"
    } else {
        notes.push("how the tokenizer cuts texts is not known: llama.cpp's default is named".into());
        "default"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_texts_or_pairs() {
        let of = serde_json::json!({ "merges": ["a b", ["c", "d e"]] });
        assert_eq!(merges(&of), ["a b", "c d e"]);
        assert!(is_byte("<0x0A>") && !is_byte("<0xG0>") && !is_byte("a"));
    }
}
