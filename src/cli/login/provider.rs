//! Requests to a provider: its metadata, and forms to its endpoints. Every answer is bounded in
//! time and length, and no redirection is followed: a form holds secrets.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::endpoint::{endpoint, is_loopback};
use super::metadata::Metadata;
use super::provider_error::ProviderError;
use super::session::OauthClient;
use crate::cli::Failure;
use crate::cli::http_cause::cause_of;

/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time to an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// A provider.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    http: reqwest::Client,
    issuer: String,
}

impl Provider {
    /// The provider of an issuer. The way there may lead through the proxy of the environment,
    /// except to this machine.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] for an issuer that is no URL with https.
    pub(super) fn new(issuer: &str) -> anyhow::Result<Self> {
        let url = endpoint(issuer).map_err(|what| Failure::Usage(format!("--issuer: {what}")))?;
        if url.query().or(url.fragment()).is_some() {
            let message = format!("--issuer: {issuer} must have neither ? nor #");
            return Err(Failure::Usage(message).into());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        let http = if is_loopback(&url) { http.no_proxy() } else { http };
        Ok(Self { http: http.build()?, issuer: issuer.to_owned() })
    }

    /// The issuer.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Fetches the metadata.
    pub(super) async fn metadata(&self) -> Result<Metadata, ProviderError> {
        let url = Metadata::url(&self.issuer);
        let request = self.http.get(&url).header("accept", "application/json");
        let (status, body) = self.send(request).await?;
        if status != StatusCode::OK {
            let status = status.as_u16();
            let what =
                format!("answers {status} at {url}: check --issuer (or the node's OidcIssuers)");
            return Err(self.unusable(what));
        }
        Metadata::read(&self.issuer, &body).map_err(|what| self.unusable(what))
    }

    /// Sends a form to an endpoint, as a client. Returns the JSON of a success, null for an empty
    /// one.
    pub(super) async fn post(
        &self,
        endpoint: &str,
        client: &OauthClient,
        fields: &[(&str, &str)],
    ) -> Result<Value, ProviderError> {
        let request = self.http.post(endpoint).header("accept", "application/json");
        let (status, body) = self.send(filled(request, client, fields)).await?;
        if status.is_success() && body.is_empty() {
            return Ok(Value::Null);
        }
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        let said = json.as_ref().and_then(|json| json["error"].as_str());
        match (said, json.as_ref()) {
            (Some(error), Some(json)) if !status.is_success() => {
                Err(ProviderError::refused(error, json["error_description"].as_str()))
            }
            // A success of RFC 7009 may have any body.
            _ if status.is_success() => Ok(json.unwrap_or_default()),
            _ => {
                let status = status.as_u16();
                Err(self.unusable(format!("answers {status} without a reason at {endpoint}")))
            }
        }
    }

    async fn send(
        &self,
        request: RequestBuilder,
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), ProviderError> {
        let response = request.send().await.map_err(|e| self.no_answer(cause_of(e)))?;
        let status = response.status();
        let body = self.body(response).await?;
        let is_refusal =
            serde_json::from_slice::<Value>(&body).is_ok_and(|j| j["error"].is_string());
        if matches!(status.as_u16(), 408 | 429 | 500..) && !is_refusal {
            return Err(self.no_answer(format!("it answers {}", status.as_u16())));
        }
        Ok((status, body))
    }

    async fn body(&self, mut response: Response) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let mut body = Zeroizing::new(Vec::new());
        while let Some(part) = response.chunk().await.map_err(|e| self.no_answer(cause_of(e)))? {
            if body.len() + part.len() > MAX_ANSWER_BYTES {
                let what = format!("answers more than {MAX_ANSWER_BYTES} bytes: check --issuer");
                return Err(self.unusable(what));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    fn no_answer(&self, reason: String) -> ProviderError {
        ProviderError::NoAnswer { issuer: self.issuer.clone(), reason }
    }

    /// The error for an answer that no provider may give.
    pub(super) fn unusable(&self, what: String) -> ProviderError {
        ProviderError::Unusable { issuer: self.issuer.clone(), what }
    }
}

/// Puts a form into a request, with the client that it comes from.
fn filled(
    request: RequestBuilder,
    client: &OauthClient,
    fields: &[(&str, &str)],
) -> RequestBuilder {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    let request = match &client.secret {
        Some(secret) if !client.secret_in_form => {
            // RFC 6749, section 2.3.1: both are encoded as in a form.
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let (id, secret): (String, String) = (encoded(&client.id), encoded(secret));
            request.basic_auth(id, Some(Zeroizing::new(secret).as_str()))
        }
        secret => {
            form.append_pair("client_id", &client.id);
            if let Some(secret) = secret {
                form.append_pair("client_secret", secret);
            }
            request
        }
    };
    request.header("content-type", "application/x-www-form-urlencoded").body(form.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_shows_its_secret_in_the_way_that_the_provider_takes() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::new();
        let sent = |secret: Option<&str>, secret_in_form| {
            let secret = secret.map(|secret| secret.to_owned().into());
            let client = OauthClient { id: "my cli".to_owned(), secret, secret_in_form };
            let request = filled(http.post("http://localhost/"), &client, &[("a", "b c")]);
            let request = request.build().unwrap();
            let basic = request.headers().get("authorization");
            let basic = basic.map_or("", |value| value.to_str().unwrap()).to_owned();
            let body = request.body().unwrap().as_bytes().unwrap();
            (basic, String::from_utf8(body.to_vec()).unwrap())
        };
        let form = |text: &str| text.to_owned();
        assert_eq!(sent(None, false), (form(""), form("a=b+c&client_id=my+cli")));
        let in_form = form("a=b+c&client_id=my+cli&client_secret=h%26sh");
        assert_eq!(sent(Some("h&sh"), true), (form(""), in_form));
        // `my+cli:h%26sh`
        let basic = form("Basic bXkrY2xpOmglMjZzaA==");
        assert_eq!(sent(Some("h&sh"), false), (basic, form("a=b+c")));
    }
}
