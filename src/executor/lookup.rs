//! How the executor asks for the addresses of a name. `guard`, `members` and `egress` look names up,
//! each to judge what is found; nothing is judged or remembered here.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use super::own::{NoResolver, is_resolver_down};

/// How names become addresses; tests put their own in.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name, in order of preference (ports are ignored).
    fn lookup(&self, name: String) -> Looking;
}

/// The answer to come of a [`Lookup`].
pub type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

/// The machine's own resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> Looking {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }
}

/// How long a name server may take; less than a call waits for a connection.
pub(super) fn patience(connect_timeout: Duration) -> Duration {
    connect_timeout.mul_f32(0.8)
}

/// The addresses of a name; the error is [`NoResolver`] where no name server says whether it exists.
pub(super) async fn look_up(
    lookup: &dyn Lookup,
    name: &str,
    patience: Duration,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    match tokio::time::timeout(patience, lookup.lookup(name.to_owned())).await {
        Ok(Err(error)) if is_resolver_down(&error) => Err(NoResolver(error.to_string()).into()),
        Ok(found) => Ok(found?),
        Err(_) => Err(NoResolver(format!("none within {patience:?}")).into()),
    }
}
