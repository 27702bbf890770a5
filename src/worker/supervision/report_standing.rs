//! What a report that came over a broker can be: proposed, waited with, or put away. `reporting`
//! asks it, within one read of the store; the rules of what counts are those of `command::apply`.
//!
//! A report counts for runs under its name at its broker. Which of the queues there it came over
//! says nothing: queues with one broker and one name share their workers, and what these publish.
//!
//! A node that does not own the shard of a run may lag behind what its workers know. What such a
//! node finds is the last word only when it has waited.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::bus_queues::{broker_of, bus_queue};
use super::lookup::Lookup;
use super::news::row_of;
use crate::bus::{BusAddress, WorkerSaid};
use crate::model::attempt::Verdict;
use crate::model::job::{Job, PARKED, Pending};
use crate::model::run::{Occurrence, Phase, Run};
use crate::model::run_id::RunName;
use crate::model::run_report::{RunReport, Said};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, Millis, NodeId};
use crate::store::{attempts, executors, jobs, open_runs, runs, shards};
use crate::worker::send::{DeliveryMode, OfferTerms, Routes};
use crate::worker::supervisor::QueueId;

/// The time by which the clock of an owner may be ahead of this node's, in milliseconds.
const AHEAD: Millis = 60_000;

/// How a report stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// It is to be proposed.
    Present(Box<RunReport>),
    /// The record of its run may be on its way. When it has not come in time, the report is
    /// proposed all the same: the leader may know more than this node.
    Awaited {
        said: Box<RunReport>,
        /// False where the store has nothing of the occurrence, and the shard has not settled what
        /// was due then: its first record may come however long that takes.
        is_settled: bool,
    },
    /// As far as this node knows, the workers of its run are elsewhere. It is never proposed while
    /// that is so.
    Foreign,
    /// It changes nothing: the run is over, or it was said before.
    Late,
    /// Nothing is known of such a run, and nothing will be.
    Unknown,
    /// The id names no job.
    Poison,
}

/// A report, as far as its standing depends on it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) name: RunName,
    /// The address that it came from.
    pub(super) address: BusAddress,
    pub(super) said: WorkerSaid,
    /// It was delivered before.
    pub(super) is_redelivered: bool,
    /// The attempt that it was taken for when it was looked at first; 0 before that.
    pub(super) attempt: u32,
}

/// The shards that are a node's, as the store has it.
pub(super) fn owned(conn: &Connection, node: NodeId) -> rusqlite::Result<BTreeSet<ShardId>> {
    let all = shards::all(conn)?.into_iter();
    Ok(all.filter(|shard| shard.owner == node && shard.epoch > 0).map(|shard| shard.id).collect())
}

/// Looks how a report stands. `now` is the present scheduler time; `is_owner` says whether the
/// shard of its job is this node's.
pub(super) fn standing(
    conn: &Connection,
    lookup: &Lookup,
    asked: &Asked,
    (is_owner, now): (bool, Millis),
) -> rusqlite::Result<Standing> {
    let job = asked.name.job();
    if i64::try_from(job).is_err() {
        return Ok(Standing::Poison);
    }
    let of = match asked.name {
        RunName::Planned { job, scheduled } => Occurrence { job, scheduled, run: 0 },
        RunName::Manual { job, run } => match open_runs::manual(conn, job, run)? {
            Some(of) => of,
            // A manual run is in the store before it is published.
            None => return nothing(conn, job),
        },
    };
    let run = runs::get(conn, of)?;
    if let Some(run) = run.as_ref().filter(|run| run.accepted) {
        return on_run(conn, lookup, (run, is_owner), asked);
    }
    let row = row_of(conn, of)?;
    if row.is_none() && run.is_none() {
        return on_none(conn, lookup, asked, (of, now));
    }
    // A job that was deleted has no rows in a moment.
    let Some(job) = jobs::get(conn, job)? else { return Ok(Standing::Late) };
    let Some(terms) = terms_of(conn, lookup, &job, &asked.address)? else {
        return Ok(Standing::Foreign);
    };
    let attempt = row.as_ref().map_or(1, |row| row.attempt);
    Ok(on_row(row.as_ref(), asked, Box::new(report(of, asked, attempt, &terms))))
}

