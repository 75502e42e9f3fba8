//! Writing files so that a reader never sees half of one, and hashing them.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Writes `path` through a temporary file in the same folder that is synced and renamed at the end: after a crash
/// or a full disk the old content is still there, whole.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
) -> Result<()> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let fail = |e| Error::io("write", path, e);
    let mut temporary = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder).map_err(fail)?;
    {
        let mut out = BufWriter::with_capacity(1 << 20, temporary.as_file_mut());
        fill(&mut out).map_err(fail)?;
        out.flush().map_err(fail)?;
    }
    temporary.as_file().sync_all().map_err(fail)?;
    widen_permissions(temporary.as_file()).map_err(fail)?;
    temporary.persist(path).map_err(|e| Error::io("rename", path, e.error))?;
    Ok(())
}

/// Temporary files are private to their owner; a finished file gets the usual `rw-r--r--`.
#[cfg(unix)]
fn widen_permissions(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn widen_permissions(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io("read", path, e))
}

/// SHA-256 of a file, lower-case hex.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(|e| Error::io("read", path, e))?;
        if n == 0 {
            return Ok(format!("{:x}", hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
    }
}

/// Creates `folder` through a temporary sibling that is renamed once `fill` has succeeded, so that it appears whole
/// or not at all.
///
/// # Errors
/// [`Error::Io`] when `folder` exists already; whatever `fill` returns.
pub fn create_folder_atomically<E: From<Error>>(
    folder: &Path,
    fill: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    if folder.exists() {
        return Err(Error::io("create", folder, std::io::ErrorKind::AlreadyExists.into()).into());
    }
    let parent = match folder.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
    let temporary = tempfile::Builder::new()
        .prefix(".tmp-")
        .tempdir_in(parent)
        .map_err(|e| Error::io("create", folder, e))?;
    fill(temporary.path())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open_to_readers = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(temporary.path(), open_to_readers)
            .map_err(|e| Error::io("write", folder, e))?;
    }
    std::fs::rename(temporary.path(), folder).map_err(|e| Error::io("rename", folder, e))?;
    // The folder has its name now: nothing is left to clean up.
    let _ = temporary.keep();
    Ok(())
}
