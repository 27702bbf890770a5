//! The end of an occurrence whose due instant the caller does not know. The history is searched by
//! due instants, and jitter makes those later than the scheduled one. The supervision of runs,
//! gateways and reports call it, and `command::apply` reckons due instants by it; it reads only.

use rusqlite::Connection;

use super::attempts::end_of;
use crate::model::Millis;
use crate::model::attempt::{ResultOrigin, Verdict};
use crate::model::job::{JobDefinition, LONGEST_JITTER};
use crate::model::run::Occurrence;
use crate::schedule::delayed;
use crate::store::catalog::{jobs, plans};

/// The end state of an occurrence, and what told of it; `None` if it has none, or if its history is
/// kept no more.
pub fn of_occurrence(
    conn: &Connection,
    of: Occurrence,
) -> rusqlite::Result<Option<(Verdict, ResultOrigin)>> {
    within(conn, of, LONGEST_JITTER)
}

/// As [`of_occurrence`]; where no plan of the job gives the due instant, it is searched for no
/// longer than `searched` milliseconds after the scheduled one.
pub fn within(
    conn: &Connection,
    of: Occurrence,
    searched: Millis,
) -> rusqlite::Result<Option<(Verdict, ResultOrigin)>> {
    let end = end_of(conn, of, of.scheduled, of.scheduled)?;
    if end.is_some() || of.run != 0 {
        return Ok(end);
    }
    let job = jobs::get(conn, of.job)?.map(|job| job.definition);
    let closed = plans::of_job(conn, of.job)?.into_iter().map(|plan| plan.definition);
    let definitions: Vec<_> = job.into_iter().chain(closed).collect();
    for due in definitions.iter().filter_map(|one| due_by(of, one)) {
        if let Some(end) = end_of(conn, of, due, due)? {
            return Ok(Some(end));
        }
    }
    let jitters = definitions.iter().map(|one| one.jitter);
    // Of a job that is deleted nobody knows how far its occurrences were spread.
    let most = jitters.max().unwrap_or(LONGEST_JITTER).min(searched);
    if most <= 0 {
        return Ok(None);
    }
    end_of(conn, of, of.scheduled, of.scheduled.saturating_add(most))
}

/// The due instant of an occurrence by a plan of its job that has jitter. The schedule is not read:
/// one whose instants lie closer together than its jitter, and that has no period, may give
/// another.
pub fn due_by(of: Occurrence, definition: &JobDefinition) -> Option<Millis> {
    let jitter = definition.jitter;
    let most = definition.period.map_or(jitter, |gap| gap.min(jitter));
    (jitter > 0).then(|| delayed(of.job, of.scheduled, most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::{AttemptRecord, Occurrences};
    use crate::model::members::Members;
    use crate::model::shard::shard_of;
    use crate::store::{Store, attempts};

    #[test]
    fn the_end_of_a_deleted_job_is_found_however_late_it_was_due() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mut writer) = Store::open(dir.path()).unwrap();
        let mut id = 0;
        let mut end = |job, due, run| {
            id += 1;
            let (shard, members) = (shard_of(job), Members::from_sorted([job]));
            let of = Occurrences { project: 1, shard, epoch: 1, due, scheduled: 50, members };
            let record = AttemptRecord { run, ..AttemptRecord::attempt(of, Verdict::Dead) };
            let insert =
                |tx: &mut crate::store::Tx<'_>| attempts::insert(tx, id, 1, false, due, &record);
            writer.transaction(insert).unwrap_or_else(|e: rusqlite::Error| panic!("{e}"));
        };
        end(1, 50, 0);
        end(2, 50 + LONGEST_JITTER, 0);
        end(3, 51 + LONGEST_JITTER, 0);
        end(4, 60, 7);
        let found = |job, run| {
            let of = Occurrence { job, scheduled: 50, run };
            store.read(|conn| of_occurrence(conn, of)).unwrap()
        };
        let dead = Some((Verdict::Dead, ResultOrigin::Answer));
        assert_eq!([found(1, 0), found(2, 0)], [dead, dead]);
        assert_eq!(found(3, 0), None, "no job is spread that far");
        assert_eq!(found(4, 7), None, "a manual run is due when it is scheduled");
    }
}