fn on_run(
    conn: &Connection,
    lookup: &Lookup,
    (run, is_owner): (&Run, bool),
    asked: &Asked,
) -> rusqlite::Result<Standing> {
    let Some(kept) = run.worker.as_deref() else { return Ok(Standing::Foreign) };
    let is_its =
        kept.terms.name == *asked.address.name && is_at(conn, lookup, &kept.terms, &asked.address)?;
    if !is_its {
        return Ok(Standing::Foreign);
    }
    let has_begun = kept.phase == Phase::Running || run.started != kept.since;
    let report = |attempt| Box::new(report(run.occurrence, asked, attempt, &kept.terms));
    Ok(match asked.said {
        WorkerSaid::Started { .. } if has_begun && (is_owner || asked.is_redelivered) => {
            Standing::Late
        }
        // Where this node lags, the attempt that has begun may be the one before.
        WorkerSaid::Started { .. } if has_begun => Standing::Present(report(0)),
        _ if !has_begun && is_repeated(asked, run.attempt) => Standing::Late,
        _ => Standing::Present(report(run.attempt)),
    })
}

/// A report on an occurrence in a row, or of whose run no more is recorded than that it has begun.
fn on_row(row: Option<&Pending>, asked: &Asked, report: Box<RunReport>) -> Standing {
    let attempt = row.map_or(1, |row| row.attempt);
    match asked.said {
        WorkerSaid::Done { .. } => Standing::Present(report),
        _ if row.is_some_and(|row| row.next_at == PARKED) => Standing::Late,
        _ if is_repeated(asked, attempt) => Standing::Late,
        WorkerSaid::Started { .. } => Standing::Present(report),
        // Of what the store does not have as a run nothing else can be said yet.
        _ => Standing::Awaited { said: report, is_settled: true },
    }
}

/// Says whether a report that was delivered before is the word of an attempt before this one, which
/// nobody has begun: statuses name no attempt.
fn is_repeated(asked: &Asked, attempt: u32) -> bool {
    let of_attempt = matches!(asked.said, WorkerSaid::Started { .. } | WorkerSaid::Failed { .. });
    (asked.is_redelivered && of_attempt && attempt > 1)
        || (asked.attempt > 0 && asked.attempt < attempt)
}

/// A report on an occurrence that is in no row and of which there is no run.
fn on_none(
    conn: &Connection,
    lookup: &Lookup,
    asked: &Asked,
    (of, now): (Occurrence, Millis),
) -> rusqlite::Result<Standing> {
    let job = jobs::get(conn, of.job)?;
    let jitter = job.as_ref().map_or(0, |job| job.definition.jitter);
    let latest = of.scheduled.saturating_add(jitter);
    let end = attempts::end_of(conn, of, of.scheduled, latest)?;
    let terms = match &job {
        Some(job) => terms_of(conn, lookup, job, &asked.address)?,
        None => None,
    };
    let is_done = matches!(asked.said, WorkerSaid::Done { .. });
    Ok(match (end, terms) {
        // Only a dead letter can still be taken back.
        (Some((Verdict::Dead, _)), Some(terms)) if is_done => {
            Standing::Present(Box::new(report(of, asked, 0, &terms)))
        }
        (Some(_), _) => Standing::Late,
        (None, Some(_)) if of.scheduled > now.saturating_add(AHEAD) => Standing::Unknown,
        (None, Some(terms)) => {
            let said = Box::new(report(of, asked, 0, &terms));
            let shard = shards::get(conn, shard_of(of.job))?;
            let settled = shard.map_or(Millis::MIN, |shard| shard.settled());
            Standing::Awaited { said, is_settled: of.run != 0 || settled >= latest }
        }
        (None, None) if job.is_some() => Standing::Foreign,
        (None, None) => Standing::Poison,
    })
}

/// A report on a manual run of which nothing is known.
fn nothing(conn: &Connection, job: JobId) -> rusqlite::Result<Standing> {
    let is_there = jobs::anchor(conn, job)?.is_some();
    Ok(if is_there { Standing::Unknown } else { Standing::Poison })
}

