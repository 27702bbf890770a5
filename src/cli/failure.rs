//! The errors of commands that have an exit code of their own. Commands return them inside an
//! `anyhow::Error`; `run` turns them into the exit code at the end.

use super::login::provider_error::ProviderError;
use crate::config;
use crate::secret;

/// An error whose exit code is not plain 1, or whose message needs no repetition.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Exit code 3.
    #[error("the node refused: {message} (HTTP {status})")]
    Refused {
        /// The HTTP status, 400-499.
        status: u16,
        /// The message of the node.
        message: String,
    },
    /// Exit code 3.
    #[error("{reason}: scheduler0 login --server {server}")]
    SessionOver {
        /// Why the session of `scheduler0 login` is over, and what to do.
        reason: String,
        /// The server that it was for.
        server: String,
    },
    /// Exit code 5.
    #[error("the cluster has no quorum, or an election is under way: nothing fires")]
    NoQuorum,
    /// Exit code 1; the reason is in the log already and is not printed again.
    #[error("the node has ended")]
    Logged,
    /// Exit code 4.
    #[error(
        "cannot reach the node at {url}: {reason}; is it running (`scheduler0 start`), and is this its address (Host, Port, --server)?"
    )]
    Unreachable {
        /// The URL that was tried.
        url: String,
        /// The innermost cause, such as "connection refused".
        reason: String,
    },
}

impl Failure {
    /// The exit code of an error: this type's own; 2 for a configuration that cannot be used; 1.
    pub fn code(error: &anyhow::Error) -> u8 {
        match error.downcast_ref::<Failure>() {
            Some(Failure::Usage(_)) => 2,
            Some(Failure::Refused { .. } | Failure::SessionOver { .. }) => 3,
            Some(Failure::Unreachable { .. }) => 4,
            Some(Failure::NoQuorum) => 5,
            None if error.is::<config::Error>() || error.is::<secret::Error>() => 2,
            None if error.downcast_ref().is_some_and(ProviderError::is_passing) => 4,
            Some(Failure::Logged) | None => 1,
        }
    }
}
