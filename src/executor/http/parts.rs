//! The parts of the HTTP executor that its requests share. Each request holds them until it is
//! over.

use std::sync::Arc;

use super::credentials::Credentials;
use super::options::{Error, Options};
use super::runner::Runner;
use crate::clock::Clock;
use crate::secret::Keys;

/// The parts.
pub(super) struct Parts {
    pub(super) runner: Runner,
    pub(super) credentials: Credentials,
    pub(super) options: Arc<Options>,
}

impl Parts {
    /// The parts of an executor without connections.
    pub(super) fn new(
        options: Options,
        keys: Arc<Keys>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let options = Arc::new(options);
        let runner = Runner::new(&options, clock)?;
        Ok(Self { runner, credentials: Credentials::new(keys), options })
    }
}
