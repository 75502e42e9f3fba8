//! What the calls in a pickle come to: tensors, containers, and the attributes of objects.

use super::machine::Machine;
use super::value::{Callable, Id, Node, Storage, Tensor};

/// Most axes of a tensor.
const MOST_AXES: usize = 16;

/// Most arguments of a call: PyTorch's own have up to eight. A tuple may be shared by any number of calls, so that a longer
/// one could be walked again and again.
const MOST_ARGUMENTS: usize = 16;

impl<'a> Machine<'a> {
    /// A storage: `("storage", its type, key, device, elements)`, and behind them a view in old files.
    pub(super) fn persistent(&mut self) -> Result<(), String> {
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
    pub(super) fn call(&self, callable: Id, arguments: Id) -> Result<Node<'a>, String> {
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
    pub(super) fn build(&mut self) -> Result<(), String> {
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

fn size(n: i128) -> Result<usize, String> {
    usize::try_from(n).map_err(|_| format!("its pickle has a size of {n}"))
}
