//! Folders that appear whole or not at all, several of them together, also in the place of older ones.

use std::path::{Path, PathBuf};

use clip_model::{files, temporary};

use crate::error::{Error, Result};

/// Whether there is nothing at a destination; what is there must be one that may be replaced.
///
/// # Errors
/// [`Error::Exists`] when it is there and `replace` does not allow it.
pub fn is_free(folder: &Path, replace: bool) -> Result<bool> {
    // Also a dangling link is in the way.
    let free = folder.symlink_metadata().is_err();
    if free || replace { Ok(free) } else { Err(Error::Exists(folder.to_owned())) }
}

/// Creates `folder` with the files that `fill` writes. An older folder, which `check` lets pass, stays untouched until the new
/// one is complete, and is then removed.
pub fn write<T>(
    folder: &Path,
    check: impl Fn(&Path) -> Result<()>,
    fill: impl FnOnce(&Path) -> Result<T>,
) -> Result<T> {
    check(folder)?;
    if folder.symlink_metadata().is_err() {
        return files::create_folder_atomically(folder, fill);
    }
    let place = Place::beside(folder)?;
    let made = files::create_folder_atomically(&place.fresh(), fill)?;
    exchange(vec![place], check)?;
    Ok(made)
}

/// Creates the folders called `names` in `parent`, each with the files that `fill` writes when it is given the folder's
/// number. They get their names together when the last is complete: all of them, or none. `check` refuses what must not be
/// replaced.
pub fn write_each<T>(
    parent: &Path,
    names: &[&str],
    check: impl Fn(&Path) -> Result<()>,
    mut fill: impl FnMut(usize, &Path) -> Result<T>,
) -> Result<Vec<T>> {
    let folders: Vec<PathBuf> = names.iter().map(|name| parent.join(name)).collect();
    folders.iter().try_for_each(|folder| check(folder))?;
    if parent.symlink_metadata().is_err() {
        let all = |parent: &Path| {
            let one =
                |(i, name)| files::create_folder_atomically(&parent.join(name), |folder| fill(i, folder));
            names.iter().enumerate().map(one).collect()
        };
        return files::create_folder_atomically(parent, all);
    }
    let places = folders.iter().map(|folder| Place::beside(folder)).collect::<Result<Vec<_>>>()?;
    let one = |(i, place): (usize, &Place)| {
        files::create_folder_atomically(&place.fresh(), |folder| fill(i, folder))
    };
    let made = places.iter().enumerate().map(one).collect::<Result<_>>()?;
    exchange(places, check)?;
    Ok(made)
}

/// Where a folder will be, and a folder beside it that is removed at the end.
struct Place {
    folder: PathBuf,
    /// Whether an older folder is there.
    replaced: bool,
    aside: temporary::Folder,
}

impl Place {
    fn beside(folder: &Path) -> Result<Place> {
        let replaced = folder.symlink_metadata().is_ok();
        let folder = match replaced {
            // A link is followed, so that the folder it names is replaced and not the link.
            true => folder.canonicalize().map_err(cannot("open", folder))?,
            false => folder.to_owned(),
        };
        let parent = folder
            .parent()
            .ok_or_else(|| cannot("replace", &folder)(std::io::ErrorKind::InvalidInput.into()))?;
        let aside =
            temporary::Folder::create_in(parent).map_err(cannot("create a folder beside", &folder))?;
        Ok(Place { folder, replaced, aside })
    }

    /// The new folder, until it gets its name.
    fn fresh(&self) -> PathBuf {
        self.aside.path().join("new")
    }

    /// The older folder, when it has lost its name.
    fn old(&self) -> PathBuf {
        self.aside.path().join("old")
    }

    fn exchange(&self) -> std::io::Result<()> {
        if self.replaced {
            std::fs::rename(&self.folder, self.old())?;
        }
        // Where there was no older folder, this refuses to replace what somebody has put there meanwhile.
        std::fs::rename(self.fresh(), &self.folder)
    }

    /// Brings the older folder back, whatever [`Place::exchange`] came to. What cannot be brought back stays aside.
    fn undo(&self) {
        if self.fresh().exists() || std::fs::rename(&self.folder, self.fresh()).is_ok() {
            let _ = std::fs::rename(self.old(), &self.folder);
        }
    }
}

/// Gives all new folders their names, or leaves everything as it was.
fn exchange(mut places: Vec<Place>, check: impl Fn(&Path) -> Result<()>) -> Result<()> {
    // Nor may files that came into the older folder meanwhile be lost.
    places.iter().filter(|place| place.replaced).try_for_each(|place| check(&place.folder))?;
    // Between the renames, a model is without its name.
    let mut last = 0;
    let exchanged = temporary::uninterrupted(|| {
        places.iter().enumerate().try_for_each(|(i, place)| {
            last = i;
            place.exchange().inspect_err(|_| places[..=i].iter().rev().for_each(Place::undo))
        })
    });
    if exchanged.is_err() {
        // Better kept aside than removed.
        places.iter_mut().filter(|place| place.old().exists()).for_each(|place| place.aside.keep());
    }
    exchanged.map_err(cannot("replace", &places[last].folder))
}

fn cannot(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |e| Error::Model(clip_model::Error::io(action, path, e))
}
