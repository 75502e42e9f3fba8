//! What a pickle is made of.

use safetensors::Dtype;

/// Number of a value.
pub(in crate::torch) type Id = usize;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::torch) enum Node<'a> {
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
pub(in crate::torch) enum Callable {
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
pub(in crate::torch) struct Storage<'a> {
    pub(in crate::torch) dtype: Dtype,
    pub(in crate::torch) key: &'a str,
    pub(in crate::torch) elements: usize,
}

/// A strided view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::torch) struct Tensor<'a> {
    pub(in crate::torch) storage: Storage<'a>,
    /// Elements in front of the first.
    pub(in crate::torch) offset: usize,
    pub(in crate::torch) shape: Vec<usize>,
    pub(in crate::torch) strides: Vec<usize>,
}