/// The report in the words of the log. Workers of a broker name neither attempt nor themselves: the
/// report is on the attempt that the store has, or had when it was looked at first, so that it
/// counts once. A result counts whatever the attempt is.
fn report(occurrence: Occurrence, asked: &Asked, attempt: u32, terms: &RunTerms) -> RunReport {
    let said = match asked.said.clone() {
        // A sign of life is no report; nobody asks for one.
        WorkerSaid::Started { .. } | WorkerSaid::Alive { .. } => {
            Said::Started { terms: Box::new(terms.clone()) }
        }
        WorkerSaid::Done { result } => Said::Done { result },
        WorkerSaid::Failed { error } => Said::Failed { error, retry: true },
        WorkerSaid::Cancelled => Said::Cancelled,
    };
    let attempt = match &said {
        Said::Done { .. } => 0,
        _ if asked.attempt > 0 => asked.attempt,
        _ => attempt,
    };
    RunReport { occurrence, attempt, worker: String::new(), said }
}

/// The terms of a job's runs as they are now, under the address that a report came from; `None`
/// where its workers are at no broker, or at another one.
fn terms_of(
    conn: &Connection,
    lookup: &Lookup,
    job: &Job,
    address: &BusAddress,
) -> rusqlite::Result<Option<RunTerms>> {
    let mut routes = Routes::new(conn, &lookup.kinds, lookup.defaults);
    let DeliveryMode::Offer(_, OfferTerms { terms, .. }) =
        routes.terms(&job.definition, job.definition.is_one_off())?.mode
    else {
        return Ok(None);
    };
    if !is_at(conn, lookup, &terms, address)? {
        return Ok(None);
    }
    let mut terms = (*terms).clone();
    // It was published under this address, and its worker is told to stop there.
    (terms.executor, terms.name) = (address.queue, address.name.to_string());
    Ok(Some(terms))
}

/// Says whether the workers of a queue are at the broker of an address. A queue that is there no
/// more says nothing against it.
fn is_at(
    conn: &Connection,
    lookup: &Lookup,
    terms: &RunTerms,
    address: &BusAddress,
) -> rusqlite::Result<bool> {
    if terms.bus != BusKind::Rabbitmq || terms.executor == address.queue {
        return Ok(terms.bus == BusKind::Rabbitmq);
    }
    let queue: QueueId = terms.executor;
    let Some(executor) = executors::get(conn, queue)? else { return Ok(true) };
    let broker = bus_queue(&lookup.kinds, &executor).map(|queue| queue.broker);
    Ok(broker.as_deref() == broker_of(&lookup.kinds, address).as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::call_target::CallTarget;
    use crate::model::target::Configured;

    #[test]
    fn a_report_that_was_delivered_before_is_of_an_attempt_before_one_that_has_not_begun() {
        let configured = Configured { kind: "k".into(), settings: 1.into() };
        let target = std::sync::Arc::new(CallTarget::Settings(Box::new(configured)));
        let name = RunName::Planned { job: 7, scheduled: 5 };
        let address = BusAddress { queue: 9, project: 1, target, name: "n".into() };
        let asked = |said, is_redelivered, attempt| Asked {
            name,
            address: address.clone(),
            said,
            is_redelivered,
            attempt,
        };
        let started = || WorkerSaid::Started { progress: None, message: None };
        let failed = || WorkerSaid::Failed { error: None };
        for said in [started(), failed()] {
            assert!(!is_repeated(&asked(said.clone(), false, 0), 2));
            assert!(!is_repeated(&asked(said.clone(), true, 0), 1));
            assert!(is_repeated(&asked(said.clone(), true, 0), 2));
            // It was taken for the attempt before.
            assert!(is_repeated(&asked(said.clone(), false, 1), 2));
            assert!(!is_repeated(&asked(said, false, 2), 2));
        }
        assert!(!is_repeated(&asked(WorkerSaid::Done { result: None }, true, 0), 2));
        let of = Occurrence { job: 7, scheduled: 5, run: 0 };
        let retry = crate::model::delivery::Retry { max: 0, delay: 0, factor: 1, max_delay: 0 };
        let terms = RunTerms::new(BusKind::Rabbitmq, 9, retry);
        let attempt = |asked: &Asked| report(of, asked, 2, &terms).attempt;
        assert_eq!(attempt(&asked(failed(), false, 0)), 2);
        assert_eq!(attempt(&asked(failed(), false, 1)), 1, "the first look counts");
        assert_eq!(attempt(&asked(WorkerSaid::Done { result: None }, false, 0)), 0);
    }
}
