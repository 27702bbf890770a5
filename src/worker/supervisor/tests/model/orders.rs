//! One run at a broker, in each order of what may happen to it: the answer to its publish, the
//! words of its worker, a heartbeat, a client's cancel, and the collector. Whatever comes first,
//! the run is handed out once where its worker was heard, its phases only go forward, and it has
//! one end.

use std::sync::Arc;

use super::super::super::event::{
    Beat, Dispatch, Effect, Event, Found, Heartbeat, Loaded, Moment, OfferRow, Part, Prepared,
    PublishOutcome, Source,
};
use super::super::super::state::Supervisor;
use super::world::{LeaseNow, Log, START};
use crate::command::{Change, Command, Outcome, RejectionKind, Reported};
use crate::model::attempt::{JournalBatch, JournalEntry};
use crate::model::delivery::Retry;
use crate::model::lease::Now;
use crate::model::members::Members;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_report::{RunReport, RunState, Said};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::store::{attempts, pending, runs};

const NODE: u64 = 1;
const QUEUE: u64 = 7;
const JOB: u64 = 1;
const EPOCH: u64 = 1;

/// What happens to a run.
#[derive(Clone, Debug)]
enum Happening {
    /// The answer to the publish that has none yet.
    Answer(PublishOutcome),
    /// What rests is due again.
    RestEnds,
    Says(Said),
    Beats,
    IsCancelled,
    IsCollected,
}

/// An owner with its store and its journal, and the run that is looked at.
struct Owner {
    log: Log,
    supervisor: Supervisor,
    now: u64,
    journal: Vec<JournalEntry>,
    recorded: usize,
    of: Occurrence,
    /// The hands by which it was published.
    published: Vec<u64>,
    /// How many of them have an answer.
    answered: usize,
    has_spoken: bool,
    /// What its worker has said of which the store knows nothing yet.
    waiting: Vec<Said>,
    rank: u8,
    broken: Vec<String>,
}

fn terms() -> RunTerms {
    let retry = Retry { max: 3, delay: 500, factor: 1_000, max_delay: 500 };
    RunTerms { cancel_timeout: 4_000, ..RunTerms::new(BusKind::Rabbitmq, QUEUE, retry) }
}

impl Owner {
    fn new() -> Self {
        let mut owner = Self {
            log: Log::new(),
            supervisor: Supervisor::new(NODE),
            now: 1_000,
            journal: Vec::new(),
            recorded: 0,
            of: Occurrence { job: JOB, scheduled: START, run: 0 },
            published: Vec::new(),
            answered: 0,
            has_spoken: false,
            waiting: Vec::new(),
            rank: 0,
            broken: Vec::new(),
        };
        let shard = owner.log.shard();
        assert_eq!((shard.owner, shard.epoch), (NODE, EPOCH));
        owner.step(Event::Shards(vec![shard]));
        owner.step(Event::Bus { shard: 0, queue: QUEUE, up: true });
        owner
    }

    fn step(&mut self, event: Event) {
        let lease = LeaseNow { since: Some(0), promised: None };
        let now = Now { boot: self.now, sched: START + self.now.cast_signed() };
        let at = Moment { now, lease: &lease, has_room: true };
        for effect in self.supervisor.step(&at, event) {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Load { shard, epoch } => {
                let loaded = Loaded {
                    shard,
                    epoch,
                    offers: Vec::new(),
                    runs: Vec::new(),
                    journal: Vec::new(),
                    read_upto: 0,
                    recorded: 0,
                    gone: Vec::new(),
                };
                self.step(Event::Loaded(Box::new(loaded)));
            }
            Effect::Prepare { claim, parts } => {
                let parts = parts.iter().map(|part| self.look_up(part)).collect();
                self.step(Event::Prepared { claim, parts });
            }
            Effect::Append { id, entries } => {
                self.journal.extend(entries);
                let seq = self.journal.len() as u64;
                self.step(Event::Appended { id, seq });
            }
            Effect::Publish { claim, runs } => {
                assert_eq!(runs.len(), 1);
                if self.has_spoken {
                    self.broken.push("it is published again, and its worker was heard".to_owned());
                }
                self.published.push(claim);
            }
            Effect::ReadRuns(all) => all.into_iter().for_each(|of| self.read_run(of)),
            _ => {}
        }
    }

