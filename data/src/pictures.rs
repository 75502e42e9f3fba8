//! Pictures without texts, of a folder or a tar file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clip_model::preprocess::{EXTENSIONS, Image, is_picture_name};
use clip_model::{Preprocess, files};

use crate::error::{Error, Result};
use crate::walk::{is_hidden, walk};

/// Pictures of a folder or a tar file, and what was left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pictures {
    /// Those that could be decoded, resized and cropped to the model's size.
    pub images: Vec<Image>,
    /// Why others could not, each with its name.
    pub skipped: Vec<String>,
}

impl Pictures {
    /// At most `limit` pictures of a folder, and of the folders in it, or of a tar file, evenly chosen in the order of
    /// their names (in a tar: of its entries). Each is resized and cropped as `preprocess` says. Hidden files and folders,
    /// whose names begin with a dot, are none; of those chosen, what cannot be read or decoded is skipped.
    ///
    /// # Errors
    /// [`Error::NoSamples`] when there is none, or none that can be decoded, or the folder or tar file cannot be read.
    pub fn read(path: impl AsRef<Path>, preprocess: &Preprocess, limit: usize) -> Result<Pictures> {
        Self::read_path(path.as_ref(), preprocess, limit)
    }

    fn read_path(path: &Path, preprocess: &Preprocess, limit: usize) -> Result<Pictures> {
        let bad = |reason: String| Error::NoSamples { path: path.to_owned(), reason };
        let mut pictures = Pictures::default();
        let mut take = |name: &Path, image: clip_model::Result<Image>| match image
            .and_then(|image| preprocess.fit(&image))
        {
            Ok(image) => pictures.images.push(image),
            Err(e) => pictures.skipped.push(skipped(name, &e)),
        };
        if path.is_dir() {
            let mut found = Vec::new();
            walk(path, &mut found).map_err(|e| bad(e.to_string()))?;
            found.sort();
            for file in evenly(found.len(), limit).map(|i| &found[i]) {
                let encoded = files::read(file, files::IMAGE_LIMIT);
                take(file, encoded.and_then(|encoded| preprocess.decode(&encoded)));
            }
        } else {
            let unread = |e: std::io::Error| match path.is_file() {
                true => bad(format!("it is no folder, and as a tar file it cannot be read: {e}")),
                false => bad(e.to_string()),
            };
            let entries = tar_pictures(path, None).map_err(unread)?;
            let wanted: Vec<usize> = evenly(entries.len(), limit).collect();
            let entries = tar_pictures(path, Some(&wanted)).map_err(unread)?;
            entries.iter().for_each(|(name, encoded)| take(name, preprocess.decode(encoded)));
        }
        match (pictures.images.len(), pictures.skipped.len()) {
            (0, 0) => {
                Err(bad(format!("there is no picture in it (names that end in {})", EXTENSIONS.join(", "))))
            }
            (0, _) => Err(bad(format!("one picture is needed at least, but {}", pictures.left_out()))),
            _ => Ok(pictures),
        }
    }

    /// What was left out, in words, when anything was.
    pub fn note(&self) -> Option<String> {
        (!self.skipped.is_empty()).then(|| self.left_out())
    }

    /// The first few names, then a count.
    fn left_out(&self) -> String {
        const NAMED: usize = 3;
        let (skipped, all) = (self.skipped.len(), self.skipped.len() + self.images.len());
        let mut names = self.skipped[..skipped.min(NAMED)].join("; ");
        if skipped > NAMED {
            names += &format!("; and {} more", skipped - NAMED);
        }
        format!("{skipped} of {all} pictures cannot be read and are left out: {names}")
    }
}

/// A name and a reason, which may begin with the name.
fn skipped(name: &Path, error: &clip_model::Error) -> String {
    let (name, mut reason) = (name.display().to_string(), error.to_string());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason += &format!(": {cause}");
        source = cause.source();
    }
    if reason.contains(&name) { reason } else { format!("{name}: {reason}") }
}

/// At most `limit` of `count` positions.
pub(crate) fn evenly(count: usize, limit: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(limit);
    (0..taken).map(move |i| i * count / taken.max(1))
}

