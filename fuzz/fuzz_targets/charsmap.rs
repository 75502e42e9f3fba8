//! Bytes as sentencepiece's compiled normalizer rules, after which texts are encoded.
#![no_main]

libfuzzer_sys::fuzz_target!(
    // A panic of crate tokenizers becomes an error; only one that leaves the library is a finding.
    init: drop(std::panic::take_hook()),
    |bytes: &[u8]| clip_testkit::fuzzing::charsmap(bytes)
);