    fn look_up(&self, part: &Part) -> Prepared {
        let of = part.source.occurrence(JOB);
        let is_over = self.log.read(|c| {
            let has_end = attempts::end_of(c, of, of.scheduled, of.scheduled)?.is_some();
            Ok(has_end || runs::get(c, of)?.is_some_and(|run| run.accepted))
        });
        let ready = if is_over { Vec::new() } else { vec![(vec![JOB], Arc::new(terms()))] };
        Prepared { ready, ..Prepared::new(Arc::clone(&part.source)) }
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        let (outcome, change) = self.log.apply(self.now, command);
        self.check_phase();
        self.take_change(&change);
        outcome
    }

    fn take_change(&mut self, change: &Change) {
        for id in &change.offers {
            let offer = self.log.read(|c| pending::offer(c, *id));
            let offer = offer.map(|row| Box::new(OfferRow { row, asks: false, once: false }));
            self.step(Event::OfferRead { id: *id, offer });
        }
        change.runs.iter().for_each(|of| self.read_run(*of));
        self.step(Event::Recorded { seq: self.recorded as u64 });
    }

    fn read_run(&mut self, of: Occurrence) {
        let found = self.log.read(|c| {
            if let Some(run) = runs::get(c, of)?.filter(|run| run.accepted) {
                return Ok(Found::Run(Box::new(run)));
            }
            let end = attempts::end_of(c, of, of.scheduled, of.scheduled)?;
            let end = end.and_then(|(verdict, origin)| Some((RunState::of_end(verdict)?, origin)));
            Ok(end.map_or(Found::Nothing, |(state, origin)| Found::End { state, origin }))
        });
        self.step(Event::RunRead { of, found });
    }

    /// How far the run is: nothing, an offer, published, begun, to be stopped, over.
    fn rank(&self) -> u8 {
        let of = self.of;
        let run = self.log.read(|c| runs::get(c, of)).and_then(|run| run.worker);
        match run.map(|kept| kept.phase) {
            Some(Phase::Pending) => 2,
            Some(Phase::Running) => 3,
            Some(Phase::Cancelling) => 4,
            None if self.has_end() => 5,
            None => u8::from(self.log.row_of(of).is_some()),
        }
    }

    fn has_end(&self) -> bool {
        let of = self.of;
        self.log.read(|c| attempts::end_of(c, of, of.scheduled, of.scheduled)).is_some()
    }

    fn check_phase(&mut self) {
        let rank = self.rank();
        if rank < self.rank {
            self.broken.push(format!("it went from {} to {rank}", self.rank));
        }
        self.rank = rank;
    }

    /// Brings what a worker says into the store, as the reporter does.
    fn say(&mut self, said: Said) {
        self.has_spoken = true;
        let of = self.of;
        let ends = !matches!(said, Said::Started { .. });
        let known = self.log.read(|c| runs::get(c, of)).map(|run| run.attempt);
        let known = known.or_else(|| self.log.row_of(of).map(|row| row.attempt)).unwrap_or(0);
        let attempt = if matches!(said, Said::Done { .. }) { 0 } else { known };
        self.step(Event::Reported { of, attempt, worker: Arc::default(), ends });
        if self.report(attempt, &said).is_none() {
            self.waiting.push(said);
        }
    }

    /// Whether a report counts; `None` where the store does not know its run yet.
    fn report(&mut self, attempt: u32, said: &Said) -> Option<bool> {
        let (occurrence, worker, said) = (self.of, String::new(), said.clone());
        let report = RunReport { occurrence, attempt, worker, said };
        let Outcome::Reports(told) = self.apply(&Command::ReportRuns { reports: vec![report] })
        else {
            panic!("reports are answered");
        };
        match &told[0] {
            Reported::Counted(_) => Some(true),
            Reported::Refused { why, .. } if why.kind == RejectionKind::NotFound => None,
            Reported::Refused { .. } => Some(false),
        }
    }

    fn happens(&mut self, what: &Happening) {
        let of = self.of;
        match what {
            Happening::Answer(outcome) => {
                let outcome = match outcome.clone() {
                    PublishOutcome::Back { of_broker, may_be_out, .. } => {
                        PublishOutcome::Back { until: self.now + 1_000, of_broker, may_be_out }
                    }
                    other => other,
                };
                let claim = self.published[self.answered];
                self.answered += 1;
                self.step(Event::Published { claim, of, outcome });
            }
            Happening::RestEnds => self.now += 1_000,
            Happening::Says(said) => self.say(said.clone()),
            Happening::Beats => {
                let beat = Beat { of, attempt: 0, progress: None, message: None };
                let worker = Arc::default();
                self.step(Event::Heartbeat(Heartbeat { id: 1, worker, runs: vec![beat] }));
            }
            Happening::IsCancelled => _ = self.report(0, &Said::Cancel { by: None }),
            Happening::IsCollected => self.collect(),
        }
        // What waits for a second is journaled in between, and what came back is published again.
        for _ in 0..2 {
            self.now += 200;
            self.step(Event::Tick);
        }
    }

