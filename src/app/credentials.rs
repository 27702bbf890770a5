//! Credentials: key pairs of clients. The secret is in the result of its creation and nowhere else.
//!
//! An operator reaches all credentials. A client's key reaches its own credential and those that
//! were made with it, or with keys that were made with it; any other is as if it did not exist.
//! Reads are limited here, changes in `command::apply`, which also records the parent. A request's
//! own words about who made something are kept beside that and decide nothing.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::page::{After, Page, PageWriter};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::model::credential::Credential;
use crate::secret::{Keys, SecretText, new_api_key};
use crate::store::credentials;

pub use crate::store::credentials::Order;

/// The longest `createdBy` and `archivedBy`, in bytes.
pub const LONGEST_BY: usize = 256;

/// A credential that is to be made.
#[derive(Clone, Debug)]
pub struct CredentialInput {
    /// It opens nothing from the beginning.
    pub archived: bool,
    /// The name that the creator gives itself, of at most [`LONGEST_BY`] bytes.
    pub created_by: Option<String>,
}

/// A change of a credential.
#[derive(Clone, Debug)]
pub struct CredentialEdit {
    /// It opens nothing from now on, or opens again what it opened.
    pub archived: bool,
    /// The name that whoever changes it gives itself, of at most [`LONGEST_BY`] bytes.
    pub by: Option<String>,
}

/// A credential that was made, with its secret.
#[derive(Clone, Debug)]
pub struct CreatedCredential {
    /// The credential.
    pub credential: Credential,
    /// The secret, which is shown once, and again to the same request under its key.
    pub secret: SecretText,
}

impl App {
    /// Creates a credential below the actor's own.
    ///
    /// # Errors
    ///
    /// `Forbidden` where the actor's own credential was archived meanwhile; `Conflict` where the
    /// credential that the same request made before has been deleted since, or its secret cannot be
    /// shown again.
    pub async fn create_credential(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: CredentialInput,
    ) -> Result<CreatedCredential, Error> {
        authorize(actor, Action::CredentialsWrite, Resource::Any)?;
        let (api_key, random) = new_api_key();
        // Under an idempotency key the secret is derived from that key and from the public part of
        // the pair. The public part is new with each creation and kept with the credential. So the
        // same request gets the same answer, no store holds the secret, and a deleted pair never
        // comes back.
        let secret = match &key {
            Some(key) => self.keys.api_secret_for(&key.key, &key.body, &api_key),
            None => random,
        };
        let new = Credential {
            id: 0,
            api_key,
            verifier: self.keys.verifier(&secret),
            archived: input.archived,
            created: 0,
            modified: None,
            created_by: input.created_by,
            archived_by: None,
            parent: None,
        };
        let command = Command::CreateCredential(new).by_client(actor.limit());
        let id = match self.propose(actor, Key::wrap(key, command)).await? {
            Outcome::Created(id) => id,
            other => return Err(refused(other)),
        };
        self.auth.forget();
        let stored = self.read_at(actor, ReadPhase::AfterWrite, move |conn| {
            // The result is the actor's, also where its own credential is gone meanwhile.
            credentials::get(conn, id)
        });
        let credential = stored.await?.ok_or_else(|| {
            Error::conflict(
                "the credential that this Idempotency-Key made has been deleted since: send \
                 another Idempotency-Key to create a new one",
            )
        })?;
        let secret = match &key {
            Some(key) => secret_again(&self.keys, key, &credential)?,
            None => secret.into(),
        };
        Ok(CreatedCredential { credential, secret })
    }

    /// Reads a credential that the actor reaches.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none.
    pub async fn get_credential(&self, actor: &Actor, id: u64) -> Result<Credential, Error> {
        authorize(actor, Action::CredentialsRead, Resource::Any)?;
        self.load_credential(actor, id, ReadPhase::BeforeWrite).await
    }

