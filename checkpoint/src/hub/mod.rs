//! Checkpoints from the Hugging Face hub, or a server that speaks its language.
//!
//! Files go into the cache that Python's `huggingface_hub` uses too, in the same layout (`models--org--name/blobs`,
//! `refs`, `snapshots`), so what one has fetched the other finds. A file gets its name there only after its hash was
//! found to be the one the hub announced; a download that was cut off goes on where it ended. The user's token is
//! shown to the hub alone, never to the servers that the hub redirects to.
//!
//! Why this is not all left to the crate `hf-hub` is said in docs/decisions/005-hub.md.

mod cache;
mod connection;
mod download;
mod hash;
mod id;
mod selection;
mod settings;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::{Error, Result};
use cache::Cache;
use connection::Connection;
use download::Download;
use selection::{Selection, Weights};

pub use id::Id;
pub use settings::Settings;

/// What a fetch is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress<'a> {
    /// A file is being downloaded.
    Download {
        /// Its name.
        file: &'a str,
        /// Bytes that are here, those of an earlier attempt included.
        done: u64,
        /// Bytes it will have.
        size: u64,
    },
    /// The connection broke and is tried again after a pause.
    Retry {
        /// The file.
        file: &'a str,
        /// Why.
        reason: String,
    },
    /// Another program is downloading the same file.
    Wait {
        /// The file.
        file: &'a str,
    },
}

/// Fetches what is needed of a model and not in the cache yet: configuration, tokenizer, preprocessing and weights
/// (safetensors where there are any, else PyTorch's). Returns the folder, which `Checkpoint::open` understands.
///
/// With `settings.offline` nothing is asked of any server; the model must be in the cache.
///
/// # Errors
/// [`Error::HubStatus`] when the hub refuses (no such model or revision, a private or gated one, too many requests),
/// [`Error::HubConnection`] when it cannot be reached, [`Error::HubHash`] for a file that is not the one it announced,
/// [`Error::HubFiles`] for a model in no format of ours, [`Error::HubOffline`] for one that is not in the cache,
/// [`Error::HubAnswer`] for answers that make no sense, [`Error::Model`] when the disk is full.
pub fn fetch(id: &Id, settings: &Settings, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let cache = Cache::new(&settings.cache, id);
    if settings.offline {
        return cached(id, &cache);
    }
    let connection = Connection::new(settings)?;
    let listing = Listing::ask(&connection, settings, id)?;
    let selection = Selection::of(id, &listing.files())?;
    let mut download =
        Download { settings, connection: &connection, cache: &cache, id, commit: &listing.sha };
    // The weights come last: where they are, the rest is too.
    for name in selection.small {
        download.file(name, progress)?;
    }
    let weights = match selection.weights {
        Weights::Whole(name) => vec![name],
        Weights::Sharded(index) => selection::shards(&download.file(&index, progress)?)?,
    };
    for name in &weights {
        download.file(name, progress)?;
    }
    cache.remember(id, &listing.sha)?;
    Ok(cache.snapshot(&listing.sha))
}

/// The folder of a model that was fetched before, when it is complete.
fn cached(id: &Id, cache: &Cache) -> Result<PathBuf> {
    let offline =
        |missing: String| Error::HubOffline { id: id.to_string(), cache: cache.root().to_owned(), missing };
    let commit = cache.commit(id).ok_or_else(|| offline(format!("the revision {}", id.revision())))?;
    let folder = cache.snapshot(&commit);
    let selection = Selection::of(id, &cache.files(&commit))
        .map_err(|e| offline(if let Error::HubFiles { what, .. } = e { what } else { e.to_string() }))?;
    if let Weights::Sharded(index) = selection.weights {
        let shards = selection::shards(&folder.join(index))?;
        if let Some(missing) = shards.into_iter().find(|name| !folder.join(name).exists()) {
            return Err(offline(missing));
        }
    }
    Ok(folder)
}

/// What the hub says of a model's revision.
#[derive(Deserialize)]
struct Listing {
    /// The commit.
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Listing {
    /// Asked once and not again, so that a mistyped name or a missing network shows at once.
    fn ask(connection: &Connection, settings: &Settings, id: &Id) -> Result<Listing> {
        let revision = id::percent_encoded(id.revision());
        let url = format!("{}/api/models/{}/revision/{revision}", settings.endpoint, id.name());
        let bad = |what: String| Error::HubAnswer { url: url.clone(), what };
        let mut response = connection.get(&url, 0).map_err(|e| e.error)?;
        connection.check(&mut response, &url, id).map_err(|e| e.error)?;
        let json = response.body_mut().with_config().limit(64 << 20).read_to_vec();
        let json = json.map_err(|e| Error::HubConnection { url: url.clone(), source: Box::new(e) })?;
        let listing: Listing = serde_json::from_slice(&json).map_err(|e| bad(e.to_string()))?;
        // It names a folder, so it must be what it should be.
        if hash::is_hex(&listing.sha, 40) {
            Ok(listing)
        } else {
            Err(bad(format!("{:?} is no commit", listing.sha)))
        }
    }

    fn files(&self) -> BTreeSet<String> {
        self.siblings.iter().map(|s| s.rfilename.clone()).collect()
    }
}
