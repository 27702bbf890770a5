//! The credentials with which a request authenticates at a target: read, sealed, and shown without
//! the secret. `read`, `merge` and `view` call it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::error::Error;
use crate::app::fields::canonical;
use crate::app::fields::check_text;
use crate::app::targets::http::json_merge::{over, same_name};
use crate::model::target::Auth;
use crate::secret::{Keys, purpose};

/// The longest user name, in bytes.
const LONGEST_USER: usize = 256;
/// The longest password or token, in bytes.
const LONGEST_SECRET: usize = 4_096;

/// The `auth` object that a patch makes of the one that is shown. Another `type` begins anew, since
/// no field of the old one fits it.
pub(super) fn merged(shown: Option<&Value>, patch: Map<String, Value>) -> Result<Value, Error> {
    let given = |wanted: &str| patch.iter().find(|(name, _)| same_name(name, wanted));
    let old = shown.and_then(|shown| shown["type"].as_str());
    let kind = given("type").map_or(old, |(_, kind)| kind.as_str());
    let required: &[&'static str] = match kind {
        Some("basic") => &["http.auth.type", "http.auth.username", "http.auth.password"],
        Some("bearer") => &["http.auth.type", "http.auth.token"],
        _ => &["http.auth.type"],
    };
    for field in required {
        let name = field.rsplit('.').next().unwrap_or_default();
        if given(name).is_some_and(|(_, value)| value.is_null()) {
            let message = format!("{field} cannot be null: name another, or auth {{type: none}}");
            return Err(Error::invalid(field, message));
        }
    }
    let kept = shown.filter(|_| kind == old).cloned();
    Ok(over(kept, patch, same_name))
}

/// Reads an `auth` object. A secret that it does not name is taken from `old`.
pub(super) fn read(value: Value, keys: &Keys, old: Option<&Auth>) -> Result<Auth, Error> {
    const FIELDS: &str = "http.auth must be an object: {type: none}, {type: basic, username, \
                          password} or {type: bearer, token}";
    let wrong = || Error::invalid("http.auth", FIELDS);
    let Value::Object(object) = value else { return Err(wrong()) };
    let mut given = Given::default();
    for (name, value) in object {
        let place = match canonical(&name, &mut [0; 24]).unwrap_or_default() {
            "type" => &mut given.kind,
            "username" => &mut given.username,
            "password" => &mut given.password,
            "token" => &mut given.token,
            // A GET shows these, and clients send them back.
            "passwordset" | "tokenset" => continue,
            _ => return Err(wrong()),
        };
        match value {
            Value::Null => {}
            Value::String(text) => *place = Some(text),
            _ => return Err(wrong()),
        }
    }
    match given {
        Given { kind: Some(kind), username: None, password: None, token: None }
            if kind == "none" =>
        {
            Ok(Auth::None)
        }
        Given { kind: Some(kind), username: Some(username), password, token: None }
            if kind == "basic" =>
        {
            basic(username, password.as_deref(), keys, old)
        }
        Given { kind: Some(kind), username: None, password: None, token } if kind == "bearer" => {
            bearer(token.as_deref(), keys, old)
        }
        _ => Err(wrong()),
    }
}

#[derive(Default)]
struct Given {
    kind: Option<String>,
    username: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

fn basic(
    username: String,
    password: Option<&str>,
    keys: &Keys,
    old: Option<&Auth>,
) -> Result<Auth, Error> {
    const USER: &str = "http.auth.username";
    const PASSWORD: &str = "http.auth.password";
    check_text(USER, &username, LONGEST_USER)?;
    if username.chars().any(|c| c == ':' || c.is_control()) {
        let message = "http.auth.username must not have colons or line ends in it";
        return Err(Error::invalid(USER, message));
    }
    let password = match (password, old) {
        (Some(given), _) => {
            check_secret(PASSWORD, given)?;
            keys.seal(given, purpose::PASSWORD)
        }
        (None, Some(Auth::Basic { username: same, password })) if *same == username => {
            password.clone()
        }
        (None, _) => return Err(required(PASSWORD)),
    };
    Ok(Auth::Basic { username, password })
}

fn bearer(token: Option<&str>, keys: &Keys, old: Option<&Auth>) -> Result<Auth, Error> {
    const TOKEN: &str = "http.auth.token";
    let token = match (token, old) {
        (Some(given), _) => {
            check_secret(TOKEN, given)?;
            if given.is_empty() || !given.bytes().all(|b| b.is_ascii_graphic()) {
                let message = "http.auth.token must be visible ASCII without spaces";
                return Err(Error::invalid(TOKEN, message));
            }
            keys.seal(given, purpose::TOKEN)
        }
        (None, Some(Auth::Bearer { token })) => token.clone(),
        (None, _) => return Err(required(TOKEN)),
    };
    Ok(Auth::Bearer { token })
}

fn required(field: &'static str) -> Error {
    let message =
        format!("{field} is required: one that was set is kept for the same user and host only");
    Error::invalid(field, message)
}

fn check_secret(field: &'static str, given: &str) -> Result<(), Error> {
    if given.len() > LONGEST_SECRET || given.chars().any(char::is_control) {
        let message =
            format!("{field} must have at most {LONGEST_SECRET} bytes and no control characters");
        return Err(Error::invalid(field, message));
    }
    Ok(())
}

/// The `auth` object as it is shown.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum AuthView {
    None,
    Basic { username: String, password_set: bool },
    Bearer { token_set: bool },
}

/// Shows everything but the secret.
pub(super) fn show(auth: &Auth) -> AuthView {
    match auth {
        Auth::None => AuthView::None,
        Auth::Basic { username, .. } => {
            AuthView::Basic { username: username.clone(), password_set: true }
        }
        Auth::Bearer { .. } => AuthView::Bearer { token_set: true },
    }
}
