//! The `http` object of jobs and executors: read, checked and shown. `jobs` and `executors` call it.
//! What is secret in it is sealed on the way in and never shown: only that it is set.

mod auth;
mod headers;
mod merge;
pub(super) mod tls;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use url::{Origin, Url};

use super::casing::{canonical, verbatim};
use super::error::Error;
use super::fields::check_text;
use crate::executor::guard::TargetGuard;
use crate::executor::template::{Error as RenderError, LITERAL, PLACEHOLDERS, Sizes, unknown};
use crate::model::target::{Auth, HttpTarget, Tls};
use crate::secret::Keys;

pub(super) use merge::{merged, over};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
/// A job takes its timeout out of the object before it comes here.
const FIELDS: &str = "method, url, query, headers, secretHeaders, body, auth, successCodes, ca, clientCert, clientKey, \
                      and timeout in a job";
/// The fields of its TLS.
const TLS: tls::Names = ["http.ca", "http.clientCert", "http.clientKey"];
/// How many placeholders that nobody fills in a refusal names.
const MOST_SHOWN: usize = 5;
const LONGEST_URL: usize = 2_048;
/// Of the body's template, in bytes.
const LONGEST_BODY: usize = 64 * 1_024;
/// The most headers, and the most query parameters.
const MOST_LINES: usize = 64;
/// All names and values of headers, or of query parameters, in bytes.
const LONGEST_LINES: usize = 8 * 1_024;
/// The most success codes: all there are.
const MOST_CODES: usize = 500;

/// Reads an `http` object, whole: [`merged`] makes one of a patch. An edit gives the target as it was: a secret that the object does not
/// name is taken over from there, unless it would go to another user or host than it was given for.
pub(super) fn http(
    given: Value,
    guard: &TargetGuard,
    keys: &Keys,
    old: Option<&HttpTarget>,
) -> Result<HttpTarget, Error> {
    let Value::Object(object) = given else {
        return Err(Error::invalid("http", format!("http must be an object with {FIELDS}")));
    };
    let mut target = HttpTarget { method: "POST".to_owned(), ..HttpTarget::default() };
    let mut shown = None;
    let mut said = tls::Said::default();
    let mut secret = headers::Secret::default();
    for (name, value) in object {
        match canonical(&name, &mut [0; 24]).unwrap_or_default() {
            // Null is nothing, whatever its name.
            _ if value.is_null() => {}
            "method" => target.method = method(value)?,
            "url" => target.url = text("http.url", value)?,
            "query" => target.query = query(value)?,
            "headers" => target.headers = headers::read(value)?,
            "secretheaders" => secret.given(value)?,
            // What a GET shows, sent back.
            "secretheadersset" => secret.keep(value)?,
            "body" => target.body = Some(body(value)?),
            "auth" => shown = Some(value),
            "successcodes" => target.success_codes = codes(&value)?,
            "ca" => said.ca = text("http.ca", value)?,
            "clientcert" => said.client_cert = text("http.clientCert", value)?,
            "clientkey" => said.client_key = Some(text("http.clientKey", value)?.into()),
            // What a GET shows, sent back; of a patch, that the key goes.
            "clientkeyset" => said.forget_key = value == false,
            _ => {
                let name: String = name.chars().take(40).collect();
                let message = format!("http has no field {name}: it has {FIELDS}");
                return Err(Error::invalid("http", message));
            }
        }
    }
    let origin = url("http.url", &target.url, guard)?;
    // Secrets go to no other origin than the one that they were given for.
    let kept = old.filter(|old| Url::parse(&old.url).is_ok_and(|u| u.origin() == origin));
    if let Some(shown) = shown {
        target.auth = auth::read(shown, keys, kept.map(|old| &old.auth))?;
    }
    target.secret_headers = secret.seal(keys, kept, &target.headers)?;
    let old = old.and_then(|old| old.tls.as_deref());
    target.tls = said.read(TLS, &target.url, keys, old)?;
    if target.auth != Auth::None {
        headers::refuse_authorization(&target)?;
    }
    sizes(&target)?
        .check()
        .map_err(|bound| Error::unprocessable(bound.to_string()).field(bound.field()))?;
    Ok(target)
}

/// How long the requests of a target become.
pub(super) fn sizes(target: &HttpTarget) -> Result<Sizes, Error> {
    Sizes::new(target).map_err(|error| unfit(&error))
}

/// Refuses data of a job of which a target makes a request that cannot be sent: 413 where its body is
/// larger than `max_body` bytes, else 422. `sizes` are those of the target.
pub(super) fn check_data(
    sizes: &Sizes,
    target: &HttpTarget,
    data: &str,
    max_body: usize,
) -> Result<(), Error> {
    let length = sizes.body(data);
    if length > max_body {
        return Err(too_large("request", length, max_body));
    }
    sizes.check_data(target, data, max_body).map_err(|error| unfit(&error))
}

/// 413: the job alone makes a body that is larger than may be sent.
pub(super) fn too_large(what: &str, length: usize, max_body: usize) -> Error {
    let message = format!(
        "job data is too large: its {what} would have {length} bytes, \
         HTTPExecutorPayloadMaxSizeMb allows {max_body}"
    );
    Error::too_large(message).field("data")
}

/// 422: each part is good, but the request cannot be rendered.
fn unfit(error: &RenderError) -> Error {
    Error::unprocessable(error.to_string()).field(error.field())
}

/// Checks the URL of a target; placeholders are read in path and query. Where it leads.
pub(super) fn url(field: &'static str, url: &str, guard: &TargetGuard) -> Result<Origin, Error> {
    if url.is_empty() {
        return Err(Error::invalid(field, format!("{field} is required")));
    }
    placeholders(field, url)?;
    let bad = |why| Error::invalid(field, format!("{field} is not valid: {why}"));
    address(url, guard).map_err(bad)
}

