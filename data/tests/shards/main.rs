//! Shards, the loader's order, and what bad data does to them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod emoji;
mod fixture;
mod loader;
mod recipes;
mod shards;
