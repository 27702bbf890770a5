//! A run as the answer to a claim gives it. Pure.

use serde_json::Value;

use crate::schedule::parse_duration;

/// A run that a node gave to this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    /// The execution id, by which reports and heartbeats name the run.
    pub(super) id: String,
    /// The run id, 24 hexadecimal digits.
    pub(super) run_id: String,
    /// The number of the attempt, which reports and heartbeats name, too.
    pub(super) attempt: u32,
    /// The job.
    pub(super) job_id: u64,
    /// The client's id of the job.
    pub(super) external_id: Option<String>,
    /// The project of the job.
    pub(super) project_id: u64,
    /// The name of the queue.
    pub(super) queue: String,
    /// The scheduled instant, RFC 3339.
    pub(super) scheduled_at: String,
    /// The due instant, RFC 3339.
    pub(super) due_at: String,
    /// The data of the job, for the command's standard input.
    pub(super) data: String,
    /// The longest silence in milliseconds; `None` where nobody expects heartbeats.
    pub(super) heartbeat_timeout: Option<u64>,
}

impl Assignment {
    /// Reads the runs of an answer to a claim. What lacks an id or an attempt cannot be reported
    /// on: it is left out, and comes again when its first heartbeat is missing.
    pub(super) fn read_all(envelope: &Value) -> Vec<Self> {
        let runs = envelope["data"]["runs"].as_array().map_or(&[][..], Vec::as_slice);
        runs.iter().filter_map(Self::read).collect()
    }

    fn read(run: &Value) -> Option<Self> {
        let text = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
        let timeout = run["heartbeatTimeout"].as_str().and_then(|text| parse_duration(text).ok());
        Some(Self {
            id: run["id"].as_str()?.to_owned(),
            run_id: run["runId"].as_str().or(run["id"].as_str())?.to_owned(),
            attempt: run["attempt"].as_u64().and_then(|n| u32::try_from(n).ok())?,
            job_id: run["jobId"].as_u64().unwrap_or_default(),
            external_id: run["externalId"].as_str().map(str::to_owned),
            project_id: run["projectId"].as_u64().unwrap_or_default(),
            queue: text("queue"),
            scheduled_at: text("scheduledAt"),
            due_at: text("dueAt"),
            data: text("data"),
            heartbeat_timeout: timeout.map(i64::unsigned_abs).filter(|timeout| *timeout > 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_runs_of_a_claim_are_read() {
        let run = json!({
            "id": "aa-7-1", "runId": "480788a06cd1843bcc4ff647", "attempt": 2, "jobId": 7,
            "externalId": "nightly", "projectId": 3, "queue": "emails",
            "scheduledAt": "2026-11-30T00:00:00Z", "dueAt": "2026-11-30T00:00:01Z",
            "data": "{}", "heartbeatTimeout": "1m30s", "runTimeout": "1h",
        });
        let no_end = json!({"id": "b", "attempt": 1, "heartbeatTimeout": "0s"});
        let broken = json!({"id": "c"});
        let read = Assignment::read_all(&json!({"data": {"runs": [run, no_end, broken]}}));
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].attempt, read[0].heartbeat_timeout), (2, Some(90_000)));
        assert_eq!(read[0].external_id.as_deref(), Some("nightly"));
        assert_eq!((read[1].run_id.as_str(), read[1].heartbeat_timeout), ("b", None));
        assert!(Assignment::read_all(&Value::Null).is_empty());
    }
}
