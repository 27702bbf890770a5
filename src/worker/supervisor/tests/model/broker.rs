//! The broker of the model: nodes publish runs to it, workers take them from it, and what workers
//! say comes by it to the owner. Confirms are late or lost, messages are late or doubled.

use super::super::super::event::{ClaimId, Event, Handed, PublishOutcome};
use super::departures::Departure;
use super::engine::PLAN_ENDS;
use super::world::{Held, Message, Rule, SILENCE, Scenario, World};
use crate::command::{Command, Outcome, RejectionKind, Reported};
use crate::model::attempt::{JournalEntry, SkipReason, Verdict};
use crate::model::delivery::Retry;
use crate::model::run::Occurrence;
use crate::model::run_report::{RunReport, Said};
use crate::model::run_terms::{BusKind, RunTerms};
use crate::model::{JobId, Millis};
use crate::store::attempts;

/// The longest wait for a worker, in milliseconds.
const START_TIMEOUT: Millis = 8_000;
/// The time after which a report of a run that the store does not know is given up.
const UNKNOWN_FOR: u64 = 3_000;

impl World {
    /// The terms of all runs. Of a broker nobody knows whether it has a worker.
    pub(super) fn terms(&self) -> RunTerms {
        let retry = Retry { max: 3, delay: 500, factor: 1_000, max_delay: 500 };
        let bus = if self.has_broker() { BusKind::Rabbitmq } else { BusKind::Embedded };
        let is_bounded = self.has_broker() && !self.lacks(Rule::StartTimeout);
        let start_timeout = is_bounded.then_some(START_TIMEOUT);
        let heartbeat_timeout = Some(SILENCE.cast_signed());
        let terms = RunTerms::new(bus, 7, retry);
        RunTerms { start_timeout, heartbeat_timeout, cancel_timeout: 4_000, ..terms }
    }

    pub(super) fn has_broker(&self) -> bool {
        self.scenario == Scenario::Broker
    }

    fn is_broker_up(&self) -> bool {
        self.now >= self.broker.down_until
    }

    /// Hands runs to the bus of a node: they leave one after the other.
    pub(super) fn publish(&mut self, n: usize, claim: ClaimId, runs: Vec<Handed>) {
        for run in runs {
            // A connection is made, or a topology declared.
            let most = if self.random.chance(60) { 2_000 } else { 80 };
            let at = self.now + self.random.below(most);
            self.check_published(n, &run);
            self.nodes[n].unanswered.insert((run.of, run.attempt));
            self.nodes[n].departures.push(Departure { at, claim, run });
        }
    }

    /// Takes back what has not left.
    pub(super) fn withdraw(&mut self, n: usize, runs: &[Handed]) {
        if self.lacks(Rule::Withdraw) {
            return;
        }
        let (taken, left) = std::mem::take(&mut self.nodes[n].departures)
            .into_iter()
            .partition(|departure: &Departure| runs.contains(&departure.run));
        self.nodes[n].departures = left;
        for Departure { claim, run, .. } in taken {
            self.confirm(n, 0, (claim, &run), back(0, true));
        }
    }

    /// A step of the bus of a node.
    pub(super) fn drive_bus(&mut self, n: usize) {
        if !self.has_broker() {
            return;
        }
        let id = self.nodes[n].id;
        let up = self.log.shard().owner == id && self.is_reachable(n) && self.is_broker_up();
        if up != self.nodes[n].bus_up && self.random.chance(300) {
            self.nodes[n].bus_up = up;
            self.checks.bus_up.insert(id, self.now);
            self.step(n, Event::Bus { shard: 0, queue: 7, up });
        }
        let now = self.now;
        let (due, left) = std::mem::take(&mut self.nodes[n].departures)
            .into_iter()
            .partition(|departure: &Departure| departure.at <= now);
        self.nodes[n].departures = left;
        for Departure { claim, run, .. } in due {
            self.depart(n, claim, &run);
        }
    }

