//! The environment of a command: what describes its run, and what it does not inherit. Pure.

use std::ffi::OsStr;

use super::assignment::Assignment;

/// The beginning of the names of the variables that describe a run.
const OURS: &str = "S0_";
/// The beginning of the names of the variables that configure nodes and hold credentials.
const CONFIGURATION: &str = "SCHEDULER0_";

/// The variables that describe a run.
pub(super) fn of_run(run: &Assignment, worker: &str) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("S0_RUN_ID", run.run_id.clone()),
        ("S0_EXECUTION_ID", run.id.clone()),
        ("S0_JOB_ID", run.job_id.to_string()),
        ("S0_PROJECT_ID", run.project_id.to_string()),
        ("S0_QUEUE", run.queue.clone()),
        ("S0_ATTEMPT", run.attempt.to_string()),
        ("S0_SCHEDULED_AT", run.scheduled_at.clone()),
        ("S0_DUE_AT", run.due_at.clone()),
        ("S0_WORKER_ID", worker.to_owned()),
    ];
    variables.extend(run.external_id.clone().map(|id| ("S0_EXTERNAL_ID", id)));
    // The system refuses a variable with a NUL, and no process would start.
    for (_, value) in &mut variables {
        value.retain(|c| c != '\0');
    }
    variables
}

/// Returns whether a command inherits a variable of the worker. It does not see the worker's
/// credentials, nor the variables of a run that the worker itself may be a part of.
pub(super) fn is_inherited(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    !name.starts_with(OURS.as_bytes()) && !name.starts_with(CONFIGURATION.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::worker::tests::assignment;

    #[test]
    fn a_run_is_described_by_variables() {
        let run = assignment("aa-7-1", 2, Some(60_000));
        let variables = of_run(&run, "w\0orker");
        let value = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(value("S0_EXECUTION_ID"), Some("aa-7-1"));
        assert_eq!(value("S0_RUN_ID"), Some(run.run_id.as_str()));
        assert_eq!((value("S0_ATTEMPT"), value("S0_JOB_ID")), (Some("2"), Some("7")));
        assert_eq!((value("S0_QUEUE"), value("S0_PROJECT_ID")), (Some("emails"), Some("3")));
        assert_eq!(value("S0_SCHEDULED_AT"), Some("2026-11-30T00:00:00Z"));
        assert_eq!(value("S0_DUE_AT"), Some("2026-11-30T00:00:01Z"));
        assert_eq!((value("S0_WORKER_ID"), value("S0_EXTERNAL_ID")), (Some("worker"), None));
        let named = Assignment { external_id: Some("nightly".to_owned()), ..run };
        assert!(of_run(&named, "w").contains(&("S0_EXTERNAL_ID", "nightly".to_owned())));
    }

    #[test]
    fn credentials_and_the_run_of_a_parent_are_not_inherited() {
        for (name, inherited) in [
            ("PATH", true),
            ("S0", true),
            ("SCHEDULER0_API_SECRET", false),
            ("SCHEDULER0_SECRET_KEY_FILE", false),
            ("S0_EXTERNAL_ID", false),
        ] {
            assert_eq!(is_inherited(OsStr::new(name)), inherited, "{name}");
        }
    }
}
