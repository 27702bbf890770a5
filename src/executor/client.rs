//! The HTTP client behind `Executor`: what it does by itself (nothing: no redirects, no retries, no
//! proxy), and what its errors say.

use std::sync::{Arc, Once};

use reqwest::Client;

use super::guard::GuardedResolver;
use super::{IDLE, Options};

/// Makes the client.
pub(super) fn client(options: &Options) -> reqwest::Result<Client> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error says that the process has a provider already: as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let builder = || {
        Client::builder()
            .user_agent(concat!("Scheduler0/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(options.max_workers.max(1))
            .dns_resolver(Arc::new(GuardedResolver {
                guard: options.guard,
                lookup: options.lookup.clone(),
            }))
    };
    builder().build().or_else(|e| {
        // A small image may come without root certificates: plain http must work there all the same.
        tracing::warn!(error = %chain(&e), "no root certificates found: https callbacks will fail");
        builder().tls_certs_only([]).build()
    })
}

/// What went wrong, innermost cause included, without the URL (its query may hold secrets).
pub(super) fn failure(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() && error.is_connect() {
        return "timeout: no connection".to_owned();
    }
    chain(&error)
}

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
