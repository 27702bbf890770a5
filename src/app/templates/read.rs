//! Reads of templates: one, or a page of those that a filter finds.

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::page::{After, Page, PageWriter};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::model::template::Template;
use crate::store::templates::{self, Filter, Order};

impl App {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none.
    pub async fn get_template(&self, actor: &Actor, id: u64) -> Result<Template, Error> {
        authorize(actor, Action::TemplatesRead, Resource::Any)?;
        self.load_template(actor, id, ReadPhase::BeforeWrite).await
    }

    /// Writes a page of the templates that a filter finds.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_templates<W: PageWriter<Template>>(
        &self,
        actor: &Actor,
        filter: Filter,
        page: Page<Order>,
        mut writer: W,
    ) -> Result<W::Written, Error> {
        authorize(actor, Action::TemplatesRead, Resource::of_project(filter.project))?;
        let written = self.read(actor, move |conn| {
            writer.begin(templates::count(conn, &filter)?.into());
            templates::each(conn, &filter, &page, |template| {
                let after = After { key: None, id: template.id };
                Ok(writer.push(template, after))
            })?;
            Ok(writer.end())
        });
        written.await
    }

    /// Reads a template in this phase of a use case.
    pub(super) async fn load_template(
        &self,
        actor: &Actor,
        id: u64,
        phase: ReadPhase,
    ) -> Result<Template, Error> {
        let found = self.read_at(actor, phase, move |conn| templates::get(conn, id)).await?;
        found.ok_or_else(missing_template)
    }
}

/// Reads the version of a template.
pub(super) fn version_of(id: u64) -> impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone {
    move |conn| Ok(templates::get(conn, id)?.map(|template| template.version))
}

/// The error where a template does not exist.
pub(super) fn missing_template() -> Error {
    Error::not_found("template does not exist")
}
