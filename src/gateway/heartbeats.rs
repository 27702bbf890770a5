//! Heartbeats: signs of life go on to the owners of the runs, and what the worker is to stop is
//! read from this node's own store. Notices of reports and questions about live runs take the same
//! way.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::messages::MOST_RUNS;
use super::replica::Advice;
use super::state::Gateway;
use crate::model::NodeId;
use crate::model::claim::{
    HandOutQuestion, HandedOut, LiveRun, ReportNotice, RunHeartbeat, WorkerHeartbeat,
};
use crate::model::run::Occurrence;

/// The longest wait for the owners of runs, in milliseconds.
const OWNERS: u64 = 3_000;
/// The longest wait for live runs, in milliseconds.
const LIVE: u64 = 150;
/// The longest wait for what owners have handed out, in milliseconds. An owner that is silent for
/// longer is asked again with the next report.
const HANDED_OUT: u64 = 1_000;

/// The answer to a heartbeat. Runs that are in none of the lists go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// To be stopped, and reported as cancelled.
    pub cancel: Vec<Occurrence>,
    /// Over, or somebody else's: to be stopped without a report.
    pub gone: Vec<Occurrence>,
    /// Nobody who knows them was reached. They go on, and the heartbeat does not count for them.
    pub unknown: Vec<Occurrence>,
}

/// Runs as their supervisors know them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveRuns {
    /// Those that their supervisors know.
    pub runs: Vec<LiveRun>,
    /// Those whose owner did not answer in time, or that nobody owns.
    pub unanswered: BTreeSet<Occurrence>,
}

impl Gateway {
    /// Takes a heartbeat of a worker. Where there is nothing to stop, and all runs were heard, it
    /// waits for an order to stop for so many milliseconds, if there is a place to wait in.
    pub async fn heartbeat(&self, beat: WorkerHeartbeat, wait_ms: u64) -> Heard {
        let inner = &self.0;
        let end = inner.now().saturating_add(wait_ms);
        inner.seen().note_heartbeat(&beat.worker, beat.runs.len(), inner.now());
        let waits = wait_ms > 0 && !inner.stops();
        let place = waits.then(|| inner.place_of_runs(beat.runs.len())).flatten();
        let runs: Vec<_> = beat.runs.iter().map(|run| (run.occurrence, run.attempt)).collect();
        let worker = beat.worker.clone();
        let watched = place.map(|place| {
            let of = runs.iter().map(|(of, _)| *of).collect();
            (place, inner.watches.add(&worker, of))
        });
        let (mut heard, mut unknown) =
            tokio::join!(self.advise(&worker, runs.clone()), self.pass_on(beat));
        let gone: BTreeSet<_> = heard.gone.iter().collect();
        unknown.retain(|of| !gone.contains(of));
        if let Some((_place, watch)) = watched {
            // What nobody has heard the worker must know at once: it does not count.
            while unknown.is_empty() && heard.cancel.is_empty() && heard.gone.is_empty() {
                tokio::select! {
                    changed = watch.changed() => {
                        let runs = runs.iter().copied().filter(|(of, _)| changed.contains(of));
                        heard = self.advise(&worker, runs.collect()).await;
                    }
                    () = inner.clock.sleep_until(end) => break,
                    () = inner.stopped() => break,
                }
            }
        }
        Heard { unknown, ..heard }
    }

    /// Passes signs of life on that came over a broker, whose workers name neither themselves nor
    /// an attempt. They are told to stop over the broker.
    pub async fn hear_for_others(&self, runs: Vec<RunHeartbeat>) {
        self.pass_on(WorkerHeartbeat { worker: String::new(), runs }).await;
    }

