//! Reading files that are what they should be, writing them so that a reader never sees half of one, and hashing.

use std::fs::{File, FileType};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::memory;
use crate::temporary::{self, Folder, Parents, TemporaryFile};

/// Largest picture file that is read, bytes.
pub const IMAGE_LIMIT: u64 = 1 << 30;
/// Largest JSON or TOML file and largest list of texts that is read, bytes.
pub const TEXT_LIMIT: u64 = 1 << 28;

/// Bytes in a file; 0 when it is not there.
pub fn size(path: impl AsRef<Path>) -> usize {
    path.as_ref().metadata().map_or(0, |file| usize::try_from(file.len()).unwrap_or(usize::MAX))
}

/// Opens a regular file for reading. What may never end or never begin, a device or a pipe, is refused.
///
/// # Errors
/// [`Error::NotAFile`] for anything but a regular file; [`Error::Io`] when there is none, or it cannot be opened.
pub fn open(path: &Path) -> Result<File> {
    let fail = |e| Error::io("open", path, e);
    // Before opening: that would wait for a pipe's writer.
    let kind = std::fs::metadata(path).map_err(fail)?.file_type();
    match kind.is_file() {
        true => File::open(path).map_err(fail),
        false => Err(Error::NotAFile { path: path.to_owned(), kind: name(kind) }),
    }
}

/// What a user would call it.
fn name(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
}

/// Reads a whole file of at most `limit` bytes: a regular one, or one that the process was started with
/// (`/dev/fd/63`, as shells write `<(command)`), which may be a pipe. A larger file is refused by its size, before any of
/// it is read.
///
/// # Errors
/// As [`open`]; [`Error::FileTooLarge`] when there is more; [`Error::Memory`] when it does not fit into memory.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let fail = |action| move |e| Error::io(action, path, e);
    let mut file = match is_open_already(path) {
        true => File::open(path).map_err(fail("open"))?,
        false => open(path)?,
    };
    // A pipe's size is 0.
    let size = file.metadata().map_err(fail("open"))?.len();
    if size > limit {
        return Err(Error::FileTooLarge { path: path.to_owned(), limit });
    }
    read_sized(&mut file, path, size, limit)
}

fn is_open_already(path: &Path) -> bool {
    ["/dev/fd", "/dev/stdin", "/proc/self/fd"].iter().any(|start| path.starts_with(start))
}

/// [`read`] from something that is open; `path` is its name in errors.
///
/// # Errors
/// [`Error::Io`], [`Error::FileTooLarge`], [`Error::Memory`].
pub fn read_from(reader: &mut dyn Read, path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_sized(reader, path, 0, limit)
}

/// [`read_from`], of about `size` bytes.
fn read_sized(reader: &mut dyn Read, path: &Path, size: u64, limit: u64) -> Result<Vec<u8>> {
    let fail = |e: std::io::Error| match e.kind() {
        // The vector could not grow.
        std::io::ErrorKind::OutOfMemory => {
            Error::Memory { what: path.display().to_string(), bytes: size as usize }
        }
        _ => Error::io("read", path, e),
    };
    // One byte more shows that a file ends where it should.
    let mut bytes = memory::with_capacity(&path.display().to_string(), size as usize + 1)?;
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    match bytes.len() as u64 > limit {
        true => Err(Error::FileTooLarge { path: path.to_owned(), limit }),
        false => Ok(bytes),
    }
}

/// [`read`] for UTF-8 of at most [`TEXT_LIMIT`] bytes.
///
/// # Errors
/// As [`read`]; [`Error::Io`] for other bytes than UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let invalid = |e| Error::io("read", path, std::io::Error::new(std::io::ErrorKind::InvalidData, e));
    String::from_utf8(read(path, TEXT_LIMIT)?).map_err(|e| invalid(e.utf8_error()))
}

