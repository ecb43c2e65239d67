//! The calls that state dicts are made with, as what they stand for.

use super::pickle::{Node, Value, View, items_of, node_of};
use std::rc::Rc;

/// What a call gives.
pub(super) enum Made {
    Value(Value),
    Node(Node),
}

/// What calling `name` with the tuple `args` stands for; None if it is not known, or the arguments are not what it takes.
pub(super) fn known(nodes: &[Node], name: &str, args: &Value) -> Option<Made> {
    let args = items_of(nodes, args)?;
    match name {
        "collections OrderedDict" | "__builtin__ dict" | "builtins dict" => ordered_dict(nodes, args),
        "torch._utils _rebuild_parameter" | "torch._utils _rebuild_parameter_with_state" | "torch Size" => {
            Some(Made::Value(args.first()?.clone()))
        }
        // (function, type, arguments, state): a subclass of Tensor.
        "torch._tensor _rebuild_from_type_v2" | "torch._tensor _rebuild_from_type" => {
            match (args.first()?, args.get(2)?) {
                (Value::Global(inner), inner_args) if tensor_call(inner) => {
                    tensor(nodes, inner, items_of(nodes, inner_args)?).map(|t| Made::Node(Node::Tensor(t)))
                }
                _ => None,
            }
        }
        name if tensor_call(name) => tensor(nodes, name, args).map(|t| Made::Node(Node::Tensor(t))),
        _ => None,
    }
}

fn tensor_call(name: &str) -> bool {
    matches!(
        name,
        "torch._utils _rebuild_tensor"
            | "torch._utils _rebuild_tensor_v2"
            | "torch._utils _rebuild_tensor_v3"
            | "torch._utils _rebuild_qtensor"
    )
}

fn ordered_dict(nodes: &[Node], args: &[Value]) -> Option<Made> {
    let mut pairs = Vec::new();
    for item in args.first().map_or(Some(&[][..]), |list| items_of(nodes, list))? {
        match items_of(nodes, item)? {
            [key, value] => pairs.push((key.clone(), value.clone())),
            _ => return None,
        }
    }
    Some(Made::Node(Node::Dict(pairs)))
}

/// (storage, offset, shape, strides, requires grad, hooks, then: metadata of v2; dtype and metadata of v3).
fn tensor(nodes: &[Node], name: &str, args: &[Value]) -> Option<View> {
    let [storage, Value::Int(offset), shape, strides, ..] = args else { return None };
    let Value::Node(storage) = storage else { return None };
    if !matches!(nodes.get(*storage)?, Node::Storage(_)) {
        return None;
    }
    let v3 = name.ends_with("_v3");
    let dtype: Option<Rc<str>> = match args.get(6) {
        Some(Value::Global(name)) if v3 => Some(Rc::clone(name)),
        _ if v3 => return None,
        _ => None,
    };
    let metadata = if name.ends_with("_qtensor") { None } else { args.get(if v3 { 7 } else { 6 }) };
    let plain = match metadata.and_then(|value| node_of(nodes, value)) {
        Some(Node::Dict(pairs)) => !pairs.iter().any(|(_, value)| *value == Value::Bool(true)),
        _ => true,
    };
    let (shape, strides) = (sizes(nodes, shape)?, sizes(nodes, strides)?);
    if shape.len() != strides.len() {
        return None;
    }
    let offset = u64::try_from(*offset).ok()?;
    Some(View { storage: *storage, offset, shape, strides, dtype, plain })
}

fn sizes(nodes: &[Node], value: &Value) -> Option<Vec<u64>> {
    let size = |value: &Value| match value {
        Value::Int(size) => u64::try_from(*size).ok(),
        _ => None,
    };
    items_of(nodes, value)?.iter().map(size).collect()
}
