//! Rules of credentials: a key is unique, an archived key authenticates no one, and a client's key
//! reaches only what was made with it.
//!
//! Credentials form trees (*credential tree*). One that an operator made is a root; one
//! that was made with a key has that key's credential as its parent. Archiving or deleting a
//! credential archives all below it, so that nothing that was made with a leaked key outlives it.
//!
//! A key gives no more than it has, and changes no key that has more (*no escalation*). Both are
//! judged here against the rows, so that two requests cannot race.

use super::audit_diff::word;
use super::audit_records::{new_key, terms_changed};
use super::entry::{Applied, Entry, Refusal, refuse};
use crate::command::{Command, Outcome, RejectionKind};
use crate::model::Millis;
use crate::model::account::Counted;
use crate::model::credential::{Credential, HOUR_MS, KeyUse, OldSecret};
use crate::model::key_terms::{KeyTerms, TermsEdit};
use crate::model::scope::Scopes;
use crate::store::meta::{self, Sequence};
use crate::store::{credentials, ended_sessions};

/// The longest time for which an ended session is remembered, in milliseconds. No session is
/// longer.
const LONGEST_SESSION: Millis = 24 * HOUR_MS;
/// The most ended sessions that are remembered: each node reads them with the credentials.
const MOST_ENDED_SESSIONS: u64 = 20_000;

impl Entry<'_, '_> {
    /// Carries out a command within the reach of a client's key. The key was valid when the request
    /// was authenticated; only here is it known whether it still is.
    pub(super) fn by_client(&mut self, client: u64, command: &Command) -> Applied {
        // The wrapper is what an entry without an actor has. Where both are there, they agree.
        if self.client().is_some_and(|actor| actor != client) {
            let message = "this command is limited to another api key than that of its request";
            return Err(refuse(RejectionKind::Forbidden, message));
        }
        let caller = credentials::get(self.tx, client)?.filter(|caller| !caller.archived);
        let Some(caller) = caller else {
            let message = "the api key of this request was archived or deleted meanwhile";
            return Err(refuse(RejectionKind::Forbidden, message));
        };
        if !caller.terms.hold_at(self.stamp) {
            let message = "the api key of this request has expired meanwhile";
            return Err(refuse(RejectionKind::Forbidden, message));
        }
        match command {
            Command::CreateCredential(new) => {
                within(&new.terms, &caller)?;
                self.create_credential(new, Some(client))
            }
            Command::ArchiveCredential { id, archived, by } => {
                let old = self.reached(&caller, *id)?;
                may_archive(&old, Some(*archived))?;
                self.archive_credential(*id, *archived, by.as_deref())
            }
            Command::ChangeCredential { id, edit, by } => {
                let old = self.reached(&caller, *id)?;
                may_archive(&old, edit.archived)?;
                if *id == client && old.terms.rate.is_none() && edit.to.rate.is_some() {
                    // It would count by that instead of the rate of the configuration.
                    let message = "an api key cannot give itself a rate: let an operator do it";
                    return Err(refuse(RejectionKind::Forbidden, message));
                }
                within(&given(&edit.to, (*id == client).then_some(&caller)), &caller)?;
                self.change_credential(*id, edit, by.as_deref())
            }
            Command::RotateCredential { id, verifier, overlap } => {
                self.reached(&caller, *id)?;
                self.rotate_credential(*id, verifier, *overlap)
            }
            Command::DeleteCredential { id } => {
                self.reached(&caller, *id)?;
                if *id == client {
                    let message = "an api key cannot delete its own credential: archive it, or let an \
                         operator delete it";
                    return Err(refuse(RejectionKind::Forbidden, message));
                }
                self.delete_credential(*id)
            }
            Command::EndSessions { credential: Some(id) } => {
                self.reached(&caller, *id)?;
                self.end_sessions(Some(*id))
            }
            Command::EndSessions { credential: None } => {
                let message =
                    "an api key cannot end the sessions of operators: name its credential";
                Err(refuse(RejectionKind::Forbidden, message))
            }
            _ => {
                let message = "this command cannot be limited to what a client's key made";
                Err(refuse(RejectionKind::Invalid, message))
            }
        }
    }

