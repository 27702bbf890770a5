//! The error message for a command that has found no credentials. It writes nothing, and asks the
//! node only whether it is alive.

use std::time::Duration;

use super::{Failure, probe};
use crate::secret;

/// The longest time to an answer of the node.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The error of a command that found no credentials. A node that answers has credentials already,
/// so new ones would not be accepted; the message says where to find the node's.
pub(super) fn advice(error: secret::Error, url: &str) -> anyhow::Error {
    let secret::Error::Missing { key, variable, places } = &error else { return error.into() };
    if !is_node(url) {
        return error.into();
    }
    Failure::Usage(format!(
        "{key} is not set, but a node runs at {url}: use its credentials. Run the command in the \
         folder that it was started in (or the one above `scheduler0-dev`), copy its {} here, or set \
         {variable} (looked in {places}); as a client of it, `scheduler0 login`",
        secret::FILE
    ))
    .into()
}

/// Returns whether a node answers at a URL.
fn is_node(url: &str) -> bool {
    probe::status(url, "/livez", TIMEOUT) == Ok(200)
}
