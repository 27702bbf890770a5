//! The headers of a target: plain ones, and those whose values are sealed. `read` calls it. No
//! error and no answer holds a secret value; they name the header only.

use std::collections::BTreeMap;

use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::app::error::Error;
use crate::app::targets::http::lines::{lines, plain_name};
use crate::executor::headers::{as_read, identifies_request};
use crate::model::target::{HttpTarget, Sealed};
use crate::secret::{Keys, purpose};

const PLAIN: &str = "http.headers";
const SECRET: &str = "http.secretHeaders";
/// Headers of the connection, of the body's framing, or of the routing.
const RESERVED: [&str; 11] = [
    "host",
    "content-length",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The most secret headers.
const MOST_SECRETS: usize = 16;
/// The longest secret value, in bytes.
const LONGEST_SECRET: usize = 4_096;

/// Reads `headers`.
pub(super) fn read(value: Value) -> Result<BTreeMap<String, String>, Error> {
    let bad = |message: String| Error::invalid(PLAIN, message);
    let lines = lines(PLAIN, value)?;
    let mut seen: Vec<String> = Vec::with_capacity(lines.len());
    for (name, value) in &lines {
        let plain = check_name(PLAIN, name)?;
        check_value(PLAIN, &plain, value)?;
        let secret = ["basic ", "bearer "].iter().any(|scheme| {
            value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        if plain == "authorization" && secret {
            let message = "http.headers would show the secret in authorization: give it as \
                           http.auth {type: basic, username, password} or {type: bearer, token}";
            return Err(bad(message.to_owned()));
        }
        if seen.contains(&plain) {
            return Err(bad(format!("http.headers names {plain} twice")));
        }
        seen.push(plain);
    }
    Ok(lines)
}

/// The name in lower case, if a target may set that header.
fn check_name(field: &'static str, name: &str) -> Result<String, Error> {
    plain_name(field, name)?;
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
        return Err(Error::invalid(field, format!("{field}: {shown} is not the name of a header")));
    }
    let plain = name.to_ascii_lowercase();
    let read = as_read(&plain);
    if RESERVED.contains(&&*read) || identifies_request(&read) {
        let message = format!("{field} must not set {plain}: the sender does");
        return Err(Error::unprocessable(message).field(field));
    }
    Ok(plain)
}

fn check_value(field: &'static str, name: &str, value: &str) -> Result<(), Error> {
    if HeaderValue::from_str(value).is_ok() {
        return Ok(());
    }
    let message = format!("{field}: the value of {name} must be one line of text");
    Err(Error::invalid(field, message))
}

/// Refuses a target that has `auth` and an authorization header beside it.
pub(super) fn refuse_authorization(target: &HttpTarget) -> Result<(), Error> {
    let stands = |name: &String| name.eq_ignore_ascii_case("authorization");
    let field = match () {
        () if target.headers.keys().any(stands) => PLAIN,
        () if target.secret_headers.keys().any(stands) => SECRET,
        () => return Ok(()),
    };
    let message = format!("{field} must not hold authorization beside http.auth: use one of them");
    Err(Error::invalid(field, message))
}

/// The secret headers in a request: new values, and names whose values stay.
#[derive(Default)]
pub(super) struct SecretHeaders {
    given: Vec<(String, Zeroizing<String>)>,
    kept: Vec<String>,
}

impl SecretHeaders {
    /// Takes `secretHeaders`: names and their values.
    pub(super) fn given(&mut self, value: Value) -> Result<(), Error> {
        let wrong =
            || Error::invalid(SECRET, format!("{SECRET} must be an object of names and texts"));
        let Value::Object(object) = value else { return Err(wrong()) };
        for (name, value) in object {
            match value {
                Value::Null => {}
                Value::String(text) => self.given.push((name, text.into())),
                _ => return Err(wrong()),
            }
        }
        Ok(())
    }

    /// Takes `secretHeadersSet`: the names whose values stay.
    pub(super) fn keep(&mut self, value: Value) -> Result<(), Error> {
        self.kept = serde_json::from_value(value).map_err(|_| {
            let message = "http.secretHeadersSet must be a list of names, as a GET shows it";
            Error::invalid("http.secretHeadersSet", message)
        })?;
        Ok(())
    }

    /// Seals the new values. Values that stay are taken from `old`, the target before if it had the
    /// same origin. `plain` are the other headers of the target.
    pub(super) fn seal(
        self,
        keys: &Keys,
        old: Option<&HttpTarget>,
        plain: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Sealed>, Error> {
        let bad = |message: String| Error::invalid(SECRET, message);
        let mut sealed = BTreeMap::new();
        let mut seen: Vec<String> = plain.keys().map(|name| name.to_ascii_lowercase()).collect();
        let others = seen.len();
        for (name, value) in self.given {
            let plain = check_name(SECRET, &name)?;
            check_value(SECRET, &plain, &value)?;
            if value.is_empty() || value.len() > LONGEST_SECRET {
                let message = format!("{SECRET}: {plain} must have 1 to {LONGEST_SECRET} bytes");
                return Err(bad(message));
            }
            if seen.contains(&plain) {
                let message = format!("{SECRET} names {plain} twice, or http.headers has it too");
                return Err(bad(message));
            }
            seen.push(plain);
            sealed.insert(name, keys.seal(&value, purpose::HEADER));
        }
        for name in self.kept {
            let plain = check_name(SECRET, &name)?;
            if seen[others..].contains(&plain) {
                continue;
            }
            if seen.contains(&plain) {
                return Err(bad(format!("{SECRET} keeps {plain}, which http.headers has too")));
            }
            let known = old.and_then(|old| {
                old.secret_headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name))
            });
            let Some((known, value)) = known else {
                let message = format!(
                    "{SECRET}: {plain} is required: one that was set is kept for the same host only"
                );
                return Err(bad(message));
            };
            seen.push(plain);
            sealed.insert(known.clone(), value.clone());
        }
        if sealed.len() > MOST_SECRETS {
            return Err(bad(format!("{SECRET} may hold {MOST_SECRETS} names")));
        }
        Ok(sealed)
    }
}