    /// A credential that is the client's own or below it; any other is refused as if it did not
    /// exist. One below it that has more than it has, as an operator may have given it, is refused,
    /// too: its new secret would open more than the client's.
    fn reached(&mut self, caller: &Credential, id: u64) -> Result<Credential, Refusal> {
        let found = credentials::get(self.tx, id)?;
        let Some(found) = found else { return Err(missing()) };
        if !credentials::is_within(self.tx, caller.id, id)? {
            return Err(missing());
        }
        if id != caller.id
            && let Some(excess) = found.terms.beyond(&caller.terms)
        {
            let message = format!(
                "this api key cannot change credential {id}, which has more than it has: {excess}"
            );
            return Err(refuse(RejectionKind::Forbidden, message));
        }
        Ok(found)
    }

    /// Adds a credential, created at the stamp of the entry.
    pub(super) fn create_credential(&mut self, new: &Credential, parent: Option<u64>) -> Applied {
        if credentials::by_key(self.tx, &new.api_key)?.is_some() {
            return Err(refuse(RejectionKind::Conflict, "credential with this key already exists"));
        }
        let account = self.reach.account_of_new();
        self.within_limit(account, Counted::Credentials, 1)?;
        let id = self.tx.take(Sequence::Credential, 1)?;
        let new = Credential { created: self.stamp, parent, account, ..new.clone() };
        credentials::insert(self.tx, id, &new)?;
        self.count_held(account, Counted::Credentials, 1)?;
        self.notes.changed_with(|| new_key(&new));
        self.change.credentials = true;
        Ok(Outcome::Created(id))
    }

    pub(super) fn archive_credential(
        &mut self,
        id: u64,
        archived: bool,
        by: Option<&str>,
    ) -> Applied {
        if !credentials::set_archived(self.tx, id, archived, by, self.stamp)? {
            return Err(missing());
        }
        if archived {
            credentials::archive_below(self.tx, id, by, self.stamp)?;
        }
        self.change.credentials = true;
        Ok(Outcome::Done)
    }

    /// Replaces the terms of a credential, and archives it or takes it back where that is asked.
    pub(super) fn change_credential(
        &mut self,
        id: u64,
        edit: &TermsEdit,
        by: Option<&str>,
    ) -> Applied {
        let Some(old) = credentials::get(self.tx, id)? else { return Err(missing()) };
        if old.terms != edit.from {
            let message = "credential has changed since: read it again and repeat the change";
            return Err(refuse(RejectionKind::Stale, message));
        }
        credentials::set_terms(self.tx, id, &edit.to, self.stamp)?;
        self.notes.changed_with(|| terms_changed(&old.terms, &edit.to));
        if let Some(archived) = edit.archived {
            self.notes.fact("archived", archived);
        }
        self.change.credentials = true;
        match edit.archived {
            Some(archived) => self.archive_credential(id, archived, by),
            None => Ok(Outcome::Done),
        }
    }

    /// Gives a credential another secret. The one before opens until the end of the overlap, and
    /// the one before that opens nothing any more. Without an overlap the sessions of browsers end,
    /// too: they were begun with a secret that is to open nothing.
    pub(super) fn rotate_credential(
        &mut self,
        id: u64,
        verifier: &[u8],
        overlap: Millis,
    ) -> Applied {
        let Some(old) = credentials::get(self.tx, id)? else { return Err(missing()) };
        // Without an overlap no clock, however late, lets it open. It is kept all the same: the
        // answer to the same request follows from it.
        let until = if overlap > 0 { self.stamp.saturating_add(overlap) } else { 0 };
        let old = OldSecret { verifier: old.verifier, until };
        credentials::set_secret(self.tx, id, verifier, &old, self.stamp)?;
        self.notes.changed_with(|| vec![word("secret", "changed")]);
        self.notes.fact("overlapMs", overlap);
        if overlap <= 0 {
            credentials::end_sessions(self.tx, id, self.stamp)?;
        }
        self.change.credentials = true;
        Ok(Outcome::Done)
    }

