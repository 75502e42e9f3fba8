//! Prompt templates and label lists for zero-shot classification.
//!
//! A label becomes a text by way of a template: `a photo of a {}.` Averaging the embeddings of several templates
//! ("prompt ensembling", Radford et al. 2021, section 3.1.4) is better than any one of them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::excerpt::excerpt;
use crate::{files, memory};

/// Where the label goes.
const PLACE: &str = "{}";

/// Bytes of a template: a model sees some 77 tokens of what it makes.
const LONGEST: usize = 1 << 14;

/// OpenAI's 80 templates for ImageNet, from github.com/openai/CLIP, under the MIT License (`LICENSE-OPENAI-CLIP`).
const IMAGENET: &str = include_str!("templates/imagenet.txt");
/// The seven of them that OpenAI found to do most of the work, from the same source.
const SIMPLE: &str = include_str!("templates/simple.txt");
/// OpenAI's 18 templates for CIFAR-10 and CIFAR-100, from `data/prompts.md` of the same source.
const CIFAR: &str = include_str!("templates/cifar.txt");

/// The lists of templates that have names, see [`Template::list`].
pub const LISTS: [&str; 3] = ["imagenet", "simple", "cifar"];

/// A text with one place for a label.
///
/// ```
/// let template: clip_model::templates::Template = "a photo of a {}.".parse()?;
/// assert_eq!(template.fill("cat"), "a photo of a cat.");
/// # Ok::<(), clip_model::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template {
    before: String,
    after: String,
}

impl Template {
    /// The text with `label` in its place.
    pub fn fill(&self, label: &str) -> String {
        [&self.before, label, &self.after].concat()
    }

    /// Bytes of the text, less those of the label.
    pub fn bytes(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// OpenAI's 80 templates for ImageNet.
    pub fn imagenet() -> Vec<Template> {
        built_in(IMAGENET)
    }

    /// The seven templates that OpenCLIP calls `SIMPLE_IMAGENET_TEMPLATES`.
    pub fn simple() -> Vec<Template> {
        built_in(SIMPLE)
    }

    /// OpenAI's 18 templates for CIFAR-10 and CIFAR-100.
    pub fn cifar() -> Vec<Template> {
        built_in(CIFAR)
    }

    /// The list of that name, one of [`LISTS`]; of any other text, the one template that it is.
    ///
    /// # Errors
    /// [`Error::Prompt`] for what is neither.
    pub fn list(text: &str) -> Result<Vec<Template>> {
        match text {
            "imagenet" => Ok(Self::imagenet()),
            "simple" => Ok(Self::simple()),
            "cifar" => Ok(Self::cifar()),
            other => other.parse().map(|template| vec![template]).map_err(|e| match e {
                Error::Prompt(reason) if !other.contains(PLACE) => {
                    Error::Prompt(format!("{reason}, or name a list: {}", LISTS.join(", ")))
                }
                other => other,
            }),
        }
    }

    /// The templates of a file, one a line; blank lines are left out.
    ///
    /// # Errors
    /// As [`files::read_text`]; [`Error::Prompt`] when it has no template, or a line is none.
    pub fn read(path: &Path) -> Result<Vec<Template>> {
        Self::parse_list(&files::read_text(path)?, path)
    }

    /// The templates in the text of a file; `path` is its name in errors.
    ///
    /// # Errors
    /// [`Error::Prompt`] as [`Template::read`].
    pub fn parse_list(text: &str, path: &Path) -> Result<Vec<Template>> {
        let lines = lines(text, path, "template")?;
        let parse = |(number, line): &(usize, String)| {
            line.parse().map_err(|e| match e {
                Error::Prompt(reason) => {
                    Error::Prompt(format!("{}, line {number}: {reason}", path.display()))
                }
                other => other,
            })
        };
        lines.iter().map(parse).collect()
    }
}

impl FromStr for Template {
    type Err = Error;

