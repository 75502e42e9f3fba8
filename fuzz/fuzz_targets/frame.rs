//! Bytes as the description of a camera's frame, and its planes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::frame(bytes));
