//! The webhook secret and its rotation in requests and answers. `executors` and `projects` use it;
//! `app::signing` has the rules.

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::app::idempotency::Key;
use crate::app::signing::{self, LONGEST, LONGEST_OVERLAP, RotationInput};
use crate::model::Millis;
use crate::model::target::SigningSecret;
use crate::model::time::rfc3339;
use crate::secret::SecretText;

/// Reads the secret of a request. An empty text means that the client has not set it.
pub(crate) fn read_secret(fields: &mut Fields) -> Result<Option<SecretText>, Error> {
    let text = fields.text("webhookSecret", LONGEST)?.filter(|text| !text.is_empty());
    let Some(text) = text.map(SecretText::from) else { return Ok(None) };
    signing::check_secret(&text)?;
    Ok(Some(text))
}

/// Reads `{webhookSecret?, overlap?}`.
pub(crate) fn read_rotation(fields: &mut Fields, key: Option<Key>) -> Result<RotationInput, Error> {
    let overlap = fields.duration("overlap", (0, LONGEST_OVERLAP))?;
    Ok(RotationInput { secret: read_secret(fields)?, overlap, key })
}

/// The instant until which the previous secret signs, if it still does.
pub(crate) fn previous_until(signing: &[SigningSecret], now: Millis) -> Option<String> {
    signing::previous_until(signing, now).map(rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_unless_it_is_empty() {
        let read = |body: &str| read_secret(&mut Fields::parse(body.as_bytes()).unwrap());
        let text = |body: &str| read(body).unwrap().map(|text| text.to_string());
        assert_eq!(text("{}"), None);
        assert_eq!(text(r#"{"webhook_secret":""}"#), None);
        assert_eq!(text(r#"{"webhookSecret":"any sixteen char"}"#).unwrap(), "any sixteen char");
        assert!(read(r#"{"webhookSecret":"only fifteen ch"}"#).is_err());
        assert!(read(&format!(r#"{{"webhookSecret":"{}"}}"#, "x".repeat(513))).is_err());
        assert!(read(r#"{"webhookSecret":7}"#).is_err());
        let refused = read(r#"{"webhookSecret":"hunter2\u0000"}"#).unwrap_err();
        let said = format!("{refused:?}");
        assert!(said.contains("webhookSecret") && !said.contains("hunter2"), "{said}");
    }
}
