//! Changes of accounts: name, features and limits. What a request does not name stays.

use crate::app::accounts::input::{AccountInput, checked_name};
use crate::app::accounts::read::AccountRecord;
use crate::app::accounts::rights::{require_administrator, sees, whole_account};
use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::Error;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::Command;
use crate::model::AccountId;
use crate::model::account::AccountEdit;
use crate::model::feature::Features;

impl App {
    /// Changes an account.
    ///
    /// # Errors
    ///
    /// As [`App::create_account`]; `NotFound` where the actor sees no such account; `Forbidden`
    /// where it changes more than the name and does not administer accounts; `Stale` when a
    /// condition does not hold.
    pub async fn update_account(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: AccountId,
        input: AccountInput,
    ) -> Result<AccountRecord, Error> {
        authorize(actor, Action::AccountsWrite, Resource::Any)?;
        whole_account(actor)?;
        if input.features.is_some() || !input.limits.is_empty() {
            require_administrator(actor, "change features and limits of accounts")?;
        }
        sees(actor, id)?;
        let name = input.name.as_deref().map(checked_name).transpose()?;
        let edit = |old: &AccountRecord| {
            let old = &old.account;
            Ok(AccountEdit {
                name: name.clone().unwrap_or_else(|| old.name.clone()),
                features: input.features.unwrap_or(old.features),
                limits: input.limits.clone().apply_to(old.limits)?,
                by: input.by.clone(),
            })
        };
        self.edit_account(actor, conditions, id, edit).await
    }

    /// Switches features of an account on and off.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such account; `Forbidden` where the actor does not administer
    /// accounts.
    pub async fn switch_features(
        &self,
        actor: &Actor,
        id: AccountId,
        features: Features,
        on: bool,
    ) -> Result<AccountRecord, Error> {
        authorize(actor, Action::AccountsWrite, Resource::Any)?;
        require_administrator(actor, "switch features of accounts")?;
        sees(actor, id)?;
        let edit = |old: &AccountRecord| {
            let old = &old.account;
            let without = old.features.without(features);
            let features = if on { without | features } else { without };
            let (name, limits, by) = (old.name.clone(), old.limits, old.modified_by.clone());
            Ok(AccountEdit { name, features, limits, by })
        };
        self.edit_account(actor, &Conditions::default(), id, edit).await
    }

    async fn edit_account(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: AccountId,
        edit: impl Fn(&AccountRecord) -> Result<AccountEdit, Error>,
    ) -> Result<AccountRecord, Error> {
        let load = || self.load_account(actor, id, ReadPhase::BeforeWrite);
        let command = |old: &AccountRecord| {
            let (expect, edit) = (Some(old.account.version), Box::new(edit(old)?));
            Ok(Some(Command::UpdateAccount { id, expect, edit }))
        };
        // In a box, since the futures of its callers nest deeply.
        Box::pin(self.update_with_retry(actor, conditions, None, load, command)).await?;
        self.auth.forget();
        self.load_account(actor, id, ReadPhase::AfterWrite).await
    }
}
