//! What workers say, as it stands in messages. The consumer of a shard asks. Pure.

use serde_json::{Map, Value};

use super::names::Subject;
use crate::bus::event::WorkerSaid;
use crate::executor::broker::MAX_BODY;
use crate::model::attempt::{MAX_ERROR, MAX_RESPONSE};
use crate::model::offer::MAX_MESSAGE;

/// The number of hexadecimal digits of a run id.
const RUN_DIGITS: usize = 24;

/// A message of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WorkerReport {
    /// The run id, in lower case.
    pub(super) run: String,
    /// What it says; `None` for a status that is the scheduler's own, which means nothing here.
    pub(super) said: Option<WorkerSaid>,
}

/// The reason why a message is not to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Poison {
    #[error("it has more than {MAX_BODY} bytes")]
    TooLarge,
    #[error("it is no JSON object")]
    NotJson,
    #[error("runId is no run id: {RUN_DIGITS} hexadecimal digits")]
    RunId,
    #[error("jobName is the name of another job")]
    JobName,
    #[error("status is none of running, completed, failed, cancelled")]
    Status,
}

/// Reads a message for the job with a name.
pub(super) fn read(subject: Subject, name: &str, body: &[u8]) -> Result<WorkerReport, Poison> {
    if body.len() > MAX_BODY {
        return Err(Poison::TooLarge);
    }
    let mut fields: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Poison::NotJson)?;
    let run = match fields.remove("runId") {
        Some(Value::String(run)) if is_run_id(&run) => run.to_ascii_lowercase(),
        _ => return Err(Poison::RunId),
    };
    match fields.remove("jobName") {
        None | Some(Value::Null) => {}
        Some(Value::String(job)) if job == name => {}
        Some(_) => return Err(Poison::JobName),
    }
    let said = match subject {
        Subject::Status => status(&mut fields)?,
        Subject::Heartbeat | Subject::Action => {
            let (progress, message) = progress(&mut fields);
            Some(WorkerSaid::Alive { progress, message })
        }
    };
    Ok(WorkerReport { run, said })
}

fn status(fields: &mut Map<String, Value>) -> Result<Option<WorkerSaid>, Poison> {
    let Some(Value::String(status)) = fields.remove("status") else { return Err(Poison::Status) };
    Ok(Some(match status.as_str() {
        "running" => {
            let (progress, message) = progress(fields);
            WorkerSaid::Started { progress, message }
        }
        "completed" => WorkerSaid::Done { result: words(fields, "result", MAX_RESPONSE) },
        "failed" => {
            let error = words(fields, "error", MAX_ERROR);
            WorkerSaid::Failed { error: error.or_else(|| words(fields, "message", MAX_ERROR)) }
        }
        "cancelled" => WorkerSaid::Cancelled,
        "pending" | "cancelling" => return Ok(None),
        _ => return Err(Poison::Status),
    }))
}

/// The progress of a run, and the words beside it. What is out of bounds is left out: it must not
/// cost the run its report.
fn progress(fields: &mut Map<String, Value>) -> (Option<u8>, Option<String>) {
    let percent = fields.get("progress").and_then(Value::as_f64);
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    // It is within bounds.
    (percent.map(|percent| percent.round() as u8), words(fields, "message", MAX_MESSAGE))
}

/// A text, or another value as JSON, cut to so many bytes.
fn words(fields: &mut Map<String, Value>, field: &str, most: usize) -> Option<String> {
    let mut text = match fields.remove(field)? {
        Value::Null => return None,
        Value::String(text) => text,
        other => other.to_string(),
    };
    text.truncate(text.floor_char_boundary(most));
    Some(text).filter(|text| !text.is_empty())
}

