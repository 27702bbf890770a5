//! The versions of a template: the last ones, and those that its jobs name.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::page::{After, Page, PageWriter};
use crate::app::state::App;
use crate::app::templates::read::missing_template;
use crate::model::template::Template;
use crate::store::templates::{self, VersionOrder};

/// The most versions of [`App::template_versions`].
const MOST: u64 = 100;
/// The bytes of schemas and payloads behind which [`App::template_versions`] reads no more.
const MOST_BYTES: usize = 4 << 20;

impl App {
    /// Reads the latest versions of a template, the newest first: at most 100, and fewer where they
    /// are large.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such template.
    pub async fn template_versions(&self, actor: &Actor, id: u64) -> Result<Vec<Template>, Error> {
        authorize(actor, Action::TemplatesRead, Resource::Any)?;
        let versions = self.read(actor, move |conn| {
            let (mut versions, mut bytes) = (Vec::new(), 0);
            let page = Page { limit: MOST, descending: true, ..Page::default() };
            templates::each_version(conn, id, &page, |version| {
                let schema = version.schema.text().len();
                bytes += schema + version.payload.len() + version.data.len();
                versions.push(version);
                Ok(bytes < MOST_BYTES)
            })?;
            Ok(versions)
        });
        let versions = versions.await?;
        if versions.is_empty() { Err(missing_template()) } else { Ok(versions) }
    }

    /// Writes a page of the versions of a template that are kept.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such template; `TooSlow` or `Busy` when it cannot be read in
    /// time.
    pub async fn list_template_versions<W: PageWriter<Template>>(
        &self,
        actor: &Actor,
        id: u64,
        page: Page<VersionOrder>,
        mut writer: W,
    ) -> Result<W::Written, Error> {
        authorize(actor, Action::TemplatesRead, Resource::Any)?;
        let written = self.read(actor, move |conn| {
            let count = templates::version_count(conn, id)?;
            if count == 0 {
                return Ok(None);
            }
            writer.begin(count.into());
            templates::each_version(conn, id, &page, |version| {
                let after = After { key: None, id: version.version };
                Ok(writer.push(version, after))
            })?;
            Ok(Some(writer.end()))
        });
        written.await?.ok_or_else(missing_template)
    }

    /// Reads one version of a template.
    ///
    /// # Errors
    ///
    /// `NotFound` where it is not kept.
    pub async fn template_version(
        &self,
        actor: &Actor,
        id: u64,
        version: u64,
    ) -> Result<Template, Error> {
        authorize(actor, Action::TemplatesRead, Resource::Any)?;
        let found = self.read(actor, move |conn| templates::version(conn, id, version)).await?;
        found.ok_or_else(|| Error::not_found("this version of the template is not kept"))
    }
}
