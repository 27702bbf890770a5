//! Writes to a versioned record: conditional on the version that the request names, and repeated
//! where another write was faster. Handlers call it and make the command themselves.

use rusqlite::Connection;

use crate::api::http::error::{Error, refused};
use crate::api::http::idempotency::Key;
use crate::api::http::version::{ATTEMPTS, Conditions, is_stale};
use crate::api::state::AppState;
use crate::command::{Command, Outcome};

/// Proposes a write that depends on nothing of the record but, where there are conditions, its
/// version. `version` reads that version, and `missing` is the error where there is no record. The
/// command that `command` makes is for that version only.
pub(crate) async fn propose_if(
    app: &AppState,
    conditions: &Conditions,
    version: impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone + Send + 'static,
    missing: fn() -> Error,
    command: impl Fn(Option<u64>) -> Command + Send,
) -> Result<Outcome, Error> {
    if !conditions.are_given() {
        return Ok(app.cluster.propose(command(None)).await?);
    }
    let mut tried = 1;
    loop {
        app.cluster.linearize().await?;
        let version = app.read(version.clone()).await?.ok_or_else(missing)?;
        conditions.check(Some(version))?;
        let outcome = app.cluster.propose(command(Some(version))).await?;
        if !is_stale(&outcome) || tried == ATTEMPTS {
            return Ok(outcome);
        }
        tried += 1;
    }
}

/// A record that [`update_with_retry`] changes.
pub(crate) trait Versioned {
    /// The version that a write names.
    fn version(&self) -> u64;
}

/// Updates a record by compare-and-swap: `load` reads it, `edit` makes a command for the version
/// that was read, and both happen again where another write was faster. `edit` gives `None` when
/// the record is already as it should be. It comes before the conditions are checked, so that a
/// request that would be refused anyway is told why.
pub(crate) async fn update_with_retry<T: Versioned, F: Future<Output = Result<T, Error>>>(
    app: &AppState,
    conditions: &Conditions,
    key: Option<Key>,
    load: impl Fn() -> F,
    edit: impl Fn(&T) -> Result<Option<Command>, Error>,
) -> Result<(), Error> {
    for tried in 1.. {
        // Fields that the request does not name stay as they are, so the read must be up to date.
        app.cluster.linearize().await?;
        let old = load().await?;
        let command = edit(&old)?;
        conditions.check(Some(old.version()))?;
        let Some(command) = command else { break };
        match app.cluster.propose(Key::wrap(key, command)).await? {
            outcome if is_stale(&outcome) && tried < ATTEMPTS => {}
            Outcome::Done => break,
            other => return Err(refused(other)),
        }
    }
    Ok(())
}
