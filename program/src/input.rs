//! Inputs that a user may name `-`.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use clip_model::files;

use crate::Usage;

/// The path that stands for standard input, and for standard output.
pub const STDIO: &str = "-";

/// Whether a path stands for standard input or output.
pub fn is_stdio(path: &Path) -> bool {
    path.as_os_str() == STDIO
}

/// Standard input can be read once.
///
/// # Errors
/// [`Usage`] when more than one of `paths` is `-`.
pub fn check_once<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    match paths.into_iter().filter(|path| is_stdio(path)).count() {
        0 | 1 => Ok(()),
        count => {
            Err(Usage(format!("\"{STDIO}\" (standard input) is named {count} times; it can be read once"))
                .into())
        }
    }
}

/// The whole content of a file, or of standard input for `-`; at most `limit` bytes.
///
/// # Errors
/// As [`files::read`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    if is_stdio(path) {
        return Ok(files::read_from(
            &mut std::io::stdin().lock() as &mut dyn Read,
            Path::new("standard input"),
            limit,
        )?);
    }
    Ok(files::read(path, limit)?)
}

/// The text of a list (labels, templates, texts), UTF-8, from a file or from standard input for `-`.
///
/// # Errors
/// As [`files::read_text`].
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path, files::TEXT_LIMIT)?)
        .map_err(|e| e.utf8_error())
        .with_context(|| format!("cannot read {} as UTF-8", path.display()))
}
