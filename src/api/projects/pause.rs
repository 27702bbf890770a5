//! Pauses of a project: none of its jobs fires while one holds. By `status` and `pauseUntil` of a
//! change, or by routes of their own.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use rusqlite::Connection;

use super::{LONGEST_BY, LONGEST_NAME, missing, refused, shown, version_of};
use crate::api::App;
use crate::api::ask::{Ask, Id};
use crate::api::error::Error;
use crate::api::fields::{Fields, Given};
use crate::api::input::{Input, SMALL};
use crate::api::reads::Stage;
use crate::api::reply;
use crate::api::state::AppState;
use crate::api::version::Conditions;
use crate::command::{Command, Outcome, ProjectAction, ProjectEdit};
use crate::model::time::parse_rfc3339;
use crate::model::{Millis, ProjectId};
use crate::store::projects;

/// Whether a project's jobs fire: `Paused(None)` until somebody resumes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Active,
    Paused(Option<Millis>),
}

/// The pauses that hold at an instant.
pub(super) fn pauses(
    conn: &Connection,
    now: Millis,
) -> rusqlite::Result<BTreeMap<ProjectId, Option<Millis>>> {
    let reaching = projects::pauses_after(conn, now)?.into_iter();
    Ok(reaching.filter(|p| p.from <= now).map(|p| (p.project, p.end())).collect())
}

/// What a request says of the project's status.
pub(super) struct Wanted {
    status: Option<String>,
    until: Given<Millis>,
}

impl Wanted {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.status.is_none() && self.until == Given::Nothing
    }

    /// The state that follows from it.
    fn over(&self, old: Standing) -> Standing {
        let before = match old {
            Standing::Paused(until) => until,
            Standing::Active => None,
        };
        match (self.status.as_deref(), &self.until, old) {
            (Some("active"), ..) | (None, Given::Nothing | Given::Null, Standing::Active) => {
                Standing::Active
            }
            (_, until, _) => Standing::Paused(until.clone().over(before)),
        }
    }

    /// Reads `status` and `pauseUntil`.
    pub(super) fn read(fields: &mut Fields, app: &AppState) -> Result<Self, Error> {
        let status = fields.text("status", LONGEST_NAME)?.filter(|status| !status.is_empty());
        if status.as_ref().is_some_and(|status| status != "active" && status != "inactive") {
            return Err(Error::invalid("status", "status must be active or inactive"));
        }
        let until = fields.given("pauseUntil", |fields, name| until(fields, name, app))?;
        if status.as_deref() == Some("active") && matches!(until, Given::Value(_)) {
            let message = "pauseUntil pauses, status active resumes: give one of them";
            return Err(Error::invalid("pauseUntil", message));
        }
        Ok(Self { status, until })
    }

    /// What is to be done for it, unless it is so already.
    pub(super) fn action(&self, old: Standing) -> Option<ProjectAction> {
        match self.over(old) {
            new if new == old => None,
            Standing::Active => Some(ProjectAction::Resume),
            Standing::Paused(until) => Some(ProjectAction::Pause { until }),
        }
    }
}

/// The end of a pause.
fn until(fields: &mut Fields, name: &'static str, app: &AppState) -> Result<Option<Millis>, Error> {
    let Some(text) = fields.text(name, LONGEST_NAME)? else { return Ok(None) };
    let wrong = |what: &str| Error::invalid(name, format!("{name} must {what}"));
    let until =
        parse_rfc3339(&text).ok_or_else(|| wrong("be RFC 3339, such as 2026-11-20T20:18:07Z"))?;
    if until <= app.time.now() {
        return Err(wrong("lie in the future: to end a pause, resume the project"));
    }
    Ok(Some(until))
}

/// `{until?, modifiedBy?}`; another pause takes the place of the one that holds.
pub(super) async fn pause(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let until = match until(&mut fields, "until", &app)? {
        None => until(&mut fields, "pauseUntil", &app)?,
        until => until,
    };
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    turned(&app, &ask, &headers, id, (ProjectAction::Pause { until }, by), fields).await
}

pub(super) async fn resume(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    turned(&app, &ask, &headers, id, (ProjectAction::Resume, by), fields).await
}

async fn turned(
    app: &AppState,
    ask: &Ask,
    headers: &HeaderMap,
    id: ProjectId,
    (action, by): (ProjectAction, Option<String>),
    fields: Fields,
) -> Result<Response, Error> {
    let command = |expect| {
        let (action, by) = (Some(action), by.clone());
        Command::UpdateProject(ProjectEdit { id, expect, action, by, ..ProjectEdit::default() })
    };
    match Conditions::of(headers).guard(app, version_of(id), missing, command).await? {
        Outcome::Done => {
            let response = shown(app, ask, id, Stage::Done).await?;
            Ok(reply::warn(response, &fields.warnings()))
        }
        other => Err(refused(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_end_of_a_pause_go_together() {
        use Given::{Nothing, Null, Value};
        use Standing::{Active, Paused};
        for (status, until, old, new) in [
            (None, Nothing, Active, Active),
            (None, Null, Active, Active),
            (None, Value(9), Active, Paused(Some(9))),
            (Some("inactive"), Nothing, Active, Paused(None)),
            (Some("inactive"), Value(9), Active, Paused(Some(9))),
            (Some("active"), Nothing, Paused(Some(9)), Active),
            (Some("active"), Null, Paused(None), Active),
            (Some("inactive"), Nothing, Paused(Some(9)), Paused(Some(9))),
            (Some("inactive"), Null, Paused(Some(9)), Paused(None)),
            (None, Nothing, Paused(Some(9)), Paused(Some(9))),
            (None, Null, Paused(Some(9)), Paused(None)),
            (None, Value(8), Paused(None), Paused(Some(8))),
        ] {
            let wanted = Wanted { status: status.map(str::to_owned), until };
            assert_eq!(wanted.over(old), new, "{status:?} {:?} {old:?}", wanted.until);
        }
    }
}
