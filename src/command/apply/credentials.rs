//! Rules of credentials: a key is unique, an archived one opens nothing. Called by `apply` alone.

use super::{Applied, Entry, refuse};
use crate::command::{Outcome, RejectionKind};
use crate::model::credential::Credential;
use crate::store::credentials;
use crate::store::meta::Counter;

impl Entry<'_, '_> {
    /// Adds a credential; its creation is the entry's stamp, whatever the command says.
    pub(super) fn create_credential(&mut self, new: &Credential) -> Applied {
        if credentials::by_key(self.tx, &new.api_key)?.is_some() {
            return Err(refuse(RejectionKind::Conflict, "credential with this key already exists"));
        }
        let id = self.tx.take(Counter::Credential, 1)?;
        credentials::insert(self.tx, id, &Credential { created: self.stamp, ..new.clone() })?;
        self.change.credentials = true;
        Ok(Outcome::Created(id))
    }

    pub(super) fn archive_credential(
        &mut self,
        id: u64,
        archived: bool,
        by: Option<&str>,
    ) -> Applied {
        self.found(credentials::set_archived(self.tx, id, archived, by, self.stamp)?)
    }

    pub(super) fn delete_credential(&mut self, id: u64) -> Applied {
        self.found(credentials::delete(self.tx, id)?)
    }

    fn found(&mut self, found: bool) -> Applied {
        if !found {
            return Err(refuse(RejectionKind::NotFound, "credential cannot be found"));
        }
        self.change.credentials = true;
        Ok(Outcome::Done)
    }
}
