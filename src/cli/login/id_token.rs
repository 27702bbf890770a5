//! The `id_token` of a provider: who has logged in (OpenID Connect Core 1.0, section 3.1.3.7). It
//! comes from the token endpoint over TLS, which stands for the check of its signature (number 6
//! there). Pure. It is kept nowhere and shown to nobody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;

use crate::model::Millis;
use crate::model::time::rfc3339;

/// The difference of clocks that is not minded, in milliseconds.
const LEEWAY_MS: Millis = 30_000;

/// What an `id_token` must say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    /// The nonce of the request; `None` where the flow has none.
    pub(super) nonce: Option<&'a str>,
    /// The clock of this machine.
    pub(super) now: Millis,
}

/// The user who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) subject: String,
    /// A name for people.
    pub(super) name: Option<String>,
}

/// The reason why an `id_token` is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IdTokenError {
    #[error(
        "the provider sent no id_token: give the client the scope openid there, and use a provider \
         of OpenID Connect"
    )]
    Missing,
    #[error("the provider's id_token cannot be read: is the issuer a provider of OpenID Connect?")]
    Form,
    #[error(
        "the id_token is of the issuer {0:?}, not of the one that was asked: use exactly that text \
         as --issuer and in the node's OidcIssuers, if it is the right one"
    )]
    Issuer(String),
    #[error(
        "the id_token is for another client: check --client-id, and that the provider sends this \
         client no tokens of others"
    )]
    Audience,
    #[error(
        "the id_token belongs to another login (its nonce differs): log in again; if it stays so, \
         the provider mixes logins up"
    )]
    Nonce,
    #[error(
        "the id_token ended at {ended}, and the clock of this machine shows {now}: set the clock \
         (`timedatectl` shows it), then log in again"
    )]
    Expired { ended: String, now: String },
}

/// The claims of a JWT, whose signature is not checked; `None` for another text.
pub(super) fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (payload, signature) = (parts.nth(1)?, parts.next());
    if signature.is_none() || parts.next().is_some() {
        return None;
    }
    let bytes = BASE64.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

/// Checks an `id_token` that came from the token endpoint.
pub(super) fn check(
    token: Option<&str>,
    expected: &Expected<'_>,
) -> Result<Identity, IdTokenError> {
    let claims = claims(token.ok_or(IdTokenError::Missing)?).ok_or(IdTokenError::Form)?;
    let text = |name: &str| claims[name].as_str().filter(|text| !text.is_empty());
    match text("iss") {
        Some(issuer) if issuer == expected.issuer => {}
        issuer => return Err(IdTokenError::Issuer(issuer.unwrap_or_default().to_owned())),
    }
    let is_ours = |value: &Value| value.as_str() == Some(expected.client_id);
    let audience = &claims["aud"];
    let is_audience =
        is_ours(audience) || audience.as_array().is_some_and(|a| a.iter().any(is_ours));
    if !is_audience || !(claims["azp"].is_null() || is_ours(&claims["azp"])) {
        return Err(IdTokenError::Audience);
    }
    if expected.nonce.is_some_and(|nonce| text("nonce") != Some(nonce)) {
        return Err(IdTokenError::Nonce);
    }
    // A number of seconds, which may have a fraction (RFC 7519, section 2).
    let ends = claims["exp"].as_f64().ok_or(IdTokenError::Form)? * 1_000.0;
    let ends = ends as Millis;
    if ends.saturating_add(LEEWAY_MS) <= expected.now {
        let (ended, now) = (rfc3339(ends), rfc3339(expected.now));
        return Err(IdTokenError::Expired { ended, now });
    }
    let subject = text("sub").ok_or(IdTokenError::Form)?.to_owned();
    let name = ["preferred_username", "email", "name"].into_iter().find_map(text);
    Ok(Identity { subject, name: name.map(str::to_owned) })
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Millis = 1_000_000;

    /// A JWT with these claims.
    pub(in super::super) fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", BASE64.encode(claims.to_string()))
    }

    fn said(change: &Value) -> Result<Identity, IdTokenError> {
        let mut all = json!({
            "iss": "https://id", "aud": "cli", "exp": 1_060, "nonce": "n", "sub": "u1",
            "preferred_username": "ada",
        });
        all.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let expected =
            Expected { issuer: "https://id", client_id: "cli", nonce: Some("n"), now: NOW };
        check(Some(&token(&all)), &expected)
    }

    #[test]
    fn who_has_logged_in_is_believed_from_the_right_issuer_for_this_client_and_login() {
        let ada = Identity { subject: "u1".to_owned(), name: Some("ada".to_owned()) };
        for fine in [
            json!({}),
            json!({"aud": ["other", "cli"], "azp": "cli"}),
            json!({"exp": 1_060.5}),
            json!({"exp": 971}),
        ] {
            assert_eq!(said(&fine), Ok(ada.clone()), "{fine}");
        }
        let expired = IdTokenError::Expired { ended: rfc3339(970_000), now: rfc3339(NOW) };
        for (change, wanted) in [
            (json!({"iss": "https://id/"}), IdTokenError::Issuer("https://id/".to_owned())),
            (json!({"iss": null}), IdTokenError::Issuer(String::new())),
            (json!({"aud": "other"}), IdTokenError::Audience),
            (json!({"aud": null}), IdTokenError::Audience),
            (json!({"aud": ["other", "cli"], "azp": "other"}), IdTokenError::Audience),
            (json!({"nonce": "m"}), IdTokenError::Nonce),
            (json!({"nonce": null}), IdTokenError::Nonce),
            (json!({"exp": 970}), expired),
            (json!({"exp": null}), IdTokenError::Form),
            (json!({"sub": null}), IdTokenError::Form),
        ] {
            assert_eq!(said(&change), Err(wanted), "{change}");
        }
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let expected = Expected { issuer: "https://id", client_id: "cli", nonce: None, now: NOW };
        assert_eq!(check(None, &expected), Err(IdTokenError::Missing));
        for wrong in ["", "a.b", "e30.e30", "a.W10.c", "a.e30.c.d", "a.!.c"] {
            assert_eq!(check(Some(wrong), &expected), Err(IdTokenError::Form), "{wrong}");
        }
    }
}
