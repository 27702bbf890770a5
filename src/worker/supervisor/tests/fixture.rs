//! A supervisor of node 1 with a lease and a clock that the test sets, and the values that tests
//! are made of.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::event::{
    Beat, Claim, Dispatch, Effect, Event, Found, HandOutLease, Handed, Heartbeat, Loaded, Moment,
    OfferRow, Part, Prepared, Source,
};
use super::super::state::Supervisor;
use crate::model::attempt::{JournalEntry, ResultOrigin};
use crate::model::claim::ClaimOrder;
use crate::model::delivery::Retry;
use crate::model::job::{OFFERED, Pending};
use crate::model::lease::Now;
use crate::model::members::Members;
use crate::model::offer::Taken;
use crate::model::on_offer::OnOffer;
use crate::model::run::{CancelCause, Occurrence, Phase, Run, WorkerRun};
use crate::model::run_report::RunState;
use crate::model::run_terms::{BusKind, RunTerms};
use crate::model::shard::{Closing, Shard, ShardId};

/// The epoch that node 1 has of shard 0.
pub(super) const EPOCH: u64 = 3;
/// The scheduled instant of the occurrences.
pub(super) const DUE: i64 = 60_000;

/// The queue whose bus is a broker.
pub(super) const BROKER: u64 = 9;

pub(super) struct TestLease {
    pub(super) since: Option<u64>,
    pub(super) promised: BTreeSet<(ShardId, u64)>,
}

impl HandOutLease for TestLease {
    fn usable_since(&self) -> Option<u64> {
        self.since
    }

    fn is_promised(&self, shard: ShardId, epoch: u64) -> bool {
        self.promised.contains(&(shard, epoch))
    }
}

pub(super) struct SupervisorFixture {
    pub(super) supervisor: Supervisor,
    pub(super) lease: TestLease,
    pub(super) boot: u64,
    pub(super) has_room: bool,
    pub(super) seq: u64,
    claims: u64,
}

/// The word of the store that a run is over.
pub(super) fn over(by_worker: bool) -> Found {
    let (state, origin) = if by_worker {
        (RunState::Completed, ResultOrigin::Reported)
    } else {
        (RunState::Cancelled, ResultOrigin::Cancelled)
    };
    Found::End { state, origin }
}

pub(super) fn terms(queue: u64) -> RunTerms {
    let retry = Retry { max: 2, delay: 5_000, factor: 1_000, max_delay: 5_000 };
    let heartbeat_timeout = Some(60_000);
    if queue == BROKER {
        let terms = RunTerms::new(BusKind::Rabbitmq, queue, retry);
        let heartbeat_timeout = Some(2_000);
        return RunTerms { name: "nightly".into(), heartbeat_timeout, ..terms };
    }
    RunTerms { heartbeat_timeout, ..RunTerms::new(BusKind::Embedded, queue, retry) }
}

pub(super) fn of(job: u64) -> Occurrence {
    Occurrence { job, scheduled: DUE, run: 0 }
}

pub(super) fn shard(epoch: u64) -> Shard {
    Shard { owner: 1, epoch, last_epoch: epoch, ..Shard::new(0, 0) }
}

pub(super) fn closing_shard() -> Shard {
    let closing = Closing { node: 2, epoch: EPOCH - 1, until: DUE, watermark: 0 };
    Shard { closing: Some(closing), ..shard(EPOCH) }
}

pub(super) fn source(due: i64, queue: u64) -> Source {
    Source {
        project: 1,
        shard: 0,
        epoch: EPOCH,
        due,
        scheduled: due,
        run: 0,
        attempt: 1,
        pending: None,
        queue,
        once: false,
    }
}

pub(super) fn row(id: u64, attempt: u32, jobs: impl IntoIterator<Item = u64>) -> OfferRow {
    let row = Pending {
        id,
        attempt,
        next_at: OFFERED,
        on_offer: Some(OnOffer { since: DUE, expires: None, executor: 7 }),
        ..Pending::new(1, 0, DUE, Members::from_sorted(jobs))
    };
    OfferRow { row, asks: false, once: false }
}

/// The row of some jobs that wait in the broker's queue.
pub(super) fn offer_row(id: u64, jobs: impl IntoIterator<Item = u64>) -> Box<OfferRow> {
    let mut offer = row(id, 1, jobs);
    offer.row.on_offer = Some(OnOffer { since: DUE, expires: None, executor: BROKER });
    Box::new(offer)
}

/// The part of a run of the broker's queue that nobody is known to have.
pub(super) fn published_run(phase: Phase) -> Box<WorkerRun> {
    let run = stored(phase).worker.expect("a worker has it");
    Box::new(WorkerRun { worker: String::new(), terms: terms(BROKER), ..*run })
}

/// What is said of a part that cannot be looked up now.
pub(super) fn later(part: &Part) -> Prepared {
    Prepared { later: part.jobs.clone(), ..Prepared::new(Arc::clone(&part.source)) }
}

pub(super) fn loaded(offers: Vec<OfferRow>) -> Loaded {
    Loaded {
        shard: 0,
        epoch: EPOCH,
        offers,
        runs: Vec::new(),
        journal: Vec::new(),
        read_upto: u64::MAX,
        recorded: 0,
        gone: Vec::new(),
    }
}

