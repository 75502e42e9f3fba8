//! Requests to the hub and to the servers it redirects to.

use std::time::Duration;

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, LOCATION, RANGE};
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::Settings;
use super::id::Id;
use crate::error::{Error, Result};

/// More redirects than this go in a circle.
const REDIRECTS: usize = 10;

/// The wait for a connection or for the first line of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that is silent for this long is taken for broken.
const SILENCE: Duration = Duration::from_secs(60);

/// What asks, on behalf of one user.
pub(super) struct Connection {
    agent: Agent,
    endpoint: String,
    /// Of the hub: the only one that is shown the token.
    origin: Option<Origin>,
    token: Option<String>,
}

/// Why a request has failed.
pub(super) struct Failure {
    pub error: Error,
    /// Whether the same request may succeed a little later.
    pub passing: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, passing: false }
    }
}

impl Failure {
    pub fn connection(url: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
        Failure { error: Error::HubConnection { url: url.to_owned(), source: source.into() }, passing: true }
    }
}

impl Connection {
    pub fn new(settings: &Settings) -> Result<Connection> {
        let roots = match &settings.certificates {
            None => RootCerts::WebPki,
            Some(path) => RootCerts::from(certificates(path)?),
        };
        // Redirects are followed here, where the token can be kept from strangers.
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("clip-export/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(SILENCE))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build()
            .into();
        Ok(Connection {
            agent,
            endpoint: settings.endpoint.clone(),
            origin: settings.endpoint.parse().ok().as_ref().map(origin),
            token: settings.token.clone(),
        })
    }

    /// The content of `url` from byte `start` on, wherever it leads.
    pub fn get(&self, url: &str, start: u64) -> Result<Response<Body>, Failure> {
        self.follow(
            url,
            |_| true,
            |uri| {
                let mut request = self.agent.get(uri).header(ACCEPT_ENCODING, "identity");
                if start > 0 {
                    request = request.header(RANGE, format!("bytes={start}-"));
                }
                self.identified(request, uri).call()
            },
        )
    }

    /// What the hub itself says of `url`; where it leads elsewhere, the redirect is the answer.
    pub fn head(&self, url: &str) -> Result<Response<Body>, Failure> {
        let here = |uri: &Uri| self.origin.as_ref() == Some(&origin(uri));
        self.follow(url, here, |uri| {
            self.identified(self.agent.head(uri).header(ACCEPT_ENCODING, "identity"), uri).call()
        })
    }

    fn identified<T>(&self, request: ureq::RequestBuilder<T>, uri: &Uri) -> ureq::RequestBuilder<T> {
        match &self.token {
            Some(token) if self.origin.as_ref() == Some(&origin(uri)) => {
                request.header(AUTHORIZATION, format!("Bearer {token}"))
            }
            _ => request,
        }
    }

    /// Asks, and follows redirects as long as `further` wants to.
    fn follow(
        &self,
        url: &str,
        further: impl Fn(&Uri) -> bool,
        ask: impl Fn(&Uri) -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, Failure> {
        let bad = |what: String| Failure::from(Error::HubAnswer { url: url.to_owned(), what });
        let mut uri: Uri = url.parse().map_err(|e| bad(format!("no URL: {e}")))?;
        for _ in 0..=REDIRECTS {
            let response = ask(&uri).map_err(|e| Failure::connection(url, e))?;
            let target = response.headers().get(LOCATION).filter(|_| response.status().is_redirection());
            let Some(target) = target else { return Ok(response) };
            let next = target.to_str().ok().and_then(|target| join(&uri, target));
            let next = next.ok_or_else(|| bad(format!("it redirects to {target:?}, which is no URL")))?;
            if uri.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(bad(format!("it redirects to {next}, which is not encrypted")));
            }
            if !further(&next) {
                return Ok(response);
            }
            uri = next;
        }
        Err(bad(format!("more than {REDIRECTS} redirects")))
    }

    /// Turns a refusal into a sentence that says what to do.
    pub fn check(&self, response: &mut Response<Body>, url: &str, id: &Id) -> Result<(), Failure> {
        let status = response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok());
        let (name, revision, hub) = (id.name(), id.revision(), &self.endpoint);
        let advice = match (status.as_u16(), code) {
            (401 | 403, Some("GatedRepo")) => format!(
                "its authors ask for consent first; give it at {hub}/{name}, then set HF_TOKEN to a token of yours from {hub}/settings/tokens"
            ),
            (404, Some("RevisionNotFound")) => {
                format!("{name} has no revision {revision}; {hub}/{name}/tree/main lists them")
            }
            (401, _) if self.token.is_none() => format!(
                "there is no model {name}, or it is private; check the name, or set HF_TOKEN to a token of yours from {hub}/settings/tokens"
            ),
            (401, _) => format!(
                "it does not accept the token, or there is no model {name}; check HF_TOKEN (or log in again) and the name"
            ),
            (403, _) => format!(
                "the token may not read {name}; ask for access at {hub}/{name}, or set HF_TOKEN to a token that may"
            ),
            (404, _) => format!(
                "there is no model {name}, no revision {revision} of it, or it is private; check the name, or set HF_TOKEN"
            ),
            (429, _) => "too many requests; wait a few minutes, or set HF_TOKEN".to_owned(),
            (500.., _) => "the server is in trouble; try again later, what has arrived is kept".to_owned(),
            _ => format!("it does not give out {name}"),
        };
        let passing = status.as_u16() == 429 || status.is_server_error();
        let error = Error::HubStatus { url: url.to_owned(), status: status.as_u16(), advice };
        Err(Failure { error, passing })
    }
}

