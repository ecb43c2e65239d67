//! What a recipe says was done to a model.

use serde_json::Value;

/// A line for each pass of the record of a recipe.
pub(super) fn told(record: &Value) -> Vec<String> {
    record["passes"].as_array().into_iter().flatten().map(pass).collect()
}

fn pass(of: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let mut line = format!("pass {}", text(&of["pass"]));
    let parameters = of["parameters"].as_object().into_iter().flatten();
    let mut said: Vec<String> = parameters.map(|(key, value)| format!("{key} {}", text(value))).collect();
    said.extend(of["targets"].as_array().into_iter().flatten().map(|target| format!("of {}", text(target))));
    if let Some(seed) = of["seed"].as_u64() {
        said.push(format!("seed {seed}"));
    }
    if let Some(hash) = of["statistics"].as_str() {
        said.push(format!("statistics {}", hash.chars().take(16).collect::<String>()));
    }
    if !said.is_empty() {
        line = format!("{line}: {}", said.join(", "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn passes_are_told_line_by_line() {
        let record = serde_json::json!({ "passes": [
            { "pass": "lowrank", "targets": ["*v_proj*"], "parameters": { "rank": 24 }, "seed": 7 },
            { "pass": "quant", "parameters": { "bits": 3.5 }, "statistics": "0123456789abcdef0123" },
            { "pass": "other" },
        ]});
        let wanted = [
            "pass lowrank: rank 24, of *v_proj*, seed 7",
            "pass quant: bits 3.5, statistics 0123456789abcdef",
            "pass other",
        ];
        assert_eq!(told(&record), wanted);
        assert!(told(&serde_json::json!({ "passes": 3 })).is_empty());
    }
}
