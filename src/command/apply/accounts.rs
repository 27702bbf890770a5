//! Rules of accounts: names are unique, the first account stays, one that has anything stays until
//! all of it is gone, and nobody gives itself more. What an account may have is judged in `quotas`.

use super::audit_records;
use super::entry::{Applied, Entry, Refusal, expected, refuse};
use crate::command::{Outcome, RejectionKind};
use crate::model::account::{Account, AccountEdit, Counted, MAX_LIMIT, NewAccount, month_of};
use crate::model::actor::ActorRef;
use crate::model::event::{Noun, RecordChange};
use crate::model::{AccountId, FIRST_ACCOUNT};
use crate::store::meta::Sequence;
use crate::store::{accounts, meta};

impl Entry<'_, '_> {
    pub(super) fn create_account(&mut self, new: &NewAccount) -> Applied {
        self.administers_accounts("create accounts")?;
        self.account_name_is_free(&new.name, None)?;
        let id = self.tx.take(Sequence::Account, 1)?;
        self.tx.add_account(Account {
            id,
            name: new.name.clone(),
            features: new.features,
            limits: new.limits,
            created: Some(self.stamp),
            created_by: new.by.clone(),
            version: 1,
            ..Account::default()
        })?;
        self.notes.changed_with(|| audit_records::new_account(&new.name, new.features, new.limits));
        meta::set_had_accounts(self.tx)?;
        self.account_changed(id, RecordChange::Created);
        Ok(Outcome::Created(id))
    }

    /// Replaces name, features and limits. A limit below what the account has takes nothing away:
    /// it refuses what would be added. One on executions that are used up holds at once.
    pub(super) fn update_account(
        &mut self,
        id: AccountId,
        expect: Option<u64>,
        edit: &AccountEdit,
    ) -> Applied {
        let old = self.account(id)?;
        if (old.features, old.limits) != (edit.features, edit.limits) {
            self.administers_accounts("change features and limits of accounts")?;
        }
        expected("account", expect, old.version)?;
        self.account_name_is_free(&edit.name, Some(id))?;
        let same = (&old.name, old.features, old.limits);
        if same == (&edit.name, edit.features, edit.limits) {
            return Ok(Outcome::Done);
        }
        let stamp = self.stamp;
        self.tx.change_account(id, |account| {
            account.name.clone_from(&edit.name);
            account.features = edit.features;
            account.limits = edit.limits;
            account.modified = Some(stamp);
            account.modified_by.clone_from(&edit.by);
            account.version += 1;
        })?;
        self.judge_executions(id)?;
        self.notes.changed_with(|| audit_records::account_changed(&old, edit));
        self.account_changed(id, RecordChange::Updated);
        Ok(Outcome::Done)
    }

    pub(super) fn delete_account(&mut self, id: AccountId, expect: Option<u64>) -> Applied {
        self.administers_accounts("delete accounts")?;
        let old = self.account(id)?;
        expected("account", expect, old.version)?;
        if id == FIRST_ACCOUNT {
            let message = "account 1 cannot be deleted: it came with the cluster";
            return Err(refuse(RejectionKind::Conflict, message));
        }
        if !old.held.is_nothing() {
            let has = |kind: Counted| match old.held.of(kind) {
                0 => None,
                number => Some(format!("{number} {}", kind.name())),
            };
            let has: Vec<_> = Counted::ALL.into_iter().filter_map(has).collect();
            let message = format!("account has {}: delete them first", has.join(", "));
            return Err(refuse(RejectionKind::Conflict, message));
        }
        accounts::drop_quota_pauses_of(self.tx, id)?;
        self.tx.remove_account(id)?;
        self.notes.fact("name", old.name);
        self.account_changed(id, RecordChange::Deleted);
        Ok(Outcome::Done)
    }

    /// Grants executions for the month of the stamp. They end with it.
    pub(super) fn grant_executions(&mut self, id: AccountId, count: u64) -> Applied {
        self.administers_accounts("grant executions")?;
        let month = month_of(self.stamp);
        let monthly = self.account(id)?.monthly.at(month);
        let granted = monthly.granted.checked_add(count).filter(|sum| *sum <= MAX_LIMIT);
        let Some(granted) = granted else {
            let message = format!("count: the executions of a month are at most {MAX_LIMIT}");
            return Err(refuse(RejectionKind::Invalid, message));
        };
        self.tx.change_account(id, |account| {
            account.monthly = monthly;
            account.monthly.granted = granted;
        })?;
        self.judge_executions(id)?;
        self.notes.fact("granted", count);
        self.account_changed(id, RecordChange::Updated);
        Ok(Outcome::Done)
    }

    /// Says whether all accounts are in reach: those of operators, whatever account they act for,
    /// and of keys that reach all of the first account.
    fn reaches_all_accounts(&self) -> bool {
        let is_operator =
            matches!(self.actor, None | Some(ActorRef::Operator | ActorRef::Node { .. }));
        let is_of_first = self.reach.has_account(FIRST_ACCOUNT);
        is_operator || (is_of_first && self.reach.reaches_all_projects())
    }

    fn administers_accounts(&self, what: &str) -> Result<(), Refusal> {
        if self.reaches_all_accounts() {
            return Ok(());
        }
        let message = format!("only an operator, or an api key of account 1, may {what}");
        Err(refuse(RejectionKind::Forbidden, message))
    }

    fn account(&mut self, id: AccountId) -> Result<Account, Refusal> {
        let in_reach = self.reaches_all_accounts() || self.reach.has_account(id);
        let found = if in_reach { self.tx.account(id)?.cloned() } else { None };
        found.ok_or_else(|| refuse(RejectionKind::NotFound, "account does not exist"))
    }

    fn account_name_is_free(&mut self, name: &str, but: Option<AccountId>) -> Result<(), Refusal> {
        match self.tx.account_named(name)? {
            Some(id) if Some(id) != but => {
                Err(refuse(RejectionKind::Conflict, "account with this name already exists"))
            }
            _ => Ok(()),
        }
    }

    /// Notes a change of an account. Whoever holds key pairs holds the rates of their accounts,
    /// too.
    fn account_changed(&mut self, id: AccountId, change: RecordChange) {
        self.change.credentials = true;
        self.record_changed(Noun::Account, id, change);
    }
}
