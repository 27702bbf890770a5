//! The ids by which clients name a run: its execution id or its run id. Every use case of runs, and
//! those of executions, find the occurrence here.

use rusqlite::Connection;

use crate::app::error::Error;
use crate::model::attempt::{occurrence_id, parse_execution_id};
use crate::model::run::Occurrence;
use crate::model::run_id::{RunName, parse_run_id};
use crate::store::{meta, open_runs};

/// The occurrence that an id names; `None` for an id of another cluster, and for a run id of a
/// manual run of which nothing is known. A planned occurrence need not be known.
pub(in crate::app) fn named(conn: &Connection, id: &str) -> rusqlite::Result<Option<Occurrence>> {
    let cluster = meta::cluster_id(conn)?.unwrap_or_default();
    if let Some(name) = parse_run_id(cluster, id) {
        return match name {
            RunName::Planned { job, scheduled } => Ok(Some(Occurrence { job, scheduled, run: 0 })),
            RunName::Manual { job, run } => open_runs::manual(conn, job, run),
        };
    }
    let of = parse_execution_id(id).filter(|of| i64::try_from(of.job).is_ok());
    Ok(of.filter(|of| occurrence_id(cluster, *of) == id))
}

/// No run has an id.
pub(in crate::app) fn missing_run() -> Error {
    Error::not_found("no run has this id: give its execution id or its run id")
}
