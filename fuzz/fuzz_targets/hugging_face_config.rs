//! Bytes as the config.json of a CLIP or SigLIP of Hugging Face's.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::hugging_face_config(bytes));
