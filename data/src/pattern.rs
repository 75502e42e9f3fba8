//! Lists of shards written short: `pairs-{000..009}.tar` and `{train,val}.tar`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// More shards than this from one pattern are taken for a slip of the pen.
const MAX_SHARDS: usize = 1_000_000;

/// The shards that `names` stand for, in order. `{000..009}` counts, with the zeros of its first number, and `{a,b}` lists;
/// a name may have several. A name that is a file is taken as it is.
///
/// # Errors
/// [`Error::Pattern`] for braces that mean neither.
pub fn expand(names: &[impl AsRef<str>]) -> Result<Vec<PathBuf>> {
    let mut shards = Vec::new();
    for name in names.iter().map(AsRef::as_ref) {
        if Path::new(name).exists() {
            shards.push(PathBuf::from(name));
        } else {
            expand_one(name, &mut shards)?;
        }
    }
    Ok(shards)
}

fn expand_one(name: &str, shards: &mut Vec<PathBuf>) -> Result<()> {
    let bad = |reason: &str| Error::Pattern { pattern: name.to_owned(), reason: reason.to_owned() };
    let Some((before, rest)) = name.split_once('{') else {
        shards.push(PathBuf::from(name));
        return Ok(());
    };
    let (inside, after) = rest.split_once('}').ok_or_else(|| bad("`{` without `}`"))?;
    let choices: Vec<String> = if let Some((first, last)) = inside.split_once("..") {
        let number = |s: &str| s.parse::<usize>().map_err(|_| bad(&format!("`{s}` is not a number")));
        let (from, to, width) = (number(first)?, number(last)?, first.len());
        if to < from || to - from >= MAX_SHARDS {
            return Err(bad(&format!("{from}..{to} is not a range of up to {MAX_SHARDS} shards")));
        }
        (from..=to).map(|n| format!("{n:0width$}")).collect()
    } else if inside.contains(',') {
        inside.split(',').map(str::to_owned).collect()
    } else {
        return Err(bad("braces hold a range such as `000..009` or a list such as `a,b`"));
    };
    if shards.len().saturating_add(choices.len()) > MAX_SHARDS {
        return Err(bad(&format!("more than {MAX_SHARDS} shards")));
    }
    choices.iter().try_for_each(|choice| expand_one(&format!("{before}{choice}{after}"), shards))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lists_and_plain_names() {
        let paths = expand(&["a.tar", "p-{08..11}.tar", "{x,y}-{1..2}.tar"]).unwrap();
        let names: Vec<_> = paths.iter().map(|p| p.to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "a.tar", "p-08.tar", "p-09.tar", "p-10.tar", "p-11.tar", "x-1.tar", "x-2.tar", "y-1.tar",
                "y-2.tar"
            ]
        );
    }

    #[test]
    fn a_file_with_braces_in_its_name_is_itself() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("{0..1}.tar");
        std::fs::write(&file, b"").unwrap();
        assert_eq!(expand(&[file.to_str().unwrap()]).unwrap(), [file]);
    }

    #[test]
    fn wrong_patterns_say_why() {
        for (pattern, reason) in
            [("a{1..b}", "`b` is not a number"), ("a{3..1}", "3..1"), ("a{1", "without"), ("a{x}", "such as")]
        {
            let message = expand(&[pattern]).unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains(pattern), "{message}");
        }
    }
}
