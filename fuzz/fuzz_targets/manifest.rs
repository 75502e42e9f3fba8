//! Bytes as a model folder's clip.json.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::manifest(bytes));
