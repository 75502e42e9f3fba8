//! Pictures whose labels are known: folders that are called by their labels, or a CSV file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clip_model::excerpt;
use clip_model::preprocess::{EXTENSIONS, is_picture_name};
use clip_program::input;

/// First lines of a CSV file that name its columns.
const HEADERS: [&str; 3] = ["picture,label", "image,label", "path,label"];

/// `pictures[i]` shows `labels[i]`.
#[derive(Debug, Default, PartialEq)]
pub struct Labelled {
    pub pictures: Vec<PathBuf>,
    pub labels: Vec<String>,
}

impl Labelled {
    fn push(&mut self, picture: PathBuf, label: String) {
        self.pictures.push(picture);
        self.labels.push(label);
    }
}

/// The examples of a folder or of a CSV file, at least one.
pub fn find(path: &Path) -> Result<Labelled> {
    match path.is_dir() {
        true => of_folders(path),
        false => of_csv(&input::read_text(path)?, path),
    }
}

/// The pictures in the folders of `path`, each of which is called by the label that they show. What is hidden is no example.
fn of_folders(path: &Path) -> Result<Labelled> {
    let mut found = Labelled::default();
    for folder in entries(path)?.into_iter().filter(|entry| entry.is_dir()) {
        let name = folder.file_name().unwrap_or_default();
        let label =
            name.to_str().with_context(|| format!("the name of {} is not UTF-8", folder.display()))?;
        for picture in entries(&folder)? {
            if picture.file_name().is_some_and(|name| is_picture_name(Path::new(name))) && !picture.is_dir() {
                found.push(picture, label.to_owned());
            }
        }
    }
    ensure!(
        !found.labels.is_empty(),
        "{} has no folder with pictures in it: make one for each label, called by it (names of pictures end in {})",
        path.display(),
        EXTENSIONS.join(", ")
    );
    Ok(found)
}

/// What is in a folder, hidden entries left out, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read =
        || -> io::Result<Vec<PathBuf>> { fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    let mut entries = read().with_context(|| format!("cannot read {}", folder.display()))?;
    entries.retain(|path| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
    entries.sort();
    Ok(entries)
}

/// Lines of a picture and a label; a path that does not begin at the root begins at the file's folder.
fn of_csv(text: &str, path: &Path) -> Result<Labelled> {
    let base = path.parent().unwrap_or(Path::new(""));
    let mut found = Labelled::default();
    let text = text.trim_start_matches('\u{feff}');
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() || number == 1 && HEADERS.contains(&line.trim()) {
            continue;
        }
        let place = || format!("{}, line {number}", path.display());
        let fields = fields(line).with_context(place)?;
        let [picture, label] = &fields[..] else {
            bail!(
                "{}: {} fields in {:?}, expected a picture and a label",
                place(),
                fields.len(),
                excerpt(line)
            );
        };
        ensure!(!picture.is_empty() && !label.is_empty(), "{}: the {} is empty", place(), {
            if picture.is_empty() { "picture" } else { "label" }
        });
        found.push(base.join(picture), label.clone());
    }
    ensure!(
        !found.labels.is_empty(),
        "{} has no examples: write lines of a picture and its label",
        path.display()
    );
    Ok(found)
}

/// The fields of a line of CSV (RFC 4180): what has a comma or a quotation mark in it stands in quotation marks, doubled inside.
fn fields(line: &str) -> Result<Vec<String>> {
    let (mut fields, mut rest) = (Vec::new(), Some(line));
    while let Some(text) = rest {
        let Some(quoted) = text.trim_start().strip_prefix('"') else {
            let (field, behind) =
                text.split_once(',').map_or((text, None), |(field, rest)| (field, Some(rest)));
            fields.push(field.trim().to_owned());
            rest = behind;
            continue;
        };
        let (mut field, mut left) = (String::new(), quoted);
        let behind = loop {
            let (part, after) = left.split_once('"').context("a quotation mark is not closed")?;
            field.push_str(part);
            match after.strip_prefix('"') {
                Some(more) => {
                    field.push('"');
                    left = more;
                }
                None => break after.trim_start(),
            }
        };
        rest = behind.strip_prefix(',');
        ensure!(
            rest.is_some() || behind.is_empty(),
            "there is something between a quotation mark and the comma"
        );
        fields.push(field);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Labelled> {
        of_csv(text, Path::new("data/list.csv"))
    }

    #[test]
    fn lines_of_csv_are_pictures_and_labels() {
        let text = "\u{feff}picture,label\na.png, red \n\n\"b,1.png\",\"big, \"\"blue\"\"\"\r\n/c.png,red";
        let found = csv(text).unwrap();
        assert_eq!(found.pictures, ["data/a.png", "data/b,1.png", "/c.png"].map(PathBuf::from));
        assert_eq!(found.labels, ["red", "big, \"blue\"", "red"]);
        // In the folder that the program runs in.
        assert_eq!(of_csv("a,b", Path::new("list.csv")).unwrap().pictures, [PathBuf::from("a")]);
    }

    #[test]
    fn lines_that_are_none_are_refused_with_their_number() {
        for (text, reason) in [
            ("a,b\nc", "line 2: 1 fields in \"c\", expected a picture and a label"),
            ("a,b,c", "line 1: 3 fields"),
            ("a,", "line 1: the label is empty"),
            (",a", "line 1: the picture is empty"),
            ("\"a,b", "line 1: a quotation mark is not closed"),
            ("\"a\"b,c", "line 1: there is something between"),
            ("path,label\n", "data/list.csv has no examples"),
        ] {
            let error = format!("{:#}", csv(text).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn folders_are_called_by_their_labels() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        let pictures = ["red/2.png", "red/1.JPG", "blue/a.webp", "x/y/a.png", "a.png"];
        let others = ["red/notes.txt", "red/.hidden.png", ".git/a.png"];
        pictures.into_iter().chain(others).for_each(put);
        let found = find(root.path()).unwrap();
        assert_eq!(
            found.pictures,
            ["blue/a.webp", "red/1.JPG", "red/2.png"].map(|name| root.path().join(name))
        );
        assert_eq!(found.labels, ["blue", "red", "red"]);
        assert_eq!(find(&root.path().join("x")).unwrap().labels, ["y"]);
        let error = find(&root.path().join("red")).unwrap_err().to_string();
        assert!(error.contains("no folder with pictures in it"), "{error}");
    }
}
