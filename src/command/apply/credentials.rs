//! Rules of credentials: a key is unique, an archived key authenticates no one, and a client's key
//! reaches only what was made with it.
//!
//! Credentials form trees (*credential tree*). One that an operator made is a root; one
//! that was made with a key has that key's credential as its parent. Archiving or deleting a
//! credential archives all below it, so that nothing that was made with a leaked key outlives it.

use super::entry::{Applied, Entry, Refusal, refuse};
use crate::command::{Command, Outcome, RejectionKind};
use crate::model::credential::Credential;
use crate::store::credentials;
use crate::store::meta::{self, Sequence};

impl Entry<'_, '_> {
    /// Carries out a command within the reach of a client's key. The key was valid when the request
    /// was authenticated; only here is it known whether it still is.
    pub(super) fn by_client(&mut self, client: u64, command: &Command) -> Applied {
        // The wrapper is what an entry without an actor has. Where both are there, they agree.
        if self.client().is_some_and(|actor| actor != client) {
            let message = "this command is limited to another api key than that of its request";
            return Err(refuse(RejectionKind::Forbidden, message));
        }
        let caller = credentials::get(self.tx, client)?;
        if caller.is_none_or(|caller| caller.archived) {
            let message = "the api key of this request was archived or deleted meanwhile";
            return Err(refuse(RejectionKind::Forbidden, message));
        }
        match command {
            Command::CreateCredential(new) => self.create_credential(new, Some(client)),
            Command::ArchiveCredential { id, archived, by } => {
                let old = self.reached(client, *id)?;
                if old.archived && !archived {
                    let message = "only an operator takes an archived credential back into use: sign in with \
                         the node's username and password, or create a new credential";
                    return Err(refuse(RejectionKind::Forbidden, message));
                }
                self.archive_credential(*id, *archived, by.as_deref())
            }
            Command::DeleteCredential { id } => {
                self.reached(client, *id)?;
                if *id == client {
                    let message = "an api key cannot delete its own credential: archive it, or let an \
                         operator delete it";
                    return Err(refuse(RejectionKind::Forbidden, message));
                }
                self.delete_credential(*id)
            }
            Command::EndSessions { credential: Some(id) } => {
                self.reached(client, *id)?;
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
    /// exist.
    fn reached(&mut self, client: u64, id: u64) -> Result<Credential, Refusal> {
        let found = credentials::get(self.tx, id)?;
        match found {
            Some(found) if credentials::is_within(self.tx, client, id)? => Ok(found),
            _ => Err(missing()),
        }
    }

    /// Adds a credential, created at the stamp of the entry.
    pub(super) fn create_credential(&mut self, new: &Credential, parent: Option<u64>) -> Applied {
        if credentials::by_key(self.tx, &new.api_key)?.is_some() {
            return Err(refuse(RejectionKind::Conflict, "credential with this key already exists"));
        }
        let id = self.tx.take(Sequence::Credential, 1)?;
        let new = Credential { created: self.stamp, parent, ..new.clone() };
        credentials::insert(self.tx, id, &new)?;
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

    pub(super) fn delete_credential(&mut self, id: u64) -> Applied {
        let Some(old) = credentials::get(self.tx, id)? else { return Err(missing()) };
        credentials::archive_below(self.tx, id, None, self.stamp)?;
        credentials::set_parent_of_children(self.tx, id, old.parent)?;
        credentials::delete(self.tx, id)?;
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
}

fn missing() -> Refusal {
    refuse(RejectionKind::NotFound, "credential cannot be found")
}
