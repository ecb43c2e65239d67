//! The tensors of a pickle and their names.

use super::pickle::{Node, Pickle, Value};
use crate::import::safetensors::HeaderLimits;

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 200;
/// Most values that are looked at: an object may be reached on many ways.
const MAX_VISITS: usize = 1 << 23;
/// Most bytes of names together.
const MAX_NAMES: usize = 64 << 20;

/// A tensor's name, and the index of its node.
pub(super) type Named = (String, usize);

/// Every tensor that the pickled value holds, as often as it does, in its order. Keys are joined by dots, places in lists are numbers,
/// and what a module holds is named as in its state dict.
pub(super) fn tensors(pickle: &Pickle, limits: &HeaderLimits) -> Result<Vec<Named>, String> {
    let mut walk = Walk { pickle, limits, found: Vec::new(), visits: 0, name_bytes: 0 };
    walk.value(&pickle.root, &mut String::new(), 0)?;
    Ok(walk.found)
}

struct Walk<'a> {
    pickle: &'a Pickle,
    limits: &'a HeaderLimits,
    found: Vec<Named>,
    visits: usize,
    name_bytes: usize,
}

impl Walk<'_> {
    fn value(&mut self, value: &Value, path: &mut String, depth: usize) -> Result<(), String> {
        let Value::Node(index) = value else { return Ok(()) };
        self.visits += 1;
        if depth > MAX_DEPTH || self.visits > MAX_VISITS {
            return Err("its objects are nested too deeply, or hold each other too often".into());
        }
        let pickle = self.pickle;
        match pickle.nodes.get(*index) {
            Some(Node::Tensor(_)) => self.tensor(path, *index),
            Some(Node::Tuple(items) | Node::List(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.below(item, path, &at.to_string(), depth)?;
                }
                Ok(())
            }
            Some(Node::Dict(pairs)) => self.dict(pairs, path, depth, false),
            Some(Node::Object { args, state, .. }) => {
                self.value(args, path, depth + 1)?;
                match pickle.node(state) {
                    Some(Node::Dict(pairs)) => self.dict(pairs, path, depth, true),
                    _ => self.value(state, path, depth + 1),
                }
            }
            _ => Ok(()),
        }
    }

    fn dict(
        &mut self,
        pairs: &[(Value, Value)],
        path: &mut String,
        depth: usize,
        state: bool,
    ) -> Result<(), String> {
        for (at, (key, value)) in pairs.iter().enumerate() {
            match key {
                // What these hold is named as if the module held it.
                Value::Text(key) if state && matches!(&**key, "_parameters" | "_buffers" | "_modules") => {
                    self.value(value, path, depth + 1)?;
                }
                Value::Text(key) => self.below(value, path, key, depth)?,
                Value::Int(key) => self.below(value, path, &key.to_string(), depth)?,
                _ => self.below(value, path, &format!("key-{at}"), depth)?,
            }
        }
        Ok(())
    }

    fn below(&mut self, value: &Value, path: &mut String, step: &str, depth: usize) -> Result<(), String> {
        if !matches!(value, Value::Node(_)) {
            return Ok(());
        }
        let len = path.len();
        if len + step.len() >= self.limits.name_len {
            return Err("a name in it is too long".into());
        }
        if len > 0 {
            path.push('.');
        }
        path.push_str(step);
        self.value(value, path, depth + 1)?;
        path.truncate(len);
        Ok(())
    }

    fn tensor(&mut self, path: &str, index: usize) -> Result<(), String> {
        self.name_bytes += path.len();
        if self.found.len() >= self.limits.tensors || self.name_bytes > MAX_NAMES {
            return Err("it has too many tensors".into());
        }
        let name = if path.is_empty() { "tensor" } else { path };
        self.found.push((name.to_owned(), index));
        Ok(())
    }
}