fn is_run_id(text: &str) -> bool {
    text.len() == RUN_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RUN: &str = "480788a06cd1843bcc4ff647";

    #[expect(clippy::needless_pass_by_value, reason = "callers write JSON")]
    fn status_of(body: Value) -> Result<Option<WorkerSaid>, Poison> {
        let read = read(Subject::Status, "nightly", body.to_string().as_bytes())?;
        assert_eq!(read.run, RUN);
        Ok(read.said)
    }

    #[test]
    fn the_statuses_of_published_workers_are_understood() {
        let said = |status: &str| {
            status_of(json!({"jobName": "nightly", "runId": RUN, "status": status})).unwrap()
        };
        let nothing = (None, None);
        let (progress, message) = nothing.clone();
        assert_eq!(said("running"), Some(WorkerSaid::Started { progress, message }));
        assert_eq!(said("completed"), Some(WorkerSaid::Done { result: None }));
        assert_eq!(said("failed"), Some(WorkerSaid::Failed { error: None }));
        assert_eq!(said("cancelled"), Some(WorkerSaid::Cancelled));
        assert_eq!([said("pending"), said("cancelling")], [None, None]);
        let body = json!({"jobName": "nightly", "runId": RUN.to_uppercase()}).to_string();
        let (progress, message) = nothing;
        let expected = WorkerReport {
            run: RUN.to_owned(),
            said: Some(WorkerSaid::Alive { progress, message }),
        };
        assert_eq!(read(Subject::Heartbeat, "nightly", body.as_bytes()), Ok(expected));
    }

    #[test]
    fn further_keys_are_understood_and_cut_and_those_out_of_bounds_left_out() {
        let long = "ü".repeat(1_000);
        let done = json!({"runId": RUN, "status": "completed", "result": {"sent": 5}});
        let result = Some(r#"{"sent":5}"#.to_owned());
        assert_eq!(status_of(done), Ok(Some(WorkerSaid::Done { result })));
        let done = json!({"runId": RUN, "status": "completed", "result": long});
        let Ok(Some(WorkerSaid::Done { result: Some(cut) })) = status_of(done) else { panic!() };
        assert_eq!(cut.len(), MAX_RESPONSE);
        let failed = json!({"runId": RUN, "status": "failed", "message": "no disk", "error": null});
        let error = Some("no disk".to_owned());
        assert_eq!(status_of(failed), Ok(Some(WorkerSaid::Failed { error })));
        for (given, expected) in [
            (json!(40), Some(40)),
            (json!(99.6), Some(100)),
            (json!(101), None),
            (json!("x"), None),
        ] {
            let running =
                json!({"runId": RUN, "status": "running", "progress": given, "message": "a"});
            let message = Some("a".to_owned());
            let started = WorkerSaid::Started { progress: expected, message };
            assert_eq!(status_of(running), Ok(Some(started)));
        }
    }

    #[test]
    fn what_is_no_report_is_poison() {
        let large = json!({"runId": RUN, "status": "failed", "x": "x".repeat(MAX_BODY)});
        for (body, poison) in [
            (String::new(), Poison::NotJson),
            ("{".to_owned(), Poison::NotJson),
            ("[]".to_owned(), Poison::NotJson),
            ("[".repeat(60_000), Poison::NotJson),
            (json!({"status": "running"}).to_string(), Poison::RunId),
            (json!({"runId": 7, "status": "running"}).to_string(), Poison::RunId),
            (json!({"runId": "x".repeat(24), "status": "running"}).to_string(), Poison::RunId),
            (json!({"runId": &RUN[1..], "status": "running"}).to_string(), Poison::RunId),
            (
                json!({"runId": RUN, "jobName": "daily", "status": "running"}).to_string(),
                Poison::JobName,
            ),
            (json!({"runId": RUN, "jobName": 5, "status": "running"}).to_string(), Poison::JobName),
            (json!({"runId": RUN, "status": "RUNNING"}).to_string(), Poison::Status),
            (json!({"runId": RUN, "status": {}}).to_string(), Poison::Status),
            (json!({"runId": RUN}).to_string(), Poison::Status),
            (large.to_string(), Poison::TooLarge),
        ] {
            assert_eq!(
                read(Subject::Status, "nightly", body.as_bytes()),
                Err(poison),
                "{body:.80}"
            );
        }
    }
}
