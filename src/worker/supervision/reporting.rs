//! The reporter: brings what workers of a broker say of runs into the log. A message is
//! acknowledged when its report is applied, or refused for good.
//!
//! ```text
//!   hearer ── look (one read) ─┬─ to be proposed ── gather ── ReportRuns ─┬─ counted, over: done
//!                              ├─ on its way ── wait on the change feed ──┘  unknown yet: wait
//!                              └─ late, unknown, poison: put away            no leader: later
//! ```
//!
//! A run of which nothing is known is waited for, up to three seconds, beside all others: its
//! record is on its way from the journal of its owner. So is what a node finds that does not own
//! the shard of the run, before a report is put away: its store may lag. That time runs only while
//! this node has a lease, which is while it hears a leader. When it is over and a leader does not
//! know the run, the owner of its shard is asked: a report is put away only where that owner says
//! that it never handed the attempt out, and the leader does not know the run after that either.
//! The run may have ended between the two questions, and its owner has forgotten it then.
//!
//! While nothing can be committed, reports are kept and tried again; those whose messages come
//! again to somebody are dropped. The supervisor is shown each report at its first look, also
//! then. `task` starts the reporter.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{broadcast, mpsc};

use super::done::{Done, HeardBeat};
use super::lookup::Lookup;
use super::open_reports::{OpenReport, OpenReports, PATIENCE_MS};
use super::report_standing::{Asked, Standing, owned, standing};
use super::writer::pause;
use crate::bus::{BusAddress, Receipt, WorkerSaid};
use crate::clock::SchedulerTime;
use crate::command::{Change, Command, Outcome, RejectionKind, Reported};
use crate::metrics::BusMetrics;
use crate::model::claim::{HandOutQuestion, HandedOut};
use crate::model::run_id::RunName;
use crate::model::run_report::{MAX_REPORTS, RunReport, Said};
use crate::model::shard::shard_of;
use crate::telemetry::LogLimit;
use crate::worker::deps::AskOwners;
use crate::worker::ports::{Lease, StateStore};
use crate::worker::supervisor::{Beat, Event};

/// The kind of statuses in the counters.
pub(super) const STATUS: &str = "status";
/// The time for which the first report of a command waits for others, in milliseconds.
const GATHER_MS: u64 = 5;
/// The most bytes of the reports of a command, about; one report is always in it.
const MAX_BYTES: usize = 256 << 10;

/// What a worker says of a run.
pub(super) struct HeardReport {
    pub(super) name: RunName,
    /// The address that it came from.
    pub(super) address: BusAddress,
    pub(super) said: WorkerSaid,
    /// It was delivered before.
    pub(super) is_redelivered: bool,
    pub(super) receipt: Receipt,
}

/// The reporter; see the head of this file.
pub(super) struct Reporter<B, L> {
    pub(super) store: B,
    pub(super) lookup: Lookup,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) lease: Arc<L>,
    pub(super) ask_owners: AskOwners,
    /// The supervisor is shown what comes.
    pub(super) done: mpsc::UnboundedSender<Done>,
    pub(super) metrics: BusMetrics,
}

/// Reports whose owners were asked, and the answers.
type Answered = (Vec<OpenReport>, Vec<HandedOut>);

