//! Reading an ONNX graph into TensorRT's network.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Result};
use crate::family::Table;
use crate::library::Library;
use crate::logger;
use crate::object::{Owned, call, pointer};

/// A parser, which owns the weights of the network that it has filled.
pub struct Parser {
    _parser: Owned,
    /// The graph's bytes, which the network's weights may point into.
    _graph: Mmap,
}

/// Fills `network` with the graph in `path`. Weights that lie beside it are looked for there.
pub fn parse(library: &Library, network: &Owned, path: &Path) -> Result<Parser> {
    let table = library.family().table();
    let create = library.create_parser()?;
    let read = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    // SAFETY: the file is a part of a model folder; whoever changes it while it is read spoils the plan, as with any reading.
    let graph = unsafe { Mmap::map(&file) }.map_err(read)?;
    let name = CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|e| read(std::io::Error::new(std::io::ErrorKind::InvalidInput, e)))?;
    logger::forget_errors();
    let refused = |reason| Error::Parse { version: library.version(), path: path.to_owned(), reason };
    // SAFETY: the network is one of this library's, the logger lives as long as the process, and the slots are those of
    // the library's family.
    unsafe {
        let raw = create(network.interface(), logger::logger(table.versioned_logger), library.number());
        let parser = Owned::with_delete(raw, table.parser_delete).ok_or_else(|| refused(logger::errors()))?;
        let taken = call!(
            parser.interface(),
            table.parser_parse,
            fn(*const c_void, usize, *const c_char) -> bool,
            graph.as_ptr().cast(),
            graph.len(),
            name.as_ptr()
        );
        if !taken {
            return Err(refused(reason(&parser, table)));
        }
        Ok(Parser { _parser: parser, _graph: graph })
    }
}

/// The parser's own words, or what was logged where it has none.
///
/// # Safety
/// The table is that of the parser's family.
unsafe fn reason(parser: &Owned, table: &Table) -> String {
    // SAFETY: the errors belong to the parser, which is alive; their texts end with a zero.
    let texts = unsafe {
        let count = call!(parser.interface(), table.parser_errors, fn() -> i32,);
        (0..count).filter_map(move |i| {
            let error = pointer(call!(parser.interface(), table.parser_error, fn(i32) -> *mut c_void, i))?;
            let text = call!(error.as_ptr(), table.error_text, fn() -> *const c_char,);
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().trim().to_owned())
        })
    };
    match texts.filter(|text| !text.is_empty()).collect::<Vec<_>>() {
        texts if texts.is_empty() => logger::errors(),
        texts => texts.join("; "),
    }
}
