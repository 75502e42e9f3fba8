//! The C interface over [`clip_runtime`]: `libclip.so`, `libclip.a` and, written from these sources by
//! `scripts/header.sh`, `include/clip.h`. The comments on public items are the manual that C programmers read, in
//! the order in which they stand here.
//!
//! This crate computes nothing itself. It checks what comes in from C, calls the runtime, and turns errors and
//! panics into status codes.
//!
//! Safety, for every function: a pointer is NULL or points to what its type and its length say, handles come from
//! this library and have not been freed. Whatever else can be wrong about an argument is checked.

#![deny(missing_docs)]
#![allow(non_camel_case_types, reason = "C names, the same on both sides")]
#![allow(clippy::missing_safety_doc, reason = "one contract for all, above and at the top of clip.h")]

mod argument;
mod error;
mod guard;
mod reserve;

// What clip.h says, in its order; the blank lines keep rustfmt from another.
pub mod version;

pub mod status;

pub mod model;

pub mod labels;

pub mod image;

pub mod classify;

pub mod embed;

pub mod decide;

pub mod label_sets;

pub mod frame;

pub mod stream;

#[cfg(test)]
mod tests;
