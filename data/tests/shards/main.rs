//! Shards, the loader's order, and what bad data does to them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod emoji;
mod fixture;
mod formats;
mod loader;
#[cfg(feature = "parquet")]
mod parquet;
mod recipes;
#[cfg(feature = "remote")]
mod remote;
mod shards;
mod sources;
