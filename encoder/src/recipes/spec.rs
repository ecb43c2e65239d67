//! What a user writes of a recipe: passes in the order in which they run.

use crate::quantise::{QuantiseOptions, Size};
use crate::{EncodeError, Result};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One step of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassSpec {
    /// Name of the pass, as [`super::passes`] lists them.
    pub pass: String,
    /// Patterns of names of tensors that it is for (`*` also spans dots); none: all that the pass can be for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Its parameters: numbers, texts or truth values.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// For what it draws at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// BLAKE3 of the statistics that it used, in hex; set by the encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<String>,
}

/// An ordered list of passes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The passes.
    pub passes: Vec<PassSpec>,
}

impl PassSpec {
    /// Reads the short form `PASS:KEY=VALUE,KEY=VALUE`: `target` (which may be given several times) and `seed` are the pass's own,
    /// all other keys its parameters.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if it is not of that form.
    pub fn parse(text: &str) -> Result<Self> {
        let fail = |why: &str| Err(EncodeError::Request(format!("recipe {text:?}: {why}")));
        let (pass, rest) = text.trim().split_once(':').unwrap_or((text.trim(), ""));
        let mut spec = Self {
            pass: pass.to_owned(),
            targets: Vec::new(),
            parameters: Map::new(),
            seed: None,
            statistics: None,
        };
        for part in rest.split(',').filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return fail("after the name of the pass come KEY=VALUE, divided by commas");
            };
            match key.trim() {
                "target" => spec.targets.push(value.trim().to_owned()),
                "seed" => match value.trim().parse() {
                    Ok(seed) => spec.seed = Some(seed),
                    Err(_) => return fail("the seed is no whole number"),
                },
                key => {
                    let parsed = serde_json::from_str(value.trim()).ok();
                    let plain = parsed.filter(|v: &Value| v.is_number() || v.is_boolean());
                    let value = plain.unwrap_or_else(|| value.trim().into());
                    if spec.parameters.insert(key.to_owned(), value).is_some() {
                        return fail("a parameter is given twice");
                    }
                }
            }
        }
        Ok(spec)
    }

    /// A number among the parameters.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if the parameter is no number.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.parameters.get(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => self.fail(&format!("{key} is a number, not {value}")),
            },
        }
    }

    /// A whole number among the parameters, at least 1.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if the parameter is none.
    pub fn count(&self, key: &str) -> Result<Option<u64>> {
        match self.parameters.get(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().filter(|n| *n > 0) {
                Some(number) => Ok(Some(number)),
                None => self.fail(&format!("{key} is a whole number above 0, not {value}")),
            },
        }
    }

    /// A truth value among the parameters.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if the parameter is none.
    pub fn truth(&self, key: &str) -> Result<Option<bool>> {
        match self.parameters.get(key) {
            None => Ok(None),
            Some(value) => match value.as_bool() {
                Some(truth) => Ok(Some(truth)),
                None => self.fail(&format!("{key} is true or false, not {value}")),
            },
        }
    }

    /// One of some words among the parameters; the first if it is not there.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if it is none of them.
    pub fn word(&self, key: &str, words: &[&'static str]) -> Result<&'static str> {
        let first = words.first().copied().unwrap_or_default();
        let Some(value) = self.parameters.get(key) else { return Ok(first) };
        match words.iter().find(|word| value.as_str() == Some(**word)) {
            Some(word) => Ok(word),
            None => self.fail(&format!("{key} is one of {}, not {value}", words.join(", "))),
        }
    }

    /// An error about the pass.
    pub(crate) fn fail<T>(&self, why: &str) -> Result<T> {
        Err(EncodeError::Request(format!("pass {:?}: {why}", self.pass)))
    }

    /// What its patterns match; without patterns what `otherwise` does.
    pub(crate) fn globs(&self, otherwise: &[&str]) -> Result<GlobSet> {
        let own: Vec<&str> = self.targets.iter().map(String::as_str).collect();
        let patterns = if own.is_empty() { otherwise } else { &own };
        let mut all = GlobSetBuilder::new();
        for pattern in patterns {
            let glob = GlobBuilder::new(pattern).build();
            all.add(glob.map_err(|e| EncodeError::Request(format!("pattern {pattern:?}: {e}")))?);
        }
        all.build().map_err(|e| EncodeError::Request(e.to_string()))
    }
}

impl Recipe {
    /// Reads a recipe file: the JSON of a record of the schema `recipe`, or the short form, one pass a line; lines that begin with `#`
    /// are left out.
    ///
    /// # Errors
    /// [`EncodeError::Request`] if it is neither.
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|e| EncodeError::Request(format!("recipe: {e}")));
        }
        let lines = (1..).zip(text.lines().map(str::trim));
        let pass = |(number, line): (usize, &str)| {
            PassSpec::parse(line).map_err(|e| EncodeError::Request(format!("line {number}: {e}")))
        };
        let passes = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(pass);
        Ok(Self { passes: passes.collect::<Result<_>>()? })
    }

    /// The recipe of which the pass `quant` alone does the same.
    pub(crate) fn quantising(quantise: &QuantiseOptions) -> Result<Self> {
        let size = match quantise.size {
            Size::BitsPerWeight(bits) => format!("bits={bits}"),
            Size::Bytes(bytes) => format!("max-bytes={bytes}"),
        };
        let columns = quantise.method.column_run.map(|n| format!(",columns={n}")).unwrap_or_default();
        let feedback = if quantise.method.feedback { "" } else { ",feedback=false" };
        Ok(Self { passes: vec![PassSpec::parse(&format!("quant:{size}{columns}{feedback}"))?] })
    }

    /// Says that all passes used statistics of this BLAKE3, in hex.
    pub(crate) fn used(&mut self, statistics: &str) {
        self.passes.iter_mut().for_each(|spec| spec.statistics = Some(statistics.to_owned()));
    }

    /// The JSON of its record.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| EncodeError::Request(format!("recipe: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::{PassSpec, Recipe};

    #[test]
    fn short_and_long_forms_say_the_same() {
        let short = "# a comment\nlowrank:rank=24,block=32,target=*v_proj*,target=*o_proj*\n\nquant:bits=3.5,seed=7\n";
        let recipe = Recipe::parse(short).expect("it is read");
        assert_eq!(recipe.passes[0].targets, ["*v_proj*", "*o_proj*"]);
        assert_eq!(recipe.passes[0].count("rank").expect("a count"), Some(24));
        assert_eq!(recipe.passes[1].seed, Some(7));
        let json = String::from_utf8(recipe.to_json().expect("JSON")).expect("text");
        assert_eq!(Recipe::parse(&json).expect("it is read again"), recipe);
    }

    #[test]
    fn what_is_no_recipe_is_refused() {
        for bad in
            ["lowrank:rank", "quant:seed=x", "prune:ratio=1,ratio=2", "{\"passes\": 3}", "{\"pass\": []}"]
        {
            assert!(Recipe::parse(bad).is_err(), "{bad}");
        }
        let error = Recipe::parse("# one\n\nprune:ratio=0.1\nquant:seed=x\n").unwrap_err().to_string();
        assert!(error.contains("line 4") && error.contains("seed"), "{error}");
        let spec = PassSpec::parse("prune:ratio=much,axis=5").expect("the form is right");
        assert!(spec.number("ratio").is_err() && spec.word("axis", &["rows", "columns"]).is_err());
    }
}
