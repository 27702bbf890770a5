//! The Standard Webhooks signature of what is sent, whatever its kind. Kinds of executor call it
//! make a signer once for what goes out together. It opens the secrets and keeps nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::delivery::secret_cache::SecretCache;
use crate::model::Millis;
use crate::model::target::SigningSecret;
use crate::secret::{self, purpose};

/// The secrets of a target that are in use at an instant, opened: what is sent is signed by each of
/// them, so that a receiver that knows the old or the new one accepts it.
pub(super) struct Signer {
    keys: Vec<Zeroizing<Vec<u8>>>,
    /// The instant, in seconds since 1970.
    timestamp: i64,
}

impl Signer {
    /// The signer at an instant; `None` if no secret is in use.
    ///
    /// # Errors
    ///
    /// A secret cannot be opened.
    pub(super) fn in_use(
        cache: &SecretCache,
        secrets: &[SigningSecret],
        now: Millis,
    ) -> Result<Option<Self>, secret::Error> {
        let mut keys = Vec::new();
        for secret in secrets.iter().filter(|s| s.until.is_none_or(|until| now <= until)) {
            keys.push(key(&cache.open(&secret.sealed, purpose::SIGNING)?));
        }
        let timestamp = now.div_euclid(1_000);
        Ok((!keys.is_empty()).then_some(Self { keys, timestamp }))
    }

    /// The value of `webhook-signature` for an id and a body.
    pub(super) fn sign(&self, id: &str, body: &[u8]) -> String {
        signatures(&self.keys, id, self.timestamp, body)
    }
}

/// The value of `webhook-signature` by Standard Webhooks v1: a signature for each secret, separated
/// by spaces.
///
/// A secret is `whsec_` and base64, or any other text, which counts as its bytes.
pub fn sign(secrets: &[&str], id: &str, timestamp: i64, body: &[u8]) -> String {
    let keys: Vec<_> = secrets.iter().map(|secret| key(secret)).collect();
    signatures(&keys, id, timestamp, body)
}

/// The bytes of a secret.
fn key(secret: &str) -> Zeroizing<Vec<u8>> {
    let decoded = secret.strip_prefix("whsec_").and_then(|s| STANDARD.decode(s).ok());
    Zeroizing::new(decoded.unwrap_or_else(|| secret.as_bytes().to_vec()))
}

fn signatures(keys: &[Zeroizing<Vec<u8>>], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut signatures = Vec::with_capacity(keys.len());
    for key in keys {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { continue };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        signatures.push(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    }
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::secret::Keys;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_published_vector_is_signed_as_published() {
        let sign = |secrets: &[&str]| {
            let body = br#"{"test": 2432232314}"#;
            sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(&[SECRET]), expected);
        let both = sign(&[SECRET, "plain"]);
        let parts: Vec<_> = both.split(' ').collect();
        assert_eq!((parts.len(), parts[0]), (2, expected));
        assert!(parts[1].starts_with("v1,") && parts[1] != expected);
    }

    #[test]
    fn every_secret_in_use_signs_and_no_other() {
        let keys = Arc::new(Keys::new(&"1f".repeat(32), "u", "p").unwrap());
        let secret =
            |text: &str, until| SigningSecret { sealed: keys.seal(text, purpose::SIGNING), until };
        let cache = SecretCache::new(Arc::clone(&keys));
        let list = [secret("new", None), secret("old", Some(5_000))];
        let signed = |list: &[SigningSecret], now| {
            let signer = Signer::in_use(&cache, list, now).unwrap();
            signer.map(|signer| signer.sign("id", b"body"))
        };
        assert_eq!(signed(&list, 5_000), Some(sign(&["new", "old"], "id", 5, b"body")));
        assert_eq!(signed(&list, 5_001), Some(sign(&["new"], "id", 5, b"body")));
        assert_eq!((signed(&[], 0), signed(&list[1..], 5_001)), (None, None));
        let other = [SigningSecret { sealed: keys.seal("x", purpose::TOKEN), until: None }];
        let error = Signer::in_use(&cache, &other, 0).err().unwrap().to_string();
        assert!(error.contains("webhook secret"), "{error}");
    }
}
