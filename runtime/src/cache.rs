//! The user's cache folder.

use std::path::PathBuf;

/// Our folder in `$XDG_CACHE_HOME` or `~/.cache`; none where neither is known.
pub(crate) fn folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("libclip"))
}
