//! A graph of one node, written by hand: `y = x + x` for rows of four numbers.

use std::path::{Path, PathBuf};

/// A field of a protobuf message that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 1 << 14);
    let size = match bytes.len() {
        n @ ..128 => vec![n as u8],
        n => vec![(n & 127) as u8 | 128, (n >> 7) as u8],
    };
    [vec![number << 3 | 2], size, bytes.to_vec()].concat()
}

/// A field of a protobuf message that holds a small number.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// A value of float32 `[N, 4]`.
fn value(name: &str) -> Vec<u8> {
    let shape = [field(1, &field(2, b"N")), field(1, &number(1, 4))].concat();
    let tensor = [number(1, 1), field(2, &shape)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

/// Writes it into `folder`.
pub fn write(folder: &Path) -> PathBuf {
    let node = [field(1, b"x"), field(1, b"x"), field(2, b"y"), field(3, b"sum"), field(4, b"Add")].concat();
    let graph =
        [field(1, &node), field(2, b"twice"), field(11, &value("x")), field(12, &value("y"))].concat();
    let opset = [field(1, b""), number(2, 17)].concat();
    let model = [number(1, 8), field(7, &graph), field(8, &opset)].concat();
    let path = folder.join("twice.onnx");
    std::fs::write(&path, model).unwrap();
    path
}
