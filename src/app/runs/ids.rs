//! The ids by which clients name a run: its execution id or its run id. Every use case of runs, and
//! those of executions, find the occurrence here.

use rusqlite::Connection;

use crate::app::error::Error;
use crate::model::attempt::{occurrence_id, parse_execution_id};
use crate::model::run::Occurrence;
use crate::model::run_id::{RunName, parse_run_id};
use crate::store::{meta, open_runs};

/// The run that an id means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Meant {
    /// A run of this cluster.
    Run(RunName, Option<Occurrence>),
    /// A run of another cluster.
    Foreign,
}

/// Reads the id of a run: its execution id or its run id. `None` for a text that is neither.
pub(in crate::app) fn meant(cluster: u128, id: &str) -> Option<Meant> {
    if let Some(name) = parse_run_id(cluster, id) {
        return Some(Meant::Run(name, None));
    }
    let of = parse_execution_id(id).filter(|of| i64::try_from(of.job).is_ok())?;
    let is_ours = occurrence_id(cluster, of) == id;
    Some(if is_ours { Meant::Run(RunName::of(of), Some(of)) } else { Meant::Foreign })
}

/// The occurrence that an id names; `None` for an id of another cluster, and for a run id of a
/// manual run of which nothing is known. A planned occurrence need not be known.
pub(in crate::app) fn named(conn: &Connection, id: &str) -> rusqlite::Result<Option<Occurrence>> {
    let cluster = meta::cluster_id(conn)?.unwrap_or_default();
    named_in(conn, cluster, id)
}

/// As [`named`], for a caller that knows the cluster's id.
pub(in crate::app) fn named_in(
    conn: &Connection,
    cluster: u128,
    id: &str,
) -> rusqlite::Result<Option<Occurrence>> {
    match meant(cluster, id) {
        Some(Meant::Run(_, Some(of))) => Ok(Some(of)),
        Some(Meant::Run(RunName::Planned { job, scheduled }, None)) => {
            Ok(Some(Occurrence { job, scheduled, run: 0 }))
        }
        Some(Meant::Run(RunName::Manual { job, run }, None)) => open_runs::manual(conn, job, run),
        Some(Meant::Foreign) | None => Ok(None),
    }
}

/// The occurrence that an id alone names. `None` where the state has to be asked, or where it is no
/// id of this cluster.
pub(in crate::app) fn planned(cluster: u128, id: &str) -> Option<Occurrence> {
    match meant(cluster, id)? {
        Meant::Run(_, Some(of)) => Some(of),
        Meant::Run(RunName::Planned { job, scheduled }, None) => {
            Some(Occurrence { job, scheduled, run: 0 })
        }
        Meant::Run(RunName::Manual { .. }, None) | Meant::Foreign => None,
    }
}

/// No run has an id.
pub(in crate::app) fn missing_run() -> Error {
    Error::not_found("no run has this id: give its execution id or its run id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run_id::run_id;

    const CLUSTER: u128 = 0xdead_beef << 96 | 7;

    #[test]
    fn a_run_is_meant_by_either_of_its_ids() {
        for run in [0, 26] {
            let of = Occurrence { job: 77, scheduled: 1_763_700_000_000, run };
            let name = RunName::of(of);
            let (id, long) = (run_id(CLUSTER, of), occurrence_id(CLUSTER, of));
            assert_eq!(meant(CLUSTER, &id), Some(Meant::Run(name, None)));
            assert_eq!(meant(CLUSTER, &long), Some(Meant::Run(name, Some(of))));
            assert_eq!(meant(1, &long), Some(Meant::Foreign));
            assert_eq!(planned(CLUSTER, &long), Some(of));
            assert_eq!(
                planned(CLUSTER, &id),
                Some(of).filter(|_| run == 0),
                "else it is looked up"
            );
        }
        for id in ["", "7", "x", "deadbeef-4d", "zz"] {
            assert_eq!(meant(CLUSTER, id), None, "{id}");
        }
    }
}