    /// A run is about to leave: the lease is asked.
    fn depart(&mut self, n: usize, claim: ClaimId, run: &Handed) {
        let lease = &self.nodes[n].lease;
        let is_promised = lease.promised.is_some_and(|(epoch, _)| epoch == run.epoch);
        let may_leave = self.nodes[n].is_leased(self.now) && !is_promised;
        let until = self.now + 100 + self.random.below(500);
        if !may_leave && !self.lacks(Rule::Lease) {
            return self.confirm(n, 0, (claim, run), back(until, true));
        }
        if run.start_by.is_some_and(|start_by| start_by < self.sched()) {
            return self.confirm(n, 0, (claim, run), back(self.now, true));
        }
        if !self.is_reachable(n) || !self.is_broker_up() {
            return self.confirm(n, 60, (claim, run), back(until, true));
        }
        let has_faults = self.now < PLAN_ENDS;
        if has_faults && self.random.chance(20) {
            // Nobody listens to its job at the moment.
            return self.confirm(n, 20, (claim, run), back(until + 500, false));
        }
        self.check_departure(n, claim, run);
        let is_lost = has_faults && self.random.chance(60);
        if !is_lost || self.random.chance(500) {
            self.add_message(run.of);
        }
        if has_faults && self.random.chance(30) {
            self.add_message(run.of);
        }
        // That a confirm is lost is noticed late.
        let is_slow = is_lost || self.random.chance(50);
        let delay = self.random.below(if is_slow && has_faults { 4_000 } else { 80 });
        let lost = PublishOutcome::Back { until, of_broker: false, may_be_out: true };
        let outcome = if is_lost { lost } else { PublishOutcome::Passed };
        self.confirm(n, delay, (claim, run), outcome);
    }

    fn add_message(&mut self, of: Occurrence) {
        let late = if self.random.chance(50) { 3_000 } else { 60 };
        self.broker.last += 1;
        let key = (self.now + self.random.below(late), self.broker.last);
        self.broker.messages.insert(key, of);
    }

    fn confirm(
        &mut self,
        n: usize,
        delay: u64,
        (claim, run): (ClaimId, &Handed),
        outcome: PublishOutcome,
    ) {
        let (life, key) = (self.nodes[n].life, (run.of, run.attempt));
        self.sent += 1;
        let confirm = Message::Confirm { n, life, claim, key, outcome };
        self.net.insert((self.now + delay, self.sent), confirm);
    }

    /// The bus of a node has an answer, unless the node died meanwhile. Cut off from the broker, it
    /// gives the run up.
    pub(super) fn take_confirm(
        &mut self,
        (n, life): (usize, u64),
        (claim, key): (ClaimId, (Occurrence, u32)),
        mut outcome: PublishOutcome,
    ) {
        if self.nodes[n].life != life || !self.nodes[n].alive {
            return;
        }
        if !self.is_reachable(n) {
            let until = self.now + 300;
            outcome = PublishOutcome::Back { until, of_broker: true, may_be_out: true };
        }
        if outcome == PublishOutcome::Passed {
            let confirm = (self.nodes[n].id, life, self.now);
            self.checks.confirmed.entry(key).or_default().push(confirm);
            if self.lacks(Rule::ConfirmCounts) {
                outcome = back(self.now, true);
            }
        }
        let event = Event::Published { claim, of: key.0, outcome };
        self.nodes[n].inbox.push_back((self.now, event));
    }

    /// A worker takes a message from the broker.
    pub(super) fn take_message(&mut self, w: usize) {
        let Some(first) = self.broker.messages.first_entry() else { return };
        if first.key().0 > self.now || self.now < self.broker.down_until {
            return;
        }
        let of = first.remove();
        let (answered, from) = (self.now, (0, self.now));
        let finish = self.now + 100 + self.random.below(4_000);
        let begins = Some(self.now);
        let held = Held { attempt: 0, answered, finish, from, is_recorded: true, begins };
        self.workers[w].runs.entry(of).or_insert(held);
    }

