//! Removal of old history, whatever the configuration would still keep.

use chrono::{DateTime, Months};

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::model::Millis;

/// The most months: nothing here was recorded a century ago.
const MOST_MONTHS: u64 = 1_200;
/// The most records that one log entry drops.
const LIMIT: u32 = 2_000;

/// The number of months whose history stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionMonths(u32);

impl RetentionMonths {
    /// Checks a number of months.
    ///
    /// # Errors
    ///
    /// `Invalid` where there is none, or where it is out of bounds.
    pub fn new(months: Option<u64>) -> Result<Self, Error> {
        match months.filter(|months| (1..=MOST_MONTHS).contains(months)) {
            Some(months) => Ok(Self(months as u32)),
            None => Err(wrong_months()),
        }
    }
}

fn wrong_months() -> Error {
    let message = format!("retentionMonths must be a number from 1 to {MOST_MONTHS}");
    Error::invalid("retentionMonths", message)
}

impl App {
    /// Drops the history that is older than some months; gives the instant up to which it is gone.
    /// Records that the watermark has not passed stay, however old they are, and so do dead
    /// letters.
    ///
    /// # Errors
    ///
    /// `Invalid` where no instant lies that far back; `Unavailable` without a leader.
    pub async fn drop_history(
        &self,
        actor: &Actor,
        months: RetentionMonths,
    ) -> Result<Millis, Error> {
        authorize(actor, Action::HistoryDrop, Resource::Any)?;
        let now = DateTime::from_timestamp_millis(self.now());
        let before = now.and_then(|now| now.checked_sub_months(Months::new(months.0)));
        let before = before.ok_or_else(wrong_months)?.timestamp_millis();
        loop {
            // No dead letter is older than this, so none is dropped.
            let command = Command::Retain { before, dead_letters: Millis::MIN, limit: LIMIT };
            match self.propose(actor, command).await? {
                Outcome::Dropped(n) if n >= LIMIT => {}
                Outcome::Dropped(_) => return Ok(before),
                other => return Err(refused(other)),
            }
        }
    }
}
