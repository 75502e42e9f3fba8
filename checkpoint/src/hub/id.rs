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
    /// of them beginning with a punctuation mark, and maybe a revision that git allows. (So `./a/b`, `../a` and `/a/b` are
    /// always paths.)
    pub fn parse(text: &str) -> Option<Id> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (text, None),
        };
        let (organisation, model) = name.split_once('/')?;
        let named = [organisation, model].into_iter().all(plain);
        if !named || revision.is_some_and(|revision| !is_reference(revision)) {
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

/// Whether git allows a branch or tag of this name (`man git-check-ref-format`). None of its parts leads out of a folder.
fn is_reference(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    !name.contains(forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name != "@"
        && name.split('/').all(part)
}

/// `text` as one part of a URL's path (RFC 3986, section 2.3).
pub(super) fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
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
        for revision in ["fix#1", "v1.0+cuda", "100%", "größe", "a@b", "what's new?"] {
            let id = Id::parse(&format!("me/mine@{revision}"));
            assert_eq!(
                id.map(|id| id.revision().to_owned()),
                (!revision.contains('?')).then(|| revision.to_owned())
            );
        }
        assert_eq!(percent_encoded("fix#1/ö 100%?~"), "fix%231%2F%C3%B6%20100%25%3F~");
        for revision in
            ["a..b", "a/../b", ".a", "a/.b", "a.lock", "a.", "a//b", "/a", "a b", "a\\b", "a@{1}", "@", "a\n"]
        {
            assert_eq!(Id::parse(&format!("me/mine@{revision}")), None, "{revision}");
        }
        for path in
            ["a", "./a/b", "../a", "/a/b", "a/b/c", "a/", "/a", "a b/c", "a/b@", "a/b@../c", "a/.b", "a\\b/c"]
        {
            assert_eq!(Id::parse(path), None, "{path}");
        }
    }
}