    /// A worker says that it has begun what it took, again until somebody takes that for an answer.
    pub(super) fn say_begun(&mut self, w: usize) {
        let begins = self.workers[w].runs.iter().filter(|(_, held)| held.begins.is_some());
        let all: Vec<_> = begins.map(|(of, held)| (*of, held.answered)).collect();
        for (of, since) in all {
            let terms = Box::new(self.terms());
            let Some(told) = self.say(w, of, Said::Started { terms }) else { continue };
            let waits = is_unknown(&told) && self.now < since + UNKNOWN_FOR;
            if waits {
                continue;
            }
            if let Some(held) = self.workers[w].runs.get_mut(&of) {
                held.begins = None;
            }
        }
    }

    /// A worker ends a run, in its own words, or gives the report up.
    pub(super) fn say_end(&mut self, w: usize, of: Occurrence, said: Said) {
        let Some(held) = self.workers[w].runs.get(&of) else { return };
        let finish = held.finish.min(self.now);
        let Some(told) = self.say(w, of, said) else { return };
        if !is_unknown(&told) || self.now >= finish + UNKNOWN_FOR {
            self.workers[w].runs.remove(&of);
        }
    }

    /// Brings a report by the broker into the store; `None` while that cannot be.
    fn say(&mut self, w: usize, of: Occurrence, said: Said) -> Option<Reported> {
        let beside = self.workers[w].beside;
        let is_cut = self.now < self.nodes[beside].cut_until;
        if !self.has_leader() || !self.is_broker_up() || is_cut {
            return None;
        }
        let owner = self.log.shard().owner;
        let ends = !matches!(said, Said::Started { .. });
        let report = RunReport { occurrence: of, attempt: 0, worker: String::new(), said };
        let outcome = self.apply(&Command::ReportRuns { reports: vec![report] });
        let Outcome::Reports(mut told) = outcome else { return None };
        let told = told.remove(0);
        if matches!(told, Reported::Counted(_)) || is_unknown(&told) {
            let (attempt, worker) = (0, "".into());
            let event = Event::Reported { of, attempt, worker, ends };
            self.send(Message::ToNode(owner as usize - 1, event));
        }
        Some(told)
    }

    /// The workers that have a run are asked to stop it; that may not arrive.
    pub(super) fn tell_cancel(&mut self, of: Occurrence) {
        if !self.has_broker() || !self.is_broker_up() || self.random.chance(200) {
            return;
        }
        for w in 0..self.workers.len() {
            let is_free = self.workers[w].runs.get(&of).is_some_and(|held| held.begins.is_none());
            if is_free && self.now >= self.workers[w].dead_until {
                self.say_end(w, of, Said::Cancelled);
            }
        }
    }

    /// A run is leaving for the broker: 2, 3, 4, 8, 9, 12.
    fn check_departure(&mut self, n: usize, claim: ClaimId, run: &Handed) {
        let (id, now) = (self.nodes[n].id, self.now);
        let key = (run.of, run.attempt);
        for (node, its, at) in self.checks.confirmed.get(&key).cloned().unwrap_or_default() {
            let lives = self.nodes[node as usize - 1].life == its;
            if lives && !self.checks.has_died(node, at, now) {
                let what = format!("3: {key:?} is published by {id}, {node} had its confirm");
                self.checks.violate(what);
            }
        }
        let at = run.of.scheduled;
        let end = self.log.read(|c| attempts::end_of(c, run.of, at, at));
        if end.is_some_and(|(end, _)| end == Verdict::Skipped(SkipReason::NotStarted)) {
            self.checks.violate(format!("12: {key:?} leaves, and was not started in time"));
        }
        if self.checks.learned.get(&(id, run.of)).is_some_and(|at| *at < now) {
            self.checks.violate(format!("9: {key:?} leaves, and its owner knew of its cancel"));
        }
        self.check_handed(n, claim, run);
    }

    /// A run is handed to the bus: 3. Its worker may have spoken of it before.
    fn check_published(&mut self, n: usize, run: &Handed) {
        let (id, now, key) = (self.nodes[n].id, self.now, (run.of, run.attempt));
        let reported = self.nodes[n].reported.get(&key).copied();
        if reported.is_some_and(|at| !self.checks.has_died(id, at, now)) {
            self.checks.violate(format!("3: {key:?} is published by {id}, its worker had spoken"));
        }
        if self.nodes[n].spoken_of.contains(&key) {
            let what = format!("3: {key:?} is published again by {id}, its worker had spoken");
            self.checks.violate(what);
        }
    }

