//! What shards were, in few bytes, so that other data under the same names is noticed when a run goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::location::Location;
use crate::walk::walk;

/// Bytes of a file that are hashed.
const HEAD: u64 = 1 << 16;
/// Shards that are named when they differ.
const NAMED: usize = 3;

/// A line for each of `shards`, in order: its name without folders, its size in bytes and a hash of its first 64 KiB.
///
/// It proves that names, sizes and beginnings are the same, and so finds shards that were made anew, exchanged, cut or reordered; it
/// does not prove that nothing behind the beginning was changed in place. Of a folder the names and sizes of its pictures
/// are hashed. What cannot be read twice, a command or a named pipe, is a name alone, and so are objects of stores, of which
/// nothing is fetched here, and shards that are missing.
///
/// # Errors
/// [`Error::Read`] for a file that is there and cannot be read.
pub fn fingerprint(shards: &[Location]) -> Result<String> {
    let lines = shards.iter().map(|shard| {
        let name = shard.name().replace(['\n', '\r'], " ");
        let of_content = match shard.path() {
            Some(path) => of_path(path).map_err(|source| Error::Read { shard: shard.clone(), source })?,
            None => None,
        };
        Ok(match of_content {
            Some((size, hash)) => format!("{name}\t{size}\t{hash}"),
            None => format!("{name}\t-\t-"),
        })
    });
    Ok(lines.collect::<Result<Vec<String>>>()?.join("\n"))
}

/// How the shards of one fingerprint differ from those of an earlier one, in words; `None` when they do not.
pub fn difference(before: &str, now: &str) -> Option<String> {
    if before == now {
        return None;
    }
    let split = |text: &str| -> Vec<(String, String)> {
        let line = |line: &str| {
            line.split_once('\t')
                .map_or((line.to_owned(), String::new()), |(a, b)| (a.to_owned(), b.to_owned()))
        };
        text.lines().map(line).collect()
    };
    let (before, now) = (split(before), split(now));
    let (mut was, mut is): (BTreeMap<_, BTreeSet<_>>, BTreeMap<_, BTreeSet<_>>) = Default::default();
    for (shards, by_name) in [(&before, &mut was), (&now, &mut is)] {
        for (name, content) in shards {
            by_name.entry(name).or_default().insert(content);
        }
    }
    let added = is.keys().filter(|name| !was.contains_key(**name)).copied().collect();
    let removed = was.keys().filter(|name| !is.contains_key(**name)).copied().collect();
    let changed =
        is.iter().filter(|(name, content)| was.get(**name).is_some_and(|before| before != *content));
    let changed: Vec<&String> = changed.map(|(name, _)| *name).collect();
    let said: Vec<String> = [("new", added), ("gone", removed), ("other data under the same name", changed)]
        .into_iter()
        .filter(|(_, names): &(_, Vec<&String>)| !names.is_empty())
        .map(|(what, names)| format!("{what}: {}", some(&names)))
        .collect();
    Some(match said.is_empty() {
        true => "the same shards in another order or number".to_owned(),
        false => said.join("; "),
    })
}

/// The first names, and how many more there are.
fn some(names: &[&String]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(|name| name.as_str()).collect();
    match names.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Size and hash, where there is something that can be read twice.
fn of_path(path: &Path) -> std::io::Result<Option<(u64, String)>> {
    let Ok(metadata) = path.metadata() else { return Ok(None) };
    let (mut hasher, mut size) = (Sha256::new(), metadata.len());
    if metadata.is_dir() {
        let mut files = Vec::new();
        walk(path, &mut files)?;
        files.sort();
        size = 0;
        for file in files {
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            size += length;
            let name = file.strip_prefix(path).unwrap_or(&file);
            hasher.update(format!("{}\n{length}\n", name.display()));
        }
    } else if metadata.is_file() {
        let mut head = Vec::new();
        File::open(path)?.take(HEAD).read_to_end(&mut head)?;
        hasher.update(head);
    } else {
        return Ok(None);
    }
    let hash = hasher.finalize();
    Ok(Some((size, hash[..8].iter().map(|byte| format!("{byte:02x}")).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_data_under_the_same_names_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let shards = ["a.tar", "b.tar", "missing.tar"].map(|name| Location::File(dir.path().join(name)));
        let write =
            |number: usize, content: &str| std::fs::write(shards[number].path().unwrap(), content).unwrap();
        write(0, "one");
        write(1, "two");
        let before = fingerprint(&shards).unwrap();
        assert_eq!(difference(&before, &fingerprint(&shards).unwrap()), None);
        write(1, "owt");
        let now = fingerprint(&shards).unwrap();
        assert_eq!(difference(&before, &now).unwrap(), "other data under the same name: b.tar");
        let fewer = fingerprint(&shards[..1]).unwrap();
        assert_eq!(difference(&before, &fewer).unwrap(), "gone: b.tar, missing.tar");
        assert_eq!(difference(&fewer, &before).unwrap(), "new: b.tar, missing.tar");
        let other_order = fingerprint(&[shards[1].clone(), shards[0].clone(), shards[2].clone()]).unwrap();
        assert_eq!(difference(&now, &other_order).unwrap(), "the same shards in another order or number");
        // In another place the same data is the same.
        let moved = tempfile::tempdir().unwrap();
        std::fs::write(moved.path().join("a.tar"), "one").unwrap();
        assert_eq!(fingerprint(&[Location::File(moved.path().join("a.tar"))]).unwrap(), fewer);
    }

    #[test]
    fn a_folder_is_its_pictures() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.png"), "one").unwrap();
        let shards = [Location::File(dir.path().to_owned())];
        let before = fingerprint(&shards).unwrap();
        std::fs::write(dir.path().join("b.png"), "").unwrap();
        assert!(difference(&before, &fingerprint(&shards).unwrap()).is_some());
    }
}
