//! Bytes as a file of PyTorch's: a zip archive, or a run of pickles.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_model::fuzzing::torch_file(bytes));
