//! Sizes of files.

use std::path::Path;

/// Bytes in a file; 0 when it is not there.
pub(crate) fn size(path: &Path) -> usize {
    path.metadata().map_or(0, |file| usize::try_from(file.len()).unwrap_or(usize::MAX))
}
