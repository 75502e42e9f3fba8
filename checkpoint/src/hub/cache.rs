//! The folders and files of one model in the cache, where Python's `huggingface_hub` expects them.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use clip_model::Error as ModelError;

use super::hash::{Hash, is_hex};
use super::id::Id;
use crate::error::Result;

/// One model's part of the cache.
pub(super) struct Cache {
    root: PathBuf,
    repository: hf_hub::CacheRepo,
    /// `models--org--name`.
    folder: String,
}

impl Cache {
    pub fn new(root: &Path, id: &Id) -> Cache {
        let model = hf_hub::RepoType::Model;
        let repository = hf_hub::Repo::with_revision(id.name().to_owned(), model, id.revision().to_owned());
        let folder = repository.folder_name();
        Cache {
            root: root.to_owned(),
            repository: hf_hub::Cache::new(root.to_owned()).repo(repository),
            folder,
        }
    }

    /// The cache of all models.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder with the files of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.repository.pointer_path(commit)
    }

    /// Where the content with this hash is, once it is complete.
    pub fn blob(&self, hash: &Hash) -> PathBuf {
        self.root.join(&self.folder).join("blobs").join(hash.digits())
    }

    /// Where it is until then.
    pub fn part(&self, hash: &Hash) -> PathBuf {
        self.blob(hash).with_extension("incomplete")
    }

    /// A file that whoever downloads this content keeps locked.
    pub fn lock_file(&self, hash: &Hash) -> Result<File> {
        let path = self.root.join(".locks").join(&self.folder).join(format!("{}.lock", hash.digits()));
        create_parent(&path)?;
        Ok(File::create(&path).map_err(|e| ModelError::io("create", &path, e))?)
    }

    /// Makes a complete content known as the file `name` of a commit.
    pub fn link(&self, commit: &str, name: &str, hash: &Hash) -> Result<PathBuf> {
        let path = self.snapshot(commit).join(name);
        create_parent(&path)?;
        // A link that leads nowhere is in the way, and so is one that another program has made just now.
        if path.symlink_metadata().is_ok() {
            std::fs::remove_file(&path).map_err(|e| ModelError::io("replace", &path, e))?;
        }
        #[cfg(unix)]
        let linked = std::os::unix::fs::symlink(Path::new("../../blobs").join(hash.digits()), &path);
        #[cfg(not(unix))]
        let linked = std::fs::hard_link(self.blob(hash), &path);
        linked.map_err(|e| ModelError::io("create", &path, e))?;
        Ok(path)
    }

    /// Keeps which commit the revision is, for work without a connection.
    pub fn remember(&self, id: &Id, commit: &str) -> Result<()> {
        if id.revision() != commit {
            let path = self.root.join(&self.folder).join("refs").join(id.revision());
            self.repository.create_ref(commit).map_err(|e| ModelError::io("write", path, e))?;
        }
        Ok(())
    }

    /// The commit that the revision was when it was last fetched.
    pub fn commit(&self, id: &Id) -> Option<String> {
        let path = self.root.join(&self.folder).join("refs").join(id.revision());
        let remembered = std::fs::read_to_string(path).map(|text| text.trim().to_owned());
        let commit = remembered.unwrap_or_else(|_| id.revision().to_owned());
        (is_hex(&commit, 40) && self.snapshot(&commit).is_dir()).then_some(commit)
    }

    /// The files of a commit that are here.
    pub fn files(&self, commit: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.snapshot(commit)).into_iter().flatten().flatten();
        let present = entries.filter(|entry| entry.path().exists());
        present.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

pub(super) fn create_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    Ok(std::fs::create_dir_all(parent).map_err(|e| ModelError::io("create", parent, e))?)
}
