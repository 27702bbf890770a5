//! The credentials of HTTP targets, opened: passwords, tokens, secret headers, client keys, and the
//! secrets that sign requests. Renderers ask for those that are written into a request, `prepared`
//! for signatures and TLS.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::headers::sign;
use super::template::Opened;
use super::tls::Identity;
use crate::delivery::secret_cache::SecretCache;
use crate::model::Millis;
use crate::model::target::{Auth, HttpTarget, Sealed, SigningSecret, Tls};
use crate::secret::{self, Keys, purpose};

/// The most TLS identities that are kept. Above it all are dropped.
const IDENTITIES: usize = 64;

/// The opened secrets and TLS identities of targets.
pub(super) struct Credentials {
    secrets: SecretCache,
    identities: Mutex<HashMap<Tls, Arc<Identity>>>,
}

impl Credentials {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self { secrets: SecretCache::new(keys), identities: Mutex::default() }
    }

    /// The opened credentials of a target.
    pub(super) fn open_target(&self, target: &HttpTarget) -> Result<Opened, secret::Error> {
        let secret = match &target.auth {
            Auth::None => None,
            Auth::Basic { password, .. } => Some(self.secrets.open(password, purpose::PASSWORD)?),
            Auth::Bearer { token } => Some(self.secrets.open(token, purpose::TOKEN)?),
        };
        let header = |(name, sealed): (&String, &Sealed)| {
            let value = self.secrets.open(sealed, purpose::HEADER)?;
            Ok((name.clone(), (*value).clone()))
        };
        let headers = target.secret_headers.iter().map(header).collect::<Result<_, _>>()?;
        Ok(Opened { secret: secret.map(|secret| (*secret).clone()), headers })
    }

    /// The TLS identity of a target. It is made once, since that copies and digests certificates.
    pub(super) fn tls(&self, tls: &Tls) -> Result<Arc<Identity>, secret::Error> {
        let mut identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = identities.get(tls) {
            return Ok(Arc::clone(known));
        }
        let key = tls.client_key.as_ref().map(|key| self.secrets.open(key, purpose::CLIENT_KEY));
        let key = key.transpose()?.map(|key| (*key).clone()).unwrap_or_default();
        let new = Arc::new(Identity::new(tls.ca.clone(), tls.client_cert.clone(), key));
        if identities.len() >= IDENTITIES {
            identities.clear();
        }
        identities.insert(tls.clone(), Arc::clone(&new));
        Ok(new)
    }

    /// The signature of (id, instant, body) by every secret in use at the instant; `None` without
    /// any.
    pub(super) fn sign(
        &self,
        secrets: &[SigningSecret],
        (id, now, body): (&str, Millis, &[u8]),
    ) -> Result<Option<String>, secret::Error> {
        let mut opened = Vec::new();
        for secret in secrets.iter().filter(|s| s.until.is_none_or(|until| now <= until)) {
            opened.push(self.secrets.open(&secret.sealed, purpose::SIGNING)?);
        }
        let opened: Vec<&str> = opened.iter().map(|secret| secret.as_str()).collect();
        let timestamp = now.div_euclid(1_000);
        Ok((!opened.is_empty()).then(|| sign(&opened, id, timestamp, body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_in_use_signs_and_no_other() {
        let keys = Arc::new(Keys::new(&"1f".repeat(32), "u", "p").unwrap());
        let secret =
            |text: &str, until| SigningSecret { sealed: keys.seal(text, purpose::SIGNING), until };
        let credentials = Credentials::new(Arc::clone(&keys));
        let list = [secret("new", None), secret("old", Some(5_000))];
        let signed = |now| credentials.sign(&list, ("id", now, b"body")).unwrap().unwrap();
        assert_eq!(signed(5_000), sign(&["new", "old"], "id", 5, b"body"));
        assert_eq!(signed(5_001), sign(&["new"], "id", 5, b"body"));
        assert_eq!(credentials.sign(&[], ("id", 0, b"")).unwrap(), None);
        assert_eq!(credentials.sign(&list[1..], ("id", 5_001, b"")).unwrap(), None);
        let other = [SigningSecret { sealed: keys.seal("x", purpose::TOKEN), until: None }];
        let error = credentials.sign(&other, ("id", 0, b"")).unwrap_err().to_string();
        assert!(error.contains("webhook secret"), "{error}");
    }

    #[test]
    fn the_tls_of_a_target_is_made_once() {
        let keys = Arc::new(Keys::new(&"1f".repeat(32), "u", "p").unwrap());
        let credentials = Credentials::new(Arc::clone(&keys));
        let tls = |n: usize| Tls {
            ca: format!("ca {n}"),
            client_cert: "cert".to_owned(),
            client_key: Some(keys.seal("key", purpose::CLIENT_KEY)),
        };
        let first = tls(0);
        let made = credentials.tls(&first).unwrap();
        assert!(Arc::ptr_eq(&made, &credentials.tls(&first.clone()).unwrap()));
        (1..=IDENTITIES).for_each(|n| drop(credentials.tls(&tls(n)).unwrap()));
        assert_eq!(credentials.identities.lock().unwrap().len(), 1);
        assert!(!Arc::ptr_eq(&made, &credentials.tls(&first).unwrap()), "forgotten");
    }
}
