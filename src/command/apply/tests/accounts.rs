//! Accounts: the first one, unique names, changes as a whole, and deletion when nothing is left.

use serde_json::json;

use super::audit_cases::Case;
use super::*;
use crate::model::FIRST_ACCOUNT;
use crate::model::account::{Account, AccountEdit, Limits, NewAccount};
use crate::model::event::{Fact, Noun, RecordChange};
use crate::model::feature::{Feature, Features};
use crate::store::accounts;

impl ApplyFixture {
    pub(super) fn account(&self, id: u64) -> Account {
        self.read(|c| accounts::get(c, id)).unwrap_or_else(|| panic!("account {id} is gone"))
    }

    /// Changes an account: all that it is, but for what `change` does.
    pub(super) fn edit_account(&mut self, id: u64, change: impl FnOnce(&mut AccountEdit)) {
        let edit = edited(&self.account(id), change);
        self.done(Command::UpdateAccount { id, expect: None, edit: Box::new(edit) });
    }

    /// Sets the limits of the first account.
    pub(super) fn limit(&mut self, limits: Limits) {
        self.edit_account(FIRST_ACCOUNT, |edit| edit.limits = limits);
    }
}

fn edited(account: &Account, change: impl FnOnce(&mut AccountEdit)) -> AccountEdit {
    let (name, features, limits) = (account.name.clone(), account.features, account.limits);
    let mut edit = AccountEdit { name, features, limits, by: Some("me".into()) };
    change(&mut edit);
    edit
}

pub(super) fn new_account(name: &str) -> Command {
    let by = Some("me".to_owned());
    Command::CreateAccount(Box::new(NewAccount { name: name.into(), by, ..NewAccount::default() }))
}

#[test]
fn the_first_account_has_everything_that_was_there_and_stays() {
    let mut state = ApplyFixture::new();
    let first = state.account(FIRST_ACCOUNT);
    assert_eq!((first.name.as_str(), first.features, first.version), ("default", Features::ALL, 1));
    assert_eq!((first.limits, first.held.projects, first.created), (Limits::default(), 1, None));
    let delete = Command::DeleteAccount { id: FIRST_ACCOUNT, expect: None };
    let (kind, why) = state.refused(&delete);
    assert_eq!(kind, RejectionKind::Conflict);
    assert!(why.contains("account 1 cannot be deleted"), "{why}");
}

#[test]
fn a_name_is_taken_once_and_an_edit_is_for_the_version_that_it_names() {
    let mut state = ApplyFixture::new();
    let taken = (RejectionKind::Conflict, "account with this name already exists".to_owned());
    assert_eq!(state.refused(&new_account("default")), taken);
    assert_eq!(state.done(new_account("shop")), Outcome::Created(2));
    let facts: Vec<_> = state.change.events.facts().iter().map(|one| one.fact.clone()).collect();
    let created = Fact::Record { noun: Noun::Account, id: 2, change: RecordChange::Created };
    assert_eq!((facts, state.change.credentials), (vec![created], true));
    let shop = state.account(2);
    assert_eq!(
        (shop.features, shop.created, shop.created_by.as_deref()),
        (Features::NONE, Some(START), Some("me"))
    );
    let update = |state: &ApplyFixture, expect, change: fn(&mut AccountEdit)| {
        let edit = Box::new(edited(&state.account(2), change));
        Command::UpdateAccount { id: 2, expect, edit }
    };
    assert_eq!(state.refused(&update(&state, None, |edit| edit.name = "default".into())), taken);
    let outdated = update(&state, Some(2), |edit| edit.name = "b".into());
    assert_eq!(state.refused(&outdated).0, RejectionKind::Stale);
    state.now += 5;
    state.done(update(&state, Some(1), |edit| {
        edit.name = "b".into();
        edit.features = Features::NONE.with(Feature::LongRuns);
        edit.limits.jobs = Some(7);
    }));
    let shop = state.account(2);
    assert_eq!((shop.name.as_str(), shop.version, shop.modified), ("b", 2, Some(START + 5)));
    assert_eq!((shop.features.to_string().as_str(), shop.limits.jobs), ("long_runs", Some(7)));
    // The old name is free, and what is so already is no change.
    assert_eq!(state.done(new_account("shop")), Outcome::Created(3));
    state.done(update(&state, None, |_| {}));
    assert_eq!(state.account(2).version, 2);
    let missing = Command::UpdateAccount { id: 9, expect: None, edit: Box::default() };
    assert_eq!(state.refused(&missing).0, RejectionKind::NotFound);
}

#[test]
fn names_are_judged_alike_within_a_transaction_and_across_several() {
    let mut state = ApplyFixture::new();
    let rename = |id, name: &str| Command::UpdateAccount {
        id,
        expect: None,
        edit: Box::new(AccountEdit { name: name.into(), ..AccountEdit::default() }),
    };
    let delete = |id| Command::DeleteAccount { id, expect: None };
    state.apply_all(&[
        new_account("a"),
        new_account("b"),
        rename(3, "c"),
        rename(2, "b"),
        delete(3),
        new_account("c"),
    ]);
    let names: Vec<_> =
        state.read(accounts::all).into_iter().map(|one| (one.id, one.name)).collect();
    let expected = [(1, "default"), (2, "b"), (4, "c")];
    assert_eq!(names, expected.map(|(id, name)| (id, name.to_owned())));
}

#[test]
fn an_account_goes_when_nothing_is_left() {
    let mut state = ApplyFixture::new();
    state.done(new_account("shop"));
    let delete = |id, expect| Command::DeleteAccount { id, expect };
    assert_eq!(state.refused(&delete(9, None)).0, RejectionKind::NotFound);
    assert_eq!(state.refused(&delete(2, Some(7))).0, RejectionKind::Stale);
    state.done(delete(2, Some(1)));
    assert_eq!(state.count("accounts"), 1);
    assert_eq!(state.refused(&delete(2, None)).0, RejectionKind::NotFound);
    assert_eq!(state.done(new_account("shop")), Outcome::Created(3), "a number is given once");
}

/// The commands of accounts, with their rows of the audit.
pub(super) fn audited() -> [Case; 4] {
    let new = NewAccount { name: "shop".into(), ..NewAccount::default() };
    let limits = Limits { jobs: Some(5), ..Limits::default() };
    let edit = AccountEdit { name: "shop".into(), limits, ..AccountEdit::default() };
    [
        (
            Command::CreateAccount(Box::new(new)),
            "create",
            "account",
            Some("2"),
            None,
            json!({"changes": {"name": {"new": "shop"}}}),
        ),
        (
            Command::UpdateAccount { id: 2, expect: None, edit: Box::new(edit) },
            "update",
            "account",
            Some("2"),
            None,
            json!({"changes": {"limits.jobs": {"new": 5}}}),
        ),
        (
            Command::GrantExecutions { id: 2, count: 7 },
            "grant",
            "account",
            Some("2"),
            None,
            json!({"granted": 7}),
        ),
        (
            Command::DeleteAccount { id: 2, expect: None },
            "delete",
            "account",
            Some("2"),
            None,
            json!({"name": "shop"}),
        ),
    ]
}
