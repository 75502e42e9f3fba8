//! What a run that goes on does differently than before, and whether it may.
//!
//! Some things change nothing in the result and need no leave. Others make another run of it: they have to be asked for by name.
//! A few make no sense with the weights that are there.

use std::path::Path;

use crate::error::{Error, Result};
use crate::settings::{Change, Settings};

/// The differences between a saved run and the one that was asked for.
#[derive(Debug)]
pub(super) struct Changes {
    /// Settings that differ.
    pub settings: Vec<Change>,
    /// The training shards, before and now.
    pub shards: (String, String),
    /// The teacher, before and now.
    pub teacher: Option<(String, String)>,
    /// The kind of device, before and now.
    pub device: Option<(String, String)>,
    /// Threads that compute, before and now.
    pub threads: Option<(String, String)>,
}

/// What can change besides settings.
const BESIDES: [&str; 3] = ["shards", "teacher", "device"];

/// Sections and settings that change nothing in the result.
const FREE: [&str; 5] = ["run", "eval", "data.cache_mb", "data.samples", "data.max_skipped"];

/// Settings that the weights, or the optimiser's memory, were made for.
const FIXED: [&str; 6] = [
    "model",
    "data.tokenizer",
    "optim.lock",
    "optim.unlocked_blocks",
    "optim.layer_decay",
    "optim.half_text_weights",
];

impl Changes {
    /// The changes that matter, each of which must be in `asked`: by its name, or by its section's, where `data` stands for the
    /// shards too. Another number of threads is told, and needs no leave.
    ///
    /// # Errors
    /// [`Error::Settings`] when a name that is asked for is none, [`Error::SettingsChanged`] with those that were not asked for, [`Error::Fixed`] with those that cannot be.
    pub fn allowed(self, out: &Path, asked: &[String]) -> Result<Vec<Change>> {
        let change = |name: &str, (was, now): (String, String)| {
            (was != now).then(|| Change { name: name.to_owned(), was, now })
        };
        let known = |name: &String| BESIDES.contains(&name.as_str()) || Settings::is_named(name);
        if let Some(name) = asked.iter().find(|name| !known(name)) {
            return Err(Error::Settings(format!("there is no setting {name:?} that a run could go on with")));
        }
        let mut changes: Vec<Change> = self.settings;
        changes.retain(|change| !FREE.iter().any(|free| covers(free, &change.name)));
        changes.extend(change("shards", self.shards));
        changes.extend(self.teacher.and_then(|teacher| change("teacher", teacher)));
        changes.extend(self.device.and_then(|device| change("device", device)));
        let told =
            |changes: &[&Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let fixed: Vec<&Change> =
            changes.iter().filter(|change| FIXED.iter().any(|fixed| covers(fixed, &change.name))).collect();
        if !fixed.is_empty() {
            return Err(Error::Fixed { path: out.to_owned(), difference: told(&fixed) });
        }
        let is_asked = |change: &&Change| {
            asked.iter().any(|name| covers(name, &change.name) || name == "data" && change.name == "shards")
        };
        let refused: Vec<&Change> = changes.iter().filter(|change| !is_asked(change)).collect();
        if !refused.is_empty() {
            let names = refused.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(",");
            let difference = told(&refused);
            return Err(Error::SettingsChanged { path: out.to_owned(), difference, names });
        }
        changes.extend(self.threads.and_then(|threads| change("threads", threads)));
        Ok(changes)
    }
}

/// Whether `name` is the setting's own name or that of a section that it is in.
fn covers(name: &str, setting: &str) -> bool {
    setting.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(settings: &[&str]) -> Changes {
        let change =
            |name: &&str| Change { name: name.to_string(), was: "1".to_owned(), now: "2".to_owned() };
        Changes {
            settings: settings.iter().map(change).collect(),
            shards: ("a.tar".to_owned(), "a.tar".to_owned()),
            teacher: None,
            device: None,
            threads: None,
        }
    }

    fn outcome(changes: Changes, asked: &[&str]) -> std::result::Result<usize, String> {
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        changes.allowed(Path::new("run"), &asked).map(|c| c.len()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_matters_must_be_asked_for_by_name() {
        assert_eq!(outcome(changes(&["run.log_every", "data.cache_mb"]), &[]), Ok(0));
        let both = || changes(&["optim.lr", "optim.steps"]);
        let message = outcome(both(), &["optim.lr"]).unwrap_err();
        assert!(
            message.contains("optim.steps was 1, now 2") && !message.contains("optim.lr was"),
            "{message}"
        );
        assert_eq!(outcome(both(), &["optim.lr", "optim.steps"]), Ok(2));
        assert_eq!(outcome(both(), &["optim"]), Ok(2));
        assert!(outcome(changes(&["optim.lr_floor"]), &["optim.lr"]).is_err(), "another setting's name");
        let message = outcome(changes(&[]), &["optim.lr", "optim.nothing"]).unwrap_err();
        assert!(message.contains("no setting \"optim.nothing\""), "{message}");
        for fixed in ["model.embed_dim", "data.tokenizer"] {
            let message = outcome(changes(&[fixed]), &[fixed]).unwrap_err();
            assert!(message.contains("cannot change") && message.contains(fixed), "{message}");
        }
    }

    #[test]
    fn shards_device_and_threads() {
        let pair = |was: &str, now: &str| (was.to_owned(), now.to_owned());
        let other = || Changes { shards: pair("a.tar", "b.tar"), ..changes(&[]) };
        let message = outcome(other(), &[]).unwrap_err();
        assert!(message.contains("the training shards were a.tar, now b.tar"), "{message}");
        assert_eq!(outcome(other(), &["shards"]), Ok(1));
        assert_eq!(outcome(other(), &["data"]), Ok(1));
        let other = || Changes { teacher: Some(pair("large", "none")), ..changes(&[]) };
        assert!(outcome(other(), &[]).unwrap_err().contains("teacher was large, now none"));
        assert_eq!(outcome(other(), &["teacher"]), Ok(1));
        let other = || Changes { device: Some(pair("cpu", "cuda")), ..changes(&[]) };
        assert!(outcome(other(), &["optim"]).is_err());
        assert_eq!(outcome(other(), &["device"]), Ok(1));
        let other = Changes { threads: Some(pair("1", "2")), ..changes(&[]) };
        assert_eq!(outcome(other, &[]), Ok(1));
    }
}
