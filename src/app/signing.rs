//! Webhook secrets of executors and projects: given or made, replaced with an overlap in which the
//! old one signs too, and never shown again. The use cases of executors and projects call it;
//! executors sign.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::idempotency::Key;
use crate::app::state::App;
use crate::model::Millis;
use crate::model::target::{Sealed, SigningSecret};
use crate::secret::{Keys, SecretText, new_webhook_secret, purpose};

const FIELD: &str = "webhookSecret";
/// The shortest secret, in bytes. A shorter one that was set before there was a bound still signs.
const SHORTEST: usize = 16;
/// The longest secret, in bytes.
pub const LONGEST: usize = 512;
/// The bytes that Standard Webhooks allows behind `whsec_`.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The time for which the old secret still signs unless the request says otherwise: a day.
pub(in crate::app) const OVERLAP: Millis = 24 * 3_600_000;
/// The longest overlap: 30 days.
pub const LONGEST_OVERLAP: Millis = 30 * 24 * 3_600_000;

/// Checks a secret that a request gives.
///
/// # Errors
///
/// `Invalid` where it could not sign, or could be guessed. The secret is not in the error.
pub fn check_secret(text: &str) -> Result<(), Error> {
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
    Ok(())
}

/// The request for a new secret.
#[derive(Clone, Debug, Default)]
pub struct RotationInput {
    /// The new secret, checked by [`check_secret`]; without one it is made here.
    pub secret: Option<SecretText>,
    /// The time for which the old secret still signs, in milliseconds; a day unless it is given.
    pub overlap: Option<Millis>,
    /// The key of the request.
    pub key: Option<Key>,
}

/// A record whose secret was rotated.
#[derive(Clone, Debug)]
pub struct Rotated<R> {
    /// The record.
    pub record: R,
    /// The new secret, which is shown once. `None` where it was rotated again since.
    pub secret: Option<SecretText>,
}

/// A change of secrets.
pub(in crate::app) struct Rotation {
    secret: SecretText,
    /// `true` if the request names the secret; else it was made here.
    given: bool,
    overlap: Millis,
    key: Option<Key>,
}

impl App {
    /// Refuses a rotation that names the secret in use, since nothing would be rotated. A request
    /// that was carried out before under its idempotency key passes and gets its answer again.
    pub(in crate::app) async fn check_rotation(
        &self,
        actor: &Actor,
        rotation: &Rotation,
        old: &[SigningSecret],
    ) -> Result<(), Error> {
        if !rotation.given || !rotation.is_first(old, &self.keys) {
            return Ok(());
        }
        if let Some(key) = rotation.key
            && self.is_remembered(actor, key).await?
        {
            return Ok(());
        }
        let message = "webhookSecret is the secret in use: name another one, or leave it out and \
                       one is made";
        Err(Error::conflict(message).field(FIELD))
    }
}

impl Rotation {
    /// The rotation that a request asks for. A made secret is new with each call, also under an
    /// idempotency key: [`Rotation::secret_to_show`] finds the one of the first call.
    pub(in crate::app) fn new(input: RotationInput, keys: &Keys) -> Self {
        let RotationInput { secret, overlap, key } = input;
        let given = secret.is_some();
        let secret = secret.unwrap_or_else(|| match &key {
            Some(key) => keys.new_webhook_secret_for(&key.key, &key.body).into(),
            None => new_webhook_secret().into(),
        });
        Self { secret, given, overlap: overlap.unwrap_or(OVERLAP), key }
    }

    /// The secrets that sign after the rotation.
    pub(in crate::app) fn apply_to(
        &self,
        old: &[SigningSecret],
        keys: &Keys,
        now: Millis,
    ) -> Vec<SigningSecret> {
        changed(old, keys.seal(&self.secret, purpose::SIGNING), now, self.overlap)
    }

    /// The secret in use, where this request has set it: shown once, and again to the same request
    /// under its idempotency key. A secret that was rotated since is not shown.
    pub(in crate::app) fn secret_to_show(
        &self,
        signing: &[SigningSecret],
        keys: &Keys,
    ) -> Option<SecretText> {
        if self.is_first(signing, keys) {
            return Some(self.secret.clone());
        }
        let (first, key) = (in_use(signing)?, self.key.filter(|_| !self.given)?);
        let secret = keys.open(&first.sealed, purpose::SIGNING).ok()?;
        keys.is_webhook_secret_for(&key.key, &key.body, &secret).then(|| secret.into())
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
pub(in crate::app) fn changed(
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
pub fn previous_until(signing: &[SigningSecret], now: Millis) -> Option<Millis> {
    signing.iter().filter_map(|secret| secret.until).find(|until| *until > now)
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
        assert_eq!(previous_until(&signing, NOW), Some(NOW + 5));
        assert_eq!(previous_until(&signing, NOW + 5), None);
    }

    #[test]
    fn a_secret_must_be_one_that_signs() {
        for good in ["any sixteen char", "éééééééé", &*new_webhook_secret()] {
            // The bound counts bytes, not characters.
            assert!(check_secret(good).is_ok(), "{good}");
        }
        let bad = ["only fifteen ch", "whsec_", "whsec_aGk=", "whsec_hunter2!", "hunter2\n"];
        for bad in bad.into_iter().chain(["hunter2\0"]) {
            let error = check_secret(bad).unwrap_err();
            assert_eq!(error.field_name(), Some("webhookSecret"));
            assert!(!format!("{error:?}").contains("hunter2"), "{error}");
        }
    }
}
