//! stub
use crate::error::Result;
use std::path::Path;
#[derive(Debug)]
pub struct Tokenizer;
impl Tokenizer {
    pub fn openai() -> Self {
        Tokenizer
    }
    pub fn open(_: &Path) -> Result<Self> {
        Ok(Tokenizer)
    }
    pub fn vocab_size(&self) -> usize {
        49408
    }
    pub fn to_json(&self) -> String {
        "{}".into()
    }
    pub fn encode(&self, _: &str, _: usize) -> Vec<i32> {
        vec![]
    }
}
