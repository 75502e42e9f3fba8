//! Bytes as the pickle of a PyTorch file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::pickle(bytes));
