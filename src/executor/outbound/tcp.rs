//! The connector of TCP: it connects to what a guarded resolver finds, and probes connections that
//! are silent. The connectors of `http` and `amqp` ask for it.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;

use super::guarded_resolver::GuardedResolver;

/// The time without an acknowledgement after which TCP probes, and the number of its probes.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
/// The time after which unacknowledged bytes end the connection (`TCP_USER_TIMEOUT`).
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A connector. An address that is written in a URL does not pass through the resolver.
pub(in crate::executor) fn connector(resolver: GuardedResolver) -> HttpConnector<GuardedResolver> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    tcp
}
