//! Bytes as lists of templates and labels, and as a text.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::texts(bytes));
