//! What a pickle says, read as data: nothing that it names is looked up, called or imported.
//!
//! A reader of its own, since those to be had do something else: `serde-pickle` has no persistent ids, which are what storages are,
//! and drops what it cannot resolve; those of the deep-learning crates bring the whole crate along. A call whose target is one of the few that
//! PyTorch's state dicts are made with becomes what it stands for (`calls.rs`); any other becomes an object.

use std::collections::HashMap;
use std::rc::Rc;

/// Most opcodes.
const MAX_STEPS: usize = 1 << 25;
/// Most objects, memo entries, and values on the stack.
const MAX_OBJECTS: usize = 1 << 22;
/// Longest name of a global, in bytes.
const MAX_GLOBAL: usize = 1024;

/// A value of a pickle.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `None`, or a value that no tensor depends on: a float, bytes, a long integer.
    Other,
    Bool(bool),
    Int(i64),
    Text(Rc<str>),
    /// Something of a module: `module name`.
    Global(Rc<str>),
    /// Index into [`Pickle::nodes`].
    Node(usize),
}

/// A value that holds others.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Tuple(Vec<Value>),
    /// A list or a set.
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// What a call or class that is not known would give.
    Object {
        class: Rc<str>,
        args: Value,
        state: Value,
    },
    /// A storage, by its persistent id.
    Storage(Value),
    /// A tensor.
    Tensor(View),
}

/// A view of a storage, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// Index of the [`Node::Storage`].
    pub(super) storage: usize,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
    /// The element type, where the tensor says it and not its storage.
    pub(super) dtype: Option<Rc<str>>,
    /// Whether its values are the storage's bytes: not negated or conjugated.
    pub(super) plain: bool,
}

/// Why a pickle is not read. Offsets count from its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// It breaks off.
    #[error("the pickle ends early, at byte {0}")]
    Truncated(usize),
    /// An opcode that is not known, or not allowed.
    #[error("opcode {opcode:#04x} of the pickle, at byte {at}, is not understood")]
    Opcode {
        /// The opcode.
        opcode: u8,
        /// Where it is.
        at: usize,
    },
    /// What an opcode needs is not there.
    #[error("bad pickle at byte {at}: {reason}")]
    Invalid {
        /// Where the opcode is.
        at: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) nodes: Vec<Node>,
    pub(super) root: Value,
    /// Bytes up to its end.
    pub(super) len: usize,
}

impl Pickle {
    /// Reads the pickle at the start of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, PickleError> {
        let mut machine = Machine {
            bytes,
            at: 0,
            op_at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        for _ in 0..MAX_STEPS {
            if let Some(root) = machine.step()? {
                return Ok(Self { nodes: machine.nodes, root, len: machine.at });
            }
        }
        Err(machine.invalid("too many opcodes"))
    }

    pub(super) fn node(&self, value: &Value) -> Option<&Node> {
        node_of(&self.nodes, value)
    }

    /// The values of a tuple or list.
    pub(super) fn items(&self, value: &Value) -> Option<&[Value]> {
        items_of(&self.nodes, value)
    }
}

pub(super) fn node_of<'a>(nodes: &'a [Node], value: &Value) -> Option<&'a Node> {
    match value {
        Value::Node(index) => nodes.get(*index),
        _ => None,
    }
}

pub(super) fn items_of<'a>(nodes: &'a [Node], value: &Value) -> Option<&'a [Value]> {
    match node_of(nodes, value)? {
        Node::Tuple(items) | Node::List(items) => Some(items),
        _ => None,
    }
}

type Step<T> = Result<T, PickleError>;

/// The stack machine, up to a limit of everything.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    op_at: usize,
    nodes: Vec<Node>,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

