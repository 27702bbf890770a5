//! The credentials that a request presents, before anything is checked. `check` reads them here.
//! Each request has one kind of credentials: where two are shown, the caller must say which it
//! means by leaving the other out.

use axum::http::{HeaderMap, HeaderValue, header};

use super::check_error::AuthError;
use super::oidc::TokenError;

/// The longest header that is read, in bytes, other than a token's.
const LONGEST: usize = 1_024;
/// The beginning of an API key, which no token has.
const KEY_PREFIX: &str = "s0_";

/// The credentials that a request presents.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// The key pair of a client.
    KeyPair { key: &'a str, secret: &'a str },
    /// The username and password of an operator, in base64.
    Basic(&'a str),
    /// An access token.
    Token(&'a str),
    /// Nothing that is known.
    Nothing,
}

/// What a request presents.
///
/// # Errors
///
/// `Ambiguous` where it presents two credentials of a client; `Token` where a `Bearer` header is
/// not of its form.
pub(super) fn presented(headers: &HeaderMap) -> Result<Presented<'_>, AuthError> {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if value.len() <= LONGEST { value } else { "" }
    };
    let (key, secret) = (text("x-api-key"), text("x-secret-key"));
    let has_pair = !key.is_empty() && !secret.is_empty();
    let given = || headers.get_all(header::AUTHORIZATION).iter();
    if let Some(value) = given().find(|value| is_bearer(value)) {
        if has_pair || given().nth(1).is_some() {
            return Err(AuthError::Ambiguous);
        }
        return bearer(value).map_err(AuthError::Token);
    }
    if has_pair {
        return Ok(Presented::KeyPair { key, secret });
    }
    if !matches!(text("x-peer"), "cmd" | "peer") {
        return Ok(Presented::Nothing);
    }
    Ok(match text(header::AUTHORIZATION.as_str()).split_once(' ') {
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => {
            Presented::Basic(encoded.trim())
        }
        _ => Presented::Nothing,
    })
}

/// Says whether a header is of the scheme `Bearer`, in any case (RFC 9110 11.1).
fn is_bearer(value: &HeaderValue) -> bool {
    let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer")
}

/// The token of a `Bearer` header, or the key pair in it: `s0_KEY.SECRET`, for programs that cannot
/// send headers of their own (Prometheus).
fn bearer(value: &HeaderValue) -> Result<Presented<'_>, TokenError> {
    let text = value.to_str().map_err(|_| TokenError::Format)?;
    let token = text.split_once(' ').map_or("", |(_, token)| token.trim_matches(' '));
    if token.is_empty() {
        return Err(TokenError::Missing);
    }
    // The characters of a token (RFC 6750 2.1).
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !token.bytes().all(is_plain) {
        return Err(TokenError::Format);
    }
    if token.starts_with(KEY_PREFIX) && token.len() <= LONGEST {
        let (key, secret) = token.split_once('.').unwrap_or((token, ""));
        return Ok(Presented::KeyPair { key, secret });
    }
    Ok(Presented::Token(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers of a request, and what it presents.
    type Row<'a> = (&'a [(&'static str, &'a str)], Result<Presented<'a>, AuthError>);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_a_request_shows() {
        const PAIR: [(&str, &str); 2] = [("x-api-key", "k"), ("x-secret-key", "s")];
        let pair = || Ok(Presented::KeyPair { key: "k", secret: "s" });
        let long = "k".repeat(LONGEST + 1);
        let token = format!("Bearer {long}");
        let table: &[Row<'_>] = &[
            (&[], Ok(Presented::Nothing)),
            (&PAIR, pair()),
            (&[("x-api-key", "k")], Ok(Presented::Nothing)),
            (&[("x-api-key", ""), ("x-secret-key", "s")], Ok(Presented::Nothing)),
            (&[("x-api-key", &long), ("x-secret-key", "s")], Ok(Presented::Nothing)),
            (&[("authorization", "Basic YTpi")], Ok(Presented::Nothing)),
            (&[("authorization", "Basic YTpi"), ("x-peer", "other")], Ok(Presented::Nothing)),
            (&[("authorization", "Basic YTpi"), ("x-peer", "cmd")], Ok(Presented::Basic("YTpi"))),
            (&[("authorization", "basic YTpi"), ("x-peer", "peer")], Ok(Presented::Basic("YTpi"))),
            (
                &[("x-api-key", "k"), ("authorization", "Basic YTpi"), ("x-peer", "cmd")],
                Ok(Presented::Basic("YTpi")),
            ),
            (&[PAIR[0], PAIR[1], ("authorization", "Basic YTpi"), ("x-peer", "cmd")], pair()),
            (&[("authorization", "Bearer a.b.c")], Ok(Presented::Token("a.b.c"))),
            (&[("authorization", "bearer  a.b.c ")], Ok(Presented::Token("a.b.c"))),
            (&[("authorization", "Bearer a"), ("x-peer", "cmd")], Ok(Presented::Token("a"))),
            (&[("authorization", &token)], Ok(Presented::Token(&long))),
            (&[("authorization", "Bearer")], Err(AuthError::Token(TokenError::Missing))),
            (&[("authorization", "Bearer  ")], Err(AuthError::Token(TokenError::Missing))),
            (&[("authorization", "Bearer a b")], Err(AuthError::Token(TokenError::Format))),
            (&[("authorization", "Bearer a,b")], Err(AuthError::Token(TokenError::Format))),
            (&[("authorization", "Bearer:a")], Ok(Presented::Nothing)),
            (&[("authorization", "Token a")], Ok(Presented::Nothing)),
            (
                &[("authorization", "Bearer s0_k.s")],
                Ok(Presented::KeyPair { key: "s0_k", secret: "s" }),
            ),
            (
                &[("authorization", "Bearer s0_k")],
                Ok(Presented::KeyPair { key: "s0_k", secret: "" }),
            ),
            (&[PAIR[0], PAIR[1], ("authorization", "Bearer a")], Err(AuthError::Ambiguous)),
            (&[PAIR[0], PAIR[1], ("authorization", "Bearer s0_k.s")], Err(AuthError::Ambiguous)),
            (
                &[("authorization", "Bearer a"), ("authorization", "Bearer b")],
                Err(AuthError::Ambiguous),
            ),
            (
                &[("authorization", "Basic YTpi"), ("authorization", "Bearer b")],
                Err(AuthError::Ambiguous),
            ),
            (&[PAIR[0], ("authorization", "Bearer a")], Ok(Presented::Token("a"))),
        ];
        for (given, wanted) in table {
            assert_eq!(&presented(&headers(given)), wanted, "{given:?}");
        }
        let mut raw = HeaderMap::new();
        raw.insert(header::AUTHORIZATION, HeaderValue::from_bytes(b"Bearer \xff").unwrap());
        assert_eq!(presented(&raw), Err(AuthError::Token(TokenError::Format)));
    }
}
