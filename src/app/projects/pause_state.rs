//! The pause of a project as it is now.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::model::{Millis, ProjectId};
use crate::store::projects;

/// The pause of a project. `Paused(None)` lasts until somebody resumes the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseState {
    /// Its jobs fire.
    Active,
    /// Its jobs do not fire until this instant.
    Paused(Option<Millis>),
}

/// The pauses that somebody asked for and that hold at an instant, by project.
pub(super) struct Pauses(BTreeMap<ProjectId, Option<Millis>>);

impl Pauses {
    /// Reads them.
    pub(super) fn at(conn: &Connection, now: Millis) -> rusqlite::Result<Self> {
        let reaching = projects::pauses_after(conn, now)?.into_iter();
        let own = reaching.filter(|pause| pause.from <= now && !pause.by_quota);
        Ok(Self(own.map(|pause| (pause.project, pause.end())).collect()))
    }

    /// The pause of a project.
    pub(super) fn of(&self, id: ProjectId) -> PauseState {
        self.0.get(&id).map_or(PauseState::Active, |until| PauseState::Paused(*until))
    }
}
