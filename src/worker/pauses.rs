//! The pauses of projects, as the due queue needs them: what is due in one is passed over. The
//! engine reads them from the store whenever the changes says so. Pure.

use std::collections::HashMap;

use crate::model::target::ProjectPause;
use crate::model::{Millis, ProjectId};

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Pauses(HashMap<ProjectId, Vec<ProjectPause>>);

impl Pauses {
    /// The pause that an occurrence falls into.
    pub fn at(&self, project: ProjectId, due: Millis) -> Option<&ProjectPause> {
        if self.0.is_empty() {
            return None; // the usual case
        }
        self.0.get(&project)?.iter().find(|pause| pause.covers(due))
    }

    /// The last instant before the next pause; [`Millis::MAX`] when none is known to come.
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
