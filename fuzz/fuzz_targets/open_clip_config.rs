//! Bytes as a checkpoint's open_clip_config.json.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::open_clip_config(bytes));
