//! The form of a token: JWS compact serialization (RFC 7515 7.1) of a JWT. `oidc` reads a token
//! here before anything is verified, so nothing of it is to be believed yet.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::error::TokenError;
use super::key_set::LONGEST_KEY_ID;

/// The longest token, in bytes.
pub(super) const LONGEST_TOKEN: usize = 8 * 1_024;

/// A token that is not verified.
pub(super) struct Token<'t> {
    /// The name of the algorithm that it claims.
    pub(super) algorithm: String,
    /// The id of the key that it claims.
    pub(super) key_id: Option<String>,
    /// Its claims.
    pub(super) claims: Map<String, Value>,
    /// The signed text.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Reads a token.
    ///
    /// # Errors
    ///
    /// `Invalid` where it is no signed JWT, or its header asks for what is not understood.
    pub(super) fn read(text: &'t str) -> Result<Self, TokenError> {
        const NO_JWT: TokenError = TokenError::Invalid("it is no signed JWT");
        if text.len() > LONGEST_TOKEN {
            return Err(TokenError::Invalid("it has more than 8 KB"));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(NO_JWT)?;
        let (header, claims) = signed.split_once('.').ok_or(NO_JWT)?;
        let header = object(header).ok_or(NO_JWT)?;
        // An encrypted token has five parts, of which the dots are left in here.
        let claims = object(claims).ok_or(NO_JWT)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| NO_JWT)?;
        if header.contains_key("crit") {
            return Err(TokenError::Invalid("its header has crit, of which nothing is understood"));
        }
        match header.get("typ") {
            None => {}
            Some(Value::String(kind)) if is_access_token(kind) => {}
            Some(_) => {
                return Err(TokenError::Invalid("its header has another typ than JWT or at+jwt"));
            }
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= LONGEST_KEY_ID => Some(id.clone()),
            Some(_) => return Err(TokenError::Invalid("its kid is no text of at most 256 bytes")),
        };
        let Some(Value::String(algorithm)) = header.get("alg") else {
            return Err(TokenError::Invalid("its header has no alg"));
        };
        let (algorithm, signed) = (algorithm.clone(), signed.as_bytes());
        Ok(Self { algorithm, key_id, claims, signed, signature })
    }
}

/// Says whether a media type is that of a JWT or of an access token (RFC 9068 2.1). `application/`
/// may be left out (RFC 7515 4.1.9).
fn is_access_token(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
}

fn object(part: &str) -> Option<Map<String, Value>> {
    match serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(text: &str) -> TokenError {
        Token::read(text).err().unwrap_or_else(|| panic!("{text} was read"))
    }

    #[test]
    fn only_a_signed_jwt_is_read() {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (head, body) = (part(json!({"alg": "RS256", "kid": "a"})), part(json!({"iss": "i"})));
        let token = Token::read(&format!("{head}.{body}.AAAA")).ok().map(|token| {
            assert_eq!(token.signed, format!("{head}.{body}").as_bytes());
            (token.algorithm, token.key_id, token.claims["iss"].clone(), token.signature)
        });
        assert_eq!(token, Some(("RS256".to_owned(), Some("a".to_owned()), json!("i"), vec![0; 3])));
        for text in [
            String::new(),
            "a".to_owned(),
            format!("{head}.{body}"),
            format!("{head}.{body}.A"),
            format!("{head}.{body}.AAAA=="),
            format!("{head}.{body}.AA.AA.AA"),
            format!("{head}.{}.AAAA", part(json!([1]))),
            format!("{}.{body}.AAAA", part(json!("x"))),
            format!("{head} .{body}.AAAA"),
            format!("{head}.{body}.{}", "A".repeat(LONGEST_TOKEN)),
        ] {
            assert!(matches!(refused(&text), TokenError::Invalid(_)), "{text}");
        }
    }

    #[test]
    fn a_header_asks_for_nothing_that_is_not_understood() {
        let read = |header: Value| {
            let head = URL_SAFE_NO_PAD.encode(header.to_string());
            Token::read(&format!("{head}.e30.AAAA")).err().map(|error| error.to_string())
        };
        for fine in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
            assert_eq!(read(json!({"alg": "RS256", "typ": fine})), None, "{fine}");
        }
        for (header, part) in [
            (json!({"alg": "RS256", "crit": ["exp"]}), "crit"),
            (json!({"alg": "RS256", "crit": null}), "crit"),
            (json!({"alg": "RS256", "typ": "logout+jwt"}), "typ"),
            (json!({"alg": "RS256", "typ": null}), "typ"),
            (json!({"alg": "RS256", "kid": 7}), "kid"),
            (json!({"alg": "RS256", "kid": "k".repeat(257)}), "kid"),
            (json!({}), "alg"),
            (json!({"alg": 5}), "alg"),
        ] {
            let said = read(header.clone()).unwrap_or_default();
            assert!(said.contains(part), "{header}: {said}");
        }
    }
}
