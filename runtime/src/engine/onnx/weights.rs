//! The large weights of a graph, left where they lie in its file.
//!
//! A graph is one message of protobuf, which ONNX Runtime reads whole: for a while every weight is in memory twice, and what is freed
//! of that mostly stays with the process. Weights in a file of their own it maps instead. So a graph that holds its weights is given to it
//! as it would be if they were in a file of their own, and that file is the graph itself.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

/// Weights of fewer bytes stay in the graph: mapping them would take more than it saves.
pub const LARGE: u64 = 64 << 10;

/// The largest graph without its large weights, bytes.
const LIMIT: u64 = 256 << 20;

// Numbers of fields in messages of ONNX.
const MODEL_GRAPH: u64 = 7;
const GRAPH_INITIALIZER: u64 = 5;
const TENSOR_RAW_DATA: u64 = 9;
const TENSOR_EXTERNAL_DATA: u64 = 13;
const TENSOR_DATA_LOCATION: u64 = 14;
const ENTRY_KEY: u64 = 1;
const ENTRY_VALUE: u64 = 2;

/// The one of the places of a tensor's data that is not the graph.
const EXTERNAL: u64 = 1;

// How protobuf writes a field.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// The graph in `file` with weights of `large` bytes and more described as lying in `file` itself; none where it has no such weights.
///
/// # Errors
/// Those of the file; [`ErrorKind::InvalidData`] for what is no message, or too large without its weights.
pub fn left_in_file(file: &Path, large: u64) -> io::Result<Option<Vec<u8>>> {
    let name = file.file_name().and_then(|name| name.to_str()).ok_or(ErrorKind::InvalidData)?;
    let opened = File::open(file)?;
    let end = opened.metadata()?.len();
    let mut reader = Reader { file: BufReader::new(opened), at: 0, large, name, moved: false };
    let graph = reader.message(end, &[MODEL_GRAPH, GRAPH_INITIALIZER])?;
    Ok(reader.moved.then_some(graph))
}

struct Reader<'a> {
    file: BufReader<File>,
    /// Where it is in the file.
    at: u64,
    large: u64,
    name: &'a str,
    /// Whether weights were left in the file.
    moved: bool,
}

impl Reader<'_> {
    /// The message that ends at `end`. `path` leads to its weights: of the field that it begins with, messages are read in the same way.
    fn message(&mut self, end: u64, path: &[u64]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        while self.at < end {
            let tag = self.varint()?;
            let (field, kind) = (tag >> 3, tag & 7);
            let length = match kind {
                VARINT => {
                    let value = self.varint()?;
                    put(&mut out, tag);
                    put(&mut out, value);
                    continue;
                }
                FIXED64 => 8,
                FIXED32 => 4,
                LENGTH => self.varint()?,
                _ => return Err(ErrorKind::InvalidData.into()),
            };
            let until = self.at.checked_add(length).filter(|until| *until <= end);
            let until = until.ok_or(ErrorKind::UnexpectedEof)?;
            match path {
                [inner, path @ ..] if *inner == field && kind == LENGTH => {
                    let message = self.message(until, path)?;
                    put_bytes(&mut out, field, &message);
                }
                [] if field == TENSOR_RAW_DATA && kind == LENGTH && length >= self.large => {
                    self.describe(&mut out, length);
                    self.skip(length)?;
                }
                _ => {
                    put(&mut out, tag);
                    if kind == LENGTH {
                        put(&mut out, length);
                    }
                    self.copy(&mut out, length)?;
                }
            }
        }
        Ok(out)
    }

    /// In place of the data of a tensor: that it lies here in the file.
    fn describe(&mut self, out: &mut Vec<u8>, length: u64) {
        for (key, value) in
            [("location", self.name), ("offset", &self.at.to_string()), ("length", &length.to_string())]
        {
            let mut entry = Vec::new();
            put_bytes(&mut entry, ENTRY_KEY, key.as_bytes());
            put_bytes(&mut entry, ENTRY_VALUE, value.as_bytes());
            put_bytes(out, TENSOR_EXTERNAL_DATA, &entry);
        }
        put(out, TENSOR_DATA_LOCATION << 3 | VARINT);
        put(out, EXTERNAL);
        self.moved = true;
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.file.fill_buf()?.first().ok_or(ErrorKind::UnexpectedEof)?;
            self.file.consume(1);
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ErrorKind::InvalidData.into())
    }

    fn copy(&mut self, out: &mut Vec<u8>, length: u64) -> io::Result<()> {
        let start = out.len();
        if length > LIMIT.saturating_sub(start as u64) {
            return Err(ErrorKind::InvalidData.into());
        }
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        out.try_reserve(size).map_err(|_| ErrorKind::OutOfMemory)?;
        out.resize(start + size, 0);
        self.file.read_exact(&mut out[start..])?;
        self.at += length;
        Ok(())
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        self.at += length;
        self.file.seek_relative(i64::try_from(length).map_err(|_| ErrorKind::InvalidData)?)
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put(out, field << 3 | LENGTH);
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
