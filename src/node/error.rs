//! The reasons why a node does not start. `cli` prints them.

use crate::{cluster, executor, journal, listen};

use super::identity;

/// The reason why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// An address.
    #[error("{key} {address}: {why}")]
    Listen {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: String,
        /// The reason.
        why: listen::Error,
    },
    /// Log and state.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The HTTP client.
    #[error(transparent)]
    Executor(#[from] executor::Error),
    /// The threads.
    #[error("the node's threads cannot be started: {0}")]
    Runtime(std::io::Error),
}