/// The origin of a URL that can be called, whatever field it stands in; else why it cannot.
pub(super) fn address(url: &str, guard: &TargetGuard) -> Result<Origin, String> {
    if url.len() > LONGEST_URL {
        return Err(format!("it has more than {LONGEST_URL} bytes"));
    }
    guard.check_url(url).map_err(|error| error.to_string())?;
    if url.contains(char::is_whitespace) {
        let why = "it has spaces in it: encode them as %20";
        return Err(why.to_owned());
    }
    let parsed = Url::parse(url).map_err(|error| error.to_string())?;
    if parsed.host_str().is_none_or(|host| host.contains(['{', '}'])) {
        return Err("placeholders may stand in its path and query, not in its host".to_owned());
    }
    Ok(parsed.origin())
}

fn method(value: Value) -> Result<String, Error> {
    let given = text("http.method", value)?.to_ascii_uppercase();
    if !METHODS.contains(&given.as_str()) {
        let message = format!("http.method must be one of {}", METHODS.join(", "));
        return Err(Error::invalid("http.method", message));
    }
    Ok(given)
}

fn query(value: Value) -> Result<BTreeMap<String, String>, Error> {
    const FIELD: &str = "http.query";
    let lines = lines(FIELD, value)?;
    for (name, value) in &lines {
        plain_name(FIELD, name)?;
        check_text(FIELD, name, LONGEST_LINES)?;
        check_text(FIELD, value, LONGEST_LINES)?;
    }
    Ok(lines)
}

/// An object of names and values; numbers and truth values count as their text.
fn lines(field: &'static str, value: Value) -> Result<BTreeMap<String, String>, Error> {
    let wrong = || Error::invalid(field, format!("{field} must be an object of names and texts"));
    let Value::Object(object) = value else { return Err(wrong()) };
    let mut lines = BTreeMap::new();
    let mut bytes = 0;
    for (name, value) in object {
        let value = match value {
            Value::String(text) => text,
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(wrong()),
        };
        placeholders(field, &value)?;
        bytes += name.len() + value.len();
        lines.insert(name, value);
    }
    if lines.len() > MOST_LINES || bytes > LONGEST_LINES {
        let message =
            format!("{field} may hold {MOST_LINES} names and {LONGEST_LINES} bytes in all");
        return Err(Error::invalid(field, message));
    }
    Ok(lines)
}

fn plain_name(field: &'static str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains("{{") {
        let message = format!("{field} needs names without placeholders: they belong into values");
        return Err(Error::invalid(field, message));
    }
    Ok(())
}

/// Text as it is, anything else as its JSON.
fn body(value: Value) -> Result<String, Error> {
    const FIELD: &str = "http.body";
    let text = match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    check_text(FIELD, &text, LONGEST_BODY)?;
    placeholders(FIELD, &text)?;
    Ok(text)
}

fn codes(value: &Value) -> Result<Vec<u16>, Error> {
    let wrong = || {
        let message = "http.successCodes must be a list of HTTP statuses, 100 to 599";
        Error::invalid("http.successCodes", message)
    };
    let list = value.as_array().filter(|list| list.len() <= MOST_CODES).ok_or_else(wrong)?;
    let code = |value: &Value| match value.as_u64() {
        Some(code @ 100..=599) => Ok(code as u16),
        _ => Err(wrong()),
    };
    let mut codes = list.iter().map(code).collect::<Result<Vec<_>, _>>()?;
    codes.sort_unstable();
    codes.dedup();
    Ok(codes)
}

fn text(field: &'static str, value: Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(Error::invalid(field, format!("{field} must be text"))),
    }
}

/// Refuses a placeholder that nobody fills in.
fn placeholders(field: &'static str, text: &str) -> Result<(), Error> {
    let mut unknown = unknown(text);
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.truncate(MOST_SHOWN);
    let braced = |name: &str| {
        let name: String = name.chars().take_while(|c| *c != '}').take(40).collect();
        format!("{{{{{name}}}}}")
    };
    let shown: Vec<_> = unknown.into_iter().map(braced).collect();
    let known = PLACEHOLDERS.map(braced).join(" ");
    let message = format!(
        "{field}: nobody fills in {}, only {known}; write {LITERAL} where {{{{ itself is meant",
        shown.join(" ")
    );
    Err(Error::unprocessable(message).field(field))
}

/// A target as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpView {
    method: String,
    url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "verbatim")]
    query: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "verbatim")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secret_headers_set: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    auth: auth::AuthView,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    success_codes: Vec<u16>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsView>,
}

/// What may be shown of a target's TLS.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TlsView {
    #[serde(skip_serializing_if = "String::is_empty")]
    ca: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_cert: String,
    client_key_set: bool,
}

impl TlsView {
    pub(super) fn of(tls: &Tls) -> Self {
        Self {
            ca: tls.ca.clone(),
            client_cert: tls.client_cert.clone(),
            client_key_set: tls.client_key.is_some(),
        }
    }
}

/// What may be shown of a target: all but its secrets.
pub(super) fn show(target: &HttpTarget) -> HttpView {
    HttpView {
        method: target.method.clone(),
        url: target.url.clone(),
        query: target.query.clone(),
        headers: target.headers.clone(),
        secret_headers_set: target.secret_headers.keys().cloned().collect(),
        body: target.body.clone(),
        auth: auth::show(&target.auth),
        success_codes: target.success_codes.clone(),
        tls: target.tls.as_deref().map(TlsView::of),
    }
}

#[cfg(test)]
mod tests;
