//! Credentials as they are: one, and pages of them, without their secrets.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::page::{After, Page, PageWriter};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::model::credential::Credential;
use crate::store::credentials::{self, Order};

impl App {
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

    /// Reads a credential that the actor reaches in this phase of a use case.
    pub(super) async fn load_credential(
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