impl<B: StateStore, L: Lease> Reporter<B, L> {
    /// Reports until nobody says anything any more.
    pub(super) async fn run(self, mut heard: mpsc::UnboundedReceiver<HeardReport>) {
        let mut changes = self.store.changes();
        let (mut open, mut fresh) = (OpenReports::default(), Vec::new());
        let mut asking: Option<BoxFuture<'static, Answered>> = None;
        loop {
            self.take_changes(&mut open, &mut changes);
            open.wake_late(self.now());
            if open.ready() > 0 {
                if open.ready() < MAX_REPORTS {
                    pause(&self.time, GATHER_MS).await;
                }
                while let Ok(report) = heard.try_recv() {
                    self.add(&mut open, report);
                }
                self.report(&mut open).await;
                continue;
            }
            if asking.is_none() {
                asking = self.ask(&mut open);
            }
            let wake = open.next_wake();
            tokio::select! {
                count = heard.recv_many(&mut fresh, MAX_REPORTS) => {
                    if count == 0 {
                        return;
                    }
                    fresh.drain(..).for_each(|report| self.add(&mut open, report));
                }
                change = changes.recv(), if open.any_waits() => match change {
                    Ok(change) => open.note(&change, self.now()),
                    Err(broadcast::error::RecvError::Lagged(_)) => open.wake_all(),
                    // The cluster is gone.
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                answered = answer(&mut asking) => self.take_answers(&mut open, answered),
                () = self.time.clock().sleep_until(wake.unwrap_or(u64::MAX)), if wake.is_some() => {}
            }
        }
    }

    fn now(&self) -> u64 {
        self.time.clock().boot()
    }

    /// Takes in the changes so far: a look that follows sees them.
    fn take_changes(&self, open: &mut OpenReports, changes: &mut broadcast::Receiver<Arc<Change>>) {
        loop {
            match changes.try_recv() {
                Ok(change) if open.any_waits() => open.note(&change, self.now()),
                Ok(_) => {}
                Err(broadcast::error::TryRecvError::Lagged(_)) => open.wake_all(),
                Err(_) => return,
            }
        }
    }

    fn add(&self, open: &mut OpenReports, heard: HeardReport) {
        let HeardReport { name, address, said, is_redelivered, receipt } = heard;
        if open.is_full() {
            return; // without its receipt the message comes again
        }
        let asked = Asked { name, address, said, is_redelivered, attempt: 0 };
        let until = self.now() + PATIENCE_MS;
        open.add(OpenReport { asked, receipt, until, is_shown: false, is_denied: false });
    }

    /// The instant up to which the run of a report is waited for: the time runs only under a lease.
    fn patience_ends(&self, report: &OpenReport) -> u64 {
        let from = self.lease.usable_since().unwrap_or_else(|| self.now());
        report.until.max(from.saturating_add(PATIENCE_MS))
    }

    /// Looks at the next reports, and proposes those that are to be.
    async fn report(&self, open: &mut OpenReports) {
        let next = open.take();
        let asked: Vec<_> = next.iter().map(|report| report.asked.clone()).collect();
        let (lookup, now) = (self.lookup.clone(), self.time.now());
        let look = move |conn: &rusqlite::Connection| {
            let owned = owned(conn, lookup.node)?;
            let look = |asked: &Asked| {
                let is_owner = owned.contains(&shard_of(asked.name.job()));
                Ok((standing(conn, &lookup, asked, (is_owner, now))?, is_owner))
            };
            asked.iter().map(look).collect::<rusqlite::Result<Vec<_>>>()
        };
        let found = match self.store.read(look).await {
            Ok(found) => found,
            Err(error) => return self.try_later(open, next, &error),
        };
        let mut proposed: Vec<(OpenReport, RunReport)> = Vec::new();
        for (mut report, (standing, is_owner)) in next.into_iter().zip(found) {
            report.until = self.patience_ends(&report);
            let has_time = report.until > self.now();
            match standing {
                Standing::Awaited { said, is_settled } if has_time || !is_settled => {
                    if !std::mem::replace(&mut report.is_shown, true) {
                        self.show(&report, &said);
                    }
                    if !has_time {
                        report.until = self.now() + PATIENCE_MS;
                    }
                    open.wait(report);
                }
                // The last word is the leader's: without one, what waits may still come.
                Standing::Present(said) | Standing::Awaited { said, .. } => {
                    self.show(&report, &said);
                    report.asked.attempt = said.attempt;
                    proposed.push((report, *said));
                }
                Standing::Foreign if has_time => open.wait(report),
                // This node may lag behind what the worker knows.
                _ if has_time && !is_owner => open.wait(report),
                Standing::Late => self.settle(report, "late"),
                Standing::Unknown | Standing::Foreign => self.settle(report, "unknown"),
                Standing::Poison => {
                    self.metrics.message(STATUS, "poison");
                    report.receipt.poison();
                }
            }
        }
        if open.is_paused(self.now()) {
            return proposed.into_iter().for_each(|(report, _)| open.keep(report));
        }
        while !proposed.is_empty() {
            let rest = proposed.split_off(fitting(&proposed));
            let kept = self.propose(open, std::mem::replace(&mut proposed, rest)).await;
            if let Err((mut kept, why)) = kept {
                // The next command would fail as late as this one.
                kept.extend(proposed.into_iter().map(|(report, _)| report));
                return self.try_later(open, kept, &why);
            }
        }
    }

    /// Proposes reports as one command. What cannot be committed is returned, with the reason.
    async fn propose(
        &self,
        open: &mut OpenReports,
        proposed: Vec<(OpenReport, RunReport)>,
    ) -> Result<(), (Vec<OpenReport>, String)> {
        let (proposed, reports): (Vec<_>, Vec<_>) = proposed.into_iter().unzip();
        let questions: Vec<_> = reports.iter().map(question).collect();
        let told = match self.store.propose(Command::ReportRuns { reports }).await {
            Ok(Outcome::Reports(told)) => told,
            Ok(other) => return Err((proposed, other.to_string())),
            Err(error) => return Err((proposed, error)),
        };
        open.note_commit();
        for ((report, question), told) in proposed.into_iter().zip(questions).zip(told) {
            match told {
                Reported::Counted(_) => self.settle(report, "ok"),
                Reported::Refused { why, .. } if why.kind == RejectionKind::NotFound => {
                    if report.is_denied {
                        self.settle(report, "unknown");
                    } else if report.until > self.now() {
                        open.wait(report);
                    } else {
                        open.doubt(report, question);
                    }
                }
                Reported::Refused { .. } => self.settle(report, "late"),
            }
        }
        Ok(())
    }

    /// Asks the owners of runs that have not come in time, one question after the other.
    fn ask(&self, open: &mut OpenReports) -> Option<BoxFuture<'static, Answered>> {
        let (reports, questions) = open.take_doubted();
        if reports.is_empty() {
            return None;
        }
        let asking = (self.ask_owners)(questions);
        Some(Box::pin(async move { (reports, asking.await) }))
    }

