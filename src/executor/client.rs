//! The HTTP client behind `Executor`: what it does by itself (nothing: no redirects, no retries, no
//! proxy but the configured one), and what its errors say.

use std::sync::{Arc, Mutex, Once, PoisonError};

use reqwest::{Client, ClientBuilder};

use super::guard::GuardedResolver;
use super::lookup::patience;
use super::{IDLE, Options, egress};

/// No connection is used for a new call later than this after the client it belongs to was made, in
/// milliseconds: a name may lead elsewhere by then. A connection lives two minutes at most with it,
/// but for the call that it carries.
pub(super) const CLIENT_LIFE_MS: u64 = 110_000;

/// The client, made anew before its connections grow old: they go with it.
pub(super) struct Clients {
    options: Arc<Options>,
    current: Mutex<Current>,
}

struct Current {
    client: Client,
    /// Without root certificates: none were found.
    bare: bool,
    /// When it was made, in boot-clock milliseconds.
    made: u64,
    /// Somebody is making the next one.
    making: bool,
}

impl Clients {
    /// Makes the first one.
    pub(super) fn new(options: Arc<Options>, boot: u64) -> reqwest::Result<Self> {
        let (client, bare) = client(|rooted| build(&options, rooted))?;
        let current = Current { client, bare, made: boot, making: false };
        Ok(Self { options, current: Mutex::new(current) })
    }

    /// The client for a call that begins at an instant of the boot clock. The next one is made on a
    /// thread of its own, as it reads the root certificates; until then the old one serves.
    pub(super) fn get(self: &Arc<Self>, boot: u64) -> Client {
        let mut current = self.lock();
        if boot.saturating_sub(current.made) >= CLIENT_LIFE_MS && !current.making {
            current.making = true;
            let this = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                this.renew(boot, |rooted| build(&this.options, rooted));
            });
        }
        current.client.clone()
    }

    /// Makes the next one. Root certificates that cannot be read now, as for want of a descriptor, are
    /// no reason to give up those that were read before.
    fn renew(&self, boot: u64, build: impl Fn(bool) -> reqwest::Result<Client>) {
        let bare = self.lock().bare;
        let made = if bare { client(build) } else { build(true).map(|client| (client, false)) };
        let mut current = self.lock();
        current.making = false;
        // A failure is tried again after as long.
        current.made = boot;
        match made {
            Ok((client, bare)) => (current.client, current.bare) = (client, bare),
            Err(error) => tracing::warn!(error = %chain(&error), "the HTTP client stays as it is"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a client, and says whether it has no root certificates.
fn client(build: impl Fn(bool) -> reqwest::Result<Client>) -> reqwest::Result<(Client, bool)> {
    build(true).map(|client| (client, false)).or_else(|e| {
        // A small image may come without root certificates: plain http must work there all the same.
        tracing::warn!(error = %chain(&e), "no root certificates found: https callbacks will fail");
        Ok((build(false)?, true))
    })
}

/// Makes a client with the root certificates of the machine, or with none.
fn build(options: &Options, rooted: bool) -> reqwest::Result<Client> {
    let client = builder(options);
    if rooted { client.build() } else { client.tls_certs_only([]).build() }
}

/// What all clients have in common.
pub(super) fn builder(options: &Options) -> ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error says that the process has a provider already: as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let proxy = options.proxy.as_ref();
    let client = Client::builder()
        .user_agent(concat!("Scheduler0/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        // RFC 9112 5.2: a folded line is read as if its fold were a space.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .tcp_nodelay(true)
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(options.max_workers.max(1))
        .dns_resolver(Arc::new(GuardedResolver {
            patience: patience(options.connect_timeout),
            guard: options.guard.clone(),
            lookup: options.lookup.clone(),
            apart: Arc::clone(&options.apart),
            proxy: proxy.map(|proxy| proxy.host().to_owned()),
        }));
    match proxy {
        None => client,
        Some(proxy) => client.proxy(egress::proxy(proxy)),
    }
}

/// What went wrong, innermost cause included, without the URL (its query may hold secrets).
pub(super) fn failure(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() && error.is_connect() {
        return "timeout: no connection".to_owned();
    }
    let told = chain(&error);
    if told.contains("CaUsedAsEndEntity") {
        return CA_AS_RECEIVER.to_owned();
    }
    told
}

/// What OpenSSL makes of `req -x509` is an authority, which is no receiver's certificate.
const CA_AS_RECEIVER: &str = "the receiver's certificate is that of an authority (CA:TRUE), as `openssl req -x509` makes \
     it: give the receiver one with basicConstraints CA:FALSE, its own or one that the authority issued";

/// An error and what is behind it, each said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(e) = next {
        let part = e.to_string();
        if !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        next = e.source();
    }
    let end = text.floor_char_boundary(crate::model::block::MAX_ERROR);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_certificates_once_read_outlive_a_time_when_they_cannot_be_read() {
        let options = Arc::new(Options::default());
        let clients = Clients::new(Arc::clone(&options), 0).unwrap();
        let unreadable = |rooted: bool| {
            if rooted { Client::builder().user_agent("\n").build() } else { build(&options, false) }
        };
        clients.lock().bare = false;
        clients.renew(CLIENT_LIFE_MS, unreadable);
        assert!(!clients.lock().bare, "the one that has them stays");
        assert_eq!(clients.lock().made, CLIENT_LIFE_MS, "it is tried again after as long");
        // Where there never were any, the next client has none either, and the one after may.
        assert!(client(unreadable).unwrap().1);
        clients.lock().bare = true;
        clients.renew(2 * CLIENT_LIFE_MS, unreadable);
        assert!(clients.lock().bare);
        clients.renew(3 * CLIENT_LIFE_MS, |_| build(&options, false));
        assert!(!clients.lock().bare);
    }
}
