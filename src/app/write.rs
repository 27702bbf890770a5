//! Writes to a versioned record: conditional on the version that the request names, and repeated
//! where another write was faster. Use cases call it and make the command themselves.
//!
//! A write under conditions is committed for one version only: the version that it was checked
//! against goes into the command. Where another write was faster, both are checked again. Other
//! refusals come before these.

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::conditions::Conditions;
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::state::App;
use crate::command::{Command, Outcome, RejectionKind};

/// The most tries of a write whose record changes in between.
pub(in crate::app) const ATTEMPTS: usize = 5;

/// A record that [`App::update_with_retry`] changes.
pub(in crate::app) trait Versioned {
    /// The version that a write names.
    fn version(&self) -> u64;
}

impl App {
    /// Proposes a write that depends on nothing of the record but, where there are conditions, its
    /// version. `version` reads that version, and `missing` is the error where there is no record.
    /// The command that `command` makes is for that version only.
    pub(in crate::app) async fn propose_if(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        version: impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone + Send + 'static,
        missing: fn() -> Error,
        command: impl Fn(Option<u64>) -> Command + Send,
    ) -> Result<Outcome, Error> {
        if !conditions.are_given() {
            return self.propose(actor, command(None)).await;
        }
        let mut tried = 1;
        loop {
            self.linearize().await?;
            let version = self.read(actor, version.clone()).await?.ok_or_else(missing)?;
            conditions.check(Some(version))?;
            let outcome = self.propose(actor, command(Some(version))).await?;
            if !is_stale(&outcome) || tried == ATTEMPTS {
                return Ok(outcome);
            }
            tried += 1;
        }
    }

    /// Updates a record by compare-and-swap: `load` reads it, `edit` makes a command for the
    /// version that was read, and both happen again where another write was faster. `edit` gives
    /// `None` when the record is already as it should be. It comes before the conditions are
    /// checked, so that a request that would be refused anyway is told why.
    pub(in crate::app) async fn update_with_retry<T, F>(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        key: Option<Key>,
        load: impl Fn() -> F,
        edit: impl Fn(&T) -> Result<Option<Command>, Error>,
    ) -> Result<(), Error>
    where
        T: Versioned,
        F: Future<Output = Result<T, Error>>,
    {
        for tried in 1.. {
            // Fields that the request does not name stay as they are, so the read must be up to
            // date.
            self.linearize().await?;
            let old = load().await?;
            let command = edit(&old)?;
            conditions.check(Some(old.version()))?;
            let Some(command) = command else { break };
            match self.propose(actor, Key::wrap(key, command)).await? {
                outcome if is_stale(&outcome) && tried < ATTEMPTS => {}
                Outcome::Done => break,
                other => return Err(refused(other)),
            }
        }
        Ok(())
    }
}

/// Says whether a write came to nothing because the record has changed since it was read.
pub(in crate::app) fn is_stale(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected(no) if no.kind == RejectionKind::Stale)
}
