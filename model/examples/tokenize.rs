//! Token ids of strings, for comparison with other tokenizers. Reads one JSON string a line from standard input.
//!
//!     tokenize openai        ids by the built-in tokenizer, one JSON list a line
//!     tokenize FILE.json     ids by that tokenizer.json; with a second argument, after that cleaning
//!     tokenize write         reads nothing; writes the built-in vocabulary as tokenizer.json
//!     tokenize train SIZE    learns a vocabulary from the strings; writes it as tokenizer.json

use std::io::{BufRead, BufWriter, Write};
use std::path::Path;

use clip_model::Tokenizer;
use clip_model::tokenizer::{self, Cleaning};

/// CLIP's context length, tokens.
const CONTEXT_LENGTH: usize = 77;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let tokenizer = match words[..] {
        ["write"] => return Ok(out.write_all(Tokenizer::openai().to_json().as_bytes())?),
        ["train", size] => {
            let strings = strings().collect::<Result<Vec<_>, _>>()?;
            let trained = tokenizer::train(strings.into_iter(), size.parse()?)?;
            return Ok(out.write_all(trained.to_json().as_bytes())?);
        }
        ["openai"] => Tokenizer::openai(),
        [file] => Tokenizer::open(Path::new(file))?,
        [file, cleaning] => {
            let cleaning: Cleaning = serde_json::from_value(cleaning.into())?;
            Tokenizer::open(Path::new(file))?.with_cleaning(cleaning)?
        }
        _ => return Err("usage: tokenize openai | FILE.json [CLEANING] | write | train SIZE".into()),
    };
    for string in strings() {
        writeln!(out, "{:?}", tokenizer.encode(&string?, CONTEXT_LENGTH))?;
    }
    Ok(())
}

fn strings() -> impl Iterator<Item = Result<String, Box<dyn std::error::Error>>> {
    std::io::stdin().lock().lines().map(|line| Ok(serde_json::from_str(&line?)?))
}
