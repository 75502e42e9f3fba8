//! Where the hub is, who asks, and where files are kept: what the environment says of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

/// How the hub is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The server, without a slash at its end.
    pub endpoint: String,
    /// The folder with `models--org--name` folders in it.
    pub cache: PathBuf,
    /// The user's token, for private and gated models.
    pub token: Option<String>,
    /// Whether only the cache may be used.
    pub offline: bool,
    /// Certificates (PEM) of the authorities to trust in place of Mozilla's list.
    pub certificates: Option<PathBuf>,
    /// The pause after a broken connection; each further one without progress doubles it.
    pub pause: Duration,
}

impl Settings {
    /// What Python's `huggingface_hub` would take from the environment: `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`,
    /// `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`; and OpenSSL's `SSL_CERT_FILE`.
    ///
    /// # Errors
    /// [`Error::HubSettings`] for a value that cannot be used.
    pub fn from_env() -> Result<Settings> {
        // What is no Unicode cannot be a URL or a token; as a path it is rare enough to be refused.
        Settings::from_variables(&|name| std::env::var(name).ok())
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Settings> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let user = variable("HOME").map(PathBuf::from);
        let path = |name: &str| match (variable(name)?, &user) {
            // Where no shell has replaced it, in a container's settings for instance.
            (value, Some(user)) if value.starts_with("~/") => Some(user.join(&value[2..])),
            (value, _) => Some(PathBuf::from(value)),
        };
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(user.as_ref()?.join(".cache")));
        let home = path("HF_HOME").or_else(|| Some(caches?.join("huggingface")));
        let cache = path("HF_HUB_CACHE").or_else(|| Some(home.as_ref()?.join("hub"))).ok_or_else(|| {
            Error::HubSettings("there is no HOME to keep downloads in: set HF_HOME to a folder".to_owned())
        })?;
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(Error::HubSettings(format!("HF_ENDPOINT is {endpoint:?}, expected https://...")));
        }
        let token = match variable("HF_TOKEN") {
            Some(token) => Some(token),
            None => read_token(path("HF_TOKEN_PATH").or_else(|| Some(home?.join("token"))))?,
        };
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|b| b.is_ascii_graphic())) {
            // The token itself is a secret.
            return Err(Error::HubSettings(
                "the hub's token holds a space or another odd character".to_owned(),
            ));
        }
        let on = |value: String| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str());
        Ok(Settings {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache,
            token,
            offline: variable("HF_HUB_OFFLINE").is_some_and(on),
            certificates: path("SSL_CERT_FILE"),
            pause: Duration::from_secs(1),
        })
    }
}

/// The content of the file where `hf auth login` keeps the token; none when there is no such file.
fn read_token(path: Option<PathBuf>) -> Result<Option<String>> {
    match path.as_deref().map(|path: &Path| (path, std::fs::read_to_string(path))) {
        Some((_, Ok(token))) => Ok(Some(token)),
        Some((path, Err(e))) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::HubSettings(format!("cannot read the hub's token in {}: {e}", path.display())))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings> {
        Settings::from_variables(&|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_says_where_and_who() {
        let plain = settings(&[("HOME", "/home/me")]).unwrap();
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache, Path::new("/home/me/.cache/huggingface/hub"));
        assert_eq!((plain.token, plain.offline, plain.certificates), (None, false, None));

        let moved = settings(&[("HOME", "/home/me"), ("XDG_CACHE_HOME", "/caches")]).unwrap();
        assert_eq!(moved.cache, Path::new("/caches/huggingface/hub"));
        let moved =
            settings(&[("HOME", "/home/me"), ("HF_HOME", "~/hf"), ("HF_HUB_OFFLINE", "yes")]).unwrap();
        assert_eq!((moved.cache.as_path(), moved.offline), (Path::new("/home/me/hf/hub"), true));
        let moved =
            settings(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/elsewhere"), ("HF_HUB_OFFLINE", "0")]).unwrap();
        assert_eq!((moved.cache.as_path(), moved.offline), (Path::new("/elsewhere"), false));
        let mirror = settings(&[
            ("HOME", "/"),
            ("HF_ENDPOINT", "http://mirror:8080/hf/"),
            ("SSL_CERT_FILE", "/ca.pem"),
        ]);
        let mirror = mirror.unwrap();
        assert_eq!(
            (mirror.endpoint.as_str(), mirror.certificates.as_deref()),
            ("http://mirror:8080/hf", Some(Path::new("/ca.pem")))
        );
    }

    #[test]
    fn the_token_comes_from_the_variable_or_a_file() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().to_str().unwrap();
        std::fs::write(root.path().join("token"), "hf_file\n").unwrap();
        std::fs::write(root.path().join("other"), "hf_other").unwrap();
        let other = root.path().join("other");
        let token = |more: &[(&str, &str)]| settings(&[&[("HF_HOME", home)], more].concat()).unwrap().token;
        assert_eq!(token(&[]).unwrap(), "hf_file");
        assert_eq!(token(&[("HF_TOKEN", " hf_variable ")]).unwrap(), "hf_variable");
        assert_eq!(token(&[("HF_TOKEN_PATH", other.to_str().unwrap())]).unwrap(), "hf_other");
        assert_eq!(token(&[("HF_TOKEN_PATH", "/nowhere/token")]), None);
    }

    #[test]
    fn values_that_cannot_be_used_are_named() {
        for (variables, part) in [
            (&[][..], "HF_HOME"),
            (&[("HOME", "/"), ("HF_ENDPOINT", "huggingface.co")], "HF_ENDPOINT"),
            (&[("HOME", "/"), ("HF_TOKEN", "my secret")], "token"),
            (&[("HOME", "/"), ("HF_TOKEN_PATH", "/")], "token in /"),
        ] {
            let message = settings(variables).unwrap_err().to_string();
            assert!(message.contains(part) && !message.contains("secret"), "{message}");
        }
    }
}
