//! New secrets for key pairs that stay.

use zeroize::Zeroizing;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::credentials::create::CreatedCredential;
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::model::Millis;
use crate::model::credential::Credential;
use crate::secret::{Keys, new_api_key};

/// The longest time for which an old secret opens, in milliseconds: 30 days.
pub const LONGEST_OVERLAP: Millis = 30 * 86_400_000;
/// That time where a request does not say it: a day.
const OVERLAP: Millis = 86_400_000;

impl App {
    /// Gives a credential another secret. The old one opens too until the overlap is over, which is
    /// a day unless it is given; 0 ends it at once, with its sessions of browsers.
    ///
    /// # Errors
    ///
    /// `NotFound` where the actor reaches no such credential; `Forbidden` where it has more than
    /// the actor's own; `Conflict` where it was rotated once more since, so that the secret of this
    /// request opens nothing; `UpgradePending` while a member of the cluster does not know it.
    pub async fn rotate_credential(
        &self,
        actor: &Actor,
        key: Option<Key>,
        id: u64,
        overlap: Option<Millis>,
    ) -> Result<CreatedCredential, Error> {
        authorize(actor, Action::CredentialsWrite, Resource::Any)?;
        self.linearize().await?;
        let old = self.load_credential(actor, id, ReadPhase::BeforeWrite).await?;
        let secret = match &key {
            Some(key) => secret_after(&self.keys, key, &old.api_key, &old.verifier),
            None => new_api_key().1,
        };
        let verifier = self.keys.verifier(&secret);
        let overlap = overlap.unwrap_or(OVERLAP);
        let command = Command::RotateCredential { id, verifier, overlap };
        let command = Key::wrap(key, command.by_client(actor.limit()));
        match self.propose(actor, command).await? {
            Outcome::Done => self.auth.forget(),
            other => return Err(refused(other)),
        }
        let credential = self.load_credential(actor, id, ReadPhase::AfterWrite).await?;
        let secret = in_use(&self.keys, key.as_ref(), &credential, secret)?;
        Ok(CreatedCredential { credential, secret: secret.into() })
    }
}

/// The secret of a rotation under an idempotency key: derived from the request, and from the
/// verifier of the secret before it, which the credential keeps. So the same request gets the same
/// answer, and another day's request another secret.
fn secret_after(keys: &Keys, key: &Key, api_key: &str, before: &[u8]) -> Zeroizing<String> {
    keys.api_secret_for(&key.key, &key.body, &format!("{api_key} after {}", hex::encode(before)))
}

/// The secret in use, where this request has set it, now or before.
fn in_use(
    keys: &Keys,
    key: Option<&Key>,
    stored: &Credential,
    made: Zeroizing<String>,
) -> Result<Zeroizing<String>, Error> {
    let before = key.zip(stored.old_secret.as_ref());
    let again = before
        .map(|(key, old)| secret_after(keys, key, &stored.api_key, &old.verifier))
        .into_iter();
    let mut both = std::iter::once(made).chain(again);
    both.find(|secret| keys.verify(secret, &stored.verifier)).ok_or_else(|| {
        let id = stored.id;
        Error::conflict(format!(
            "credential {id} was rotated once more since, and the secret of this request opens \
             nothing: rotate it again, with another Idempotency-Key"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ErrorKind;
    use crate::model::credential::OldSecret;

    #[test]
    fn the_secret_of_a_rotation_is_shown_to_the_same_request_while_it_is_in_use() {
        let keys = Keys::new(&"ab".repeat(32), "node", "password").unwrap();
        let key = Key { key: [1; 32], body: [2; 32] };
        let first = keys.verifier("first");
        let made = secret_after(&keys, &key, "s0_key", &first);
        let rotated = |verifier: &[u8], before: &[u8]| Credential {
            id: 7,
            api_key: "s0_key".into(),
            verifier: verifier.to_vec(),
            old_secret: Some(OldSecret { verifier: before.to_vec(), until: 9 }),
            ..Credential::default()
        };
        let second = keys.verifier(&made);
        let stored = rotated(&second, &first);
        let shown = in_use(&keys, Some(&key), &stored, made.clone()).unwrap();
        assert_eq!(*shown, *made);
        // The repetition derives another one first, of the verifier that it finds.
        let other = secret_after(&keys, &key, "s0_key", &second);
        assert_ne!(*other, *made);
        assert_eq!(*in_use(&keys, Some(&key), &stored, other.clone()).unwrap(), *made);
        // Rotated once more, by somebody else.
        let stored = rotated(&keys.verifier("third"), &second);
        let refused = in_use(&keys, Some(&key), &stored, other).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(refused.message().contains("rotated once more"), "{refused:?}");
        assert!(!format!("{refused:?}").contains(&**made));
    }
}