/// Names of the pictures in a tar, and the bytes of those at the positions in `wanted`.
fn tar_pictures(path: &Path, wanted: Option<&[usize]>) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut pictures = Vec::new();
    let mut position = 0;
    for entry in tar::Archive::new(File::open(path)?).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        if !entry.header().entry_type().is_file() || is_hidden(&name) || !is_picture_name(&name) {
            continue;
        }
        if wanted.is_none_or(|wanted| wanted.contains(&position)) {
            let mut encoded = Vec::new();
            if wanted.is_some() {
                entry.read_to_end(&mut encoded)?;
            }
            pictures.push((name, encoded));
        }
        position += 1;
    }
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(level: u8) -> Vec<u8> {
        // A 1x1 grey BMP: the shortest format to spell out.
        let mut bmp = b"BM".to_vec();
        for field in [58u32, 0, 54, 40, 1, 1, 0x0018_0001, 0, 4, 0, 0, 0, 0] {
            bmp.extend(field.to_le_bytes());
        }
        bmp.extend([level, level, level, 0]);
        bmp
    }

    fn levels(images: &[Image]) -> Vec<u8> {
        images.iter().map(|i| i.rgb()[0]).collect()
    }

    #[test]
    fn pictures_come_from_folders_and_tars_evenly_chosen() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("deep")).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        for i in 0..6u8 {
            let name = if i % 2 == 0 { format!("deep/{i}.bmp") } else { format!("e{i}.BMP") };
            std::fs::write(root.path().join(&name), png(10 * i)).unwrap();
            let mut header = tar::Header::new_ustar();
            header.set_size(58);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, &name, &png(10 * i)[..]).unwrap();
        }
        std::fs::write(root.path().join("notes.txt"), "no picture").unwrap();
        let shard = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(shard.path(), tar.into_inner().unwrap()).unwrap();
        let preprocess = Preprocess { size: 2, ..Preprocess::default() };
        let read = |path: &Path, limit| levels(&Pictures::read(path, &preprocess, limit).unwrap().images);
        assert_eq!(read(root.path(), 100), [0, 20, 40, 10, 30, 50]);
        assert_eq!(read(root.path(), 3), [0, 40, 30]);
        assert_eq!(read(shard.path(), 100), [0, 10, 20, 30, 40, 50]);
        assert_eq!(read(shard.path(), 2), [0, 30]);
    }

    #[test]
    fn no_picture_is_refused_and_a_broken_one_left_out() {
        let root = tempfile::tempdir().unwrap();
        let preprocess = Preprocess { size: 2, ..Preprocess::default() };
        let read = || Pictures::read(root.path(), &preprocess, 9);
        let message = read().unwrap_err().to_string();
        assert!(message.contains("there is no picture"), "{message}");
        for name in ["cat.png", "dog.jpg", "emu.gif", "fox.bmp", "gnu.webp"] {
            std::fs::write(root.path().join(name), "meow").unwrap();
        }
        std::fs::create_dir(root.path().join("folder.png")).unwrap();
        // What has the name of a picture and is no file is left out as well, not overlooked.
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere", root.path().join("hen.png")).unwrap();
        #[cfg(not(unix))]
        std::fs::write(root.path().join("hen.png"), "meow").unwrap();
        let file = Pictures::read(root.path().join("cat.png"), &preprocess, 9).unwrap_err().to_string();
        assert!(file.contains("it is no folder, and as a tar file it cannot be read"), "{file}");
        let message = read().unwrap_err().to_string();
        assert!(message.contains("one picture is needed at least, but 6 of 6 pictures"), "{message}");
        std::fs::write(root.path().join("ape.bmp"), png(7)).unwrap();
        let pictures = read().unwrap();
        assert_eq!((levels(&pictures.images), pictures.skipped.len()), (vec![7], 6));
        let note = pictures.note().unwrap();
        assert!(note.starts_with("6 of 7 pictures cannot be read and are left out: "), "{note}");
        assert!(note.contains("cat.png") && note.contains("emu.gif") && !note.contains("fox.bmp"), "{note}");
        assert!(note.ends_with("; and 3 more"), "{note}");
    }

    #[test]
    fn hidden_files_are_no_pictures() {
        let root = tempfile::tempdir().unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        for (name, level) in
            [("./cat.bmp", 5), ("./._cat.bmp", 6), (".thumbnails/cat.bmp", 7), ("b/._x.bmp", 8)]
        {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, png(level)).unwrap();
            let mut header = tar::Header::new_ustar();
            header.set_size(58);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, name, &png(level)[..]).unwrap();
        }
        let shard = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(shard.path(), tar.into_inner().unwrap()).unwrap();
        let preprocess = Preprocess { size: 2, ..Preprocess::default() };
        // The folder itself may be hidden.
        assert!(root.path().file_name().unwrap().to_str().unwrap().starts_with('.'));
        for path in [root.path(), shard.path()] {
            let pictures = Pictures::read(path, &preprocess, 9).unwrap();
            assert_eq!((levels(&pictures.images), pictures.skipped), (vec![5], vec![]));
        }
    }
}
