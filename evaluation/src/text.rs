//! Texts as tokens: by the model's tokenizer, or byte by byte where it has none.

use crate::error::io;
use crate::{EvaluationError, Result, Weights};
use rayon::prelude::*;
use std::path::Path;
use tokenizers::Tokenizer;

/// Bytes of text that are tokenised at once; cut after a line.
const PIECE: usize = 256 << 10;

/// Makes tokens of texts.
pub enum Tokens {
    /// By `tokenizer.json`.
    Tokenizer(Box<Tokenizer>),
    /// Each byte is one.
    Bytes,
}

/// A text as tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// Tokens, without any that mark the start or the end.
    pub tokens: Vec<u32>,
    /// Where each token ends, in bytes of the text.
    pub ends: Vec<u64>,
    /// BLAKE3 of the file's bytes.
    pub hash: [u8; 32],
}

impl Tokens {
    /// What the model's own texts are made of.
    ///
    /// # Errors
    /// If its tokenizer cannot be read; if it has none and its vocabulary is not that of bytes.
    pub fn of(weights: &dyn Weights, vocabulary: usize) -> Result<Self> {
        let Some(bytes) = weights.file("tokenizer.json")? else {
            if vocabulary == 256 {
                return Ok(Self::Bytes);
            }
            let why =
                format!("the model has no tokenizer.json, and its {vocabulary} tokens are not the 256 bytes");
            return Err(EvaluationError::Text(why));
        };
        let mut tokenizer = Tokenizer::from_bytes(bytes)
            .map_err(|e| EvaluationError::Text(format!("tokenizer.json: {e}")))?;
        // A text is neither cut nor filled up.
        _ = tokenizer.with_truncation(None).map_err(|e| EvaluationError::Text(e.to_string()))?;
        tokenizer.with_padding(None);
        Ok(Self::Tokenizer(Box::new(tokenizer)))
    }

    /// What they are, in a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tokenizer(_) => "tokenizer.json",
            Self::Bytes => "bytes",
        }
    }

    /// Reads a file as text; what is not UTF-8 is replaced, unless tokens are bytes.
    ///
    /// # Errors
    /// If it cannot be read, or the tokenizer fails.
    pub fn read(&self, path: &Path) -> Result<Text> {
        self.text(&std::fs::read(path).map_err(io("read", path))?)
    }

    /// Bytes as text.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn text(&self, bytes: &[u8]) -> Result<Text> {
        let hash = *blake3::hash(bytes).as_bytes();
        let Self::Tokenizer(tokenizer) = self else {
            let tokens = bytes.iter().map(|&b| u32::from(b)).collect();
            return Ok(Text { tokens, ends: (1..=bytes.len() as u64).collect(), hash });
        };
        let text = String::from_utf8_lossy(bytes);
        let pieces: Vec<(usize, &str)> = pieces(&text);
        let tokenise = |&(start, piece): &(usize, &str)| {
            let found = tokenizer.encode(piece, false);
            let found = found.map_err(|e| EvaluationError::Text(format!("tokenizer: {e}")))?;
            let ends = found.get_offsets().iter().map(|&(_, end)| (start + end) as u64);
            Ok((found.get_ids().to_vec(), ends.collect::<Vec<u64>>()))
        };
        let found: Vec<(Vec<u32>, Vec<u64>)> = pieces.par_iter().map(tokenise).collect::<Result<_>>()?;
        let (mut all, mut furthest) = (Text { hash, ..Text::default() }, 0);
        for (tokens, ends) in found {
            all.tokens.extend(tokens);
            for end in ends {
                // Tokens of one letter all end where it does.
                furthest = end.max(furthest);
                all.ends.push(furthest);
            }
        }
        Ok(all)
    }
}

/// The text in pieces of whole lines, each with where it starts.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let mut end = (at + PIECE).min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let end = text[end..].find('\n').map_or(text.len(), |n| end + n + 1);
        all.push((at, &text[at..end]));
        at = end;
    }
    all
}

/// Windows of `size` tokens, at most `tokens` in all, spread evenly over all texts; what does not fill a window is left.
///
/// # Errors
/// If no text has a window.
pub fn sample(texts: &[Text], size: usize, tokens: usize) -> Result<Vec<Vec<u32>>> {
    let all: Vec<&[u32]> = texts.iter().flat_map(|text| text.tokens.chunks_exact(size)).collect();
    if all.is_empty() {
        return Err(EvaluationError::Text(format!("the calibration texts have no {size} tokens")));
    }
    let count = (tokens / size).clamp(1, all.len());
    Ok((0..count).map(|i| all[i * all.len() / count].to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_lines_and_make_the_text() {
        let line = "äöü 0123456789\n";
        let text = line.repeat(60_000);
        let found = pieces(&text);
        assert!(found.len() > 2);
        assert!(found.iter().all(|(at, piece)| text[*at..].starts_with(piece) && piece.ends_with('\n')));
        assert_eq!(found.iter().map(|(_, piece)| piece.len()).sum::<usize>(), text.len());
        assert!(pieces("").is_empty());
    }

    #[test]
    fn windows_are_spread_over_all_texts() {
        let text = |n: u32| Text { tokens: (0..40).map(|i| n + i).collect(), ..Text::default() };
        let found = sample(&[text(0), text(100)], 8, 32).unwrap();
        assert_eq!(found.iter().map(|w| w[0]).collect::<Vec<_>>(), [0, 16, 100, 116]);
        assert!(sample(&[text(0)], 41, 100).is_err());
        assert_eq!(sample(&[text(0)], 40, 1).unwrap().len(), 1);
    }

    #[test]
    fn bytes_are_tokens() {
        let text = Tokens::Bytes.text(b"a\xFF").unwrap();
        assert_eq!((text.tokens, text.ends), (vec![97, 255], vec![1, 2]));
    }
}
