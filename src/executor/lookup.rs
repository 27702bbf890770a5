//! How the executor asks for the addresses of a name. `guard`, `members` and `egress` look names up,
//! each to judge what is found; nothing is judged or remembered here.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use super::local_error::{ResolverDown, is_resolver_down};
use crate::model::ProjectId;

pub use super::resolver::SystemLookup;

/// Whose look-ups those of the members' own names are: no project's.
pub(super) const MEMBERS: ProjectId = ProjectId::MAX;

/// How names become addresses; tests put their own in.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name, in order of preference (ports are ignored). `project` wants them: all
    /// share what there is of the resolver.
    fn lookup(&self, name: String, project: ProjectId) -> Looking;
}

/// The answer to come of a [`Lookup`].
pub type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

/// How long a name server may take; less than a call waits for a connection.
pub(super) fn patience(connect_timeout: Duration) -> Duration {
    connect_timeout.mul_f32(0.8)
}

/// The addresses of a name that a project wants; the error is [`ResolverDown`] where no name server
/// says whether it exists.
pub(super) async fn look_up(
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
