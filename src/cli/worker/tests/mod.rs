//! Tests of the worker against a stub of the API, with real commands.

mod commands;
mod held;
mod requests;
mod stopping;
mod stub;

use super::assignment::Assignment;

/// A run of job 7.
pub(in crate::cli::worker) fn assignment(
    id: &str,
    attempt: u32,
    heartbeat_timeout: Option<u64>,
) -> Assignment {
    Assignment {
        id: id.to_owned(),
        run_id: "480788a06cd1843bcc4ff647".to_owned(),
        attempt,
        job_id: 7,
        external_id: None,
        project_id: 3,
        queue: "emails".to_owned(),
        scheduled_at: "2026-11-30T00:00:00Z".to_owned(),
        due_at: "2026-11-30T00:00:01Z".to_owned(),
        data: "{}".to_owned(),
        heartbeat_timeout,
    }
}
