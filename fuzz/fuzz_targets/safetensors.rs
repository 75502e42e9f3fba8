//! Bytes as a safetensors file, every tensor of which is read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_model::fuzzing::safetensors(bytes));
