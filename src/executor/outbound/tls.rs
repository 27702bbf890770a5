//! The TLS of calls: the authorities that a receiver is verified by, and the certificate that it is
//! shown. Most targets use the TLS of the machine ([`RootCertificates`]). A target may have an
//! authority and a certificate of its own. The api checks both when they are set ([`check`]). The
//! worker opens the key, and calls with equal [`Identity`]s share one configuration, which is kept
//! while it is in use. Receivers are always verified. Nothing here connects: connectors are handed
//! the configuration.
//!
//! Certificates are read anew every [`READ_EVERY_MS`], on a thread for blocking work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::{BuilderVerifierExt as _, Verifier};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The number of identities that are kept; beyond that, the one goes that was used longest ago.
const KEPT: usize = 64;

/// The age at which certificates are read again, in milliseconds.
const READ_EVERY_MS: u64 = 110_000;

/// The TLS of a target: its authority and client certificate, with the key in the clear.
pub struct Identity {
    ca: String,
    cert: String,
    key: Zeroizing<String>,
    /// A digest of all three: equal identities share connections.
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
    /// An identity of PEM texts; an empty text means none.
    pub fn new(ca: String, cert: String, key: Zeroizing<String>) -> Self {
        let mut sink = Sha256::new();
        for part in [&ca, &cert, &*key] {
            sink.update((part.len() as u64).to_be_bytes());
            sink.update(part);
        }
        Self { ca, cert, key, digest: sink.finalize().into() }
    }

    /// The digest, which is the same for equal identities.
    pub(in crate::executor) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    fn config(&self) -> Result<ClientConfig, String> {
        let trusted = if self.ca.is_empty() { Trusted::Machine } else { Trusted::Own(&self.ca) };
        let shown = (!self.cert.is_empty()).then_some((&*self.cert, &**self.key));
        config(&trusted, shown)
    }
}

/// The authorities that a receiver is verified by.
enum Trusted<'a> {
    /// The authorities of the machine.
    Machine,
    /// Authorities in PEM.
    Own(&'a str),
    /// No authority.
    Nobody,
}

/// The configuration of connections; `shown` is a certificate with its chain, and its key, in PEM.
fn config(trusted: &Trusted<'_>, shown: Option<(&str, &str)>) -> Result<ClientConfig, String> {
    let text = |error: rustls::Error| error.to_string();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(text)?;
    let builder = match trusted {
        Trusted::Machine => builder.with_platform_verifier().map_err(text)?,
        Trusted::Own(ca) => builder.with_root_certificates(roots(ca)?),
        Trusted::Nobody => builder.with_root_certificates(RootCertStore::empty()),
    };
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| e.to_string())?;
            builder.with_client_auth_cert(certificates(cert)?, key).map_err(text)?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The configuration of a connection that is no HTTP: the authorities of the machine, and further
/// ones in PEM; an empty text means none. Reads those of the machine, so it blocks.
pub(in crate::executor) fn with_further_roots(ca: &str) -> Result<ClientConfig, String> {
    let text = |error: rustls::Error| error.to_string();
    let further = if ca.is_empty() { Vec::new() } else { certificates(ca)? };
    let provider = Arc::new(default_provider());
    let verifier = Verifier::new_with_extra_roots(further, Arc::clone(&provider)).map_err(text)?;
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(text)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|e| e.to_string())?;
    }
    Ok(roots)
}

/// The part of a target's TLS that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `ca`.
    Ca,
    /// `clientCert`.
    ClientCert,
    /// `clientKey`.
    ClientKey,
}