    fn collect(&mut self) {
        let entries = self.journal[self.recorded..].to_vec();
        if !entries.is_empty() {
            let first = self.recorded as u64 + 1;
            self.recorded = self.journal.len();
            let batch = JournalBatch { node: NODE, incarnation: NODE.into(), first, entries };
            assert_eq!(self.apply(&Command::Record(batch)), Outcome::Done);
        }
        for said in std::mem::take(&mut self.waiting) {
            self.say(said);
        }
    }

    /// One run from its publish to its end.
    fn run(&mut self, order: &[Happening]) {
        self.now += 10_000;
        self.of.scheduled = START + self.now.cast_signed();
        (self.has_spoken, self.rank) = (false, 0);
        self.published.clear();
        self.answered = 0;
        let due = self.of.scheduled;
        let source = Source {
            project: 1,
            shard: 0,
            epoch: EPOCH,
            due,
            scheduled: due,
            run: 0,
            attempt: 1,
            pending: None,
            queue: QUEUE,
            once: false,
        };
        let members = Members::from_sorted([JOB]);
        let (id, terms) = (self.now, Arc::new(terms()));
        let dispatch = Dispatch { id, source, members, terms, max_waiting: None };
        self.step(Event::Dispatch(Box::new(dispatch)));
        assert_eq!(self.published.len(), 1);
        for what in order {
            self.happens(what);
        }
        // All else goes well from here on.
        for _ in 0..60 {
            self.now += 200;
            self.step(Event::Tick);
            while let Some(claim) = self.published.get(self.answered).copied() {
                self.answered += 1;
                let outcome = PublishOutcome::Passed;
                self.step(Event::Published { claim, of: self.of, outcome });
            }
            self.collect();
            if self.rank() == 2 || self.rank() == 3 {
                self.say(Said::Done { result: None });
            }
            self.apply(&Command::Expire { limit: 10 });
            if self.has_end() && self.supervisor.is_at_rest() {
                break;
            }
        }
        // What no change has named since it was recorded is read at the second tick.
        for _ in 0..2 {
            self.now += 200;
            self.step(Event::Tick);
        }
        if !self.has_end() || self.log.row_of(self.of).is_some() {
            self.broken.push("it has no end".to_owned());
        }
        if let Some(known) = self.supervisor.live(self.of, self.now) {
            self.broken.push(format!("it is over, and its owner has {known:?}"));
        }
        let (broken, of) = (std::mem::take(&mut self.broken), self.of);
        assert!(broken.is_empty(), "{of:?} in the order {order:?}: {broken:?}");
    }
}

/// All orders of some happenings.
fn orders(all: &[Happening]) -> Vec<Vec<Happening>> {
    if all.is_empty() {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    for first in 0..all.len() {
        let mut rest = all.to_vec();
        let first = rest.remove(first);
        let longer = orders(&rest).into_iter().map(|order| [vec![first.clone()], order].concat());
        found.extend(longer);
    }
    found
}

fn hold_in_each_order(answer: &PublishOutcome, end: &Said) {
    let happenings = [
        Happening::Answer(answer.clone()),
        Happening::Says(Said::Started { terms: Box::new(terms()) }),
        Happening::Says(end.clone()),
        Happening::Beats,
        Happening::IsCancelled,
        Happening::IsCollected,
    ];
    let orders = orders(&happenings);
    assert_eq!(orders.len(), 720);
    let mut owner = Owner::new();
    for order in &orders {
        owner.run(order);
    }
}

const LOST: PublishOutcome = PublishOutcome::Back { until: 0, of_broker: false, may_be_out: true };

#[test]
fn a_run_whose_confirm_is_lost_ends_once_in_each_order() {
    hold_in_each_order(&LOST, &Said::Done { result: None });
}

#[test]
fn a_run_that_may_have_arrived_is_not_published_after_its_worker_was_heard() {
    let refused = PublishOutcome::Back { until: 0, of_broker: false, may_be_out: false };
    let started = Said::Started { terms: Box::new(terms()) };
    Owner::new().run(&[
        Happening::Answer(LOST),
        Happening::RestEnds,
        Happening::Answer(refused),
        Happening::Says(started),
        Happening::RestEnds,
    ]);
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn a_run_at_a_broker_ends_once_in_each_order() {
    let failed = Said::Failed { error: None, retry: true };
    for end in [Said::Done { result: None }, failed, Said::Cancelled] {
        for answer in [PublishOutcome::Passed, LOST] {
            hold_in_each_order(&answer, &end);
        }
    }
}
