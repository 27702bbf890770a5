//! Pauses of a project: none of its jobs fires while a pause holds.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, refused};
use crate::app::patch::Patch;
use crate::app::projects::pause_state::PauseState;
use crate::app::projects::read::{ProjectRecord, missing_project, version_of};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, Outcome, ProjectAction, ProjectEdit};
use crate::model::{Millis, ProjectId};

/// The status that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its jobs fire.
    Active,
    /// It is paused.
    Inactive,
}

/// The change of the pause that a request asks for by a status and an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseInput {
    status: Option<Status>,
    until: Patch<Millis>,
}

impl PauseInput {
    /// A request that names no pause.
    pub fn none() -> Self {
        Self { status: None, until: Patch::Keep }
    }

    /// Checks a change. Each end was checked by [`pause_end`].
    ///
    /// # Errors
    ///
    /// `Invalid` where the two contradict each other.
    pub fn new(status: Option<Status>, until: Patch<Millis>) -> Result<Self, Error> {
        if status == Some(Status::Active) && matches!(until, Patch::Set(_)) {
            let message = "pauseUntil pauses, status active resumes: give one of them";
            return Err(Error::invalid("pauseUntil", message));
        }
        Ok(Self { status, until })
    }

    /// Says whether the request asks for no change.
    pub(super) fn is_empty(&self) -> bool {
        self.status.is_none() && self.until == Patch::Keep
    }

    /// The state that the change makes of an old one.
    fn apply_to(&self, old: PauseState) -> PauseState {
        let before = match old {
            PauseState::Paused(until) => until,
            PauseState::Active => None,
        };
        match (self.status, &self.until, old) {
            (Some(Status::Active), ..) | (None, Patch::Keep | Patch::Clear, PauseState::Active) => {
                PauseState::Active
            }
            (_, until, _) => PauseState::Paused(until.clone().apply_to(before)),
        }
    }

    /// The action that brings the change about; `None` where the state is already as asked for.
    pub(super) fn action(&self, old: PauseState) -> Option<ProjectAction> {
        match self.apply_to(old) {
            new if new == old => None,
            PauseState::Active => Some(ProjectAction::Resume),
            PauseState::Paused(until) => Some(ProjectAction::Pause { until }),
        }
    }
}

/// Checks the end of a pause, which must lie in the future.
///
/// # Errors
///
/// `Invalid` where it does not.
pub fn pause_end(field: &'static str, until: Millis, now: Millis) -> Result<Millis, Error> {
    if until <= now {
        let message = format!("{field} must lie in the future: to end a pause, resume the project");
        return Err(Error::invalid(field, message));
    }
    Ok(until)
}

impl App {
    /// Pauses a project, up to an instant or until it is resumed. A new pause replaces the one that
    /// holds.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such project; `Stale` when a condition does not hold.
    pub async fn pause_project(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: ProjectId,
        until: Option<Millis>,
        by: Option<String>,
    ) -> Result<ProjectRecord, Error> {
        self.toggle(actor, conditions, id, ProjectAction::Pause { until }, by).await
    }

    /// Ends the pause of a project.
    ///
    /// # Errors
    ///
    /// As [`App::pause_project`].
    pub async fn resume_project(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: ProjectId,
        by: Option<String>,
    ) -> Result<ProjectRecord, Error> {
        self.toggle(actor, conditions, id, ProjectAction::Resume, by).await
    }

    async fn toggle(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: ProjectId,
        action: ProjectAction,
        by: Option<String>,
    ) -> Result<ProjectRecord, Error> {
        authorize(actor, Action::ProjectsWrite, Resource::Project(id))?;
        let command = |expect| {
            let (action, by) = (Some(action), by.clone());
            Command::UpdateProject(ProjectEdit { id, expect, action, by, ..ProjectEdit::default() })
        };
        let version = version_of(id);
        match self.propose_if(actor, conditions, version, missing_project, command).await? {
            Outcome::Done => self.load_project(actor, id, ReadPhase::AfterWrite).await,
            other => Err(refused(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_end_of_a_pause_go_together() {
        use Patch::{Clear, Keep, Set};
        use PauseState::{Active, Paused};
        let (active, inactive) = (Some(Status::Active), Some(Status::Inactive));
        for (status, until, old, new) in [
            (None, Keep, Active, Active),
            (None, Clear, Active, Active),
            (None, Set(9), Active, Paused(Some(9))),
            (inactive, Keep, Active, Paused(None)),
            (inactive, Set(9), Active, Paused(Some(9))),
            (active, Keep, Paused(Some(9)), Active),
            (active, Clear, Paused(None), Active),
            (inactive, Keep, Paused(Some(9)), Paused(Some(9))),
            (inactive, Clear, Paused(Some(9)), Paused(None)),
            (None, Keep, Paused(Some(9)), Paused(Some(9))),
            (None, Clear, Paused(Some(9)), Paused(None)),
            (None, Set(8), Paused(None), Paused(Some(8))),
        ] {
            let wanted = PauseInput::new(status, until).unwrap();
            assert_eq!(wanted.apply_to(old), new, "{wanted:?} {old:?}");
        }
        assert!(PauseInput::new(active, Set(9)).is_err());
    }
}
