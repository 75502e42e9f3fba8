//! Bytes as a file of weights, PyTorch's or a safetensors file, all of whose tensors are read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clip_testkit::fuzzing::weights(bytes));
