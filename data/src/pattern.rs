//! Lists of shards written short: `pairs-{000..009}.tar`, `{train,val}.tar`, `a.tar::b.tar`, and `@FILE` with a name a line.

use std::path::Path;

use clip_model::files;

use crate::error::{Error, Result};
use crate::location::{COMMAND, Location};

/// More shards than this from one list are taken for a slip of the pen.
const MAX_SHARDS: usize = 1_000_000;
/// Groups of braces in a name: each is expanded by a call of its own.
const MAX_GROUPS: usize = 32;

/// The shards that `words` stand for, in order. `{000..009}` counts, with the zeros of its first number, `{000..100..10}` in steps,
/// `{a..f}` goes through letters and `{a,b}` lists; a name may have several. `a::b` is both of them. `@FILE` stands for the
/// names in a file, one a line, each read as a word is; but neither commands nor further lists, so that no file that came from
/// elsewhere can run anything. Blank lines and those that begin with `#` do not count. A word that is a file is taken as it is.
///
/// # Errors
/// [`Error::Pattern`] for braces that mean nothing and for addresses that are not read; those of reading a list.
pub fn expand(words: &[impl AsRef<str>]) -> Result<Vec<Location>> {
    let mut shards = Vec::new();
    for word in words {
        shards.extend(expand_sources(word.as_ref())?.into_iter().flatten());
    }
    Ok(shards)
}

/// The shards of each source in a word: `a::b` has two.
pub(crate) fn expand_sources(word: &str) -> Result<Vec<Vec<Location>>> {
    if Path::new(word).exists() {
        return Ok(vec![vec![Location::File(word.into())]]);
    }
    split_sources(word)
        .into_iter()
        .map(|source| match source.strip_prefix('@') {
            Some(list) if !Path::new(source).exists() => {
                parse_list(&files::read_text(Path::new(list))?, list)
            }
            _ => expand_name(source),
        })
        .collect()
}

/// The shards in the text of a list, the content of `file`.
///
/// # Errors
/// [`Error::Pattern`] with the line.
pub fn parse_list(text: &str, file: &str) -> Result<Vec<Location>> {
    let mut shards = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let word = line.trim();
        if word.is_empty() || word.starts_with('#') {
            continue;
        }
        let bad = |reason: &str| Error::Pattern {
            pattern: word.to_owned(),
            reason: format!("line {} of the list {file}: {reason}", number + 1),
        };
        for name in split_sources(word) {
            if name.starts_with('@') {
                return Err(bad("a list cannot hold lists"));
            }
            let named = expand_name(name)?;
            // Asked of what braces became: `{a.tar,pipe:b}` holds a command that its first letters do not show.
            if named.iter().any(|shard| matches!(shard, Location::Command(_))) {
                return Err(bad("a list cannot hold commands; give `pipe:` on the command line"));
            }
            shards.extend(named);
            if shards.len() > MAX_SHARDS {
                return Err(bad(&format!("more than {MAX_SHARDS} shards")));
            }
        }
    }
    match shards.is_empty() {
        true => Err(Error::NoSamples { path: file.into(), reason: "the list names no shard".to_owned() }),
        false => Ok(shards),
    }
}

/// The parts of `a::b`. A command may have `::` in it and ends at the next `::pipe:`; so may an address, between brackets.
fn split_sources(word: &str) -> Vec<&str> {
    let (mut parts, mut start, mut brackets) = (Vec::new(), 0, 0i32);
    for (at, character) in word.char_indices() {
        match character {
            '[' => brackets += 1,
            ']' => brackets -= 1,
            _ => {}
        }
        let (part, rest) = (&word[start.min(at)..at], &word[at..]);
        let Some(next) = rest.strip_prefix("::") else { continue };
        let within = if part.starts_with(COMMAND) { !next.starts_with(COMMAND) } else { brackets > 0 };
        if at >= start && !within {
            parts.push(part);
            start = at + 2;
        }
    }
    parts.push(&word[start..]);
    parts
}

fn expand_name(name: &str) -> Result<Vec<Location>> {
    if !name.starts_with(COMMAND) && Path::new(name).exists() {
        return Ok(vec![Location::File(name.into())]);
    }
    let mut names = Vec::new();
    expand_braces(name, 0, 0, &mut names)?;
    names.iter().map(|name| Location::parse(name)).collect()
}

/// Expands the first braces from byte `from` on, then the others.
fn expand_braces(name: &str, from: usize, group: usize, names: &mut Vec<String>) -> Result<()> {
    let bad = |reason: &str| Error::Pattern { pattern: name.to_owned(), reason: reason.to_owned() };
    let Some(open) = name[from..].find('{').map(|at| from + at) else {
        names.push(name.to_owned());
        return Ok(());
    };
    if group == MAX_GROUPS {
        return Err(bad(&format!("more than {MAX_GROUPS} braces")));
    }
    let close = name[open..].find('}').map(|at| open + at);
    // Braces in a command may be the shell's.
    let shells = name.starts_with(COMMAND);
    let Some(close) = close else {
        return match shells {
            true => expand_braces(name, name.len(), group, names),
            false => Err(bad("`{` without `}`")),
        };
    };
    let inside = &name[open + 1..close];
    let choices = match choices(inside) {
        Ok(choices) => choices,
        Err(_) if shells && !inside.contains("..") => {
            return expand_braces(name, close, group + 1, names);
        }
        Err(reason) => return Err(bad(&reason)),
    };
    if names.len().saturating_add(choices.len()) > MAX_SHARDS {
        return Err(bad(&format!("more than {MAX_SHARDS} shards")));
    }
    for choice in choices {
        let (before, after) = (&name[..open], &name[close + 1..]);
        expand_braces(&format!("{before}{choice}{after}"), open + choice.len(), group + 1, names)?;
    }
    Ok(())
}

