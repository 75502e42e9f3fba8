//! Bytes as a labels.safetensors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::stored_labels(bytes));
