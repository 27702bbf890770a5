//! Webhook secrets of executors and projects: given or made, replaced with an overlap in which the
//! old one signs too, and never shown again. `executors` and `projects` call it; `worker` signs.

use crate::model::target::SigningSecret;
use crate::model::time::rfc3339;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency::Key;
use crate::api::state::AppState;
use crate::model::Millis;
use crate::model::target::Sealed;
use crate::secret::{Keys, new_webhook_secret, purpose};

const FIELD: &str = "webhookSecret";
/// The shortest secret, in bytes. A shorter one that was set before there was a bound still signs.
const SHORTEST: usize = 16;
/// The longest secret, in bytes.
const LONGEST: usize = 512;
/// The bytes that Standard Webhooks allows behind `whsec_`.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The time for which the old secret still signs unless the request says otherwise: a day.
pub(crate) const OVERLAP: Millis = 24 * 3_600_000;
/// The longest overlap: 30 days.
const LONGEST_OVERLAP: Millis = 30 * 24 * 3_600_000;

/// Reads the secret of a request. An empty text means that the client has not set it.
pub(crate) fn read_secret(fields: &mut Fields) -> Result<Option<Zeroizing<String>>, Error> {
    let Some(text) = fields.text(FIELD, LONGEST)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = Zeroizing::new(text);
    if text.chars().any(char::is_control) {
        let message = "webhookSecret has line ends or tabs in it: give it as one line";
        return Err(Error::invalid(FIELD, message));
    }
    if let Some(key) = text.strip_prefix("whsec_") {
        let bytes = STANDARD.decode(key).map(Zeroizing::new);
        if !bytes.is_ok_and(|bytes| KEY_BYTES.contains(&bytes.len())) {
            let message = "webhookSecret must have 24 to 64 bytes in base64 behind whsec_: leave \
                           it out when rotating, and one is made";
            return Err(Error::invalid(FIELD, message));
        }
    } else if text.len() < SHORTEST {
        let message = format!(
            "webhookSecret must have at least {SHORTEST} bytes: a shorter one can be guessed from a \
             signed call"
        );
        return Err(Error::invalid(FIELD, message));
    }
    Ok(Some(text))
}

/// A change of secrets, as `rotate-secret` asks for it.
pub(crate) struct Rotation {
    secret: Zeroizing<String>,
    /// `true` if the request names the secret; else it was made here.
    given: bool,
    overlap: Millis,
    key: Option<Key>,
}

impl Rotation {
    /// Reads `{webhookSecret?, overlap?}`. A made secret is new with each call, also under an
    /// idempotency key: [`Rotation::secret_to_show`] finds the one of the first call.
    pub(crate) fn read(fields: &mut Fields, keys: &Keys, key: Option<Key>) -> Result<Self, Error> {
        let overlap = fields.duration("overlap", (0, LONGEST_OVERLAP))?.unwrap_or(OVERLAP);
        let named = read_secret(fields)?;
        let given = named.is_some();
        let secret = named.unwrap_or_else(|| match &key {
            Some(key) => keys.new_webhook_secret_for(&key.key, &key.body),
            None => new_webhook_secret(),
        });
        Ok(Self { secret, given, overlap, key })
    }

    /// Refuses with 409 a request that names the secret in use, since nothing would be rotated. A
    /// request that was carried out before under its idempotency key passes and gets its answer
    /// again.
    pub(crate) async fn check(&self, old: &[SigningSecret], app: &AppState) -> Result<(), Error> {
        if !self.given || !self.is_first(old, &app.keys) {
            return Ok(());
        }
        if let Some(key) = self.key
            && key.is_remembered(app).await?
        {
            return Ok(());
        }
        let message = "webhookSecret is the secret in use: name another one, or leave it out and \
                       one is made";
        Err(Error::conflict(message).field(FIELD))
    }

    /// The secrets that sign after the rotation.
    pub(crate) fn apply_to(
        &self,
        old: &[SigningSecret],
        keys: &Keys,
        now: Millis,
    ) -> Vec<SigningSecret> {
        changed(old, keys.seal(&self.secret, purpose::SIGNING), now, self.overlap)
    }

    /// The secret in use, where this request has set it: shown once, and again to the same request
    /// under its idempotency key. A secret that was rotated since is not shown.
    pub(crate) fn secret_to_show(&self, signing: &[SigningSecret], keys: &Keys) -> Option<String> {
        if self.is_first(signing, keys) {
            return Some(self.secret.to_string());
        }
        let (first, key) = (in_use(signing)?, self.key.filter(|_| !self.given)?);
        let secret = keys.open(&first.sealed, purpose::SIGNING).ok()?;
        keys.is_webhook_secret_for(&key.key, &key.body, &secret).then(|| secret.to_string())
    }

