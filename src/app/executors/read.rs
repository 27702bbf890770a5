//! Reads of executors: one, or a page of them.

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::page::{After, Page, PageWriter};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::app::write::Versioned;
use crate::model::target::Executor;
use crate::store::executors::{self, Order};

impl Versioned for Executor {
    fn version(&self) -> u64 {
        self.version
    }
}

impl App {
    /// Reads an executor.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none.
    pub async fn get_executor(&self, actor: &Actor, id: u64) -> Result<Executor, Error> {
        authorize(actor, Action::ExecutorsRead, Resource::Any)?;
        self.load_executor(actor, id, ReadPhase::BeforeWrite).await
    }

    /// Writes a page of all executors.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_executors<W: PageWriter<Executor>>(
        &self,
        actor: &Actor,
        page: Page<Order>,
        mut writer: W,
    ) -> Result<W::Written, Error> {
        authorize(actor, Action::ExecutorsRead, Resource::Any)?;
        let written = self.read(actor, move |conn| {
            writer.begin(executors::count(conn)?.into());
            executors::each(conn, &page, |executor| {
                let after = After { key: None, id: executor.id };
                Ok(writer.push(executor, after))
            })?;
            Ok(writer.end())
        });
        written.await
    }

    /// Reads an executor in this phase of a use case.
    pub(super) async fn load_executor(
        &self,
        actor: &Actor,
        id: u64,
        phase: ReadPhase,
    ) -> Result<Executor, Error> {
        let found = self.read_at(actor, phase, move |conn| executors::get(conn, id)).await?;
        found.ok_or_else(missing_executor)
    }
}

/// Reads the version of an executor.
pub(super) fn version_of(id: u64) -> impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone {
    move |conn| Ok(executors::get(conn, id)?.map(|executor| executor.version))
}

/// The error where an executor does not exist.
pub(super) fn missing_executor() -> Error {
    Error::not_found("executor does not exist")
}
