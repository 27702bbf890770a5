//! The kinds of executor that this program knows: a line for each.

use std::sync::Arc;

use super::http::{Error, HttpExecutor, Options};
use crate::clock::Clock;
use crate::delivery::registry::Registry;
use crate::secret::Keys;

/// The executors of a node. `keys` open the secrets of targets.
pub fn registry(
    http: Options,
    keys: &Arc<Keys>,
    clock: &Arc<dyn Clock>,
) -> Result<Registry, Error> {
    Ok(Registry::new(
        [Arc::new(HttpExecutor::new(http, Arc::clone(keys), Arc::clone(clock))?) as _],
    ))
}
