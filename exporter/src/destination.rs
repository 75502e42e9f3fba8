//! Where a model folder goes: it appears whole or not at all, also when it takes the place of an older one.

use std::path::Path;

use clip_model::{Manifest, files, temporary};

use crate::error::{Error, Result};

/// Refuses a destination before any work is done: one that exists, unless it is a model folder to be replaced.
pub fn check(folder: &Path, replace: bool) -> Result<()> {
    // Also a dangling link is in the way.
    if folder.symlink_metadata().is_err() {
        return Ok(());
    }
    if !replace {
        return Err(Error::Exists(folder.to_owned()));
    }
    // Only what a manifest knows may be removed; anything else in there is the user's.
    let Ok(manifest) = Manifest::read(folder) else {
        return Err(Error::NotAModelFolder(folder.to_owned()));
    };
    let own = manifest.files();
    let io = |e| Error::Model(clip_model::Error::io("read", folder, e));
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if !own.iter().any(|&own| name == *own) {
            return Err(Error::ForeignFile { folder: folder.to_owned(), file: name.into() });
        }
    }
    Ok(())
}

/// Creates `folder` with the files that `fill` writes. An older model folder stays untouched until the new one is
/// complete, and is then removed.
pub fn write(folder: &Path, replace: bool, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    check(folder, replace)?;
    if folder.symlink_metadata().is_err() {
        return files::create_folder_atomically(folder, fill);
    }
    let fail = |action| move |e| Error::Model(clip_model::Error::io(action, folder, e));
    // A link is followed, so that the folder it names is replaced and not the link.
    let folder = &folder.canonicalize().map_err(fail("open"))?;
    let parent = folder.parent().ok_or_else(|| Error::NotAModelFolder(folder.clone()))?;
    // Removed at the end, with the older folder in it.
    let mut aside = temporary::Folder::create_in(parent).map_err(fail("replace"))?;
    let (new, old) = (aside.path().join("new"), aside.path().join("old"));
    files::create_folder_atomically(&new, fill)?;
    // Between the two, neither model has its name.
    let exchanged = temporary::uninterrupted(|| {
        std::fs::rename(folder, &old)?;
        std::fs::rename(&new, folder)
    });
    if exchanged.is_err() && old.exists() && std::fs::rename(&old, folder).is_err() {
        // Better kept aside than removed.
        aside.keep();
    }
    exchanged.map_err(fail("replace"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clip_model::Preprocess;
    use clip_model::manifest::{Element, Encoder, Engine, Precision, REPORT, SCHEMA};

    fn entries(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn put(name: &'static str) -> impl FnOnce(&Path) -> Result<()> {
        move |folder| {
            std::fs::write(folder.join(name), name).unwrap();
            let image = Encoder {
                file: name.into(),
                sha256: String::new(),
                data: Vec::new(),
                engine: Engine::Onnx,
                precision: Precision::Fp32,
                input: "image".into(),
                element: Element::Float32,
                batch: None,
                output: "embedding".into(),
            };
            let manifest = Manifest {
                schema: SCHEMA,
                producer: "test".into(),
                model: "test".into(),
                embed_dim: 8,
                logit_scale: 1.0,
                logit_bias: None,
                preprocess: Preprocess::default(),
                tokenizer: None,
                image: Some(image),
                text: None,
                labels: None,
                combined: None,
            };
            Ok(manifest.write(folder)?)
        }
    }

    fn failing(folder: &Path) -> Result<()> {
        std::fs::write(folder.join("half"), "").unwrap();
        Err(Error::Options("half".to_owned()))
    }

    #[test]
    fn a_new_folder_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("deep/model");
        assert!(matches!(write(&folder, false, failing), Err(Error::Options(_))));
        assert_eq!(entries(root.path()), Vec::<String>::new());
        write(&folder, false, put("a")).unwrap();
        assert_eq!(entries(&folder), ["a", "clip.json"]);
        assert!(matches!(write(&folder, false, put("b")), Err(Error::Exists(_))));
        assert_eq!(entries(&folder), ["a", "clip.json"]);
    }

    #[test]
    fn an_older_model_is_replaced_only_by_a_complete_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        write(&folder, true, put("a")).unwrap();
        std::fs::write(folder.join(REPORT), "{}").unwrap();
        assert!(matches!(write(&folder, true, failing), Err(Error::Options(_))));
        assert_eq!(entries(&folder), ["a", "clip.json", "report.json"]);
        write(&folder, true, put("b")).unwrap();
        assert_eq!(entries(&folder), ["b", "clip.json"]);
        assert_eq!(entries(root.path()), ["model"], "nothing is left behind");
    }

    #[test]
    fn what_is_no_model_folder_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("photos");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("dear.jpg"), "").unwrap();
        let message = write(&folder, true, put("a")).unwrap_err().to_string();
        assert!(message.contains("photos") && message.contains("clip.json"), "{message}");
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(write(&file, true, put("a")), Err(Error::NotAModelFolder(_))));
        assert_eq!(entries(&folder), ["dear.jpg"]);
    }

    #[test]
    fn a_folder_with_the_users_own_files_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        write(&folder, false, put("a")).unwrap();
        std::fs::write(folder.join("notes.txt"), "mine").unwrap();
        let message = write(&folder, true, put("b")).unwrap_err().to_string();
        assert!(message.contains("notes.txt"), "{message}");
        assert_eq!(entries(&folder), ["a", "clip.json", "notes.txt"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let root = tempfile::tempdir().unwrap();
        write(&root.path().join("model"), false, put("a")).unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink("model", &link).unwrap();
        write(&link, true, put("b")).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(entries(&root.path().join("model")), ["b", "clip.json"]);
        let dangling = root.path().join("dangling");
        std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
        assert!(matches!(write(&dangling, false, put("c")), Err(Error::Exists(_))));
    }
}