/// What the text between braces stands for, or why it stands for nothing.
fn choices(inside: &str) -> Result<Vec<String>, String> {
    let Some((first, rest)) = inside.split_once("..") else {
        return match inside.contains(',') {
            true => Ok(inside.split(',').map(str::to_owned).collect()),
            false => Err("braces hold a range such as `000..009` or a list such as `a,b`".to_owned()),
        };
    };
    let number = |s: &str| s.parse::<usize>().map_err(|_| format!("`{s}` is not a number"));
    let (last, step) = match rest.split_once("..") {
        Some((last, step)) => (last, number(step)?),
        None => (rest, 1),
    };
    if step == 0 {
        return Err("a step of 0 never ends".to_owned());
    }
    if let (Some(from), Some(to)) = (letter(first), letter(last)) {
        return match from <= to {
            true => Ok((from..=to).step_by(step).map(|c| char::from(c).to_string()).collect()),
            false => Err(format!("{first}..{last} goes backwards")),
        };
    }
    let (from, to, width) = (number(first)?, number(last)?, first.len());
    if to < from || (to - from) / step >= MAX_SHARDS {
        return Err(format!("{from}..{to} is not a range of up to {MAX_SHARDS} shards"));
    }
    Ok((from..=to).step_by(step).map(|n| format!("{n:0width$}")).collect())
}

fn letter(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(*letter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<String> {
        expand(words).unwrap().iter().map(Location::to_string).collect()
    }

    #[test]
    fn ranges_lists_and_plain_names() {
        assert_eq!(
            names(&["a.tar", "p-{08..11}.tar", "{x,y}-{1..2}.tar"]),
            [
                "a.tar", "p-08.tar", "p-09.tar", "p-10.tar", "p-11.tar", "x-1.tar", "x-2.tar", "y-1.tar",
                "y-2.tar"
            ]
        );
        assert_eq!(
            names(&["{000..100..50}", "{a..c}", "{a..e..2}"]),
            ["000", "050", "100", "a", "b", "c", "a", "c", "e"]
        );
        assert_eq!(names(&["s3://b/{0..1}.tar"]), ["s3://b/0.tar", "s3://b/1.tar"]);
    }

    #[test]
    fn several_sources_stand_in_one_word() {
        let sources = expand_sources("a{0..1}.tar::b.tar").unwrap();
        assert_eq!(sources.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(names(&["http://[::1]/a.tar::b.tar"]), ["http://[::1]/a.tar", "b.tar"]);
        assert_eq!(
            names(&["pipe:echo a::b {1..2} {print}::pipe:cat c"]),
            ["pipe:echo a::b 1 {print}", "pipe:echo a::b 2 {print}", "pipe:cat c"]
        );
    }

    #[test]
    fn a_list_has_a_name_a_line_and_no_commands() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("list.txt");
        std::fs::write(&list, "\u{feff}# shards\na-{0..1}.tar\r\n\n  s3://b/c.tar\n").unwrap();
        let word = format!("@{}", list.display());
        assert_eq!(names(&[&word]), ["a-0.tar", "a-1.tar", "s3://b/c.tar"]);
        for (text, part) in [
            ("a.tar\npipe:rm -r x", "line 2 of the list"),
            ("a::pipe:rm -r x", "cannot hold commands"),
            ("{a.tar,pipe:rm -r x}", "cannot hold commands"),
            ("{p,q}ipe:rm -r x", "cannot hold commands"),
            ("@other", "cannot hold lists"),
            ("# none\n", "names no shard"),
        ] {
            std::fs::write(&list, text).unwrap();
            let message = expand(&[&word]).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("list.txt"), "{message}");
        }
    }

    #[test]
    fn a_file_with_braces_in_its_name_is_itself() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("{0..1}::b.tar");
        std::fs::write(&file, b"").unwrap();
        assert_eq!(expand(&[file.to_str().unwrap()]).unwrap(), [Location::File(file)]);
    }

    #[test]
    fn wrong_patterns_say_why() {
        for (pattern, reason) in [
            ("a{1..b}", "`b` is not a number"),
            ("a{3..1}", "3..1"),
            ("a{f..a}", "goes backwards"),
            ("a{1..9..0}", "never ends"),
            ("a{1", "without"),
            ("a{x}", "such as"),
            ("a{0..999}{0..999}{0..999}", "more than 1000000"),
        ] {
            let message = expand(&[pattern]).unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains('a'), "{message}");
        }
    }
}
