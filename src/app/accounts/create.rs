//! Creation and deletion of accounts.

use crate::app::accounts::input::{AccountInput, checked_name};
use crate::app::accounts::read::{AccountRecord, version_of};
use crate::app::accounts::rights::{missing_account, require_administrator};
use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::config::{Config, TargetPolicy};
use crate::model::AccountId;
use crate::model::account::{Limits, NewAccount};

/// Says whether the configuration has decided where jobs may call. Without that, tenants could call
/// whatever this machine reaches.
fn targets_are_decided(config: &Config) -> bool {
    config.target_policy != TargetPolicy::Open
}

impl App {
    /// Creates an account. Without `features` it has none.
    ///
    /// # Errors
    ///
    /// `Invalid` for a name or a limit that is not valid; `Conflict` where the name is taken, or no
    /// rule of targets is configured; `Forbidden` where the actor does not administer accounts.
    pub async fn create_account(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: AccountInput,
    ) -> Result<AccountRecord, Error> {
        authorize(actor, Action::AccountsWrite, Resource::Any)?;
        require_administrator(actor, "create accounts")?;
        let name = checked_name(&input.name.unwrap_or_default())?;
        let limits = input.limits.apply_to(Limits::default())?;
        let features = input.features.unwrap_or_default();
        if !targets_are_decided(&self.config) {
            let message = "jobs of tenants may call any address that this node reaches: set \
                           TargetPolicy to public or list on all nodes before you create accounts";
            return Err(Error::conflict(message));
        }
        let new = Box::new(NewAccount { name, features, limits, by: input.by });
        match self.propose(actor, Key::wrap(key, Command::CreateAccount(new))).await? {
            Outcome::Created(id) => {
                self.auth.forget();
                self.load_account(actor, id, ReadPhase::AfterWrite).await
            }
            other => Err(refused(other)),
        }
    }

    /// Deletes an account that has nothing.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such account; `Conflict` where it has projects, executors or
    /// credentials, or is account 1; `Forbidden` where the actor does not administer accounts;
    /// `Stale` when a condition does not hold.
    pub async fn delete_account(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: AccountId,
    ) -> Result<(), Error> {
        authorize(actor, Action::AccountsWrite, Resource::Any)?;
        require_administrator(actor, "delete accounts")?;
        let command = |expect| Command::DeleteAccount { id, expect };
        match self.propose_if(actor, conditions, version_of(id), missing_account, command).await? {
            Outcome::Done => {
                self.auth.forget();
                Ok(())
            }
            other => Err(refused(other)),
        }
    }
}