/// Writes `path` through a temporary file in the same folder that is synced and renamed at the end: after a crash
/// or a full disk the old content is still there, whole. What is there and is no plain file (a device, a pipe, a link) is left alone, and
/// refused.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
) -> Result<()> {
    let fail = |e| Error::io("write", path, e);
    if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        let reason = "it is not a plain file: name a file to be written or replaced";
        return Err(fail(std::io::Error::new(std::io::ErrorKind::InvalidInput, reason)));
    }
    let mut temporary = TemporaryFile::create_in(&parent(path)).map_err(fail)?;
    {
        let mut out = BufWriter::with_capacity(1 << 20, temporary.file());
        fill(&mut out).map_err(fail)?;
        out.flush().map_err(fail)?;
    }
    temporary.file().sync_all().map_err(fail)?;
    widen_permissions(temporary.file()).map_err(fail)?;
    temporary.rename(path).map_err(|e| Error::io("rename", path, e))
}

/// Writes `path`, in place of an older file, without syncing it: in a folder that has no name yet, which is synced whole
/// ([`sync_folder`]) before it gets one.
///
/// # Errors
/// [`Error::Io`].
pub fn write_unsynced(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
) -> Result<()> {
    let mut file = File::create(path).map_err(|e| Error::io("create", path, e))?;
    let mut out = BufWriter::with_capacity(1 << 20, &mut file);
    fill(&mut out).and_then(|()| out.flush()).map_err(|e| Error::io("write", path, e))
}

/// Waits until the files in `folder`, and their names, are on the disk.
///
/// # Errors
/// [`Error::Io`]; also when the system finds only now that the disk is full.
pub fn sync_folder(folder: &Path) -> Result<()> {
    let sync = |path: &Path| File::open(path)?.sync_all();
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    for entry in entries {
        let path = entry.map_err(|e| Error::io("read", folder, e))?.path();
        sync(&path).map_err(|e| Error::io("write", &path, e))?;
    }
    // Elsewhere a folder cannot be opened.
    #[cfg(unix)]
    sync(folder).map_err(|e| Error::io("write", folder, e))?;
    Ok(())
}

/// Gives the file `from` a second name, in place of whatever file has it, at once. Where the file system knows no second
/// names, `to` becomes a copy.
///
/// # Errors
/// [`Error::Io`].
pub fn link(from: &Path, to: &Path) -> Result<()> {
    if temporary::link(from, to).is_ok() {
        return Ok(());
    }
    let mut file = open(from)?;
    write_atomically(to, |out| std::io::copy(&mut file, out).map(drop))
}

/// The folder that holds `path`.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
        _ => PathBuf::from("."),
    }
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

/// [`write_atomically`] of `bytes`; gives back their SHA-256, lower-case hex.
pub fn write_hashed(path: &Path, bytes: &[u8]) -> Result<String> {
    write_atomically(path, |out| out.write_all(bytes))?;
    Ok(format!("{:x}", Sha256::digest(bytes)))
}

/// Bytes of a file that are held while it is hashed: they fit into a core's cache.
const HASHED_AT_ONCE: usize = 1 << 18;