/// The run of job 1 as the store has it.
pub(super) fn stored(phase: Phase) -> Run {
    let kept = WorkerRun {
        phase,
        since: DUE,
        why: (phase == Phase::Cancelling).then_some(CancelCause::Client { by: None }),
        worker: "w".into(),
        progress: None,
        message: None,
        terms: terms(7),
    };
    Run {
        occurrence: of(1),
        project: 1,
        shard: 0,
        due: DUE,
        attempt: 1,
        base: 0,
        node: 1,
        epoch: EPOCH,
        accepted: true,
        started: DUE,
        heard: DUE,
        deadline: i64::MAX,
        heartbeat_timeout: Some(60_000),
        ends: None,
        retry: terms(7).retry,
        forced: false,
        worker: Some(Box::new(kept)),
    }
}

/// All entries that effects append.
pub(super) fn entries(effects: &[Effect]) -> Vec<JournalEntry> {
    let appended = effects.iter().filter_map(|effect| match effect {
        Effect::Append { entries, .. } => Some(entries.clone()),
        _ => None,
    });
    appended.flatten().collect()
}

impl SupervisorFixture {
    /// Node 1 owns shard 0, of which the store has nothing.
    pub(super) fn new() -> Self {
        let mut fixture = Self::unborn();
        fixture.step(Event::Shards(vec![shard(EPOCH)]));
        fixture.step(Event::Loaded(Box::new(loaded(Vec::new()))));
        fixture
    }

    pub(super) fn unborn() -> Self {
        Self {
            supervisor: Supervisor::new(1),
            lease: TestLease { since: Some(0), promised: BTreeSet::new() },
            boot: 100_000,
            has_room: true,
            seq: 0,
            claims: 0,
        }
    }

    pub(super) fn step(&mut self, event: Event) -> Vec<Effect> {
        let now = Now { boot: self.boot, sched: 1_000_000 + self.boot.cast_signed() };
        let at = Moment { now, lease: &self.lease, has_room: self.has_room };
        self.supervisor.step(&at, event)
    }

    /// Lets time pass in ticks; all effects of them.
    pub(super) fn pass(&mut self, millis: u64) -> Vec<Effect> {
        let (until, mut all) = (self.boot + millis, Vec::new());
        while self.boot < until {
            self.boot = until.min(self.boot + 200);
            all.extend(self.step(Event::Tick));
        }
        all
    }

    pub(super) fn dispatch(
        &mut self,
        id: u64,
        source: Source,
        jobs: impl IntoIterator<Item = u64>,
        max_waiting: Option<u32>,
    ) -> Vec<Effect> {
        let terms = Arc::new(terms(source.queue));
        let members = Members::from_sorted(jobs);
        let dispatch = Dispatch { id, source, members, terms, max_waiting };
        self.step(Event::Dispatch(Box::new(dispatch)))
    }

    /// A claim of queue 7 by worker `w`.
    pub(super) fn claim(&mut self, max: usize) -> Claim {
        self.claims += 1;
        Claim {
            id: self.claims,
            worker: "w".into(),
            queues: vec![7],
            max,
            order: ClaimOrder::Fair,
            key: None,
        }
    }

    /// Looks parts up: every job is as it was.
    pub(super) fn prepared(parts: &[Part]) -> Vec<Prepared> {
        let ready = |part: &Part| {
            let ready = vec![(part.jobs.clone(), Arc::new(terms(part.source.queue)))];
            Prepared { ready, ..Prepared::new(Arc::clone(&part.source)) }
        };
        parts.iter().map(ready).collect()
    }

    /// Carries effects out, but for what a test looks at: looks parts up, and syncs appends.
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let (mut open, mut all) = (effects, Vec::new());
        while !open.is_empty() {
            let mut next = Vec::new();
            for effect in open {
                match &effect {
                    Effect::Prepare { claim, parts } => {
                        let (claim, parts) = (*claim, Self::prepared(parts));
                        next.extend(self.step(Event::Prepared { claim, parts }));
                    }
                    Effect::Append { id, entries } => {
                        self.seq += entries.len() as u64;
                        let (id, seq) = (*id, self.seq);
                        next.extend(self.step(Event::Appended { id, seq }));
                    }
                    _ => {}
                }
                all.push(effect);
            }
            open = next;
        }
        all
    }

    /// Claims and gets the answer.
    pub(super) fn claimed(&mut self, claim: Claim) -> Vec<Handed> {
        let id = claim.id;
        let effects = self.step(Event::Claim(claim));
        let effects = self.carry_out(effects);
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::Answer { claim, runs } if claim == id => Some(runs),
            _ => None,
        });
        answer.expect("the claim was not answered")
    }

    pub(super) fn take(&mut self, max: usize) -> Vec<u64> {
        let claim = self.claim(max);
        self.claimed(claim).iter().map(|handed| handed.of.job).collect()
    }

    pub(super) fn beat(&mut self, job: u64, attempt: u32, worker: &str) -> Vec<Effect> {
        let beat = Beat { of: of(job), attempt, progress: None, message: None };
        let heartbeat = Heartbeat { id: 1, worker: worker.into(), runs: vec![beat] };
        self.step(Event::Heartbeat(heartbeat))
    }

    /// Says that the store has recorded all that is journaled, and has these runs as taken.
    pub(super) fn record(&mut self) {
        let seq = self.seq;
        self.step(Event::Recorded { seq });
    }
}

/// What entries say is taken.
pub(super) fn taken(effects: &[Effect]) -> Vec<Taken> {
    let all = entries(effects).into_iter();
    all.filter_map(|entry| match entry {
        JournalEntry::Taken(taken) => Some(taken),
        _ => None,
    })
    .collect()
}