    /// Lets what was never handed out be proposed once more, and the others wait on.
    fn take_answers(&self, open: &mut OpenReports, (reports, told): Answered) {
        let told = told.into_iter().chain(std::iter::repeat(HandedOut::Unknown));
        for (mut report, told) in reports.into_iter().zip(told) {
            if told == HandedOut::No {
                report.is_denied = true;
                open.add(report);
            } else {
                report.until = self.now() + PATIENCE_MS;
                open.wait(report);
            }
        }
    }

    fn settle(&self, report: OpenReport, outcome: &'static str) {
        self.metrics.message(STATUS, outcome);
        report.receipt.done();
    }

    /// Keeps reports for another try.
    fn try_later(&self, open: &mut OpenReports, reports: Vec<OpenReport>, why: &str) {
        static LINES: LogLimit<()> = LogLimit::new();
        if let Some(unsaid) = LINES.admit(()) {
            let count = reports.len();
            tracing::warn!(why, count, unsaid, "reports of workers are kept: no commit now");
        }
        open.try_later(reports, self.now());
    }

    /// Shows the supervisor what is on its way into the store, or waits for its run: a worker has
    /// the run, whatever became of the confirm of its message.
    fn show(&self, report: &OpenReport, said: &RunReport) {
        // The task is gone only at its end.
        let _ = self.done.send(Done::Event(reported(said)));
        if let WorkerSaid::Started { progress, message } = &report.asked.said {
            let (progress, message) = (*progress, message.clone());
            let beat = Beat { of: said.occurrence, attempt: 0, progress, message };
            let address = report.asked.address.clone();
            let _ = self.done.send(Done::Alive(vec![HeardBeat { beat, address, receipt: None }]));
        }
    }
}

/// Waits for the answers to a question under way.
async fn answer(asking: &mut Option<BoxFuture<'static, Answered>>) -> Answered {
    match asking {
        Some(under_way) => {
            let answered = under_way.await;
            *asking = None;
            answered
        }
        None => std::future::pending().await,
    }
}

fn question(report: &RunReport) -> HandOutQuestion {
    let RunReport { occurrence, attempt, ref worker, .. } = *report;
    HandOutQuestion { occurrence, attempt, worker: worker.clone() }
}

fn reported(report: &RunReport) -> Event {
    let ends = matches!(report.said, Said::Done { .. } | Said::Failed { .. } | Said::Cancelled);
    let (of, attempt) = (report.occurrence, report.attempt);
    Event::Reported { of, attempt, worker: Arc::default(), ends }
}

/// How many of the reports fit into one command.
fn fitting(proposed: &[(OpenReport, RunReport)]) -> usize {
    let mut bytes = 0;
    let fits = |(_, report): &&(OpenReport, RunReport)| {
        bytes += serde_json::to_string(report).map_or(MAX_BYTES, |text| text.len());
        bytes <= MAX_BYTES
    };
    proposed.iter().take(MAX_REPORTS).take_while(fits).count().max(1)
}