/// SHA-256 of a file, lower-case hex.
///
/// # Errors
/// As [`open`].
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = memory::filled("the bytes of a file", 0, HASHED_AT_ONCE)?;
    loop {
        let n = file.read(&mut buffer).map_err(|e| Error::io("read", path, e))?;
        if n == 0 {
            return Ok(format!("{:x}", hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
    }
}

/// Writes to `out`, and hashes on the way what it takes: nothing that is written has to be read again for its hash.
#[derive(Debug)]
pub struct Hashing<W> {
    out: W,
    hasher: Sha256,
}

impl<W: Write> Hashing<W> {
    /// Nothing is written yet.
    pub fn new(out: W) -> Hashing<W> {
        Hashing { out, hasher: Sha256::new() }
    }

    /// What was written to, and the SHA-256 of what was written, lower-case hex.
    pub fn finish(self) -> (W, String) {
        (self.out, format!("{:x}", self.hasher.finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Creates `folder` through a temporary sibling that is renamed once `fill` has succeeded, so that it appears whole
/// or not at all. Gives back what `fill` does.
///
/// # Errors
/// [`Error::Io`] when `folder` exists already; whatever `fill` returns.
pub fn create_folder_atomically<T, E: From<Error>>(
    folder: &Path,
    fill: impl FnOnce(&Path) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    if folder.exists() {
        return Err(Error::io("create", folder, std::io::ErrorKind::AlreadyExists.into()).into());
    }
    let parent = parent(folder);
    let _parents = Parents::create(&parent).map_err(|e| Error::io("create", &parent, e))?;
    let temporary = Folder::create_in(&parent).map_err(|e| Error::io("create", folder, e))?;
    let made = fill(temporary.path())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open_to_readers = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(temporary.path(), open_to_readers)
            .map_err(|e| Error::io("write", folder, e))?;
    }
    temporary.rename(folder).map_err(|e| Error::io("rename", folder, e))?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let root = tempfile::tempdir().unwrap();
        let message = |path: &Path| open(path).unwrap_err().to_string();
        assert!(message(root.path()).ends_with("is a folder, expected a file"));
        #[cfg(unix)]
        {
            let pipe = root.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            assert!(message(&pipe).ends_with("pipe is a named pipe, expected a file"));
            assert!(message(Path::new("/dev/zero")).ends_with("/dev/zero is a device, expected a file"));
            assert!(matches!(read(Path::new("/dev/zero"), 9), Err(Error::NotAFile { .. })));
            assert!(matches!(read_text(&pipe), Err(Error::NotAFile { .. })));
            assert!(matches!(sha256(&pipe), Err(Error::NotAFile { .. })));
        }
    }

    #[test]
    fn what_is_written_is_hashed_on_the_way() {
        /// Takes three bytes at a time.
        struct Short(Vec<u8>);
        impl Write for Short {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.write(&bytes[..bytes.len().min(3)])
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut out = Hashing::new(Short(Vec::new()));
        out.write_all(b"hello, ").unwrap();
        out.write_all(b"world").unwrap();
        let (Short(written), hash) = out.finish();
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(write_hashed(file.path(), b"hello, world").unwrap(), hash);
        assert_eq!((written.as_slice(), sha256(file.path()).unwrap()), (&b"hello, world"[..], hash));
    }

    #[test]
    fn a_second_name_takes_the_place_of_a_file() {
        let root = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| root.path().join(name));
        write_unsynced(&from, |out| out.write_all(b"new")).unwrap();
        std::fs::write(&to, "old").unwrap();
        // Also when it has that name already.
        for _ in 0..2 {
            link(&from, &to).unwrap();
            assert_eq!(std::fs::read(&to).unwrap(), b"new");
            assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);
        }
        sync_folder(root.path()).unwrap();
        assert!(link(&root.path().join("missing"), &to).is_err());
        assert_eq!(std::fs::read(&to).unwrap(), b"new");
        let message = write_unsynced(&root.path().join("no/such"), |_| Ok(())).unwrap_err().to_string();
        assert!(message.contains("cannot create"), "{message}");
    }

    #[test]
    fn no_more_is_read_than_the_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12345").unwrap();
        assert_eq!(read(file.path(), 5).unwrap(), b"12345");
        let message = read(file.path(), 4).unwrap_err().to_string();
        assert!(message.ends_with("has more than the 4 bytes that are read of such a file"), "{message}");
        // Eight gigabytes of holes: were they read first, this would take seconds and a gigabyte.
        file.as_file().set_len(8 << 30).unwrap();
        assert!(matches!(read(file.path(), 1 << 20), Err(Error::FileTooLarge { .. })));
        let endless = read_from(&mut std::io::repeat(0), Path::new("endless"), 1 << 16);
        assert!(matches!(endless, Err(Error::FileTooLarge { .. })));
    }
}
