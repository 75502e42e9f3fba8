//! Where a model folder goes: it appears whole or not at all, also when it takes the place of an older one.

use std::path::Path;

use clip_model::Manifest;

use super::replacement;
use crate::error::{Error, Result};

/// Refuses a destination before any work is done: one that exists, unless it is a model folder to be replaced.
///
/// # Errors
/// [`Error::Exists`], [`Error::NotAModelFolder`] and [`Error::ForeignFile`].
pub fn check(folder: impl AsRef<Path>, replace: bool) -> Result<()> {
    let folder = folder.as_ref();
    if replacement::is_free(folder, replace)? {
        return Ok(());
    }
    // Only what a manifest knows may be removed; anything else in there is the user's.
    let refused = |source| Error::NotAModelFolder { folder: folder.to_owned(), source };
    let manifest = Manifest::read(folder).map_err(refused)?;
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
pub fn write<T>(folder: &Path, replace: bool, fill: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    replacement::write(folder, |folder| check(folder, replace), fill)
}

/// Creates the folders called `names` in `parent`, each with the files that `fill` writes when it is given the folder's
/// number. They get their names together when the last is complete: all of them, or none.
pub fn write_each<T>(
    parent: &Path,
    names: &[&str],
    replace: bool,
    fill: impl FnMut(usize, &Path) -> Result<T>,
) -> Result<Vec<T>> {
    replacement::write_each(parent, names, |folder| check(folder, replace), fill)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clip_model::Preprocess;
    use clip_model::manifest::REPORT;
    use serde_json::json;

    use crate::error::Conflict;

    fn entries(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn put(name: &'static str) -> impl FnOnce(&Path) -> Result<()> {
        move |folder| {
            std::fs::write(folder.join(name), name).unwrap();
            let manifest = json!({
                "schema": 1, "producer": "test", "model": "test", "embed_dim": 8, "logit_scale": 1.0,
                "preprocess": Preprocess::default(),
                "image": {
                    "file": name, "sha256": "", "engine": "onnx", "precision": "fp32", "input": "image",
                    "element": "float32", "output": "embedding",
                },
            });
            std::fs::write(folder.join("clip.json"), manifest.to_string()).unwrap();
            Ok(())
        }
    }

    fn failing(folder: &Path) -> Result<()> {
        std::fs::write(folder.join("half"), "").unwrap();
        Err(Error::Conflict(Conflict::CombinedInt8))
    }

    #[test]
    fn a_new_folder_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("deep/model");
        assert!(matches!(write(&folder, false, failing), Err(Error::Conflict(_))));
        assert_eq!(entries(root.path()), Vec::<String>::new());
        write(&folder, false, put("a")).unwrap();
        assert_eq!(entries(&folder), ["a", "clip.json"]);
        assert!(matches!(write(&folder, false, put("b")), Err(Error::Exists(_))));
        assert_eq!(entries(&folder), ["a", "clip.json"]);
    }

    #[test]
    fn a_model_of_an_older_schema_is_replaced_and_one_of_a_newer_is_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        write(&folder, false, put("a")).unwrap();
        let path = folder.join("clip.json");
        let of_schema_1 = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, of_schema_1.replace("\"schema\":1", "\"schema\":4")).unwrap();
        assert!(matches!(write(&folder, true, put("b")), Err(Error::NotAModelFolder { .. })));
        std::fs::write(&path, of_schema_1).unwrap();
        write(&folder, true, put("b")).unwrap();
        assert_eq!(entries(&folder), ["b", "clip.json"]);
    }

    #[test]
    fn an_older_model_is_replaced_only_by_a_complete_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        write(&folder, true, put("a")).unwrap();
        std::fs::write(folder.join(REPORT), "{}").unwrap();
        assert!(matches!(write(&folder, true, failing), Err(Error::Conflict(_))));
        assert_eq!(entries(&folder), ["a", "clip.json", "report.json"]);
        write(&folder, true, put("b")).unwrap();
        assert_eq!(entries(&folder), ["b", "clip.json"]);
        assert_eq!(entries(root.path()), ["model"], "nothing is left behind");
    }

    /// Fills two folders and then fails or not; `late` is done before the second is filled.
    fn two(parent: &Path, replace: bool, fails: bool, late: impl Fn()) -> Result<Vec<()>> {
        write_each(parent, &["one", "two"], replace, |i, folder| {
            if i == 1 {
                late();
            }
            put(["a", "b"][i])(folder)?;
            if i == 1 && fails { failing(folder) } else { Ok(()) }
        })
    }

    #[test]
    fn several_folders_appear_together_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().join("deep/models");
        assert!(matches!(two(&parent, false, true, || ()), Err(Error::Conflict(_))));
        assert_eq!(entries(root.path()), Vec::<String>::new());
        std::fs::create_dir_all(&parent).unwrap();
        assert!(matches!(two(&parent, false, true, || ()), Err(Error::Conflict(_))));
        assert_eq!(entries(&parent), Vec::<String>::new());
        two(&parent, false, false, || assert!(!parent.join("one").exists())).unwrap();
        assert_eq!(entries(&parent), ["one", "two"]);
    }

    #[test]
    fn several_folders_replace_older_ones_together_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().join("models");
        let [one, two_] = ["one", "two"].map(|name| parent.join(name));
        two(&parent, false, false, || ()).unwrap();
        assert!(matches!(two(&parent, false, false, || ()), Err(Error::Exists(_))));
        write(&one, true, put("older")).unwrap();
        assert!(matches!(two(&parent, true, true, || ()), Err(Error::Conflict(_))));
        assert_eq!(entries(&one), ["clip.json", "older"]);
        // The second cannot get its name: somebody has put another folder there meanwhile.
        std::fs::remove_dir_all(&two_).unwrap();
        let foreign = || std::fs::create_dir_all(two_.join("photos")).unwrap();
        assert!(two(&parent, true, false, foreign).is_err());
        assert_eq!(entries(&one), ["clip.json", "older"]);
        assert_eq!(
            (entries(&two_), entries(&parent)),
            (vec!["photos".into()], vec!["one".into(), "two".into()])
        );
        std::fs::remove_dir_all(&two_).unwrap();
        // Nor is what came into the older one lost.
        let notes = || std::fs::write(one.join("notes.txt"), "mine").unwrap();
        assert!(matches!(two(&parent, true, false, notes), Err(Error::ForeignFile { .. })));
        std::fs::remove_file(one.join("notes.txt")).unwrap();
        two(&parent, true, false, || ()).unwrap();
        assert_eq!(entries(&one), ["a", "clip.json"]);
        assert_eq!(
            (entries(&two_), entries(&parent)),
            (vec!["b".into(), "clip.json".into()], vec!["one".into(), "two".into()])
        );
    }

    #[test]
    fn what_is_no_model_folder_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("photos");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("dear.jpg"), "").unwrap();
        let Err(Error::NotAModelFolder { folder: named, source }) = write(&folder, true, put("a")) else {
            panic!("it was replaced")
        };
        assert!(named == folder && source.to_string().contains("clip.json"), "{source}");
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(write(&file, true, put("a")), Err(Error::NotAModelFolder { .. })));
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
