//! Reads the pickles inside PyTorch's files. Nothing in them is executed: the reader can build numbers, strings,
//! containers and descriptions of tensors, and refuses every other opcode and every other global by name.
//!
//! Source of the opcodes: the comments of CPython's `pickletools.py`. Values lie in one list and refer to each other by
//! number, so that neither deep nesting nor a cycle costs stack.

mod calls;
mod globals;
mod machine;
mod value;

use machine::Machine;

pub(super) use value::{Id, Node, Tensor};

/// Largest pickle that is read, bytes; that of ViT-bigG with its optimizer has less than one million.
pub(super) const LARGEST: usize = 1 << 24;

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
        let mut machine = Machine::new(bytes, script);
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

#[cfg(test)]
mod tests;
