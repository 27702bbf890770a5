//! Rules of repeated requests: what came with a key is carried out once. Called by `apply` alone.

use super::{Applied, Entry, refuse};
use crate::command::{Command, Error, Outcome, RejectionKind};
use crate::store::idempotency::{self, REMEMBERED, Remembered};

/// How many old keys go with one tick.
const BATCH: u32 = 1_000;

impl Entry<'_, '_> {
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
            return Ok(postcard::from_bytes(&known.outcome).map_err(Error::from)?);
        }
        // A refusal leaves here and is not remembered: the caller may mend what was wrong.
        let outcome = self.execute(inner)?;
        let entry = Remembered {
            body: *body,
            outcome: postcard::to_stdvec(&outcome).map_err(Error::from)?,
            stamp: self.stamp,
        };
        idempotency::put(self.tx, key, &entry)?;
        Ok(outcome)
    }

    pub(super) fn forget_old_keys(&mut self) -> Applied {
        idempotency::drop_old(self.tx, self.stamp - REMEMBERED, BATCH)?;
        Ok(Outcome::Done)
    }
}
