//! The rights of actors over accounts: the accounts that an actor sees, and whether it administers
//! them. The scopes that it needs for that are in the table of `app::authz`; `command::apply`
//! judges changes once more.

use crate::app::actor::{Actor, ActorKind};
use crate::app::error::Error;
use crate::model::{AccountId, FIRST_ACCOUNT};

/// Says whether an actor administers all accounts: an operator, whatever account it acts for, and a
/// key or token that reaches all of the first one.
pub(super) fn administers(actor: &Actor) -> bool {
    let reach = actor.reach();
    actor.kind == ActorKind::Operator
        || (reach.has_account(FIRST_ACCOUNT) && reach.reaches_all_projects())
}

/// The one account that an actor sees; `None` where it sees all. An operator sees the one that its
/// request has chosen.
pub(super) fn only_account(actor: &Actor) -> Option<AccountId> {
    let sees_all = actor.kind != ActorKind::Operator && administers(actor);
    actor.reach().account().filter(|_| !sees_all)
}

/// Refuses an account that an actor does not see, as one that does not exist.
pub(super) fn sees(actor: &Actor, id: AccountId) -> Result<(), Error> {
    match only_account(actor) {
        Some(own) if own != id => Err(missing_account()),
        _ => Ok(()),
    }
}

/// Refuses an actor that does not administer accounts.
pub(super) fn require_administrator(actor: &Actor, what: &str) -> Result<(), Error> {
    if administers(actor) {
        return Ok(());
    }
    let message = format!("only an operator, or an api key of account 1, may {what}");
    Err(Error::forbidden(message))
}

/// Refuses an actor that reaches a part of the projects of its account.
pub(super) fn whole_account(actor: &Actor) -> Result<(), Error> {
    if actor.reach().reaches_all_projects() {
        return Ok(());
    }
    let message = "an api key that is bound to projects cannot change accounts: use another one";
    Err(Error::forbidden(message))
}

/// The error where an account does not exist.
pub(super) fn missing_account() -> Error {
    Error::not_found("account does not exist")
}
