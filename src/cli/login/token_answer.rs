//! The answer of a token endpoint (RFC 6749, section 5.1), and the tokens of a session that it
//! makes. Pure.

use serde_json::Value;

use super::id_token::claims;
use crate::model::Millis;
use crate::secret::SecretText;

/// The answer. `Debug` shows no token.
#[derive(Debug)]
pub(super) struct TokenAnswer {
    pub(super) access_token: SecretText,
    pub(super) refresh_token: Option<SecretText>,
    pub(super) id_token: Option<SecretText>,
    /// The end of the access token, in milliseconds since the Unix epoch.
    pub(super) expires: Option<Millis>,
}

impl TokenAnswer {
    /// Reads an answer that came at `now`.
    ///
    /// # Errors
    ///
    /// A half sentence that says what is wrong, and the way out.
    pub(super) fn read(answer: &Value, now: Millis) -> Result<Self, String> {
        let text = |name: &str| answer[name].as_str().filter(|text| !text.is_empty());
        let secret = |name: &str| text(name).map(|text| SecretText::from(text.to_owned()));
        let access_token = secret("access_token").ok_or("answers without an access_token")?;
        if !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("answers with an access_token that no header can carry".to_owned());
        }
        // Section 7.1: a token of a kind that is not understood must not be used.
        let kind = text("token_type").unwrap_or("none");
        if !kind.eq_ignore_ascii_case("bearer") {
            let kind = kind.chars().take(40).collect::<String>();
            return Err(format!("gives tokens of the type {kind}, and nodes take Bearer only"));
        }
        // Some write the number as a text.
        let seconds = &answer["expires_in"];
        let seconds = seconds.as_i64().or_else(|| seconds.as_str()?.parse().ok());
        let by_seconds = seconds.map(|seconds| now.saturating_add(seconds.saturating_mul(1_000)));
        let by_token = || claims(&access_token)?["exp"].as_i64()?.checked_mul(1_000);
        let expires = by_seconds.or_else(by_token);
        let (refresh_token, id_token) = (secret("refresh_token"), secret("id_token"));
        Ok(Self { access_token, refresh_token, id_token, expires })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::id_token::tests::token;
    use super::*;

    #[test]
    fn the_end_is_counted_from_now_or_read_from_the_token() {
        let read = |answer: Value| TokenAnswer::read(&answer, 5_000).map(|read| read.expires);
        let with = |seconds: Value| json!({"access_token": "a", "token_type": "bearer", "expires_in": seconds});
        assert_eq!(read(with(json!(60))), Ok(Some(65_000)));
        assert_eq!(read(with(json!("60"))), Ok(Some(65_000)));
        assert_eq!(read(with(Value::Null)), Ok(None));
        let jwt = token(&json!({"exp": 99}));
        assert_eq!(read(json!({"access_token": jwt, "token_type": "Bearer"})), Ok(Some(99_000)));
    }

    #[test]
    fn what_is_no_bearer_token_is_refused_and_not_shown() {
        for (answer, wanted) in [
            (json!({"token_type": "Bearer"}), "without an access_token"),
            (json!({"access_token": "hush", "token_type": "DPoP"}), "DPoP"),
            (json!({"access_token": "hush"}), "Bearer only"),
            (json!({"access_token": "hush\nx-peer: cmd", "token_type": "Bearer"}), "no header"),
        ] {
            let said = TokenAnswer::read(&answer, 0).unwrap_err();
            assert!(said.contains(wanted) && !said.contains("hush"), "{said}");
        }
        let answer =
            json!({"access_token": "hush", "token_type": "Bearer", "refresh_token": "hush"});
        let shown = format!("{:?}", TokenAnswer::read(&answer, 0).unwrap());
        assert!(!shown.contains("hush"), "{shown}");
    }
}
