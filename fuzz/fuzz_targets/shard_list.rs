//! Bytes as a list of shards.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::shard_list(bytes));
