//! What comes in about a run, and what is answered: the words between the API and `report`.

use super::ids::missing_run;
use crate::app::error::Error;
use crate::command::Rejection;
use crate::model::run::Occurrence;
use crate::model::run_report::{RunState, Said};

/// A report as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInput {
    /// The execution id or the run id.
    pub id: String,
    /// The attempt that it is about; 0 for whichever is under way.
    pub attempt: u32,
    /// The worker that reports; empty for whichever has the run.
    pub worker: String,
    /// What it says.
    pub word: RunWord,
}

/// What a report says of a run. Texts are cut to what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunWord {
    /// The worker has begun.
    Running,
    /// The run is done.
    Completed {
        /// The result.
        result: Option<String>,
    },
    /// The run failed.
    Failed {
        /// The reason.
        error: Option<String>,
        /// Allows another attempt, if the terms do.
        retry: bool,
    },
    /// The worker has stopped it without an end.
    Cancelled,
    /// The worker gives it back without having worked on it.
    Released,
    /// A client does not want it any more.
    Cancel {
        /// The name of the client.
        by: Option<String>,
    },
}

impl RunWord {
    /// The report in the words of the log; `None` for a begin, which needs the terms of the run.
    pub(super) fn said(&self) -> Option<Said> {
        Some(match self.clone() {
            Self::Running => return None,
            Self::Completed { result } => Said::Done { result },
            Self::Failed { error, retry } => Said::Failed { error, retry },
            Self::Cancelled => Said::Cancelled,
            Self::Released => Said::Released,
            Self::Cancel { by } => Said::Cancel { by },
        })
    }
}

/// The answer to one report.
#[derive(Clone, Debug)]
pub struct RunAnswer {
    /// The occurrence; `None` where the id names none.
    pub occurrence: Option<Occurrence>,
    /// The cluster's id, which is part of the run's ids.
    pub cluster: u128,
    /// The state of the run after it, or why it did not count.
    pub told: Result<RunState, Error>,
}

/// The error of a begin that no record of a claim or a message came for in time; the state of what
/// there is instead.
pub(super) fn not_yet(state: Option<RunState>) -> Error {
    if state.is_none() {
        return missing_run();
    }
    let message = "no worker is known to have this attempt: of one that was claimed this moment, \
                   report again in a second";
    Error::not_found(message).in_state(state)
}

/// The error of a report that was refused, with the state of the run.
pub(super) fn refusal(word: &RunWord, state: Option<RunState>, why: Rejection) -> Error {
    let is_over = state.is_some_and(RunState::is_end);
    if is_over && matches!(word, RunWord::Cancel { .. }) {
        return Error::conflict("Run already finished").because(why.message).in_state(state);
    }
    Error::from(why).in_state(state)
}