    /// Says whether this rotation's secret is the one in use.
    fn is_first(&self, signing: &[SigningSecret], keys: &Keys) -> bool {
        let sealed = keys.seal(&self.secret, purpose::SIGNING);
        in_use(signing).is_some_and(|first| first.sealed == sealed)
    }
}

/// The secret that signs without an end.
fn in_use(signing: &[SigningSecret]) -> Option<&SigningSecret> {
    signing.first().filter(|first| first.until.is_none())
}

/// The secrets that sign once `new` is set: `new`, and the one before it until the overlap is over.
/// The secret in use again changes nothing.
pub(crate) fn changed(
    old: &[SigningSecret],
    new: Sealed,
    now: Millis,
    overlap: Millis,
) -> Vec<SigningSecret> {
    let before = old.first().filter(|old| old.until.is_none_or(|until| until > now));
    if before.is_some_and(|old| old.sealed == new && old.until.is_none()) {
        return old.to_vec();
    }
    let ends = now.saturating_add(overlap);
    let before = before.filter(|old| old.sealed != new && ends > now).map(|old| SigningSecret {
        sealed: old.sealed.clone(),
        until: Some(old.until.map_or(ends, |until| until.min(ends))),
    });
    [Some(SigningSecret { sealed: new, until: None }), before].into_iter().flatten().collect()
}

/// The instant until which the previous secret signs, if it still does.
pub(crate) fn previous_until(signing: &[SigningSecret], now: Millis) -> Option<String> {
    signing.iter().filter_map(|secret| secret.until).find(|until| *until > now).map(rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_000_000;

    fn secret(text: &str, until: Option<Millis>) -> SigningSecret {
        SigningSecret { sealed: Sealed(text.to_owned()), until }
    }

    #[test]
    fn a_new_secret_leaves_the_old_one_its_overlap() {
        let new = || Sealed("new".to_owned());
        for (old, overlap, expected) in [
            (vec![], 10, vec![secret("new", None)]),
            (vec![secret("a", None)], 10, vec![secret("new", None), secret("a", Some(NOW + 10))]),
            (vec![secret("a", None)], 0, vec![secret("new", None)]),
            (
                vec![secret("a", None), secret("b", Some(NOW + 5))],
                10,
                vec![secret("new", None), secret("a", Some(NOW + 10))],
            ),
            (vec![secret("a", Some(NOW - 5))], 10, vec![secret("new", None)]),
            (
                vec![secret("a", None), secret("new", Some(NOW + 5))],
                10,
                vec![secret("new", None), secret("a", Some(NOW + 10))],
            ),
            (
                vec![secret("new", None), secret("b", Some(NOW + 5))],
                10,
                vec![secret("new", None), secret("b", Some(NOW + 5))],
            ),
        ] {
            assert_eq!(changed(&old, new(), NOW, overlap), expected, "{old:?} {overlap}");
        }
        let signing = [secret("a", None), secret("b", Some(NOW + 5))];
        assert_eq!(previous_until(&signing, NOW), Some(rfc3339(NOW + 5)));
        assert_eq!(previous_until(&signing, NOW + 5), None);
    }

    #[test]
    fn a_secret_must_be_one_that_signs() {
        let read = |body: &str| read_secret(&mut Fields::parse(body.as_bytes()).unwrap());
        let text = |body: &str| read(body).unwrap().map(|text| text.to_string());
        assert_eq!(text("{}"), None);
        assert_eq!(text(r#"{"webhook_secret":""}"#), None);
        assert_eq!(text(r#"{"webhookSecret":"any sixteen char"}"#).unwrap(), "any sixteen char");
        assert!(read(r#"{"webhookSecret":"only fifteen ch"}"#).is_err());
        // The bound counts bytes, not characters.
        assert!(read(r#"{"webhookSecret":"éééééééé"}"#).is_ok());
        let made = new_webhook_secret();
        assert_eq!(text(&format!(r#"{{"webhookSecret":"{}"}}"#, *made)).unwrap(), *made);
        for bad in ["whsec_", "whsec_aGk=", "whsec_hunter2!", "hunter2\\n", "hunter2\\u0000"] {
            let error = read(&format!(r#"{{"webhookSecret":"{bad}"}}"#)).unwrap_err();
            let said = format!("{error:?}");
            assert!(said.contains("webhookSecret") && !said.contains("hunter2"), "{said}");
        }
        assert!(read(&format!(r#"{{"webhookSecret":"{}"}}"#, "x".repeat(513))).is_err());
        assert!(read(r#"{"webhookSecret":7}"#).is_err());
    }
}
