//! Look-ups of names. Guards and connectors look names up, each to check the addresses found.
//! Nothing is checked or remembered here.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use super::local_error::{ResolverDown, is_resolver_down};
use crate::model::ProjectId;

/// The project that the look-ups of members count for: none.
pub(in crate::executor) const MEMBERS: ProjectId = ProjectId::MAX;

/// A resolver of names; tests bring their own.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name, in order of preference (ports are ignored). `project` asks for
    /// them: projects share the capacity of the resolver.
    fn lookup(&self, name: String, project: ProjectId) -> LookupFuture;
}

/// The future answer of a [`Lookup`].
pub type LookupFuture = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

/// The longest time for a look-up: less than a call waits for a connection.
pub(in crate::executor) fn patience(connect_timeout: Duration) -> Duration {
    connect_timeout.mul_f32(0.8)
}

/// The addresses of a name for a project. The error is [`ResolverDown`] where no name server says
/// whether the name exists.
pub(in crate::executor) async fn look_up(
    lookup: &dyn Lookup,
    (name, project): (&str, ProjectId),
    patience: Duration,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    match tokio::time::timeout(patience, lookup.lookup(name.to_owned(), project)).await {
        Ok(Err(error)) if is_resolver_down(&error) => {
            Err(ResolverDown { why: error.to_string(), late: false }.into())
        }
        Ok(found) => Ok(found?),
        Err(_) => {
            let why = format!("none within {patience:?}");
            Err(ResolverDown { why, late: true }.into())
        }
    }
}
