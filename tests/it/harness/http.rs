//! HTTP clients of the tests. They use no proxy, and their connections are short-lived when idle.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// A client that signs in as `admin`, the operator of every node that the tests start.
pub(crate) fn client() -> reqwest::Client {
    // admin:admin-password, as `TestCluster::command` sets it.
    client_of(&[("x-peer", "cmd"), ("authorization", "Basic YWRtaW46YWRtaW4tcGFzc3dvcmQ=")])
}

/// A client that sends these headers with each request.
pub(crate) fn client_of(headers: &[(&'static str, &str)]) -> reqwest::Client {
    // Another test may have set it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pairs = headers.iter().map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    });
    let headers: HeaderMap = pairs.collect();
    reqwest::Client::builder()
        .default_headers(headers)
        .timeout(Duration::from_secs(30))
        // Half of the time that a stopping node grants to an idle connection.
        .pool_idle_timeout(Duration::from_millis(500))
        .no_proxy()
        .build()
        .unwrap()
}
