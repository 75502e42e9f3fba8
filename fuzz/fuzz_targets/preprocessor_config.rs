//! Bytes as the preprocessor_config.json of a CLIP or SigLIP of Hugging Face's.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::preprocessor_config(bytes));
