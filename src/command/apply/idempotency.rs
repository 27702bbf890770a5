//! Rules of repeated requests: a command under an idempotency key is carried out once.

use super::entry::{Applied, Entry, refuse};
use crate::command::{Command, Error, Outcome, RejectionKind};
use crate::store::idempotency::{self, REMEMBERED, Remembered};

/// The most old keys that are dropped with one tick.
const DROPPED_PER_TICK: u32 = 1_000;

impl Entry<'_, '_> {
    /// Carries out a command, or repeats the outcome that is stored under its key.
    pub(super) fn once(&mut self, key: &[u8; 32], body: &[u8; 32], inner: &Command) -> Applied {
        if let Some(known) = idempotency::get(self.tx, key)?
            && known.holds_at(self.stamp)
        {
            if known.body != *body {
                return Err(refuse(
                    RejectionKind::KeyReused,
                    "idempotency key was already used with another request body",
                ));
            }
            self.notes.repeated();
            return Ok(postcard::from_bytes(&known.outcome).map_err(Error::from)?);
        }
        // A refusal returns here and is not stored: the caller may correct the request.
        let outcome = self.execute(inner)?;
        let entry = Remembered {
            body: *body,
            outcome: postcard::to_stdvec(&outcome).map_err(Error::from)?,
            stamp: self.stamp,
        };
        idempotency::put(self.tx, key, &entry)?;
        Ok(outcome)
    }

    /// Drops keys that are older than a day.
    pub(super) fn forget_old_keys(&mut self) -> Applied {
        idempotency::drop_old(self.tx, self.stamp - REMEMBERED, DROPPED_PER_TICK)?;
        Ok(Outcome::Done)
    }
}
