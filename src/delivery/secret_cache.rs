//! The cache of secrets: opens sealed secrets before they are used and keeps the few that are in
//! use, in memory only, wiped when they are dropped. Executors ask for the credentials of targets
//! and for the secrets that sign requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::model::target::Sealed;
use crate::secret::{Error, Keys};

/// The most secrets that are kept. Above it all are dropped and opened again when they are needed.
const KEPT: usize = 1_024;

/// An opened secret.
pub type Clear = Arc<Zeroizing<String>>;

/// The opened secrets.
pub struct SecretCache {
    keys: Arc<Keys>,
    known: Mutex<HashMap<(&'static str, Sealed), Clear>>,
}

impl SecretCache {
    /// An empty cache; `keys` open the secrets.
    pub fn new(keys: Arc<Keys>) -> Self {
        Self { keys, known: Mutex::default() }
    }

    /// The keys, by which new secrets are sealed.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Opens a secret of a purpose (`secret::purpose`).
    pub fn open(&self, sealed: &Sealed, purpose: &'static str) -> Result<Clear, Error> {
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