impl Machine<'_> {
    fn invalid(&self, reason: &'static str) -> PickleError {
        PickleError::Invalid { at: self.op_at, reason }
    }

    fn take(&mut self, count: usize) -> Step<&[u8]> {
        let all = self.bytes;
        let end = self.at.checked_add(count).filter(|end| *end <= all.len());
        let bytes = end.and_then(|end| all.get(self.at..end)).ok_or(PickleError::Truncated(all.len()))?;
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u8(&mut self) -> Step<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Step<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A length of `width` bytes, and as many bytes.
    fn counted(&mut self, width: usize) -> Step<&[u8]> {
        let mut len = [0; 8];
        len.iter_mut().zip(self.take(width)?).for_each(|(to, from)| *to = *from);
        let len =
            usize::try_from(u64::from_le_bytes(len)).map_err(|_| self.invalid("a length over memory"))?;
        self.take(len)
    }

    fn line(&mut self) -> Step<&str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|b| *b == b'\n').ok_or(PickleError::Truncated(self.bytes.len()))?;
        let invalid = self.invalid("text that is not UTF-8");
        let line = self.take(len + 1)?;
        std::str::from_utf8(line.get(..len).unwrap_or_default()).map_err(|_| invalid)
    }

    fn push(&mut self, value: Value) -> Step<()> {
        if self.stack.len() >= MAX_OBJECTS {
            return Err(self.invalid("too many values on the stack"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn make(&mut self, node: Node) -> Step<Value> {
        if self.nodes.len() >= MAX_OBJECTS {
            return Err(self.invalid("too many objects"));
        }
        self.nodes.push(node);
        Ok(Value::Node(self.nodes.len() - 1))
    }

    fn push_node(&mut self, node: Node) -> Step<()> {
        let value = self.make(node)?;
        self.push(value)
    }

    fn push_text(&mut self, width: usize) -> Step<()> {
        let invalid = self.invalid("text that is not UTF-8");
        let text: Rc<str> = std::str::from_utf8(self.counted(width)?).map_err(|_| invalid)?.into();
        self.push(Value::Text(text))
    }

    fn pop(&mut self) -> Step<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let invalid = self.invalid("a value is missing on the stack");
        if self.stack.len() <= floor {
            return Err(invalid);
        }
        self.stack.pop().ok_or(invalid)
    }

    /// The values above the last mark, which goes away.
    fn marked(&mut self) -> Step<Vec<Value>> {
        let mark = self.marks.pop().ok_or(self.invalid("there is no mark"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn top(&self) -> Step<&Value> {
        self.stack.last().ok_or(self.invalid("the stack is empty"))
    }

    fn top_node(&mut self) -> Step<Option<&mut Node>> {
        let index = match self.top()? {
            Value::Node(index) => *index,
            _ => return Ok(None),
        };
        Ok(self.nodes.get_mut(index))
    }

    fn put(&mut self, key: u32) -> Step<()> {
        let value = self.top()?.clone();
        if self.memo.len() >= MAX_OBJECTS {
            return Err(self.invalid("too many memo entries"));
        }
        self.memo.insert(key, value);
        Ok(())
    }

    fn get(&mut self, key: u32) -> Step<()> {
        let value = self.memo.get(&key).cloned().ok_or(self.invalid("a memo entry that is not there"))?;
        self.push(value)
    }

    fn number<T: std::str::FromStr>(&mut self) -> Step<T> {
        let invalid = self.invalid("a number that is none");
        self.line()?.trim().parse().map_err(|_| invalid)
    }

    /// One opcode; the value of the pickle when it is the last.
    fn step(&mut self) -> Step<Option<Value>> {
        self.op_at = self.at;
        let opcode = self.u8()?;
        match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => drop(self.u8()?),
            0x95 => drop(self.array::<8>()?),
            b'(' => {
                if self.marks.len() >= MAX_OBJECTS {
                    return Err(self.invalid("too many marks"));
                }
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.marked()?),
            b'2' => {
                let value = self.top()?.clone();
                self.push(value)?;
            }
            b'q' => {
                let key = self.u8()?;
                self.put(key.into())?;
            }
            b'r' => {
                let key = self.u32()?;
                self.put(key)?;
            }
            b'p' => {
                let key = self.number()?;
                self.put(key)?;
            }
            0x94 => self.put(self.memo.len() as u32)?,
            b'h' => {
                let key = self.u8()?;
                self.get(key.into())?;
            }
            b'j' => {
                let key = self.u32()?;
                self.get(key)?;
            }
            b'g' => {
                let key = self.number()?;
                self.get(key)?;
            }
            _ => self.build(opcode)?,
        }
        Ok(None)
    }

    /// Opcodes that make or fill containers and objects.
    fn build(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            b'}' => self.push_node(Node::Dict(Vec::new())),
            b']' | 0x8f => self.push_node(Node::List(Vec::new())),
            b')' => self.push_node(Node::Tuple(Vec::new())),
            b't' => {
                let items = self.marked()?;
                self.push_node(Node::Tuple(items))
            }
            b'l' | 0x91 => {
                let items = self.marked()?;
                self.push_node(Node::List(items))
            }
            0x85..=0x87 => {
                let mut items = vec![self.pop()?];
                for _ in 0x85..opcode {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push_node(Node::Tuple(items))
            }
            b'd' => {
                let items = self.marked()?;
                let pairs = self.pairs(items)?;
                self.push_node(Node::Dict(pairs))
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' | 0x90 => {
                let items = self.marked()?;
                self.append(items)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![(key, value)])
            }
            b'u' => {
                let items = self.marked()?;
                let pairs = self.pairs(items)?;
                self.set_items(pairs)
            }
            b'b' => {
                let new = self.pop()?;
                if let Some(Node::Object { state, .. }) = self.top_node()? {
                    *state = new;
                }
                Ok(())
            }
            b'R' | 0x81 => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.call(&class, args)
            }
            0x92 => {
                let (_, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(&class, args)
            }
            b'o' => {
                let mut items = self.marked()?;
                if items.is_empty() {
                    return Err(self.invalid("a class is missing on the stack"));
                }
                let class = items.remove(0);
                let args = self.make(Node::Tuple(items))?;
                self.call(&class, args)
            }
            b'i' => {
                let class = self.global_lines()?;
                let items = self.marked()?;
                let args = self.make(Node::Tuple(items))?;
                self.call(&class, args)
            }
            b'Q' => {
                let id = self.pop()?;
                self.push_node(Node::Storage(id))
            }
            _ => self.scalar(opcode),
        }
    }

    /// Opcodes of values that hold no others.
    fn scalar(&mut self, opcode: u8) -> Step<()> {
        let value = match opcode {
            b'c' => self.global_lines()?,
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(name), Value::Text(module)) = (name, module) else {
                    return Err(self.invalid("the name of a global is not text"));
                };
                // Short, as one text may be named many times over.
                if module.len() + name.len() > MAX_GLOBAL {
                    return Err(self.invalid("the name of a global is too long"));
                }
                Value::Global(format!("{module} {name}").into())
            }
            b'X' => return self.push_text(4),
            0x8c => return self.push_text(1),
            0x8d => return self.push_text(8),
            b'V' => Value::Text(self.line()?.into()),
            b'N' => Value::Other,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(self.array().map(i32::from_le_bytes)?.into()),
            b'K' => Value::Int(self.u8()?.into()),
            b'M' => Value::Int(self.array().map(u16::from_le_bytes)?.into()),
            0x8a => long(self.counted(1)?),
            0x8b => long(self.counted(4)?),
            b'I' => match self.line()? {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                other => other.trim().parse().map_or(Value::Other, Value::Int),
            },
            b'L' => self.line()?.trim_end_matches('L').parse().map_or(Value::Other, Value::Int),
            b'F' => self.line().map(|_| Value::Other)?,
            b'G' => self.array::<8>().map(|_| Value::Other)?,
            // Python 2 wrote names as byte strings.
            b'U' => text(self.counted(1)?),
            b'T' => text(self.counted(4)?),
            b'S' => {
                let line = self.line()?;
                text(line.get(1..line.len().saturating_sub(1)).unwrap_or_default().as_bytes())
            }
            b'B' => self.counted(4).map(|_| Value::Other)?,
            b'C' => self.counted(1).map(|_| Value::Other)?,
            0x8e | 0x96 => self.counted(8).map(|_| Value::Other)?,
            _ => return Err(PickleError::Opcode { opcode, at: self.op_at }),
        };
        self.push(value)
    }

    fn global_lines(&mut self) -> Step<Value> {
        let module = self.line()?.to_owned();
        let name = self.line()?;
        Ok(Value::Global(format!("{module} {name}").into()))
    }

    fn pairs(&self, items: Vec<Value>) -> Step<Vec<(Value, Value)>> {
        if !items.len().is_multiple_of(2) {
            return Err(self.invalid("a key without a value"));
        }
        let mut items = items.into_iter();
        Ok(std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect())
    }

    fn append(&mut self, mut new: Vec<Value>) -> Step<()> {
        match self.top_node()? {
            Some(Node::List(items)) => items.append(&mut new),
            // What an unknown class does with it is not known; its tensors are found all the same.
            Some(Node::Object { .. }) => {
                let list = self.make(Node::List(new))?;
                self.extend_state(list)?;
            }
            _ => return Err(self.invalid("appending to what is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, mut new: Vec<(Value, Value)>) -> Step<()> {
        match self.top_node()? {
            Some(Node::Dict(pairs)) => pairs.append(&mut new),
            Some(Node::Object { .. }) => {
                let dict = self.make(Node::Dict(new))?;
                self.extend_state(dict)?;
            }
            _ => return Err(self.invalid("setting items of what is no dict")),
        }
        Ok(())
    }

    /// Adds items to the object on top, unless it has a state of its own.
    fn extend_state(&mut self, items: Value) -> Step<()> {
        if let Some(Node::Object { state: state @ Value::Other, .. }) = self.top_node()? {
            *state = items;
        }
        Ok(())
    }

    fn call(&mut self, class: &Value, args: Value) -> Step<()> {
        let name: Rc<str> = match class {
            Value::Global(name) => Rc::clone(name),
            _ => "".into(),
        };
        let value = match super::calls::known(&self.nodes, &name, &args) {
            Some(super::calls::Made::Value(value)) => value,
            Some(super::calls::Made::Node(node)) => self.make(node)?,
            None => self.make(Node::Object { class: name, args, state: Value::Other })?,
        };
        self.push(value)
    }
}

/// A little-endian integer in two's complement; [`Value::Other`] if it is wide.
fn long(bytes: &[u8]) -> Value {
    let Some((last, _)) = bytes.split_last() else { return Value::Int(0) };
    if bytes.len() > 8 {
        return Value::Other;
    }
    let mut all = [if *last >= 0x80 { 0xFF } else { 0 }; 8];
    all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Value::Int(i64::from_le_bytes(all))
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or(Value::Other, |text| Value::Text(text.into()))
}
