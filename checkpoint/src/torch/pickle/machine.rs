//! Runs a pickle's opcodes: values are made, put together, and nothing else.

use std::collections::HashMap;

use super::globals::{global, opcode_name};
use super::value::{Id, Node};

/// Most values in a pickle.
pub(super) const MOST_NODES: usize = 1 << 20;

/// Deepest nesting of containers under construction.
pub(super) const DEEPEST: usize = 256;

#[derive(Default)]
pub(super) struct Machine<'a> {
    pub(super) rest: &'a [u8],
    script: bool,
    pub(super) nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8], script: bool) -> Machine<'a> {
        Machine { rest: bytes, script, ..Machine::default() }
    }

    /// Runs one opcode; the result, when it was the last.
    pub(super) fn step(&mut self) -> Result<Option<Id>, String> {
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
                self.push_global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module], &self.nodes[name]) {
                    (&Node::Text(module), &Node::Text(name)) => self.push_global(module, name)?,
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

    pub(super) fn push(&mut self, node: Node<'a>) -> Result<(), String> {
        if self.nodes.len() == MOST_NODES {
            return Err(format!("its pickle has more than {MOST_NODES} values"));
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    /// The topmost value above the last mark.
    pub(super) fn pop(&mut self) -> Result<Id, String> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(underflow());
        }
        self.stack.pop().ok_or_else(underflow)
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("its pickle closes a container that it did not open")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    pub(super) fn top(&mut self) -> Result<&mut Node<'a>, String> {
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

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), String> {
        self.push(Node::Callable(global(module, name, self.script)?))
    }
}

fn underflow() -> String {
    "its pickle takes more values than it has made".to_owned()
}