    /// Notes uses of keys. An hour that is not over by log time is the latest that counts.
    pub(super) fn touch_credentials(&mut self, uses: &[KeyUse]) -> Applied {
        let latest = self.stamp.div_euclid(HOUR_MS);
        for used in uses {
            let at_most = KeyUse { hour: used.hour.min(latest), ..*used };
            self.change.credentials |= credentials::touch(self.tx, &at_most)?;
        }
        Ok(Outcome::Done)
    }

    pub(super) fn delete_credential(&mut self, id: u64) -> Applied {
        let Some(old) = credentials::get(self.tx, id)? else { return Err(missing()) };
        credentials::archive_below(self.tx, id, None, self.stamp)?;
        credentials::set_parent_of_children(self.tx, id, old.parent)?;
        credentials::delete(self.tx, id)?;
        self.count_held(old.account, Counted::Credentials, -1)?;
        self.notes.changed_with(|| terms_changed(&old.terms, &KeyTerms::default()));
        self.change.credentials = true;
        Ok(Outcome::Done)
    }

    /// Ends the sessions that were begun with a credential, or by operators, up to the stamp.
    pub(super) fn end_sessions(&mut self, credential: Option<u64>) -> Applied {
        match credential {
            Some(id) if !credentials::end_sessions(self.tx, id, self.stamp)? => {
                return Err(missing());
            }
            Some(_) => {}
            None => meta::end_operator_sessions(self.tx, self.stamp)?,
        }
        self.change.credentials = true;
        Ok(Outcome::Done)
    }

    /// Remembers that a session is over, until it would have ended, and forgets those that would
    /// have ended by now.
    pub(super) fn end_session(&mut self, session: u64, expires: Millis) -> Applied {
        ended_sessions::drop_before(self.tx, self.stamp)?;
        if ended_sessions::count(self.tx)? >= MOST_ENDED_SESSIONS {
            let message = "too many sessions were ended one by one: sign out everywhere";
            return Err(refuse(RejectionKind::Conflict, message));
        }
        if expires > self.stamp {
            let latest = self.stamp.saturating_add(LONGEST_SESSION);
            ended_sessions::insert(self.tx, session, expires.min(latest))?;
        }
        self.change.credentials = true;
        Ok(Outcome::Done)
    }
}

/// Refuses that a client takes an archived credential back into use.
fn may_archive(old: &Credential, archived: Option<bool>) -> Result<(), Refusal> {
    if old.archived && archived == Some(false) {
        let message = "only an operator takes an archived credential back into use: sign in \
                       with the node's username and password, or create a new credential";
        return Err(refuse(RejectionKind::Forbidden, message));
    }
    Ok(())
}

/// The terms that a change gives: scopes on the cluster that a key keeps itself are not given.
fn given(to: &KeyTerms, own: Option<&Credential>) -> KeyTerms {
    let kept = own.map_or(Scopes::NONE, |own| own.terms.scopes() & Scopes::OF_CLUSTER);
    KeyTerms { scopes: Some(to.scopes().without(kept)), ..to.clone() }
}

/// Refuses terms that go beyond those of the key that gives them.
fn within(terms: &KeyTerms, giver: &Credential) -> Result<(), Refusal> {
    let Some(excess) = terms.beyond(&giver.terms) else { return Ok(()) };
    let message = format!("this api key cannot give a credential more than it has: {excess}");
    Err(refuse(RejectionKind::Forbidden, message))
}

/// The refusal of a credential that does not exist.
pub(super) fn missing() -> Refusal {
    refuse(RejectionKind::NotFound, "credential cannot be found")
}
