//! The reasons why a node does not start. `cli` prints them.

use crate::{cluster, executor, journal, listen};

use super::identity;

/// The reason why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder is locked by another process, or its identity cannot be read.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// An address that cannot be listened on.
    #[error("{key} {address}: {why}")]
    Listen {
        /// The configuration key.
        key: &'static str,
        /// The value of that key.
        address: String,
        /// Why nothing listens there.
        why: listen::Error,
    },
    /// Log and state.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The HTTP client.
    #[error(transparent)]
    Executor(#[from] executor::Error),
    /// The issuers of access tokens cannot be asked.
    #[error("access tokens cannot be verified: {0}")]
    Oidc(String),
    /// The system gives no threads.
    #[error("the node's threads cannot be started: {0}")]
    Runtime(std::io::Error),
}
