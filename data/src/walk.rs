//! The pictures of a folder and of the folders in it.

use std::path::{Component, Path, PathBuf};

use clip_model::preprocess::is_picture_name;

/// Adds the paths of the pictures in `folder` and below to `found`, in no order. Hidden files and folders are left out.
///
/// # Errors
/// Those of reading a folder, which they name.
pub(crate) fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let named = |e: std::io::Error| std::io::Error::new(e.kind(), format!("{}: {e}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(named)? {
        let entry = entry.map_err(named)?;
        if is_hidden(Path::new(&entry.file_name())) {
            continue;
        }
        // Links to folders are not followed: they may lead in circles.
        let (path, kind) = (entry.path(), entry.file_type().map_err(named)?);
        if kind.is_dir() {
            walk(&path, found)?;
        } else if is_picture_name(&path) && !path.is_dir() {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a part of the path, which begins inside the folder or tar file, is the name of something hidden: thumbnails, or
/// what macOS writes beside each file (`._cat.jpg`).
pub(crate) fn is_hidden(path: &Path) -> bool {
    let hidden = |part| matches!(part, Component::Normal(name) if name.as_encoded_bytes().starts_with(b"."));
    path.components().any(hidden)
}
