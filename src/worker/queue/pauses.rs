//! The pauses of projects: the due queue passes over what is due in one. The engine reads them from
//! the store when a change touches them. Pure.

use std::collections::HashMap;

use crate::model::target::ProjectPause;
use crate::model::{Millis, ProjectId};

/// The pauses that are known, by project.
#[derive(Debug, Default)]
pub struct Pauses(HashMap<ProjectId, Vec<ProjectPause>>);

impl Pauses {
    /// The pause that covers a due instant.
    pub fn at(&self, project: ProjectId, due: Millis) -> Option<&ProjectPause> {
        if self.0.is_empty() {
            return None; // the usual case
        }
        self.0.get(&project)?.iter().find(|pause| pause.covers(due))
    }

    /// The last instant before the next pause that begins at `from` or later; [`Millis::MAX`]
    /// without one.
    pub fn free_until(&self, project: ProjectId, from: Millis) -> Millis {
        let of = self.0.get(&project).into_iter().flatten();
        of.map(|pause| pause.from).filter(|begin| *begin >= from).min().unwrap_or(Millis::MAX)
    }
}

impl FromIterator<ProjectPause> for Pauses {
    fn from_iter<I: IntoIterator<Item = ProjectPause>>(all: I) -> Self {
        let mut pauses = Self::default();
        for pause in all {
            pauses.0.entry(pause.project).or_default().push(pause);
        }
        pauses
    }
}
