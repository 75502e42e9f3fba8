//! Bytes as a table of paths and captions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::table(bytes));