/// Checks that the texts are PEM of the right kinds, and that the key belongs to the certificate.
/// An empty text means none. No message quotes them.
pub fn check(ca: &str, cert: &str, key: &str) -> Result<(), (Part, String)> {
    if !ca.is_empty() {
        roots(ca).map_err(|why| (Part::Ca, why))?;
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

/// The TLS of the machine, for targets that have none of their own.
pub(in crate::executor) struct RootCertificates(Mutex<Machine>);

struct Machine {
    config: Arc<ClientConfig>,
    /// Whether no authorities were found: no receiver is trusted.
    bare: bool,
    /// The instant at which they were read, in boot-clock milliseconds.
    read: u64,
    /// Whether a thread reads them.
    reading: bool,
}

impl RootCertificates {
    /// Reads the authorities of the machine.
    pub(in crate::executor) fn read(boot: u64) -> Result<Arc<Self>, String> {
        let (config, bare) = machine(config)?;
        let machine = Machine { config: config.into(), bare, read: boot, reading: false };
        Ok(Arc::new(Self(Mutex::new(machine))))
    }

    /// The configuration for a call that begins at an instant of the boot clock. If it is old, the
    /// next one is read meanwhile, and the old one serves until then.
    pub(in crate::executor) fn get(self: &Arc<Self>, boot: u64) -> Arc<ClientConfig> {
        let mut machine = self.lock();
        if boot.saturating_sub(machine.read) >= READ_EVERY_MS && !machine.reading {
            machine.reading = true;
            let this = Arc::clone(self);
            tokio::task::spawn_blocking(move || this.renew(boot, config));
        }
        Arc::clone(&machine.config)
    }

    /// Reads the authorities again. If they cannot be read now, for example for want of a
    /// descriptor, those that were read before stay.
    fn renew(&self, boot: u64, config: impl Fn(&Trusted<'_>, Shown<'_>) -> Config) {
        let bare = self.lock().bare;
        let made = if bare {
            machine(config)
        } else {
            config(&Trusted::Machine, None).map(|c| (c, false))
        };
        let mut machine = self.lock();
        machine.reading = false;
        // After a failure they are read again after the same time.
        machine.read = boot;
        match made {
            Ok((config, bare)) => (machine.config, machine.bare) = (config.into(), bare),
            Err(error) => tracing::warn!(error, "the root certificates stay as they were"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Shown<'a> = Option<(&'a str, &'a str)>;
type Config = Result<ClientConfig, String>;

/// The TLS of the machine, and whether it trusts no receiver.
fn machine(
    config: impl Fn(&Trusted<'_>, Shown<'_>) -> Config,
) -> Result<(ClientConfig, bool), String> {
    config(&Trusted::Machine, None).map(|config| (config, false)).or_else(|error| {
        // A small image may come without root certificates, and plain http must work there.
        tracing::warn!(error, "no root certificates found: https callbacks will fail");
        Ok((config(&Trusted::Nobody, None)?, true))
    })
}

/// The configuration of an identity.
struct CachedConfig {
    config: Arc<ClientConfig>,
    /// The instant at which it was made, in boot-clock milliseconds.
    made: u64,
    /// The instant at which it was used last.
    used: u64,
}

/// The configurations of the identities that are in use.
#[derive(Default)]
pub(in crate::executor) struct IdentityCache(Mutex<HashMap<[u8; 32], CachedConfig>>);

impl IdentityCache {
    /// The configuration for a call that begins at an instant of the boot clock. It is made on a
    /// thread for blocking work, as that may read the root certificates.
    pub(in crate::executor) async fn get(
        &self,
        identity: &Arc<Identity>,
        boot: u64,
    ) -> Result<Arc<ClientConfig>, String> {
        if let Some(own) = self.lock().get_mut(&identity.digest)
            && boot.saturating_sub(own.made) < READ_EVERY_MS
        {
            own.used = boot;
            return Ok(Arc::clone(&own.config));
        }
        let new = Arc::clone(identity);
        let made = tokio::task::spawn_blocking(move || new.config());
        let made = made.await.map_err(|e| e.to_string())?;
        self.keep(identity, made, boot)
    }

    /// Keeps what was made. Where that failed, the configuration before it serves for the same time
    /// again.
    fn keep(
        &self,
        identity: &Identity,
        made: Result<ClientConfig, String>,
        boot: u64,
    ) -> Result<Arc<ClientConfig>, String> {
        let mut known = self.lock();
        let before = known.get(&identity.digest).map(|own| Arc::clone(&own.config));
        let config = made.map(Arc::new).or_else(|why| before.ok_or(why))?;
        let own = CachedConfig { config: Arc::clone(&config), made: boot, used: boot };
        known.insert(identity.digest, own);
        if known.len() > KEPT {
            let oldest = known.iter().min_by_key(|(_, own)| own.used).map(|(digest, _)| *digest);
            oldest.and_then(|digest| known.remove(&digest));
        }
        Ok(config)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], CachedConfig>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = include_str!("../../../tests/fixtures/tls/ca.pem");
    const CERT: &str = include_str!("../../../tests/fixtures/tls/client.pem");
    const KEY: &str = include_str!("../../../tests/fixtures/tls/client.key");
    const OTHER: &str = include_str!("../../../tests/fixtures/tls/server.key");

    #[test]
    fn texts_that_are_no_pem_or_no_pair_are_refused_with_their_part() {
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
    async fn equal_identities_share_their_tls_and_few_are_kept() {
        let identities = IdentityCache::default();
        let identity = |n: usize| {
            let ca = format!("{CA}\n# {n}\n");
            Arc::new(Identity::new(ca, String::new(), Zeroizing::default()))
        };
        for n in 0..KEPT + 3 {
            let first = identities.get(&identity(n), n as u64).await.unwrap();
            let second = identities.get(&identity(n), n as u64).await.unwrap();
            assert!(Arc::ptr_eq(&first, &second));
        }
        let known = identities.lock();
        assert_eq!(known.len(), KEPT);
        assert!(!known.contains_key(&identity(0).digest), "the one used longest ago went");
        assert!(known.contains_key(&identity(KEPT).digest));
        drop(known);
        // Root certificates may be unreadable for a while; known configurations stay.
        let unreadable = || Err("no root certificates".to_owned());
        assert!(identities.keep(&identity(KEPT), unreadable(), 200_000).is_ok());
        assert_eq!(identities.lock()[&identity(KEPT).digest].made, 200_000);
        assert!(identities.keep(&identity(0), unreadable(), 200_000).is_err());
    }

    #[test]
    fn root_certificates_once_read_outlive_a_time_when_they_cannot_be_read() {
        let readable = |_: &Trusted<'_>, _: Shown<'_>| config(&Trusted::Nobody, None);
        let unreadable = |trusted: &Trusted<'_>, shown: Shown<'_>| match trusted {
            Trusted::Machine => Err("too many open files".to_owned()),
            _ => config(trusted, shown),
        };
        let roots = RootCertificates::read(0).unwrap();
        roots.lock().bare = false;
        let before = Arc::clone(&roots.lock().config);
        roots.renew(READ_EVERY_MS, unreadable);
        assert!(Arc::ptr_eq(&roots.lock().config, &before), "those that were read stay");
        assert_eq!(roots.lock().read, READ_EVERY_MS, "they are read again after as long");
        // If there never were any, a later reading may find some.
        assert!(machine(unreadable).unwrap().1);
        roots.lock().bare = true;
        roots.renew(2 * READ_EVERY_MS, unreadable);
        assert!(roots.lock().bare);
        roots.renew(3 * READ_EVERY_MS, readable);
        assert!(!roots.lock().bare);
    }
}
