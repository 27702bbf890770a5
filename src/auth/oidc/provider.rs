//! The requests to an issuer: its discovery document (OpenID Connect Discovery 1.0, 4) and the key
//! set that it names. `issuer_keys` decides when. What comes back is bounded in time and size, and
//! nothing that the document names is asked by plain http outside of this machine. No token and no
//! secret is sent.

use std::time::Duration;

use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use url::Url;

use super::key_set::KeySet;
use crate::config::OidcIssuer;

/// The time for one answer, its body included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer, in bytes.
const LARGEST_ANSWER: usize = 256 * 1_024;
/// The longest message about a failure, in bytes.
const LONGEST_MESSAGE: usize = 300;

/// A way to ask one issuer.
pub(super) struct Provider {
    client: Client,
    issuer: String,
    discovery: Url,
}

/// The keys that an issuer told.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// The time for which they may be kept (`max-age`), where the issuer says one.
    pub(super) max_age: Option<Duration>,
}

/// A client for all issuers of a node. It follows no redirects: where to is not up to an answer.
pub(super) fn client() -> Result<Client, String> {
    // The client wants a TLS provider; a second installation is refused and that is all right.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .timeout(ANSWER_TIMEOUT)
        .connect_timeout(ANSWER_TIMEOUT)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy();
    builder.build().map_err(|error| error.to_string())
}

impl Provider {
    /// The way to an issuer; `None` where its identifier is no address that may be asked, which the
    /// configuration refuses.
    pub(super) fn new(client: Client, issuer: &str) -> Option<Self> {
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let discovery = OidcIssuer::address(&format!("{base}/.well-known/openid-configuration"))?;
        Some(Self { client, issuer: issuer.to_owned(), discovery })
    }

    /// Asks for the keys. The error is one line for the log.
    pub(super) async fn fetch(&self) -> Result<Fetched, String> {
        let (text, _) = self.get(self.discovery.clone()).await?;
        let document: Value = serde_json::from_slice(&text)
            .map_err(|_| "its discovery document is not JSON".to_owned())?;
        let named = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
        if named != self.issuer {
            return Err(cut(format!(
                "its discovery document is that of {named:?}: Issuer must be this text exactly"
            )));
        }
        let address = document.get("jwks_uri").and_then(Value::as_str);
        let Some(address) = address.and_then(OidcIssuer::address) else {
            return Err("its jwks_uri is no https URL".to_owned());
        };
        let (text, headers) = self.get(address).await?;
        Ok(Fetched { keys: KeySet::read(&text)?, max_age: max_age(&headers) })
    }

    async fn get(&self, address: Url) -> Result<(Vec<u8>, HeaderMap), String> {
        let place = address.clone();
        let failed = |why: String| cut(format!("{place}: {why}"));
        let sent = self.client.get(address).header(ACCEPT, "application/json").send().await;
        let mut response = sent.map_err(|error| failed(chain(error)))?;
        if response.status() != StatusCode::OK {
            return Err(failed(format!("it answered {}", response.status())));
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| failed(chain(error)))? {
            if body.len() + piece.len() > LARGEST_ANSWER {
                return Err(failed("its answer is larger than 256 KB".to_owned()));
            }
            body.extend_from_slice(&piece);
        }
        Ok((body, std::mem::take(response.headers_mut())))
    }
}

/// The `max-age` of an answer (RFC 9111 5.2.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let mut directives = lines.flat_map(|line| line.split(',')).map(str::trim);
    let seconds = directives.find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        if !name.eq_ignore_ascii_case("max-age") {
            return None;
        }
        value.trim_matches('"').parse().ok()
    });
    seconds.map(Duration::from_secs)
}

/// An error with its causes, which say what really happened.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST_MESSAGE));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discovery_document_is_below_the_issuer() {
        let at =
            |issuer: &str| Some(Provider::new(client().unwrap(), issuer)?.discovery.to_string());
        let wanted = "https://a/realms/b/.well-known/openid-configuration";
        for issuer in ["https://a/realms/b", "https://a/realms/b/"] {
            assert_eq!(at(issuer).as_deref(), Some(wanted), "{issuer}");
        }
        assert_eq!(at("http://a"), None);
    }

    #[test]
    fn the_age_of_an_answer_is_that_of_its_header() {
        let of = |text: &'static str| {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, text.parse().unwrap())]);
            max_age(&headers).map(|age| age.as_secs())
        };
        for (text, wanted) in [
            ("max-age=90", Some(90)),
            ("public, Max-Age=\"5\", must-revalidate", Some(5)),
            ("no-store", None),
            ("max-age=soon", None),
            ("s-maxage=7", None),
            ("max-age", None),
        ] {
            assert_eq!(of(text), wanted, "{text}");
        }
    }
}
