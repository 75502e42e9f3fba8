//! Reads the pickles inside PyTorch's files. Nothing in them is executed: the reader can build numbers, strings,
//! containers and descriptions of tensors, and refuses every other opcode and every other global by name.
//!
//! Source of the opcodes: the comments of CPython's `pickletools.py`. Values lie in one list and refer to each other by
//! number, so that neither deep nesting nor a cycle costs stack.

use std::collections::HashMap;

use safetensors::Dtype;

/// Largest pickle that is read, bytes; that of ViT-bigG with its optimizer has less than one million.
pub(super) const LARGEST: usize = 1 << 24;

/// Most values in a pickle.
const MOST_NODES: usize = 1 << 20;

/// Deepest nesting of containers under construction.
const DEEPEST: usize = 256;

/// Most axes of a tensor.
const MOST_AXES: usize = 16;

/// Most arguments of a call: PyTorch's own have up to eight. A tuple may be shared by any number of calls, so that a longer
/// one could be walked again and again.
const MOST_ARGUMENTS: usize = 16;

/// Number of a value.
pub(super) type Id = usize;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i128),
    Text(&'a str),
    /// What no checkpoint's tensors depend on: a floating-point number, bytes, a number format, a device.
    Other,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Set,
    Callable(Callable),
    Storage(Storage<'a>),
    Tensor(Tensor<'a>),
    /// An object of a TorchScript class, with the dictionary of its attributes once it is there.
    Object(Option<Id>),
}

/// The globals that may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callable {
    OrderedDict,
    Set,
    RebuildTensor,
    RebuildParameter,
    /// A tensor with attributes of its own, by the function and the arguments that rebuild it.
    RebuildFromType,
    /// A call whose result no tensor depends on.
    Opaque,
    Counter,
    /// `torch.Size`, of a tuple.
    Size,
    /// TorchScript's marks of a list's type, which give the list itself.
    Identity,
    Storage(Dtype),
    ScriptClass,
}

/// A run of numbers in a file of its own, or in the rest of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub(super) dtype: Dtype,
    pub(super) key: &'a str,
    pub(super) elements: usize,
}

/// A strided view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensor<'a> {
    pub(super) storage: Storage<'a>,
    /// Elements in front of the first.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// What a pickle holds.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
    /// Bytes up to and including its last opcode.
    pub(super) length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the beginning of `bytes`. With `script`, TorchScript's classes are allowed, whose objects
    /// become dictionaries of attributes.
    ///
    /// # Errors
    /// The reason, by name.
    pub(super) fn read(bytes: &'a [u8], script: bool) -> Result<Pickle<'a>, String> {
        if bytes.len() > LARGEST {
            return Err(format!("its pickle has {} bytes; at most {LARGEST} are read", bytes.len()));
        }
        let mut machine = Machine { rest: bytes, script, ..Machine::default() };
        loop {
            if let Some(root) = machine.step()? {
                let length = bytes.len() - machine.rest.len();
                return Ok(Pickle { nodes: machine.nodes, root, length });
            }
        }
    }

    /// The outermost value.
    pub(super) fn root(&self) -> &Node<'a> {
        self.get(self.root)
    }

    pub(super) fn get(&self, id: Id) -> &Node<'a> {
        self.nodes.get(id).unwrap_or(&Node::None)
    }

    /// The value under a string in a dictionary, the last one where there are several.
    pub(super) fn entry(&self, dict: &[(Id, Id)], key: &str) -> Option<&Node<'a>> {
        let found = dict.iter().rev().find(|(name, _)| matches!(self.get(*name), Node::Text(t) if *t == key));
        found.map(|&(_, value)| self.get(value))
    }
}

