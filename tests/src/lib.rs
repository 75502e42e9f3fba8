//! Tests of what crosses crates, in `tests/`; this library is empty. `parity/` holds the comparison with the Python
//! reference.