fn certificates(path: &std::path::Path) -> Result<Vec<Certificate<'static>>> {
    let bad = |why: &dyn std::fmt::Display| {
        Error::HubSettings(format!(
            "the certificates in {} (SSL_CERT_FILE) cannot be used: {why}",
            path.display()
        ))
    };
    let pem = std::fs::read(path).map_err(|e| bad(&e))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| bad(&e))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(bad(&"there are none")) } else { Ok(found) }
}

/// Scheme, host and port.
type Origin = (Option<String>, Option<String>, Option<u16>);

fn origin(uri: &Uri) -> Origin {
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = uri.host().map(str::to_ascii_lowercase);
    (uri.scheme_str().map(str::to_owned), host, Some(uri.port_u16().unwrap_or(default)))
}

/// The target of a redirect, which may be relative (RFC 3986, section 5.2).
fn join(base: &Uri, target: &str) -> Option<Uri> {
    let whole = if target.starts_with("http://") || target.starts_with("https://") {
        target.to_owned()
    } else if let Some(rest) = target.strip_prefix("//") {
        format!("{}://{rest}", base.scheme_str()?)
    } else {
        let folder = if target.starts_with('/') { "" } else { base.path().rsplit_once('/')?.0 };
        let slash = if target.starts_with('/') { "" } else { "/" };
        format!("{}://{}{folder}{slash}{target}", base.scheme_str()?, base.authority()?)
    };
    // What follows # is the browser's business.
    whole.split('#').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_may_be_relative() {
        let base: Uri = "https://hub.example:8443/a/b?c=d".parse().unwrap();
        for (target, expected) in [
            ("https://cdn.example/x?y=1#z", "https://cdn.example/x?y=1"),
            ("//cdn.example/x", "https://cdn.example/x"),
            ("/x/y?z", "https://hub.example:8443/x/y?z"),
            ("x", "https://hub.example:8443/a/x"),
        ] {
            assert_eq!(join(&base, target).unwrap().to_string(), expected);
        }
        assert_eq!(join(&base, "https://a b/"), None);
    }

    #[test]
    fn another_port_or_scheme_is_another_origin() {
        let of = |url: &str| origin(&url.parse().unwrap());
        assert_eq!(of("https://Hub.example/a"), of("https://hub.example:443/b"));
        for other in ["http://hub.example/", "https://hub.example:8443/", "https://cdn.hub.example/"] {
            assert_ne!(of("https://hub.example/"), of(other), "{other}");
        }
    }
}
