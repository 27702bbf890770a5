//! The credentials of HTTP targets, opened: passwords, tokens, secret headers and client keys.
//! Renderers ask for those that are written into a request, `send` for TLS.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::template::Opened;
use crate::delivery::secret_cache::SecretCache;
use crate::executor::outbound::tls::Identity;
use crate::model::target::{Auth, HttpTarget, Sealed, Tls};
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

    /// The cache of opened secrets, for signatures.
    pub(super) fn secrets(&self) -> &SecretCache {
        &self.secrets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
