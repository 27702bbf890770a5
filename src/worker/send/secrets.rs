//! The cache of secrets: opens sealed secrets before they are used and keeps the few that are in
//! use, in memory only, wiped when they are dropped. The request builder asks for the credentials
//! of targets, `call` for signatures.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::executor::headers::sign;
use crate::executor::template::Opened;
use crate::executor::tls::Identity;
use crate::model::Millis;
use crate::model::target::{Auth, HttpTarget, Sealed, SigningSecret, Tls};
use crate::secret::{self, Keys, purpose};

/// The most secrets that are kept. Above it all are dropped and opened again when they are needed.
const KEPT: usize = 1_024;

/// The most TLS identities that are kept. Above it all are dropped.
const IDENTITIES: usize = 64;

/// An opened secret.
type Clear = Arc<Zeroizing<String>>;

/// The opened secrets and TLS identities of targets.
pub(in crate::worker) struct SecretCache {
    keys: Arc<Keys>,
    known: Mutex<HashMap<(&'static str, Sealed), Clear>>,
    identities: Mutex<HashMap<Tls, Arc<Identity>>>,
}

impl SecretCache {
    pub(in crate::worker) fn new(keys: Arc<Keys>) -> Self {
        Self { keys, known: Mutex::default(), identities: Mutex::default() }
    }

    /// The opened credentials of a target.
    pub(in crate::worker) fn open_target(
        &self,
        target: &HttpTarget,
    ) -> Result<Opened, secret::Error> {
        let secret = match &target.auth {
            Auth::None => None,
            Auth::Basic { password, .. } => Some(self.open(password, purpose::PASSWORD)?),
            Auth::Bearer { token } => Some(self.open(token, purpose::TOKEN)?),
        };
        let header = |(name, sealed): (&String, &Sealed)| {
            let value = self.open(sealed, purpose::HEADER)?;
            Ok((name.clone(), (*value).clone()))
        };
        let headers = target.secret_headers.iter().map(header).collect::<Result<_, _>>()?;
        Ok(Opened { secret: secret.map(|secret| (*secret).clone()), headers })
    }

    /// The TLS identity of a target. It is made once, since that copies and digests certificates.
    pub(in crate::worker) fn tls(&self, tls: &Tls) -> Result<Arc<Identity>, secret::Error> {
        let mut identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = identities.get(tls) {
            return Ok(Arc::clone(known));
        }
        let key = tls.client_key.as_ref().map(|key| self.open(key, purpose::CLIENT_KEY));
        let key = key.transpose()?.map(|key| (*key).clone()).unwrap_or_default();
        let new = Arc::new(Identity::new(tls.ca.clone(), tls.client_cert.clone(), key));
        if identities.len() >= IDENTITIES {
            identities.clear();
        }
        identities.insert(tls.clone(), Arc::clone(&new));
        Ok(new)
    }

    /// The signature of a body by every secret in use at `now`; `None` without any.
    pub(in crate::worker) fn sign(
        &self,
        secrets: &[SigningSecret],
        id: &str,
        now: Millis,
        body: &[u8],
    ) -> Result<Option<String>, secret::Error> {
        let mut opened = Vec::new();
        for secret in secrets.iter().filter(|s| s.until.is_none_or(|until| now <= until)) {
            opened.push(self.open(&secret.sealed, purpose::SIGNING)?);
        }
        let opened: Vec<&str> = opened.iter().map(|secret| secret.as_str()).collect();
        let timestamp = now.div_euclid(1_000);
        Ok((!opened.is_empty()).then(|| sign(&opened, id, timestamp, body)))
    }

    fn open(&self, sealed: &Sealed, purpose: &'static str) -> Result<Clear, secret::Error> {
        let key = (purpose, sealed.clone());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = known.get(&key) {
            return Ok(Arc::clone(opened));
        }
        let opened = Arc::new(self.keys.open(sealed, purpose)?);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, Arc::clone(&opened));
        Ok(opened)
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
        let cache = SecretCache::new(Arc::clone(&keys));
        let list = [secret("new", None), secret("old", Some(5_000))];
        let signed = |now| cache.sign(&list, "id", now, b"body").unwrap().unwrap();
        assert_eq!(signed(5_000), sign(&["new", "old"], "id", 5, b"body"));
        assert_eq!(signed(5_001), sign(&["new"], "id", 5, b"body"));
        assert_eq!(cache.sign(&[], "id", 0, b"").unwrap(), None);
        assert_eq!(cache.sign(&list[1..], "id", 5_001, b"").unwrap(), None);
        let other = [SigningSecret { sealed: keys.seal("x", purpose::TOKEN), until: None }];
        let error = cache.sign(&other, "id", 0, b"").unwrap_err().to_string();
        assert!(error.contains("webhook secret"), "{error}");
    }

    #[test]
    fn the_tls_of_a_target_is_made_once() {
        let keys = Arc::new(Keys::new(&"1f".repeat(32), "u", "p").unwrap());
        let cache = SecretCache::new(Arc::clone(&keys));
        let tls = |n: usize| Tls {
            ca: format!("ca {n}"),
            client_cert: "cert".to_owned(),
            client_key: Some(keys.seal("key", purpose::CLIENT_KEY)),
        };
        let first = tls(0);
        let made = cache.tls(&first).unwrap();
        assert!(Arc::ptr_eq(&made, &cache.tls(&first.clone()).unwrap()));
        (1..=IDENTITIES).for_each(|n| drop(cache.tls(&tls(n)).unwrap()));
        assert_eq!(cache.identities.lock().unwrap().len(), 1);
        assert!(!Arc::ptr_eq(&made, &cache.tls(&first).unwrap()), "forgotten");
    }
}
