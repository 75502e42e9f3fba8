//! The models of this process, each opened once, however many elements run it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use clip_runtime::Clip;
use clip_runtime::stream::Dispatcher;

use crate::error::Error;
use crate::settings::Settings;

/// What makes a model another one.
#[derive(Debug, PartialEq)]
struct Key {
    folder: PathBuf,
    engine: Option<String>,
    device: Option<String>,
    threads: u32,
}

static OPEN: Mutex<Vec<(Key, Weak<Dispatcher>)>> = Mutex::new(Vec::new());

/// The model that the settings name, opened now unless an element of this process has it open. It is closed when the last one lets it go.
pub fn open(settings: &Settings) -> Result<Arc<Dispatcher>, Error> {
    let folder = settings.model.clone().ok_or(Error::NoModel)?;
    let options = settings.options()?;
    let key = Key {
        // What cannot be found is not opened below, which says why.
        folder: folder.canonicalize().unwrap_or_else(|_| folder.clone()),
        engine: settings.engine.clone(),
        device: settings.device.clone(),
        threads: settings.threads,
    };
    // Held while the model is opened: elements that start together would else open it twice.
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|(_, model)| model.strong_count() > 0);
    let known = open.iter().find(|(known, _)| *known == key);
    if let Some(model) = known.and_then(|(_, model)| model.upgrade()) {
        return Ok(model);
    }
    let failed = |source| Error::Model { folder: folder.clone(), source: Box::new(source) };
    let clip = Clip::open_with(&key.folder, &options).map_err(failed)?;
    let model = Arc::new(Dispatcher::new(Arc::new(clip)).map_err(failed)?);
    open.push((key, Arc::downgrade(&model)));
    Ok(model)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn elements_with_the_same_model_share_it_as_long_as_there_are_some() {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../runtime/tests/colours"));
        let settings = Settings { model: Some(folder.clone()), ..Settings::default() };
        let by_another_path = Settings { model: Some(folder.join("../colours")), ..Settings::default() };
        let with_one_thread = Settings { threads: 1, ..settings.clone() };
        let first = open(&settings).unwrap();
        assert!(Arc::ptr_eq(&first, &open(&by_another_path).unwrap()));
        assert!(!Arc::ptr_eq(&first, &open(&with_one_thread).unwrap()));
        let gone = Arc::downgrade(&first);
        drop(first);
        assert!(gone.upgrade().is_none(), "the last element that goes closes it");
        open(&settings).unwrap();
    }
}
