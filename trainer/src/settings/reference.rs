//! The reference of all settings, from the comments beside their fields: as TOML with comments, and as a table for the
//! documentation.

use std::fmt::Write;

use crate::error::{Error, Result};
use crate::settings::Settings;

/// A field's name, type and comment.
type Field = (&'static str, &'static str, &'static str);

/// The structures of the settings with their fields; made by `build/comments.rs`.
const COMMENTS: &[(&str, &[Field])] = include!(concat!(env!("OUT_DIR"), "/comments.rs"));

/// Width of a comment in TOML.
const WIDTH: usize = 110;

/// What the documentation's table begins and ends with.
const MARKS: [&str; 2] =
    ["<!-- settings: written by the example `reference` -->", "<!-- end of settings -->"];

/// Every field of `settings` as TOML, each with its meaning; those that are not given stand in comments. It reads back as the
/// same settings.
///
/// # Errors
/// [`Error::Settings`] when they cannot be written out.
pub fn toml(settings: &Settings) -> Result<String> {
    let table = toml::Table::try_from(settings).map_err(|e| Error::Settings(e.to_string()))?;
    let mut text = String::new();
    section(&mut text, "Settings", "", Some(&table));
    Ok(text.trim_start().to_owned())
}

/// A section and those in it. One that is not given is written in comments.
fn section(text: &mut String, structure: &str, path: &str, table: Option<&toml::Table>) {
    let value = |name: &str| table.and_then(|table| table.get(name));
    let fields = || fields(structure).iter();
    for (name, _, comment) in fields().filter(|field| inner(field.1).is_none()) {
        remark(text, comment);
        let _ = match value(name) {
            Some(value) => writeln!(text, "{name} = {value}"),
            None => writeln!(text, "# {name} ="),
        };
    }
    for (name, kind, comment) in fields() {
        let Some(structure) = inner(kind) else { continue };
        let table = value(name).and_then(toml::Value::as_table);
        let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        text.push('\n');
        remark(text, comment);
        let _ = writeln!(text, "{}[{path}]", if table.is_some() { "" } else { "# " });
        section(text, structure, &path, table);
    }
}

/// A comment, in lines of a width that can be read.
fn remark(text: &mut String, comment: &str) {
    let mut line = String::from("#");
    for word in comment.split(' ') {
        if line.len() + word.len() >= WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(text, "{line}");
}

/// The table of all settings for the documentation, between its marks.
///
/// # Errors
/// [`Error::Settings`] when the defaults cannot be written out.
pub fn markdown() -> Result<String> {
    let defaults = toml::Table::try_from(Settings::default()).map_err(|e| Error::Settings(e.to_string()))?;
    let mut text = format!("{}\n", MARKS[0]);
    rows(&mut text, "Settings", "", Some(&defaults));
    text.push_str(MARKS[1]);
    Ok(text)
}

/// The table of a structure's own fields, then those of the sections in it.
fn rows(text: &mut String, structure: &str, path: &str, defaults: Option<&toml::Table>) {
    let value = |name: &str| defaults.and_then(|table| table.get(name));
    let own: Vec<&Field> = fields(structure).iter().filter(|field| inner(field.1).is_none()).collect();
    if !own.is_empty() {
        text.push_str("\n| key | default | meaning |\n|---|---|---|\n");
    }
    for (name, _, comment) in own {
        let default = value(name).map_or("".to_owned(), |value| format!("`{value}`"));
        let comment = comment.replace('|', "\\|");
        let _ = writeln!(text, "| `{name}` | {default} | {comment} |");
    }
    for (name, kind, comment) in fields(structure) {
        let Some(structure) = inner(kind) else { continue };
        let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        let _ = writeln!(text, "\n`[{path}]`: {comment}");
        rows(text, structure, &path, value(name).and_then(toml::Value::as_table));
    }
    text.push('\n');
    while text.ends_with("\n\n") {
        text.pop();
    }
}

/// The names of all settings, each with its section's before it.
pub(super) fn names() -> Vec<String> {
    fn add(found: &mut Vec<String>, structure: &str, path: &str) {
        for (name, kind, _) in fields(structure) {
            let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
            if let Some(structure) = inner(kind) {
                add(found, structure, &path);
            }
            found.push(path);
        }
    }
    let mut found = Vec::new();
    add(&mut found, "Settings", "");
    found
}

/// `document` with the table of today's settings in the place of the one that it has.
///
/// # Errors
/// [`Error::Settings`] when it has none.
pub fn renew(document: &str) -> Result<String> {
    let missing = || Error::Settings(format!("the document has no place for the settings, {}", MARKS[0]));
    let (before, rest) = document.split_once(MARKS[0]).ok_or_else(missing)?;
    let (_, after) = rest.split_once(MARKS[1]).ok_or_else(missing)?;
    Ok(format!("{before}{}{after}", markdown()?))
}

fn fields(structure: &str) -> &'static [Field] {
    COMMENTS.iter().find(|(name, _)| *name == structure).map_or(&[], |(_, fields)| fields)
}

/// The structure that a field of this type holds, if it is one of settings.
fn inner(kind: &str) -> Option<&str> {
    let kind = kind.strip_prefix("Option < ").and_then(|kind| kind.strip_suffix(" >")).unwrap_or(kind);
    COMMENTS.iter().map(|(name, _)| *name).find(|name| *name == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: &str = "
        [model]
        embed_dim = 16
        vit = { image_size = 32, patch_size = 16, width = 32, layers = 2, head_width = 16 }
        text = { context_length = 8, vocab_size = 520, width = 16, heads = 2, layers = 1 }
        [run]
        keep_best = \"top1\"
    ";

    #[test]
    fn the_toml_reads_back_as_the_same_settings() {
        for text in ["[model]\nname = \"ViT-B/32\"", SIZES] {
            let settings = Settings::parse(text).unwrap();
            let written = toml(&settings).unwrap();
            assert_eq!(Settings::parse(&written).unwrap(), settings, "{written}");
            assert!(written.lines().all(|line| line.len() < 140), "{written}");
        }
    }

    #[test]
    fn every_field_has_a_comment_and_is_in_the_reference() {
        let settings = Settings::parse(SIZES).unwrap();
        let table = toml::Table::try_from(&settings).unwrap();
        let (text, markdown) = (toml(&settings).unwrap(), markdown().unwrap());
        fn names(table: &toml::Table, into: &mut Vec<String>) {
            for (name, value) in table {
                into.push(name.clone());
                value.as_table().iter().for_each(|table| names(table, into));
            }
        }
        let mut all = Vec::new();
        names(&table, &mut all);
        assert!(all.len() > 40, "{all:?}");
        for name in all {
            let is_told = text
                .lines()
                .any(|line| line.starts_with(&format!("{name} = ")) || line.ends_with(&format!("{name}]")));
            assert!(is_told, "{name} is not in\n{text}");
            assert!(
                markdown.contains(&format!("| `{name}` |")) || markdown.contains(&format!("{name}]`:")),
                "{name}"
            );
        }
        for (structure, fields) in COMMENTS {
            fields.iter().for_each(|(name, _, comment)| assert!(!comment.is_empty(), "{structure}.{name}"));
        }
    }

    #[test]
    fn the_documentation_has_todays_settings() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/training.md");
        let document = std::fs::read_to_string(path).unwrap();
        assert!(
            renew(&document).unwrap() == document,
            "docs/training.md is behind the settings: cargo run --release -p clip-trainer --example reference docs/training.md"
        );
        assert!(renew("no marks").is_err());
    }
}
