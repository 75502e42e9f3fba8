//! The globals that a pickle may name, and the opcodes that it may not.

use safetensors::Dtype;

use super::value::Callable;

/// What a global stands for; with `script`, TorchScript's are known too.
///
/// # Errors
/// The global, by name, when it builds neither tensors nor containers.
pub(super) fn global(module: &str, name: &str, script: bool) -> Result<Callable, String> {
    Ok(match (module, name) {
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
        ) if script => Callable::Identity,
        (module, _) if script && (module == "__torch__" || module.starts_with("__torch__.")) => {
            Callable::ScriptClass
        }
        _ => {
            let (module, name) = (module.escape_debug(), name.escape_debug());
            return Err(format!(
                "its pickle asks for {module:.200}.{name:.200}, which is neither a tensor nor a container: nothing of it was \
                 run. If you trust the file, save its state_dict alone"
            ));
        }
    })
}

/// Names of opcodes that pickles may hold but checkpoints need not.
pub(super) fn opcode_name(opcode: u8) -> &'static str {
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