#[derive(Default)]
struct Machine<'a> {
    rest: &'a [u8],
    script: bool,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    /// Runs one opcode; the result, when it was the last.
    fn step(&mut self) -> Result<Option<Id>, String> {
        let opcode = self.bytes(1)?[0];
        match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => {
                let protocol = self.number(1)?;
                if protocol > 5 {
                    return Err(format!("its pickle is of protocol {protocol}; up to 5 are known"));
                }
            }
            0x95 => drop(self.bytes(8)?), // the length of a frame
            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'J' => {
                let value = self.number(4)? as u32 as i32;
                self.push(Node::Int(value.into()))?;
            }
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            0x8a => self.long()?,
            b'G' => {
                self.bytes(8)?;
                self.push(Node::Other)?;
            }
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            // Strings of Python 2.
            b'T' => self.text(4)?,
            b'U' => self.text(1)?,
            b'B' => self.skip_bytes(4)?,
            b'C' => self.skip_bytes(1)?,
            0x8e | 0x96 => self.skip_bytes(8)?,
            b'(' => {
                if self.marks.len() == DEEPEST {
                    return Err(format!("its pickle is nested more than {DEEPEST} deep"));
                }
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = *self.stack.last().ok_or_else(underflow)?;
                self.stack.push(top);
            }
            b')' => self.push(Node::Tuple(vec![]))?,
            0x85..=0x87 => {
                let n = usize::from(opcode - 0x84);
                let at = self.stack.len().checked_sub(n).ok_or_else(underflow)?;
                let items = self.stack.split_off(at);
                self.push(Node::Tuple(items))?;
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(Node::Tuple(items))?;
            }
            b']' => self.push(Node::List(vec![]))?,
            b'l' => {
                let items = self.since_mark()?;
                self.push(Node::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.extend(&items)?;
            }
            b'}' => self.push(Node::Dict(vec![]))?,
            b'd' => {
                let items = self.since_mark()?;
                self.push(Node::Dict(vec![]))?;
                self.insert(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.insert(&items)?;
            }
            0x8f => self.push(Node::Set)?,
            0x90 => {
                self.since_mark()?;
                self.top_is("a set", |node| matches!(node, Node::Set))?;
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            0x94 => {
                let index = self.memo.len();
                self.remember(index)?;
            }
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module], &self.nodes[name]) {
                    (&Node::Text(module), &Node::Text(name)) => self.global(module, name)?,
                    _ => return Err("its pickle names a global by something else than strings".to_owned()),
                }
            }
            b'Q' => self.persistent()?,
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let made = self.call(callable, arguments)?;
                self.push(made)?;
            }
            b'b' => self.build()?,
            other => {
                return Err(format!(
                    "its pickle asks for opcode {other:#04x} ({}), which builds neither tensors nor containers: nothing \
                     of it was run",
                    opcode_name(other)
                ));
            }
        }
        Ok(None)
    }

    fn bytes(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or("its pickle is cut off")?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned little-endian number of `width` bytes, at most 8.
    fn number(&mut self, width: usize) -> Result<u64, String> {
        Ok(self.bytes(width)?.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte)))
    }

    fn length(&mut self, width: usize) -> Result<usize, String> {
        usize::try_from(self.number(width)?).map_err(|_| "its pickle is cut off".to_owned())
    }

    fn line(&mut self) -> Result<&'a str, String> {
        /// Longest name of a global's module or of a global.
        const LONGEST: usize = 1000;
        let end = self.rest.iter().take(LONGEST).position(|&b| b == b'\n').ok_or("its pickle is cut off")?;
        let line = self.bytes(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| "its pickle has a name that is not UTF-8".to_owned())
    }

    fn int(&mut self, width: usize) -> Result<(), String> {
        let value = self.number(width)?;
        self.push(Node::Int(value.into()))
    }

    /// A signed number of up to 16 bytes.
    fn long(&mut self) -> Result<(), String> {
        let width = self.length(1)?;
        let bytes = self.bytes(width)?;
        if width > 16 {
            return Err(format!("its pickle has an integer of {width} bytes"));
        }
        let negative = bytes.last().is_some_and(|&b| b >= 0x80);
        let start = if negative { -1i128 } else { 0 };
        let value = bytes.iter().rev().fold(start, |n, &byte| n << 8 | i128::from(byte));
        self.push(Node::Int(value))
    }

    fn text(&mut self, width: usize) -> Result<(), String> {
        let length = self.length(width)?;
        let text = std::str::from_utf8(self.bytes(length)?);
        self.push(Node::Text(text.map_err(|_| "its pickle has a string that is not UTF-8")?))
    }

    fn skip_bytes(&mut self, width: usize) -> Result<(), String> {
        let length = self.length(width)?;
        self.bytes(length)?;
        self.push(Node::Other)
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), String> {
        if self.nodes.len() == MOST_NODES {
            return Err(format!("its pickle has more than {MOST_NODES} values"));
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    /// The topmost value above the last mark.
    fn pop(&mut self) -> Result<Id, String> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(underflow());
        }
        self.stack.pop().ok_or_else(underflow)
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("its pickle closes a container that it did not open")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn top(&mut self) -> Result<&mut Node<'a>, String> {
        let &top = self.stack.last().ok_or_else(underflow)?;
        self.nodes.get_mut(top).ok_or_else(underflow)
    }

    fn top_is(&mut self, what: &str, is: impl Fn(&Node<'a>) -> bool) -> Result<(), String> {
        if is(self.top()?) { Ok(()) } else { Err(format!("its pickle adds to something that is not {what}")) }
    }

    fn extend(&mut self, items: &[Id]) -> Result<(), String> {
        match self.top()? {
            Node::List(list) => list.extend_from_slice(items),
            _ => return Err("its pickle appends to something that is not a list".to_owned()),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Id]) -> Result<(), String> {
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err("its pickle has a key without a value".to_owned());
        };
        match self.top()? {
            Node::Dict(dict) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err("its pickle sets items of something that is not a dictionary".to_owned()),
        }
        Ok(())
    }

    fn put(&mut self, width: usize) -> Result<(), String> {
        let index = self.length(width)?;
        self.remember(index)
    }

    fn remember(&mut self, index: usize) -> Result<(), String> {
        let &top = self.stack.last().ok_or_else(underflow)?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn get(&mut self, width: usize) -> Result<(), String> {
        let index = self.length(width)?;
        let &id =
            self.memo.get(&index).ok_or_else(|| format!("its pickle has nothing in its memo at {index}"))?;
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let callable = match (module, name) {
            ("collections", "OrderedDict") => Callable::OrderedDict,
            ("builtins" | "__builtin__", "set") => Callable::Set,
            ("torch", "Size") => Callable::Size,
            ("torch._utils", "_rebuild_tensor_v2") => Callable::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Callable::RebuildParameter
            }
            ("torch._tensor", "_rebuild_from_type_v2") => Callable::RebuildFromType,
            ("torch", "Tensor" | "device")
            | ("torch.nn.parameter", "Parameter")
            | ("_codecs", "encode") // bytes, in Python 2's pickles
            | (
                "torch",
                "float16" | "bfloat16" | "float32" | "float64" | "int8" | "int16" | "int32" | "int64" | "uint8"
                | "bool",
            ) => Callable::Opaque,
            ("collections", "Counter") => Callable::Counter,
            ("torch", "FloatStorage") => Callable::Storage(Dtype::F32),
            ("torch", "HalfStorage") => Callable::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Callable::Storage(Dtype::BF16),
            ("torch", "DoubleStorage") => Callable::Storage(Dtype::F64),
            ("torch", "LongStorage") => Callable::Storage(Dtype::I64),
            ("torch", "IntStorage") => Callable::Storage(Dtype::I32),
            ("torch", "ShortStorage") => Callable::Storage(Dtype::I16),
            ("torch", "CharStorage") => Callable::Storage(Dtype::I8),
            ("torch", "ByteStorage") => Callable::Storage(Dtype::U8),
            ("torch", "BoolStorage") => Callable::Storage(Dtype::BOOL),
            (
                "torch.jit._pickle",
                "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist"
                | "restore_type_tag",
            ) if self.script => Callable::Identity,
            (module, _) if self.script && (module == "__torch__" || module.starts_with("__torch__.")) => {
                Callable::ScriptClass
            }
            _ => {
                let (module, name) = (module.escape_debug(), name.escape_debug());
                return Err(format!(
                    "its pickle asks for {module:.200}.{name:.200}, which is neither a tensor nor a container: nothing of it was \
                     run. If you trust the file, save its state_dict alone"
                ));
            }
        };
        self.push(Node::Callable(callable))
    }

    /// A storage: `("storage", its type, key, device, elements)`, and behind them a view in old files.
    fn persistent(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let Node::Tuple(parts) = &self.nodes[id] else {
            return Err("its pickle refers to something outside that is no storage".to_owned());
        };
        let parts: Vec<&Node<'a>> = parts.iter().map(|&id| &self.nodes[id]).collect();
        let storage = match parts[..] {
            [
                &Node::Text("storage"),
                &Node::Callable(Callable::Storage(dtype)),
                &Node::Text(key),
                _,
                &Node::Int(elements),
            ]
            | [
                &Node::Text("storage"),
                &Node::Callable(Callable::Storage(dtype)),
                &Node::Text(key),
                _,
                &Node::Int(elements),
                &Node::None,
            ] => Storage { dtype, key, elements: size(elements)? },
            _ => return Err("its pickle refers to something outside that is no plain storage".to_owned()),
        };
        self.push(Node::Storage(storage))
    }

    /// What one of the allowed globals makes of a tuple of arguments.
    fn call(&self, callable: Id, arguments: Id) -> Result<Node<'a>, String> {
        let Node::Callable(callable) = self.nodes[callable] else {
            return Err("its pickle calls something that is no global: nothing of it was run".to_owned());
        };
        let Node::Tuple(ids) = &self.nodes[arguments] else {
            return Err("its pickle calls a global without a tuple of arguments".to_owned());
        };
        if ids.len() > MOST_ARGUMENTS {
            return Err(format!("its pickle calls {callable:?} with {} arguments", ids.len()));
        }
        if let (Callable::RebuildFromType, &[function, _, inner, _]) = (callable, ids.as_slice())
            && let Node::Callable(Callable::RebuildTensor | Callable::RebuildParameter) = self.nodes[function]
        {
            return self.call(function, inner);
        }
        let arguments: Vec<&Node<'a>> = ids.iter().map(|&id| &self.nodes[id]).collect();
        match (callable, &arguments[..]) {
            (Callable::OrderedDict, []) => Ok(Node::Dict(vec![])),
            (Callable::Set, [] | [Node::List(_)]) => Ok(Node::Set),
            (Callable::Counter, [] | [Node::Dict(_)]) => Ok(Node::Dict(vec![])),
            (Callable::Opaque, _) => Ok(Node::Other),
            // A copy, so it has to be small.
            (Callable::Size, [Node::Tuple(sizes)]) if sizes.len() <= MOST_AXES => {
                Ok(Node::Tuple(sizes.clone()))
            }
            // TorchScript's lists hold no module, so that what is in them does not matter.
            (Callable::Identity, [Node::List(_), ..]) => Ok(Node::List(vec![])),
            (Callable::Identity, [Node::Dict(_), ..]) => Ok(Node::Dict(vec![])),
            (Callable::ScriptClass, []) => Ok(Node::Object(None)),
            (
                Callable::RebuildTensor,
                &[
                    Node::Storage(storage),
                    &Node::Int(offset),
                    Node::Tuple(shape),
                    Node::Tuple(strides),
                    _,
                    _,
                    ..,
                ],
            ) => {
                let sizes = |ids: &[Id]| -> Result<Vec<usize>, String> {
                    if ids.len() > MOST_AXES {
                        return Err(format!("its pickle has a tensor of {} axes", ids.len()));
                    }
                    let number = |&id: &Id| match self.nodes[id] {
                        Node::Int(n) => size(n),
                        _ => Err("its pickle has a tensor whose sizes are no integers".to_owned()),
                    };
                    ids.iter().map(number).collect()
                };
                let (shape, strides) = (sizes(shape)?, sizes(strides)?);
                Ok(Node::Tensor(Tensor { storage: storage.clone(), offset: size(offset)?, shape, strides }))
            }
            (Callable::RebuildParameter, [Node::Tensor(tensor), ..]) => Ok(Node::Tensor(tensor.clone())),
            _ => Err(format!("its pickle calls {callable:?} with arguments that are not understood")),
        }
    }

    /// Gives an object its attributes. Those of an ordered dictionary, PyTorch's `_metadata`, do not matter.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let state_is_dict = matches!(self.nodes[state], Node::Dict(_));
        match self.top()? {
            Node::Object(attributes) if state_is_dict => *attributes = Some(state),
            Node::Dict(_) if state_is_dict => {}
            _ => return Err("its pickle sets the state of something that has none".to_owned()),
        }
        Ok(())
    }
}

fn underflow() -> String {
    "its pickle takes more values than it has made".to_owned()
}

fn size(n: i128) -> Result<usize, String> {
    usize::try_from(n).map_err(|_| format!("its pickle has a size of {n}"))
}

/// Names of opcodes that pickles may hold but checkpoints need not.
fn opcode_name(opcode: u8) -> &'static str {
    match opcode {
        b'i' => "INST",
        b'o' => "OBJ",
        b'P' => "PERSID",
        b'p' => "PUT",
        b'g' => "GET",
        b'I' => "INT",
        b'L' => "LONG",
        b'F' => "FLOAT",
        b'S' => "STRING",
        b'V' => "UNICODE",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        0x8b => "LONG4",
        0x91 => "FROZENSET",
        0x92 => "NEWOBJ_EX",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests;
