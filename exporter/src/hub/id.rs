//! A model's name on the hub.

use std::fmt;

/// `organisation/name`, with `@revision` behind it for another one than `main`: a branch, a tag or a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id {
    name: String,
    revision: Option<String>,
}

impl Id {
    /// What `text` names, when it looks like a model of the hub: two parts of letters, digits, `.`, `_` and `-`, none
    /// of them beginning with a punctuation mark. (So `./a/b`, `../a` and `/a/b` are always paths.)
    pub fn parse(text: &str) -> Option<Id> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (text, None),
        };
        let (organisation, model) = name.split_once('/')?;
        if ![organisation, model]
            .into_iter()
            .chain(revision.into_iter().flat_map(|r| r.split('/')))
            .all(plain)
        {
            return None;
        }
        Some(Id { name: name.to_owned(), revision: revision.map(str::to_owned) })
    }

    /// `organisation/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The revision, `main` where none was named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }
}

/// Whether `part` can be one part of a path and of a URL, as it is.
pub(super) fn plain(part: &str) -> bool {
    let mut bytes = part.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_told_from_paths() {
        let id = Id::parse("laion/CLIP-ViT-H-14-laion2B-s32B-b79K").unwrap();
        assert_eq!((id.name(), id.revision()), ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "main"));
        let id = Id::parse("openai/clip-vit-base-patch32@refs/pr/4").unwrap();
        assert_eq!((id.name(), id.revision()), ("openai/clip-vit-base-patch32", "refs/pr/4"));
        assert_eq!(id.to_string(), "openai/clip-vit-base-patch32@refs/pr/4");
        for path in
            ["a", "./a/b", "../a", "/a/b", "a/b/c", "a/", "/a", "a b/c", "a/b@", "a/b@../c", "a/.b", "a\\b/c"]
        {
            assert_eq!(Id::parse(path), None, "{path}");
        }
    }
}
