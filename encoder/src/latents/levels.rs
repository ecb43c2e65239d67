//! What tokens are made of.

use super::array::Array;
use super::models::Made;
use crate::{EncodeError, Result};
use mcodec_coding::latents::TokenScheme;
use std::path::{Path, PathBuf};

/// What the tokens of a position are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Levels {
    /// All of them are numbers of finite scalar quantisation with these levels, the least significant first.
    Fsq(Vec<u16>),
    /// As a JSON file says: a list of levels for each token of a position.
    FsqFile(PathBuf),
    /// All of them are numbers below this.
    Vocabulary(u64),
}

impl Made {
    /// Whether a scheme is of such tokens, `tokens` at a position.
    pub(super) fn is_of(&self, scheme: &TokenScheme, tokens: usize) -> bool {
        scheme.tokens() == tokens
            && match self {
                Self::Digits(levels) => scheme.levels() == Some(levels),
                Self::Codes(vocabulary) => scheme.vocabulary() == Some(*vocabulary),
            }
    }
}

impl Levels {
    /// Reads levels with `between` between them, or takes the path of a `.json` file.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str, between: char) -> Result<Self, String> {
        if text.ends_with(".json") {
            return Ok(Self::FsqFile(text.into()));
        }
        let levels: Result<Vec<u16>, _> = text.split(between).map(str::parse).collect();
        let levels = levels.map_err(|_| {
            format!("{text:?}: levels are numbers with {between:?} between them, or a .json file")
        })?;
        check(std::slice::from_ref(&levels)).map_err(|e| e.to_string())?;
        Ok(Self::Fsq(levels))
    }

    /// Reads `fsq:` and levels.
    ///
    /// # Errors
    /// If that is not what it is.
    pub fn quantiser(text: &str, between: char) -> Result<Vec<u16>, String> {
        match text.strip_prefix("fsq:").map(|levels| Self::parse(levels, between)) {
            Some(Ok(Self::Fsq(levels))) => Ok(levels),
            Some(Err(why)) => Err(why),
            _ => Err(format!("{text:?}: quantisation is fsq: and levels, as fsq:8{between}8{between}5")),
        }
    }

    /// Of tokens below `count`.
    ///
    /// # Errors
    /// If that is less than 2.
    pub fn vocabulary(count: u64) -> Result<Self, String> {
        if count < 2 { Err("a vocabulary has at least 2 tokens".into()) } else { Ok(Self::Vocabulary(count)) }
    }

    /// What the array's tokens are made of.
    pub(super) fn of(&self, array: &Array) -> Result<Made> {
        let tokens = array.shape[1];
        let levels = match self {
            Self::Fsq(levels) => vec![levels.clone(); tokens],
            Self::FsqFile(path) => read(path)?,
            Self::Vocabulary(count) => {
                let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
                vec![vec![2; bits.max(1) as usize]; tokens]
            }
        };
        if levels.len() != tokens {
            let why =
                format!("levels of {} tokens for each position, where there are {tokens}", levels.len());
            return Err(EncodeError::Request(why));
        }
        check(&levels)?;
        let codes = match self {
            // A larger codebook is coded by the bits of its numbers.
            Self::Vocabulary(count) => u32::try_from(*count).ok().filter(|&n| (2..=65_535).contains(&n)),
            _ => None,
        };
        let size = array.dtype.bits as usize / 8;
        let most = |levels: &Vec<u16>| levels.iter().fold(1u64, |n, &l| n.saturating_mul(l.into()));
        let plane = array.shape[2] * array.shape[3];
        for (at, bytes) in array.bytes.chunks_exact(size).enumerate() {
            let mut word = [0; 8];
            word[..size].copy_from_slice(bytes);
            let (token, most) = (u64::from_le_bytes(word), most(&levels[at / plane % tokens]));
            let most = codes.map_or(most, u64::from);
            if token >= most {
                let name = &array.name;
                return Err(EncodeError::Request(format!(
                    "array {name:?}: token {token} is not below {most}"
                )));
            }
        }
        Ok(codes.map_or(Made::Digits(levels), Made::Codes))
    }
}

fn check(levels: &[Vec<u16>]) -> Result<(), EncodeError> {
    let product = |levels: &Vec<u16>| levels.iter().try_fold(1u64, |n, &l| n.checked_mul(l.into()));
    let fits =
        |l: &Vec<u16>| !l.is_empty() && product(l).is_some() && l.iter().all(|n| (2..=256).contains(n));
    if levels.iter().all(fits) {
        return Ok(());
    }
    Err(EncodeError::Request(
        "levels are numbers from 2 to 256, at least one for each token, below 2^64 together".into(),
    ))
}

fn read(path: &Path) -> Result<Vec<Vec<u16>>, EncodeError> {
    let text = std::fs::read_to_string(path).map_err(EncodeError::io("read", path))?;
    serde_json::from_str(&text).map_err(|e| {
        EncodeError::Request(format!(
            "{}: a list of levels for each token of a position: {e}",
            path.display()
        ))
    })
}
