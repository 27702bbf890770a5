//! Changes of credentials: archived or not, terms, deletion, and the end of sessions.

use crate::app::actor::{Actor, ActorKind};
use crate::app::authz::{Action, Resource, authorize};
use crate::app::credentials::terms::{TermsInput, no_scopes};
use crate::app::error::{Error, refused};
use crate::app::patch::Patch;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::app::write::{ATTEMPTS, is_stale};
use crate::auth::SessionLife;
use crate::command::{Command, Outcome};
use crate::model::credential::Credential;
use crate::model::key_terms::TermsEdit;

/// Takes a credential out of use, or back into it.
#[derive(Clone, Debug)]
pub struct CredentialEdit {
    /// It opens nothing from now on, or opens again what it opened.
    pub archived: bool,
    /// The name that the author of the change gives itself, of at most [`super::LONGEST_BY`] bytes.
    pub by: Option<String>,
}

/// A change of the terms of a credential.
#[derive(Clone, Debug, Default)]
pub struct TermsPatch {
    /// The terms.
    pub terms: TermsInput,
    /// Whether the credential is archived from now on; `None` leaves that as it is.
    pub archived: Option<bool>,
    /// The name that whoever changes it gives itself, of at most [`super::LONGEST_BY`] bytes.
    pub by: Option<String>,
}

impl App {
    /// Archives a credential, with all below it, or takes it back into use.
    ///
    /// # Errors
    ///
    /// `NotFound` where the actor reaches no such credential; `Forbidden` where the change is for
    /// an operator, the credential has more than the actor's own, or that was archived meanwhile.
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

    /// Changes the terms of a credential. It holds on each node as soon as the node has applied it.
    ///
    /// # Errors
    ///
    /// As [`App::update_credential`]; `Invalid` for terms that are not valid; `Forbidden` where
    /// they go beyond those of the actor's own credential; `Stale` where others change them at the
    /// same time, again and again.
    pub async fn change_credential_terms(
        &self,
        actor: &Actor,
        id: u64,
        patch: TermsPatch,
    ) -> Result<Credential, Error> {
        authorize(actor, Action::CredentialsWrite, Resource::Any)?;
        if self.config.require_key_scopes && patch.terms.scopes == Patch::Clear {
            return Err(no_scopes());
        }
        self.projects_exist(actor, &patch.terms.projects).await?;
        let mut tried = 1;
        loop {
            self.linearize().await?;
            let from = self.load_credential(actor, id, ReadPhase::BeforeWrite).await?.terms;
            let to = patch.terms.clone().apply_to(from.clone(), self.now())?;
            let edit = Box::new(TermsEdit { from, to, archived: patch.archived });
            let command = Command::ChangeCredential { id, edit, by: patch.by.clone() };
            match self.propose(actor, command.by_client(actor.limit())).await? {
                Outcome::Done => break,
                outcome if is_stale(&outcome) && tried < ATTEMPTS => tried += 1,
                other => return Err(refused(other)),
            }
        }
        self.auth.forget();
        self.load_credential(actor, id, ReadPhase::AfterWrite).await
    }

    /// Deletes a credential.
    ///
    /// # Errors
    ///
    /// `NotFound` where the actor reaches no such credential; `Forbidden` where it is the actor's
    /// own, or has more than that.
    pub async fn delete_credential(&self, actor: &Actor, id: u64) -> Result<(), Error> {
        authorize(actor, Action::CredentialsWrite, Resource::Any)?;
        self.change_credential(actor, Command::DeleteCredential { id }).await
    }

    /// Ends the sessions of browsers that were begun with a credential; without one, those of the
    /// actor itself, for an operator those of all operators. A client needs no scope to end its
    /// own.
    ///
    /// # Errors
    ///
    /// `NotFound` where the actor reaches no such credential; `Forbidden` where the actor's own
    /// credential was archived meanwhile.
    pub async fn end_sessions(&self, actor: &Actor, credential: Option<u64>) -> Result<(), Error> {
        let credential = credential.or(actor.limit());
        if credential.is_none() && matches!(actor.kind, ActorKind::Token(_)) {
            let message = "credentialId is missing: an access token has no sessions of its own";
            return Err(Error::invalid("credentialId", message));
        }
        let is_own = credential == actor.limit();
        let action = if is_own { Action::OwnSessionsEnd } else { Action::CredentialsWrite };
        authorize(actor, action, Resource::Any)?;
        self.change_credential(actor, Command::EndSessions { credential }).await
    }

    /// Ends one session of a browser, by which the actor asks, at every node.
    ///
    /// # Errors
    ///
    /// `UpgradePending` where a node of the cluster does not know how; the session then ends in its
    /// browser only.
    pub async fn end_session(&self, actor: &Actor, session: SessionLife) -> Result<(), Error> {
        authorize(actor, Action::OwnSessionsEnd, Resource::Any)?;
        let command = Command::EndSession { session: session.id, expires: session.expires };
        match self.propose(actor, command).await? {
            Outcome::Done => {
                self.auth.forget();
                Ok(())
            }
            other => Err(refused(other)),
        }
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
}
