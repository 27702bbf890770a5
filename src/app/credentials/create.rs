//! New key pairs.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::credentials::terms::{TermsInput, no_scopes};
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::model::credential::Credential;
use crate::model::key_terms::KeyTerms;
use crate::secret::{Keys, SecretText, new_api_key};
use crate::store::credentials;

/// A credential that is to be made.
#[derive(Clone, Debug, Default)]
pub struct CredentialInput {
    /// The credential is archived from the beginning: its key opens nothing.
    pub archived: bool,
    /// The name that the creator gives itself, of at most [`super::LONGEST_BY`] bytes.
    pub created_by: Option<String>,
    /// What the key may be used for, until when, and from where.
    pub terms: TermsInput,
}

/// A credential that was made or rotated, with its secret.
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
    /// `Invalid` for terms that are not valid; `Forbidden` where the actor's own credential was
    /// archived meanwhile, or lacks what it is to give; `Conflict` where the credential that the
    /// same request made before has been deleted since, or its secret cannot be shown again;
    /// `UpgradePending` for terms while a member of the cluster does not know them.
    pub async fn create_credential(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: CredentialInput,
    ) -> Result<CreatedCredential, Error> {
        authorize(actor, Action::CredentialsWrite, Resource::Any)?;
        self.projects_exist(actor, &input.terms.projects).await?;
        let terms = input.terms.apply_to(KeyTerms::default(), self.now())?;
        if self.config.require_key_scopes && terms.scopes.is_none() {
            return Err(no_scopes());
        }
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
            api_key,
            verifier: self.keys.verifier(&secret),
            archived: input.archived,
            created_by: input.created_by,
            terms,
            ..Credential::default()
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
}

/// The secret of a credential that was made under this key, now or before. `Conflict` where it is
/// not known any more, since the secret was rotated, or an earlier version made another secret of
/// the same key: a success without a secret would mislead.
fn secret_again(keys: &Keys, key: &Key, stored: &Credential) -> Result<SecretText, Error> {
    let secret = keys.api_secret_for(&key.key, &key.body, &stored.api_key);
    // Only the secret that this very credential verifies is shown.
    if keys.verify(&secret, &stored.verifier) {
        return Ok(secret.into());
    }
    let id = stored.id;
    if stored.old_secret.is_some() {
        return Err(Error::conflict(format!(
            "credential {id} was made under this Idempotency-Key, and its secret was rotated since: \
             send another Idempotency-Key to create a new credential"
        )));
    }
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
    use crate::model::credential::OldSecret;

    fn stored(keys: &Keys, secret: &str) -> Credential {
        Credential {
            id: 7,
            api_key: "s0_key".into(),
            verifier: keys.verifier(secret),
            ..Credential::default()
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
        let old_secret = Some(OldSecret { verifier: keys.verifier(&secret), until: 9 });
        let rotated = Credential { old_secret, ..earlier };
        let refused = secret_again(&keys, &key, &rotated).unwrap_err();
        assert!(refused.message().contains("rotated since"), "{refused:?}");
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