    /// Writes a page of the credentials that the actor reaches.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_credentials<W: PageWriter<Credential>>(
        &self,
        actor: &Actor,
        page: Page<Order>,
        mut writer: W,
    ) -> Result<W::Written, Error> {
        authorize(actor, Action::CredentialsRead, Resource::Any)?;
        let client = actor.limit();
        let written = self.read(actor, move |conn| {
            let (total, found) = credentials::list(conn, &page, client)?;
            writer.begin(total.into());
            for credential in found {
                let after = After { key: None, id: credential.id };
                if !writer.push(credential, after) {
                    break;
                }
            }
            Ok(writer.end())
        });
        written.await
    }

    /// Archives a credential, with all below it, or takes it back into use.
    ///
    /// # Errors
    ///
    /// `NotFound` where the actor reaches no such credential; `Forbidden` where the change is for
    /// an operator, or the actor's own credential was archived meanwhile.
    pub async fn update_credential(
        &self,
        actor: &Actor,
        id: u64,
        edit: CredentialEdit,
    ) -> Result<Credential, Error> {
        authorize(actor, Action::CredentialsWrite, Resource::Any)?;
        let CredentialEdit { archived, by } = edit;
        self.change_credential(actor, Command::ArchiveCredential { id, archived, by }).await?;
        self.load_credential(actor, id, ReadPhase::AfterWrite).await
    }

    /// Deletes a credential.
    ///
    /// # Errors
    ///
    /// `NotFound` where the actor reaches no such credential; `Forbidden` where it is the actor's
    /// own.
    pub async fn delete_credential(&self, actor: &Actor, id: u64) -> Result<(), Error> {
        authorize(actor, Action::CredentialsWrite, Resource::Any)?;
        self.change_credential(actor, Command::DeleteCredential { id }).await
    }

    /// Ends the sessions of browsers that were begun with a credential; without one, those of the
    /// actor itself, for an operator those of all operators.
    ///
    /// # Errors
    ///
    /// `NotFound` where the actor reaches no such credential; `Forbidden` where the actor's own
    /// credential was archived meanwhile.
    pub async fn end_sessions(&self, actor: &Actor, credential: Option<u64>) -> Result<(), Error> {
        authorize(actor, Action::CredentialsWrite, Resource::Any)?;
        let credential = credential.or(actor.limit());
        self.change_credential(actor, Command::EndSessions { credential }).await
    }

    /// Commits a change of a credential. This node refuses an archived key from then on.
    async fn change_credential(&self, actor: &Actor, command: Command) -> Result<(), Error> {
        match self.propose(actor, command.by_client(actor.limit())).await? {
            Outcome::Done => {
                self.auth.forget();
                Ok(())
            }
            other => Err(refused(other)),
        }
    }

    /// Reads a credential that the actor reaches in this phase of a use case.
    async fn load_credential(
        &self,
        actor: &Actor,
        id: u64,
        phase: ReadPhase,
    ) -> Result<Credential, Error> {
        let client = actor.limit();
        let found = self.read_at(actor, phase, move |conn| {
            let reached = match client {
                Some(client) => credentials::is_within(conn, client, id)?,
                None => true,
            };
            if reached { credentials::get(conn, id) } else { Ok(None) }
        });
        found.await?.ok_or_else(|| Error::not_found("credential cannot be found"))
    }
}

/// The secret of a credential that was made under this key, now or before. `Conflict` where it is
/// not known any more, since an earlier version made another secret of the same key: a success
/// without a secret would mislead.
fn secret_again(keys: &Keys, key: &Key, stored: &Credential) -> Result<SecretText, Error> {
    let secret = keys.api_secret_for(&key.key, &key.body, &stored.api_key);
    // Only the secret that this very credential verifies is shown.
    if keys.verify(&secret, &stored.verifier) {
        return Ok(secret.into());
    }
    let id = stored.id;
    Err(Error::conflict(format!(
        "credential {id} was made under this Idempotency-Key by an earlier version, and its secret \
         cannot be shown again: send another Idempotency-Key to create a new credential, and delete \
         {id} if its secret was never received"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ErrorKind;

    fn stored(keys: &Keys, secret: &str) -> Credential {
        Credential {
            id: 7,
            api_key: "s0_key".into(),
            verifier: keys.verifier(secret),
            archived: false,
            created: 0,
            modified: None,
            created_by: None,
            archived_by: None,
            parent: None,
        }
    }

    #[test]
    fn a_secret_that_is_not_known_any_more_is_no_success() {
        let keys = Keys::new(&"ab".repeat(32), "node", "password").unwrap();
        let key = Key { key: [1; 32], body: [2; 32] };
        let secret = keys.api_secret_for(&key.key, &key.body, "s0_key");
        assert_eq!(*secret_again(&keys, &key, &stored(&keys, &secret)).unwrap(), **secret);
        // A secret that an earlier version derived, or one of another key.
        let earlier = stored(&keys, "what it was before");
        let refused = secret_again(&keys, &key, &earlier).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        let said = format!("{refused:?}");
        assert!(
            said.contains("credential 7") && said.contains("another Idempotency-Key"),
            "{said}"
        );
        assert!(!said.contains(&**secret), "{said}");
    }

    #[test]
    fn a_created_credential_does_not_print_its_secret() {
        let keys = Keys::new(&"ab".repeat(32), "node", "password").unwrap();
        let credential = stored(&keys, "hunter2");
        let made = CreatedCredential { credential, secret: "hunter2".to_owned().into() };
        let printed = format!("{made:?}");
        assert!(printed.contains("id: 7") && !printed.contains("hunter2"), "{printed}");
    }
}