    /// Reads what a worker is to stop.
    async fn advise(&self, worker: &str, runs: Vec<(Occurrence, u32)>) -> Heard {
        let mut heard = Heard::default();
        if runs.is_empty() {
            return heard;
        }
        let advised = self.0.replica.advise(worker, runs.clone()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what becomes of the runs of a worker cannot be read");
            Vec::new()
        });
        for ((of, _), advice) in runs.into_iter().zip(advised) {
            match advice {
                Advice::GoOn => {}
                Advice::Cancel => heard.cancel.push(of),
                Advice::Gone => heard.gone.push(of),
            }
        }
        heard
    }

    /// Passes a heartbeat on to the owners. Gives those runs of which nobody who was reached knows.
    async fn pass_on(&self, beat: WorkerHeartbeat) -> Vec<Occurrence> {
        let WorkerHeartbeat { worker, runs } = beat;
        let all: Vec<_> = runs.iter().map(|run| run.occurrence).collect();
        let sorted = self.by_owner(runs, |run| run.occurrence).await;
        let known = sorted.into_iter().map(async |(owner, runs)| {
            let told: Vec<_> = runs.iter().map(|run| run.occurrence).collect();
            let unknown = self.tell_owner(owner, worker.clone(), runs).await?;
            let unknown: BTreeSet<_> = unknown.into_iter().collect();
            Some(told.into_iter().filter(move |of| !unknown.contains(of)))
        });
        let known: BTreeSet<_> = join_all(known).await.into_iter().flatten().flatten().collect();
        all.into_iter().filter(|of| !known.contains(of)).collect()
    }

    /// Tells one owner. Gives the runs that it does not know; `None` without an answer.
    async fn tell_owner(
        &self,
        owner: NodeId,
        worker: String,
        runs: Vec<RunHeartbeat>,
    ) -> Option<Vec<Occurrence>> {
        let inner = &self.0;
        let beat = WorkerHeartbeat { worker, runs };
        let told = async {
            if owner != inner.supervisors.own() {
                return inner.heartbeat_calls.send(owner, beat).await.ok();
            }
            let told = inner.supervisors.heartbeat(owner, vec![beat]).await;
            told.ok().and_then(|mut told| told.pop())
        };
        tokio::select! {
            biased;
            told = told => told,
            () = inner.clock.sleep_until(inner.now() + OWNERS) => None,
        }
    }

    /// Tells the owners of reports that are on their way into the store.
    pub async fn note_reports(&self, reports: Vec<ReportNotice>) {
        self.0.watches.note_reports(&reports);
        for (owner, reports) in self.by_owner(reports, |report| report.occurrence).await {
            for report in reports {
                self.0.notices.add_report(owner, report);
            }
        }
        self.0.work.notify_one();
    }

    /// Asks the owners for runs as they are at this moment.
    pub async fn live(&self, of: Vec<Occurrence>) -> LiveRuns {
        let inner = &self.0;
        let mut unanswered: BTreeSet<_> = of.iter().copied().collect();
        let sorted = self.by_owner(of, |of| *of).await;
        let asked = sorted.into_iter().map(async |(owner, of)| {
            tokio::select! {
                biased;
                live = inner.supervisors.live(owner, of.clone()) => Some((of, live.ok()?)),
                () = inner.clock.sleep_until(inner.now() + LIVE) => None,
            }
        });
        let mut runs = Vec::new();
        for (of, live) in join_all(asked).await.into_iter().flatten() {
            runs.extend(live);
            for of in of {
                unanswered.remove(&of);
            }
        }
        LiveRuns { runs, unanswered }
    }

    /// Asks the owners of runs whether attempts were handed out, and answers in the order of the
    /// questions: `Unknown` where nobody owns the shard, or its owner does not answer in time.
    pub async fn handed_out(&self, asked: Vec<HandOutQuestion>) -> Vec<HandedOut> {
        let inner = &self.0;
        let mut told = vec![HandedOut::Unknown; asked.len()];
        let numbered: Vec<_> = asked.into_iter().enumerate().collect();
        let mut questions = Vec::new();
        for (owner, of_owner) in self.by_owner(numbered, |(_, one)| one.occurrence).await {
            let mut left = of_owner.into_iter().peekable();
            while left.peek().is_some() {
                let (places, part): (Vec<_>, Vec<_>) = left.by_ref().take(MOST_RUNS).unzip();
                let asking = inner.supervisors.handed_out(owner, part);
                questions.push(async move {
                    tokio::select! {
                        biased;
                        told = asking => Some((places, told.ok()?)),
                        () = inner.clock.sleep_until(inner.now() + HANDED_OUT) => None,
                    }
                });
            }
        }
        for (places, answers) in join_all(questions).await.into_iter().flatten() {
            for (place, answer) in places.into_iter().zip(answers) {
                told[place] = answer;
            }
        }
        told
    }
}
