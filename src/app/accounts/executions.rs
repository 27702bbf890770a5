//! The executions of an account in the present month: how many are left, and how more are granted.

use crate::app::accounts::read::AccountRecord;
use crate::app::accounts::rights::{require_administrator, sees};
use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::model::account::{MAX_LIMIT, UNLIMITED, month_of, next_month};
use crate::model::{AccountId, Millis};

/// The executions of an account in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionCount {
    /// The account.
    pub record: AccountRecord,
    /// The number that is left; [`UNLIMITED`] without a limit.
    pub left: u64,
    /// The number that was granted for the month beside the limit.
    pub granted: u64,
    /// The first instant of the next month.
    pub next_reset: Millis,
}

impl ExecutionCount {
    fn of(record: AccountRecord, now: Millis) -> Self {
        let month = month_of(now);
        let account = &record.account;
        let left = account.executions_left(month).unwrap_or(UNLIMITED);
        let granted = account.monthly.at(month).granted;
        Self { left, granted, next_reset: next_month(now), record }
    }
}

impl App {
    /// Reads the executions of an account in the present month.
    ///
    /// # Errors
    ///
    /// `NotFound` where the actor sees no such account.
    pub async fn execution_count(
        &self,
        actor: &Actor,
        id: AccountId,
    ) -> Result<ExecutionCount, Error> {
        Ok(ExecutionCount::of(self.get_account(actor, id).await?, self.now()))
    }

    /// Grants an account executions for the present month, beside its limit.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such account; `Invalid` or `Malformed` for a number that is too
    /// large, or 0; `Forbidden` where the actor does not administer accounts.
    pub async fn grant_executions(
        &self,
        actor: &Actor,
        key: Option<Key>,
        id: AccountId,
        count: u64,
    ) -> Result<ExecutionCount, Error> {
        authorize(actor, Action::AccountsWrite, Resource::Any)?;
        require_administrator(actor, "grant executions")?;
        sees(actor, id)?;
        if !(1..=MAX_LIMIT).contains(&count) {
            let message = format!("count must be a whole number from 1 to {MAX_LIMIT}");
            return Err(Error::invalid("count", message));
        }
        let command = Key::wrap(key, Command::GrantExecutions { id, count });
        match self.propose(actor, command).await? {
            Outcome::Done => {}
            other => return Err(refused(other)),
        }
        let record = self.load_account(actor, id, ReadPhase::AfterWrite).await?;
        Ok(ExecutionCount::of(record, self.now()))
    }
}
