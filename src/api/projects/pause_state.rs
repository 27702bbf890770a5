//! The pause of a project, and the change of it that a request asks for by `status` and
//! `pauseUntil`.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::api::http::error::Error;
use crate::api::http::fields::{Fields, Patch};
use crate::api::state::AppState;
use crate::command::ProjectAction;
use crate::model::time::parse_rfc3339;
use crate::model::{Millis, ProjectId};
use crate::store::projects;

/// The longest `status` and instant, in bytes.
const LONGEST: usize = 256;

/// The pause of a project. `Paused(None)` lasts until somebody resumes the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PauseState {
    Active,
    Paused(Option<Millis>),
}

/// The pauses that hold at an instant.
pub(crate) fn pauses(
    conn: &Connection,
    now: Millis,
) -> rusqlite::Result<BTreeMap<ProjectId, Option<Millis>>> {
    let reaching = projects::pauses_after(conn, now)?.into_iter();
    Ok(reaching.filter(|p| p.from <= now).map(|p| (p.project, p.end())).collect())
}

/// The change of the pause that a request asks for.
pub(crate) struct PauseInput {
    status: Option<String>,
    until: Patch<Millis>,
}

impl PauseInput {
    /// Says whether the request asks for no change.
    pub(crate) fn is_empty(&self) -> bool {
        self.status.is_none() && self.until == Patch::Keep
    }

    /// The state that the change makes of an old one.
    fn apply_to(&self, old: PauseState) -> PauseState {
        let before = match old {
            PauseState::Paused(until) => until,
            PauseState::Active => None,
        };
        match (self.status.as_deref(), &self.until, old) {
            (Some("active"), ..) | (None, Patch::Keep | Patch::Clear, PauseState::Active) => {
                PauseState::Active
            }
            (_, until, _) => PauseState::Paused(until.clone().apply_to(before)),
        }
    }

    /// Reads `status` and `pauseUntil`.
    pub(crate) fn read(fields: &mut Fields, app: &AppState) -> Result<Self, Error> {
        let status = fields.text("status", LONGEST)?.filter(|status| !status.is_empty());
        if status.as_ref().is_some_and(|status| status != "active" && status != "inactive") {
            return Err(Error::invalid("status", "status must be active or inactive"));
        }
        let until = fields.patch("pauseUntil", |fields, name| until(fields, name, app))?;
        if status.as_deref() == Some("active") && matches!(until, Patch::Set(_)) {
            let message = "pauseUntil pauses, status active resumes: give one of them";
            return Err(Error::invalid("pauseUntil", message));
        }
        Ok(Self { status, until })
    }

    /// The action that brings the change about; `None` where the state is already as asked for.
    pub(crate) fn action(&self, old: PauseState) -> Option<ProjectAction> {
        match self.apply_to(old) {
            new if new == old => None,
            PauseState::Active => Some(ProjectAction::Resume),
            PauseState::Paused(until) => Some(ProjectAction::Pause { until }),
        }
    }
}

/// Reads the end of a pause, which must lie in the future.
pub(crate) fn until(
    fields: &mut Fields,
    name: &'static str,
    app: &AppState,
) -> Result<Option<Millis>, Error> {
    let Some(text) = fields.text(name, LONGEST)? else { return Ok(None) };
    let wrong = |what: &str| Error::invalid(name, format!("{name} must {what}"));
    let until =
        parse_rfc3339(&text).ok_or_else(|| wrong("be RFC 3339, such as 2026-11-20T20:18:07Z"))?;
    if until <= app.time.now() {
        return Err(wrong("lie in the future: to end a pause, resume the project"));
    }
    Ok(Some(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_end_of_a_pause_go_together() {
        use Patch::{Clear, Keep, Set};
        use PauseState::{Active, Paused};
        for (status, until, old, new) in [
            (None, Keep, Active, Active),
            (None, Clear, Active, Active),
            (None, Set(9), Active, Paused(Some(9))),
            (Some("inactive"), Keep, Active, Paused(None)),
            (Some("inactive"), Set(9), Active, Paused(Some(9))),
            (Some("active"), Keep, Paused(Some(9)), Active),
            (Some("active"), Clear, Paused(None), Active),
            (Some("inactive"), Keep, Paused(Some(9)), Paused(Some(9))),
            (Some("inactive"), Clear, Paused(Some(9)), Paused(None)),
            (None, Keep, Paused(Some(9)), Paused(Some(9))),
            (None, Clear, Paused(Some(9)), Paused(None)),
            (None, Set(8), Paused(None), Paused(Some(8))),
        ] {
            let wanted = PauseInput { status: status.map(str::to_owned), until };
            assert_eq!(wanted.apply_to(old), new, "{status:?} {:?} {old:?}", wanted.until);
        }
    }
}
