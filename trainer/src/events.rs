//! TensorBoard event files: scalars by step.
//!
//! A file is a sequence of records (length, its checksum, data, its checksum; little-endian, as TFRecord has them), each
//! holding one `Event` of TensorFlow's `event.proto`. Its few fields are encoded here by hand.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// Keys of the protocol-buffer fields: the field's number, and in the last three bits how it is encoded.
mod key {
    pub const EVENT_WALL_TIME: u8 = 1 << 3 | 1;
    pub const EVENT_STEP: u8 = 2 << 3;
    pub const EVENT_FILE_VERSION: u8 = 3 << 3 | 2;
    pub const EVENT_SUMMARY: u8 = 5 << 3 | 2;
    pub const EVENT_SESSION_LOG: u8 = 7 << 3 | 2;
    pub const SESSION_LOG_STATUS: u8 = 1 << 3;
    pub const SUMMARY_VALUE: u8 = 1 << 3 | 2;
    pub const VALUE_TAG: u8 = 1 << 3 | 2;
    pub const VALUE_SIMPLE: u8 = 2 << 3 | 5;
}

/// `SessionLog.START` of TensorFlow's `event.proto`.
const START: u64 = 1;

/// Writes one event file. TensorBoard shows all files of a folder as one run, so a resumed run opens another one. It begins with
/// the start of a session at the first step that it holds, which has TensorBoard forget what earlier files say of that step and
/// later ones: those steps are done again.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// Opens a new file in `dir`, which is made if need be. Its name is `events.out.tfevents.SECONDS.clip-train.N`, with
    /// the first N that is free. `first` is the first step that it will hold.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(dir: &Path, first: u64) -> Result<EventWriter> {
        std::fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, e))?;
        let seconds = now() as u64;
        let mut number = 0;
        let (path, file) = loop {
            let path = dir.join(format!("events.out.tfevents.{seconds:010}.clip-train.{number}"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(Error::io("create", path, e)),
            }
        };
        let mut writer = EventWriter { path, file: BufWriter::new(file) };
        let mut version = event(0);
        bytes(&mut version, key::EVENT_FILE_VERSION, b"brain.Event:2");
        writer.record(&version)?;
        let mut start = event(first);
        let mut status = vec![key::SESSION_LOG_STATUS];
        varint(&mut status, START);
        bytes(&mut start, key::EVENT_SESSION_LOG, &status);
        writer.record(&start)?;
        writer.flush()?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a value for `step` to the curve `tag`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn scalar(&mut self, step: u64, tag: &str, value: f32) -> Result<()> {
        let mut content = Vec::new();
        bytes(&mut content, key::VALUE_TAG, tag.as_bytes());
        content.push(key::VALUE_SIMPLE);
        content.extend(value.to_le_bytes());
        let mut summary = Vec::new();
        bytes(&mut summary, key::SUMMARY_VALUE, &content);
        let mut event = event(step);
        bytes(&mut event, key::EVENT_SUMMARY, &summary);
        self.record(&event)
    }

    /// Hands everything to the operating system, so that TensorBoard sees it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|e| Error::io("write", &self.path, e))
    }

    fn record(&mut self, data: &[u8]) -> Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let parts = [&length[..], &masked_crc(&length).to_le_bytes(), data, &masked_crc(data).to_le_bytes()];
        self.file.write_all(&parts.concat()).map_err(|e| Error::io("write", &self.path, e))
    }
}

/// The checksum of TFRecord: CRC-32C, rotated and shifted, so that a checksum over data with checksums stays sound.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The beginning of an event: time and step.
fn event(step: u64) -> Vec<u8> {
    let mut event = vec![key::EVENT_WALL_TIME];
    event.extend(now().to_le_bytes());
    event.push(key::EVENT_STEP);
    varint(&mut event, step);
    event
}

fn bytes(out: &mut Vec<u8>, key: u8, value: &[u8]) {
    out.push(key);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_encoded_as_protocol_buffers_have_them() {
        let mut out = Vec::new();
        varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
        bytes(&mut out, 2 << 3 | 2, b"testing");
        assert_eq!(out[2..], *b"\x12\x07testing");
    }

    #[test]
    fn the_checksum_is_tfrecords() {
        // CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, B.4); rotated right by 15, plus 0xa282ead8.
        assert_eq!(masked_crc(&[0; 32]), 0x0fd7_fffa);
    }

    #[test]
    fn a_second_writer_opens_a_second_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = EventWriter::create(dir.path(), 1).unwrap();
        first.scalar(1, "loss", 0.5).unwrap();
        first.flush().unwrap();
        let length = std::fs::metadata(first.path()).unwrap().len();
        let second = EventWriter::create(dir.path(), 1).unwrap();
        assert_ne!(first.path(), second.path());
        assert_eq!(std::fs::metadata(first.path()).unwrap().len(), length);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let message = EventWriter::create(&file.join("logs"), 1).unwrap_err().to_string();
        assert!(message.contains("cannot create") && message.contains("logs"), "{message}");
    }
}
