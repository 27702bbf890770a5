//! What somebody is told who talks to a node without its secrets. Called where a command has found
//! none; it writes nothing, and asks the node only whether it is there.

use std::time::Duration;

use super::{Failure, probe};
use crate::secret;

/// How long a node may take to say that it is there.
const PATIENCE: Duration = Duration::from_millis(500);

/// The error of a command that found no credentials. Where a node answers it has its own already: new
/// ones would not open it.
pub(super) fn advice(error: secret::Error, url: &str) -> anyhow::Error {
    let secret::Error::Missing { key, variable, places } = &error else { return error.into() };
    if !is_node(url) {
        return error.into();
    }
    Failure::Usage(format!(
        "{key} is not set, but a node runs at {url}: use its credentials. Run the command in the \
         folder that it was started in (or the one above `scheduler0-dev`), copy its {} here, or set \
         {variable} (looked in {places})",
        secret::FILE
    ))
    .into()
}

/// Whether a node answers at a URL.
fn is_node(url: &str) -> bool {
    probe::status(url, "/livez", PATIENCE) == Ok(200)
}
