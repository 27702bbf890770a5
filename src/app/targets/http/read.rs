//! Reading of an `http` object into a target. Jobs and executors call it.

use crate::app::error::Error;
use crate::app::fields::canonical;
use crate::app::fields::check_text;
use crate::app::targets::http::lines::query;
use crate::app::targets::http::payload::sizes;
use crate::app::targets::http::placeholders::check_placeholders;
use crate::app::targets::http::tls;
use crate::app::targets::http::url::check_url;
use crate::app::targets::http::{auth, headers};
use crate::executor::guard::TargetGuard;
use crate::model::target::Auth;
use crate::model::target::HttpTarget;
use crate::secret::Keys;
use serde_json::Value;
use url::Url;

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
/// The known fields. A job takes `timeout` out of the object before it is read here.
const FIELDS: &str = "method, url, query, headers, secretHeaders, body, auth, successCodes, ca, clientCert, clientKey, \
                      and timeout in a job";
/// The names of the TLS fields.
const TLS: tls::Names = ["http.ca", "http.clientCert", "http.clientKey"];
/// The longest template of a body, in bytes.
const LONGEST_BODY: usize = 64 * 1_024;
/// The number of all HTTP statuses.
const MOST_CODES: usize = 500;

/// Reads a whole `http` object; `merge` makes one of a patch. `old` is the target before an edit: a
/// secret that the object does not name is taken from it, unless the secret would go to another
/// user or origin than it was given for.
pub(crate) fn read_target(
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
    let mut said = tls::TlsInput::default();
    let mut secret = headers::SecretHeaders::default();
    for (name, value) in object {
        match canonical(&name, &mut [0; 24]).unwrap_or_default() {
            // A null is absent, whatever its name.
            _ if value.is_null() => {}
            "method" => target.method = method(value)?,
            "url" => target.url = text("http.url", value)?,
            "query" => target.query = query(value)?,
            "headers" => target.headers = headers::read(value)?,
            "secretheaders" => secret.given(value)?,
            // A GET shows this, and clients send it back.
            "secretheadersset" => secret.keep(value)?,
            "body" => target.body = Some(body(value)?),
            "auth" => shown = Some(value),
            "successcodes" => target.success_codes = codes(&value)?,
            "ca" => said.ca = text("http.ca", value)?,
            "clientcert" => said.client_cert = text("http.clientCert", value)?,
            "clientkey" => said.client_key = Some(text("http.clientKey", value)?.into()),
            // A GET shows this, and clients send it back; `merge` sets it to drop the key.
            "clientkeyset" => said.forget_key = value == false,
            _ => {
                let name: String = name.chars().take(40).collect();
                let message = format!("http has no field {name}: it has {FIELDS}");
                return Err(Error::invalid("http", message));
            }
        }
    }
    let origin = check_url("http.url", &target.url, guard)?;
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

fn method(value: Value) -> Result<String, Error> {
    let given = text("http.method", value)?.to_ascii_uppercase();
    if !METHODS.contains(&given.as_str()) {
        let message = format!("http.method must be one of {}", METHODS.join(", "));
        return Err(Error::invalid("http.method", message));
    }
    Ok(given)
}

/// A text as it is, any other value as its JSON.
fn body(value: Value) -> Result<String, Error> {
    const FIELD: &str = "http.body";
    let text = match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    check_text(FIELD, &text, LONGEST_BODY)?;
    check_placeholders(FIELD, &text)?;
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

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
