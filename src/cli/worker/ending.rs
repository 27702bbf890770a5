//! How a run ended here, and the report that says so. Pure.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use serde_json::{Value, json};

use super::assignment::Assignment;
use super::captured::LastLines;
use crate::model::attempt::MAX_ERROR;

/// The end of a run at this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The command ended with exit code 0.
    Completed {
        /// What it wrote to its standard output.
        result: Option<String>,
    },
    /// The command ended otherwise.
    Failed {
        /// How, and the last of what it wrote to its standard error.
        error: String,
    },
    /// The run was cancelled, and the command has ended.
    Cancelled,
    /// The command did not begin.
    GivenBack {
        /// Why not.
        why: String,
    },
    /// The run is over, or another worker's.
    Gone,
    /// No heartbeat was answered in time.
    Unanswered,
}

impl Ending {
    /// The end of a command by its exit status.
    pub(super) fn of_exit(
        status: ExitStatus,
        result: impl FnOnce() -> Option<String>,
        stderr: &LastLines,
    ) -> Self {
        if status.success() {
            return Self::Completed { result: result() };
        }
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("ended by signal {signal}"),
            (None, None) => status.to_string(),
        };
        let said = stderr.last(MAX_ERROR - how.len() - 2).trim();
        Self::Failed { error: if said.is_empty() { how } else { format!("{how}: {said}") } }
    }

    /// The state in the API, or the word for an end that is not reported.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
            Self::GivenBack { .. } => "released",
            Self::Gone => "gone",
            Self::Unanswered => "unanswered",
        }
    }

    /// The end in words.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Completed { .. } => "completed".to_owned(),
            Self::Failed { error } => format!("failed, {error}"),
            Self::Cancelled => "cancelled".to_owned(),
            Self::GivenBack { why } => format!("given back: {why}"),
            Self::Gone => "stopped: it is over, or another worker has it".to_owned(),
            Self::Unanswered => {
                "stopped: no node has answered in time, and another worker may get it".to_owned()
            }
        }
    }

    /// The report; `None` where the worker has nothing to say about the run any more.
    pub(super) fn report(&self, run: &Assignment) -> Option<Value> {
        if matches!(self, Self::Gone | Self::Unanswered) {
            return None;
        }
        let mut report = json!({"id": run.id, "attempt": run.attempt, "state": self.name()});
        match self {
            Self::Completed { result: Some(result) } => report["result"] = result.as_str().into(),
            Self::Failed { error } => report["error"] = error.as_str().into(),
            _ => {}
        }
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::worker::tests::assignment;

    fn failed(status: ExitStatus, lines: &LastLines) -> String {
        match Ending::of_exit(status, || None, lines) {
            Ending::Failed { error } => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_error_says_how_the_command_ended_and_what_it_said_last() {
        let mut lines = LastLines::new(MAX_ERROR);
        // What the system gives: the code in the second byte, a signal in the first.
        assert_eq!(failed(ExitStatus::from_raw(3 << 8), &lines), "exit code 3");
        lines.push("no such file");
        assert_eq!(failed(ExitStatus::from_raw(3 << 8), &lines), "exit code 3: no such file");
        assert_eq!(failed(ExitStatus::from_raw(9), &lines), "ended by signal 9: no such file");
        lines.push(&"ä".repeat(1_000));
        let long = failed(ExitStatus::from_raw(75 << 8), &lines);
        assert!(long.starts_with("exit code 75: ä") && long.len() <= MAX_ERROR, "{long}");
    }

    #[test]
    fn a_report_names_id_attempt_and_state() {
        let run = assignment("aa-7-1", 2, None);
        let done = Ending::of_exit(
            ExitStatus::from_raw(0),
            || Some("17 files".to_owned()),
            &LastLines::new(10),
        );
        let said =
            json!({"id": "aa-7-1", "attempt": 2, "state": "completed", "result": "17 files"});
        assert_eq!(done.report(&run), Some(said));
        let back = Ending::GivenBack { why: "the worker stops".to_owned() };
        let said = json!({"id": "aa-7-1", "attempt": 2, "state": "released"});
        assert_eq!(back.report(&run), Some(said));
        assert_eq!((Ending::Gone.report(&run), Ending::Unanswered.report(&run)), (None, None));
    }
}