    /// # Errors
    /// [`Error::Prompt`] unless `{}` occurs exactly once, and for a text of more than 16,384 bytes.
    fn from_str(text: &str) -> Result<Self> {
        let shown = excerpt(text);
        let refuse = |reason: String| Err(Error::Prompt(format!("template {shown:?} {reason}")));
        if text.len() > LONGEST {
            return refuse(format!("is longer than {LONGEST} bytes: shorten it"));
        }
        match text.split_once(PLACE) {
            None => refuse("has no {}: write {} where the label goes".to_owned()),
            Some((_, after)) if after.contains(PLACE) => {
                refuse(format!("has {} places for a label: leave one {{}}", text.matches(PLACE).count()))
            }
            Some((before, after)) => {
                let copy = |part| memory::text("a template", part);
                Ok(Template { before: copy(before)?, after: copy(after)? })
            }
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACE}{}", self.before, self.after)
    }
}

/// The labels of a file, one a line, without the white space around them; blank lines are left out. A label's
/// number is its place among the others, so a name that occurs twice is kept twice (ImageNet has two such names).
///
/// # Errors
/// As [`files::read_text`]; [`Error::Prompt`] when it has no label.
pub fn read_labels(path: &Path) -> Result<Vec<String>> {
    parse_labels(&files::read_text(path)?, path)
}

/// The labels in the text of a file, as [`read_labels`]; `path` is its name in errors.
///
/// # Errors
/// [`Error::Prompt`] when it has no label.
pub fn parse_labels(text: &str, path: &Path) -> Result<Vec<String>> {
    Ok(lines(text, path, "label")?.into_iter().map(|(_, line)| line).collect())
}

/// The lines of a text that are not blank, trimmed, with their numbers from 1.
fn lines(text: &str, path: &Path, what: &str) -> Result<Vec<(usize, String)>> {
    // Some editors begin a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let trimmed = (1..).zip(text.lines().map(str::trim));
    let lines: Vec<_> = trimmed.filter(|(_, l)| !l.is_empty()).map(|(n, l)| (n, l.to_owned())).collect();
    if lines.is_empty() {
        return Err(Error::Prompt(format!("{} has no {what}: write one a line", path.display())));
    }
    Ok(lines)
}

fn built_in(text: &str) -> Vec<Template> {
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn built_in_templates_are_whole() {
        assert_eq!(Template::imagenet().len(), 80);
        assert_eq!(Template::simple().len(), 7);
        let texts: Vec<_> = Template::imagenet().iter().map(Template::to_string).collect();
        assert_eq!(texts.join("\n"), IMAGENET.trim_end());
        assert_eq!(Template::simple()[0].fill("cat"), "itap of a cat.");
        assert_eq!(Template::cifar().len(), 18);
        assert_eq!(Template::cifar()[17].fill("cat"), "a photo of the big cat.");
    }

    #[test]
    fn lists_have_names() {
        for (name, count) in LISTS.into_iter().zip([80, 7, 18]) {
            assert_eq!(Template::list(name).unwrap().len(), count);
        }
        assert_eq!(Template::list("a {}").unwrap(), ["a {}".parse().unwrap()]);
        let message = Template::list("imagnet").unwrap_err().to_string();
        let end = "template \"imagnet\" has no {}: write {} where the label goes, or name a list: imagenet, simple, cifar";
        assert!(message.ends_with(end), "{message}");
        assert!(!Template::list("{} and {}").unwrap_err().to_string().contains("name a list"));
    }

    #[test]
    fn one_place_is_asked_for() {
        for (text, reason) in [
            ("a photo", "template \"a photo\" has no {}: write {} where the label goes"),
            ("{} and {}", "template \"{} and {}\" has 2 places for a label: leave one {}"),
        ] {
            assert!(Template::from_str(text).unwrap_err().to_string().ends_with(reason));
        }
        assert_eq!(Template::from_str("{}").unwrap().fill("a {} b"), "a {} b");
        assert!(Template::from_str("").unwrap_err().to_string().contains("template \"\" has no {}"));
    }

    #[test]
    fn absurd_templates_are_named_by_their_beginning() {
        let places = "{} ".repeat(1 << 13);
        for (text, reason) in [
            (
                format!("a photo of {{}}{}", "a".repeat(1 << 20)),
                "(1048589 bytes)\" is longer than 16384 bytes",
            ),
            ("b".repeat(1 << 20), "is longer than 16384 bytes"),
            ("é".repeat(1 << 13), "(16384 bytes)\" has no {}"),
            (places[..15_000].to_owned(), "has 5000 places for a label"),
        ] {
            let message = Template::from_str(&text).unwrap_err().to_string();
            assert!(message.contains(reason) && message.len() < 500, "{message:.500}");
        }
        let list = format!("a {{}}\n{}\n", "c".repeat(1 << 20));
        let message = Template::parse_list(&list, Path::new("list")).unwrap_err().to_string();
        assert!(message.contains("list, line 2: template \"ccc") && message.len() < 500, "{message:.500}");
    }

    #[test]
    fn files_are_read_line_by_line() {
        let labels = file("\u{feff}cat\r\n\n  dog \ncat\n");
        assert_eq!(read_labels(labels.path()).unwrap(), ["cat", "dog", "cat"]);

        let templates = file("a {}.\n\nthe {}\n");
        let filled: Vec<_> = Template::read(templates.path()).unwrap().iter().map(|t| t.fill("x")).collect();
        assert_eq!(filled, ["a x.", "the x"]);

        let wrong = Template::read(file("a {}.\n\nnone\n").path()).unwrap_err().to_string();
        assert!(wrong.contains("line 3: template \"none\" has no {}"), "{wrong}");
        let empty = read_labels(file(" \n\n").path()).unwrap_err().to_string();
        assert!(empty.contains("has no label"), "{empty}");
        assert!(matches!(read_labels(Path::new("/no/such/file")), Err(Error::Io { .. })));
    }
}
