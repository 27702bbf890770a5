//! The claims of a token whose signature was right: whether it is an access token, for this node,
//! and valid now (RFC 7519 4.1, RFC 9068 2.2), and what it may be used for. `oidc` calls it. It
//! knows no clock: the caller passes the instant.

use serde_json::{Map, Value};

use super::error::TokenError;
use crate::auth::caller::TokenCaller;
use crate::config::OidcIssuer;
use crate::model::Millis;
use crate::model::scope::Scopes;

/// The difference of clocks that is allowed for, in milliseconds.
pub(super) const LEEWAY: Millis = 30_000;
/// The longest `sub`, in bytes (OpenID Connect Core 1.0, 2).
const LONGEST_SUBJECT: usize = 255;
/// The longest name that is kept, in bytes.
const LONGEST_NAME: usize = 128;
/// The claims that name a person or a program, the best first.
const NAMES: [&str; 5] = ["preferred_username", "name", "email", "azp", "client_id"];

type Claims = Map<String, Value>;

/// The caller of a token with these claims, whose issuer this is.
///
/// # Errors
///
/// `Invalid` where it is a token of another kind; `Claims` where it is not for this node, or not
/// valid at `now`.
pub(super) fn caller(
    claims: &Claims,
    issuer: &OidcIssuer,
    now: Millis,
) -> Result<TokenCaller, TokenError> {
    check_kind(claims)?;
    let expires = check_time(claims, now)?;
    check_audience(claims, issuer)?;
    let subject = match claims.get("sub") {
        Some(Value::String(text)) if !text.is_empty() && text.len() <= LONGEST_SUBJECT => text,
        _ => return Err(TokenError::Claims("sub is missing, or no text of at most 255 bytes")),
    };
    let mut scopes = scopes(claims, issuer)?;
    if !issuer.allow_cluster {
        scopes = scopes.without(Scopes::OF_CLUSTER);
    }
    Ok(TokenCaller {
        issuer: issuer.issuer.clone(),
        subject: subject.clone(),
        name: name(claims).unwrap_or_else(|| printable(subject)),
        scopes,
        expires,
    })
}

/// Refuses ID tokens, refresh tokens and the like. Issuers that do not set the `typ` of the header
/// say it in a claim of that name (Keycloak); only ID tokens have a hash of another token in them
/// (OpenID Connect Core 1.0, 3.1.3.6).
fn check_kind(claims: &Claims) -> Result<(), TokenError> {
    const OTHER: TokenError = TokenError::Invalid("it is no access token but one of another kind");
    match claims.get("typ") {
        None => {}
        Some(Value::String(kind))
            if ["bearer", "jwt", "at+jwt"].iter().any(|own| kind.eq_ignore_ascii_case(own)) => {}
        Some(_) => return Err(OTHER),
    }
    let is_other = ["at_hash", "c_hash", "events"].iter().any(|claim| claims.contains_key(*claim));
    if is_other { Err(OTHER) } else { Ok(()) }
}

/// Checks `exp` and `nbf`. Returns the instant at which the token expires.
fn check_time(claims: &Claims, now: Millis) -> Result<Millis, TokenError> {
    let expires = match claims.get("exp") {
        Some(value) => instant(value).ok_or(TokenError::Claims("exp is no number of seconds"))?,
        None => return Err(TokenError::Claims("exp is missing")),
    };
    if now >= expires.saturating_add(LEEWAY) {
        return Err(TokenError::Claims("the token has expired (exp)"));
    }
    if let Some(value) = claims.get("nbf") {
        let from = instant(value).ok_or(TokenError::Claims("nbf is no number of seconds"))?;
        if from > now.saturating_add(LEEWAY) {
            return Err(TokenError::Claims("the token is not valid yet (nbf)"));
        }
    }
    Ok(expires)
}

/// A `NumericDate` in milliseconds.
fn instant(value: &Value) -> Option<Millis> {
    let seconds = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
    // A number beyond the range becomes its end.
    Some((seconds * 1_000.0) as Millis)
}

/// Checks that the token is for this node, or was issued to one of its clients.
fn check_audience(claims: &Claims, issuer: &OidcIssuer) -> Result<(), TokenError> {
    let audience = match claims.get("aud") {
        None => Vec::new(),
        Some(value) => {
            texts(value).ok_or(TokenError::Claims("aud is neither a text nor a list"))?
        }
    };
    if audience.iter().any(|one| issuer.audiences.iter().any(|own| own == one)) {
        return Ok(());
    }
    let client = claims.get("azp").or_else(|| claims.get("client_id")).and_then(Value::as_str);
    if client.is_some_and(|client| issuer.clients.iter().any(|own| own == client)) {
        return Ok(());
    }
    Err(TokenError::Claims(if issuer.clients.is_empty() {
        "the token is for another service (aud), or for none: see Audiences in docs/oidc.md"
    } else {
        "the token is for another service (aud) and was issued to another client (azp, client_id): \
         see Audiences and Clients in docs/oidc.md"
    }))
}

/// The scopes of all claims that may hold some.
fn scopes(claims: &Claims, issuer: &OidcIssuer) -> Result<Scopes, TokenError> {
    let mut all = Scopes::NONE;
    for name in &issuer.scope_claims {
        match claims.get(name) {
            None => {}
            // RFC 6749 3.3.
            Some(Value::String(text)) => {
                all = text.split(' ').map(scopes_of).fold(all, |all, one| all | one);
            }
            Some(value) => {
                let words = texts(value).ok_or(TokenError::Claims(
                    "the claim of scopes is neither a text nor a list",
                ))?;
                all = words.into_iter().map(scopes_of).fold(all, |all, one| all | one);
            }
        }
    }
    for path in &issuer.role_claims {
        if let Some(value) = at_path(claims, path) {
            let words = texts(value)
                .ok_or(TokenError::Claims("the claim of roles is neither a text nor a list"))?;
            all = words.into_iter().map(scopes_of).fold(all, |all, one| all | one);
        }
    }
    Ok(all)
}

/// The scopes of a word of a token. What is no such word grants nothing, nor does `*`, which stands
/// for all that a key has.
fn scopes_of(word: &str) -> Scopes {
    if word == "*" { Scopes::NONE } else { Scopes::of_word(word).unwrap_or_default() }
}

/// The claim of a name, or at a path whose parts have dots between them. A name with dots in it (a
/// URL) comes before a path.
fn at_path<'c>(claims: &'c Claims, path: &str) -> Option<&'c Value> {
    if let Some(found) = claims.get(path) {
        return Some(found);
    }
    let mut parts = path.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.as_object()?.get(part))
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn name(claims: &Claims) -> Option<String> {
    let given = NAMES.iter().filter_map(|claim| claims.get(*claim)?.as_str());
    given.map(printable).find(|name| !name.is_empty())
}

/// The beginning of a text, without what would disturb a log or a page.
fn printable(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(LONGEST_NAME)];
    text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
