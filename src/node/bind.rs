//! Binding the addresses of the configuration, with errors that name the key.

use std::time::Duration;

use super::error::Error;
use crate::listen::Listeners;

/// The longest time that the names a node listens on may take to resolve after its start.
const RESOLVES_WITHIN: Duration = Duration::from_secs(20);

/// Binds the address of a configuration key.
pub(super) async fn bind(key: &'static str, address: &str) -> Result<Listeners, Error> {
    let bound = Listeners::bind(address, RESOLVES_WITHIN).await;
    bound.map_err(|why| Error::Listen { key, address: address.to_owned(), why })
}
