//! TLS of a target's own: an authority that it is trusted by, and a certificate that we show it. The api
//! has both checked when they are set ([`check`]); the worker opens the key, and calls with an
//! [`Identity`] share a client, which is kept while it is in use. There is no way not to verify.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::{Client, ClientBuilder};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Options;
use super::client::{CLIENT_LIFE_MS, builder, chain};

/// So many clients are kept; of more, the one goes that was used longest ago.
const KEPT: usize = 64;

/// What is special about a target's TLS, with its key in the clear.
pub struct Identity {
    ca: String,
    cert: String,
    key: Zeroizing<String>,
    /// Of all three: equal ones share connections.
    digest: [u8; 32],
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("digest", &hex::encode(self.digest))
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// From PEM texts; an empty one is none.
    pub fn new(ca: String, cert: String, key: Zeroizing<String>) -> Self {
        let mut sink = Sha256::new();
        for part in [&ca, &cert, &*key] {
            sink.update((part.len() as u64).to_be_bytes());
            sink.update(part);
        }
        Self { ca, cert, key, digest: sink.finalize().into() }
    }

    /// What it adds to a client.
    fn over(&self, mut client: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        if !self.ca.is_empty() {
            client =
                client.tls_certs_only(reqwest::Certificate::from_pem_bundle(self.ca.as_bytes())?);
        }
        if !self.cert.is_empty() {
            let both = Zeroizing::new(format!("{}\n{}", *self.key, self.cert));
            client = client.identity(reqwest::Identity::from_pem(both.as_bytes())?);
        }
        Ok(client)
    }
}

/// The part of a target's TLS that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `ca`.
    Ca,
    /// `clientCert`.
    ClientCert,
    /// `clientKey`.
    ClientKey,
}

/// Whether the texts are PEM of what they should be, and the key is the certificate's; an empty text
/// is none. No message quotes them.
pub fn check(ca: &str, cert: &str, key: &str) -> Result<(), (Part, String)> {
    if !ca.is_empty() {
        let wrong = |why: String| (Part::Ca, why);
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca).map_err(wrong)? {
            roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
        }
    }
    let chain = match (cert.is_empty(), key.is_empty()) {
        (true, true) => return Ok(()),
        (true, false) => {
            return Err((Part::ClientCert, "it is required beside clientKey".to_owned()));
        }
        (false, true) => {
            return Err((Part::ClientKey, "it is required beside clientCert".to_owned()));
        }
        (false, false) => certificates(cert).map_err(|why| (Part::ClientCert, why))?,
    };
    let wrong = |why: &str| (Part::ClientKey, why.to_owned());
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
        wrong("it is no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)")
    })?;
    match CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(wrong("it is not the key of the (first) certificate in clientCert"))
        }
        Err(rustls::Error::InvalidCertificate(_)) => {
            Err((Part::ClientCert, "its first certificate cannot be read".to_owned()))
        }
        Err(error) => Err(wrong(&format!("it cannot be used: {error}"))),
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let none = "it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)";
    let found = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| none.to_owned())
}

/// A client for an identity.
struct Own {
    client: Client,
    /// When it was made, in boot-clock milliseconds.
    made: u64,
    /// When it was used last.
    used: u64,
}

/// The clients of all identities that are in use.
#[derive(Default)]
pub(super) struct OwnClients(Mutex<HashMap<[u8; 32], Own>>);

impl OwnClients {
    /// The client for a call that begins at an instant of the boot clock. One is made on a thread for
    /// blocking work, as it may read the root certificates.
    pub(super) async fn get(
        &self,
        options: &Arc<Options>,
        identity: &Arc<Identity>,
        boot: u64,
    ) -> Result<Client, String> {
        if let Some(own) = self.lock().get_mut(&identity.digest)
            && boot.saturating_sub(own.made) < CLIENT_LIFE_MS
        {
            own.used = boot;
            return Ok(own.client.clone());
        }
        let (options, new) = (Arc::clone(options), Arc::clone(identity));
        let made = tokio::task::spawn_blocking(move || new.over(builder(&options))?.build());
        let made = made.await.map_err(|e| e.to_string())?.map_err(|e| chain(&e));
        self.keep(identity, made, boot)
    }

    /// Keeps a client that was made; where that failed, the one before it serves for as long again.
    fn keep(
        &self,
        identity: &Identity,
        made: Result<Client, String>,
        boot: u64,
    ) -> Result<Client, String> {
        let mut known = self.lock();
        let before = known.get(&identity.digest).map(|own| own.client.clone());
        let client = made.or_else(|why| before.ok_or(why))?;
        known.insert(identity.digest, Own { client: client.clone(), made: boot, used: boot });
        if known.len() > KEPT {
            let oldest = known.iter().min_by_key(|(_, own)| own.used).map(|(digest, _)| *digest);
            oldest.and_then(|digest| known.remove(&digest));
        }
        Ok(client)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Own>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = include_str!("../../tests/fixtures/tls/ca.pem");
    const CERT: &str = include_str!("../../tests/fixtures/tls/client.pem");
    const KEY: &str = include_str!("../../tests/fixtures/tls/client.key");
    const OTHER: &str = include_str!("../../tests/fixtures/tls/server.key");

    #[test]
    fn what_is_no_pem_or_no_pair_is_told_with_its_part() {
        for ok in [(CA, CERT, KEY), (CA, "", ""), ("", CERT, KEY), ("", "", "")] {
            assert_eq!(check(ok.0, ok.1, ok.2), Ok(()));
        }
        let two = format!("{CERT}{CA}");
        assert_eq!(check("", &two, KEY), Ok(()), "a chain");
        for (ca, cert, key, part, word) in [
            ("hush", "", "", Part::Ca, "no certificate in PEM"),
            (KEY, "", "", Part::Ca, "no certificate in PEM"),
            ("", CERT, "", Part::ClientKey, "required beside clientCert"),
            ("", "", KEY, Part::ClientCert, "required beside clientKey"),
            ("", "hush", KEY, Part::ClientCert, "no certificate in PEM"),
            ("", CERT, "hush", Part::ClientKey, "no private key in PEM"),
            ("", CERT, CERT, Part::ClientKey, "no private key in PEM"),
            ("", CERT, OTHER, Part::ClientKey, "not the key"),
        ] {
            let (found, why) = check(ca, cert, key).unwrap_err();
            assert_eq!(found, part, "{why}");
            assert!(why.contains(word) && !why.contains("hush"), "{why}");
        }
    }

    #[tokio::test]
    async fn equal_identities_share_a_client_and_few_are_kept() {
        let options = Arc::new(Options::default());
        let clients = OwnClients::default();
        let _ = default_provider().install_default();
        let identity = |n: usize| {
            let ca = format!("{CA}\n# {n}\n");
            Arc::new(Identity::new(ca, String::new(), Zeroizing::default()))
        };
        for n in 0..KEPT + 3 {
            for _ in 0..2 {
                clients.get(&options, &identity(n), n as u64).await.unwrap();
            }
        }
        let known = clients.lock();
        assert_eq!(known.len(), KEPT);
        assert!(!known.contains_key(&identity(0).digest), "the one used longest ago went");
        assert!(known.contains_key(&identity(KEPT).digest));
        drop(known);
        // Root certificates may be unreadable for a while: what is known stays.
        let unreadable = || Err("no root certificates".to_owned());
        assert!(clients.keep(&identity(KEPT), unreadable(), 200_000).is_ok());
        assert_eq!(clients.lock()[&identity(KEPT).digest].made, 200_000);
        assert!(clients.keep(&identity(0), unreadable(), 200_000).is_err());
    }
}