    /// Members are popped for the bus of a node: none of a job that is to rest.
    pub(super) fn check_popped(&mut self, n: usize, jobs: &[JobId]) {
        let now = self.now;
        let rests = |job: &&JobId| self.nodes[n].rests.get(*job).is_some_and(|until| *until > now);
        if let Some(job) = jobs.iter().find(rests) {
            self.checks.violate(format!("job {job} is handed to its bus again before its time"));
        }
    }

    /// What a node hears next, as far as rules let it; the checks remember it.
    pub(super) fn hear(&mut self, n: usize, mut event: Event) -> Option<Event> {
        let (now, lacks_reports, lacks_rests) =
            (self.now, self.lacks(Rule::ReportFirst), self.lacks(Rule::Rests));
        let lacks_late_reports = self.lacks(Rule::ReportAfterBack);
        let node = &mut self.nodes[n];
        match &mut event {
            Event::Reported { of, .. } => {
                let at_bus = node.unanswered.range((*of, 0)..=(*of, u32::MAX));
                let at_bus: Vec<_> = at_bus.copied().collect();
                let is_first = !at_bus.is_empty();
                node.reported.extend(at_bus.into_iter().map(|key| (key, now)));
                let came_back = node.given_back.range((*of, 0)..=(*of, u32::MAX));
                let came_back: Vec<_> = came_back.copied().collect();
                let is_late = !is_first && !came_back.is_empty();
                node.spoken_of.extend(came_back);
                // A worker says it again: without the first rule nobody hears that either.
                let is_lost = (is_first || is_late) && lacks_reports;
                if is_lost || (is_late && lacks_late_reports) {
                    return None;
                }
            }
            Event::Published { of, outcome, .. } => {
                let has_spoken = |attempt| node.reported.contains_key(&(*of, attempt));
                let of_it = (*of, 0)..=(*of, u32::MAX);
                let answered: Vec<_> = node.unanswered.range(of_it).copied().collect();
                let is_reported = answered.iter().any(|key| has_spoken(key.1));
                node.unanswered.retain(|key| key.0 != *of);
                if matches!(outcome, PublishOutcome::Back { may_be_out: true, .. }) {
                    node.given_back.extend(answered);
                }
                if let PublishOutcome::Back { until, of_broker: false, .. } = outcome
                    && !is_reported
                {
                    let rest = node.rests.entry(of.job).or_default();
                    *rest = (*until).max(*rest);
                    *until = if lacks_rests { 0 } else { *until };
                }
            }
            _ => {}
        }
        Some(event)
    }

    /// The entries that a node writes; without a rule it does not write what waits at its bus.
    pub(super) fn to_write(&self, n: usize, mut entries: Vec<JournalEntry>) -> Vec<JournalEntry> {
        if self.lacks(Rule::StartTimeout) {
            for entry in &mut entries {
                if let JournalEntry::Offered(offer) = entry {
                    offer.terms.start_timeout = Some(START_TIMEOUT);
                }
            }
        }
        if self.lacks(Rule::OfferedAtBus) {
            let unanswered = &self.nodes[n].unanswered;
            entries.retain(|entry| match entry {
                JournalEntry::Offered(offer) => {
                    !unanswered.iter().any(|(of, _)| offer.contains(*of))
                }
                _ => true,
            });
        }
        entries
    }

    /// The broker may go away for a while.
    pub(super) fn break_broker(&mut self) {
        if self.has_broker() && self.random.chance(2) {
            self.broker.down_until = self.now + 500 + self.random.below(SILENCE);
        }
    }
}

fn is_unknown(told: &Reported) -> bool {
    matches!(told, Reported::Refused { why, .. } if why.kind == RejectionKind::NotFound)
}

/// A run that did not leave comes back.
fn back(until: u64, of_broker: bool) -> PublishOutcome {
    PublishOutcome::Back { until, of_broker, may_be_out: false }
}
