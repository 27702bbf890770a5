//! Random logs of all that is said of runs that workers perform: by two owners, by workers and
//! clients, and by timeouts. After every step the state agrees with itself, and a second store that
//! is given the same log in other transactions comes to the same state.
//!
//! An owner asks before it hands out what must not overlap, as the engine does; all else may happen
//! in any order, late, doubled or from an owner of the past.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::consistency::replay;
use super::model::{all_runs, broken, letters};
use super::offers::{offer, terms};
use super::runs::told;
use super::*;
use crate::command::Reported;
use crate::model::attempt::SkipReason;
use crate::model::delivery::Overlap;
use crate::model::job::{PARKED, Pending};
use crate::model::offer::{Offer, RunProgress, Taken};
use crate::model::run::{BeginRun, Begun, Occurrence, Phase, Run};
use crate::model::run_report::{RunReport, Said};
use crate::model::run_terms::{BusKind, RetryOn, RunTerms};
use crate::store::{attempts, jobs, pending, runs, shards};

/// What happens, and three numbers that say which.
type Event = (u8, u8, u8, u8);

/// The policies of jobs 1, 2, ...
const POLICIES: [Overlap; 5] = [
    Overlap::Allow,
    Overlap::Queue { most: 2 },
    Overlap::QueueOne,
    Overlap::Skip,
    Overlap::CancelPrevious,
];

/// A state, the log that made it, and what is remembered of it.
struct World {
    state: ApplyFixture,
    log: Vec<(Millis, Command)>,
    outcomes: Vec<Outcome>,
    next: [u64; 3],
    /// The attempts that an owner was allowed to hand out.
    granted: BTreeSet<(Occurrence, u32)>,
    /// The highest attempt of each open occurrence.
    attempts: BTreeMap<Occurrence, u32>,
    /// Attempt and phase of each run that was handed out.
    phases: BTreeMap<Occurrence, (u32, Phase)>,
}

fn born() -> ApplyFixture {
    let mut state = ApplyFixture::new();
    for overlap in POLICIES {
        state.jobs(JobDefinition { overlap, ..every_minute() }, 1);
    }
    state
}

fn occurrence((a, b): (u8, u8)) -> Occurrence {
    let job = u64::from(a) % POLICIES.len() as u64 + 1;
    Occurrence { job, scheduled: START + i64::from(b % 3) * 60_000, run: 0 }
}

fn random_terms(n: u8) -> RunTerms {
    let bus = [BusKind::Embedded, BusKind::Rabbitmq, BusKind::Http][usize::from(n % 3)];
    RunTerms {
        bus,
        start_timeout: (n & 4 == 0).then_some(10_000),
        run_timeout: (n & 8 == 0).then_some(20_000),
        cancel_timeout: 15_000,
        retry_on: RetryOn { lost: n & 16 == 0, failed: n & 32 == 0, timeout: n & 64 == 0 },
        ..terms()
    }
}

impl World {
    fn new() -> Self {
        Self {
            state: born(),
            log: Vec::new(),
            outcomes: Vec::new(),
            next: [1; 3],
            granted: BTreeSet::new(),
            attempts: BTreeMap::new(),
            phases: BTreeMap::new(),
        }
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let outcome = self.state.apply(&command);
        self.log.push((self.state.now, command));
        self.outcomes.push(outcome.clone());
        outcome
    }

    fn write(&mut self, node: u64, entry: JournalEntry) {
        let first = self.next[node as usize];
        self.next[node as usize] += 1;
        let (incarnation, entries) = (node.into(), vec![entry]);
        self.apply(Command::Record(JournalBatch { node, incarnation, first, entries }));
    }

    fn owner(&self) -> (u64, u64) {
        let all = self.state.read(shards::all);
        (all[0].owner, all[0].epoch)
    }

    fn run(&self, of: Occurrence) -> Option<Run> {
        self.state.read(|c| runs::get(c, of))
    }

    fn row(&self, of: Occurrence) -> Option<Pending> {
        let rows = self.state.read(|c| pending::for_shard(c, 0));
        let is_it = |row: &Pending| {
            (row.scheduled, row.run) == (of.scheduled, of.run) && row.members.contains(of.job)
        };
        rows.into_iter().find(is_it)
    }

    /// The offer of an occurrence as its owner, or an owner of the past, would make it.
    fn offer_of(&self, of: Occurrence, which: u8) -> Offer {
        let row = self.row(of);
        let run = self.run(of).filter(|run| run.accepted);
        let now = row.as_ref().map(|row| row.attempt).or(run.map(|run| run.attempt)).unwrap_or(1);
        let attempt = if which & 1 == 0 { now } else { now.saturating_sub(1).max(1) };
        let pending = row.filter(|_| which & 2 == 0).map(|row| row.id);
        let (_, epoch) = self.owner();
        let epoch = if which & 0b1100 == 0 { epoch.saturating_sub(1) } else { epoch };
        Offer { epoch, attempt, pending, terms: random_terms(which), ..offer(of) }
    }

    fn may_hand_out(&self, offer: &Offer, of: Occurrence) -> bool {
        of.job == 1 || self.granted.contains(&(of, offer.attempt))
    }

    /// Lets something happen.
    fn step(&mut self, (what, a, b, c): Event) {
        self.state.now += i64::from(c % 4) * 2_500;
        let of = match self.manual((a, c)) {
            Some(of) if b >= 200 => of,
            _ => occurrence((a, b)),
        };
        let (owner, epoch) = self.owner();
        let node = if c & 64 == 0 { owner } else { 3 - owner };
        match what % 20 {
            0..=3 => self.begin(of, owner, epoch),
            4 | 5 => {
                let offer = self.offer_of(of, c);
                if self.may_hand_out(&offer, of) {
                    self.write(node, JournalEntry::Offered(offer));
                }
            }
            6..=8 => self.take(of, node, c),
            9..=13 => self.report(of, (a, b, c)),
            14 | 15 => {
                self.apply(Command::Expire { limit: 3 });
            }
            16 => self.result(of, node, c),
            17 => {
                let one = RunProgress {
                    occurrence: of,
                    attempt: u32::from(c % 3),
                    progress: Some(c),
                    message: None,
                };
                self.write(node, JournalEntry::Progress(vec![one]));
            }
            18 if c < 100 => {
                self.apply(Command::RunJob { id: of.job, forced: false });
            }
            18 if c < 130 => {
                let moved =
                    Move { shard: 0, to: 3 - owner, expects: epoch, kind: MoveKind::TakeOver };
                self.apply(Command::Assign(vec![moved]));
            }
            18 if c > 252 => {
                self.apply(Command::DeleteJob { id: of.job, expect: None });
            }
            18 => {
                let at = START + i64::from(c) * 1_000;
                self.write(owner, mark(0, epoch, at));
            }
            _ => {
                let letters = letters(&self.state).into_iter().map(|letter| (letter.id, START));
                let letters = letters.take(1).collect();
                self.apply(Command::ReplayDeadLetters { letters });
            }
        }
    }

    /// A manual run that waits or is under way.
    fn manual(&self, (a, c): (u8, u8)) -> Option<Occurrence> {
        let rows = self.state.read(|conn| pending::for_shard(conn, 0));
        let rows = rows.into_iter().filter(|row| row.run > 0).flat_map(|row| {
            let members: Vec<_> = row.members.iter().collect();
            let (scheduled, run) = (row.scheduled, row.run);
            members.into_iter().map(move |job| Occurrence { job, scheduled, run })
        });
        let runs = all_runs(&self.state).into_iter().map(|run| run.occurrence);
        let all: Vec<_> = rows.chain(runs.filter(|of| of.run > 0)).collect();
        all.get(usize::from(a ^ c) % all.len().max(1)).copied()
    }

    fn begin(&mut self, of: Occurrence, node: u64, epoch: u64) {
        let row = self.row(of);
        if of.job == 1 || (row.is_none() && of.run > 0) {
            return;
        }
        // A parked row is not sent before it is released.
        if row.as_ref().is_some_and(|row| row.next_at == PARKED) {
            return;
        }
        let attempt = row.as_ref().map_or(1, |row| row.attempt);
        let begin = BeginRun {
            node,
            epoch,
            attempt,
            pending: row.map(|row| row.id),
            ..super::runs::begin(of, POLICIES[of.job as usize - 1])
        };
        if self.apply(Command::BeginRun(begin)) == Outcome::Begun(Begun::Go) {
            self.granted.insert((of, attempt));
        }
    }

    fn take(&mut self, of: Occurrence, node: u64, which: u8) {
        let offer = self.offer_of(of, which);
        if !self.may_hand_out(&offer, of) {
            return;
        }
        let phase = match offer.terms.bus {
            BusKind::Rabbitmq => Phase::Pending,
            _ => Phase::Running,
        };
        let worker =
            if phase == Phase::Pending { String::new() } else { format!("w{}", which % 2) };
        let started = self.state.now;
        self.write(node, JournalEntry::Taken(Taken { offer, phase, worker, started }));
    }

    fn report(&mut self, of: Occurrence, (a, b, c): (u8, u8, u8)) {
        let (node, epoch) = self.owner();
        let said = match c % 9 {
            0 => Said::Started { terms: Box::new(random_terms(a ^ b)) },
            1 => Said::Done { result: None },
            2 => Said::Failed { error: None, retry: true },
            3 => Said::Failed { error: Some("no".into()), retry: false },
            4 => Said::Cancelled,
            5 => Said::Released,
            6 | 7 => Said::Lost { node, epoch: epoch - u64::from(b % 8 == 0) },
            _ => Said::Cancel { by: None },
        };
        let now = self.run(of).map_or(0, |run| run.attempt);
        let attempt = [0, now, now, u32::from(b % 4)][usize::from(c / 9 % 4)];
        let worker = ["", "w0", "w1"][usize::from(c / 36 % 3)].to_owned();
        self.apply(Command::Checksum); // so that log time is this stamp already
        let before = self.state.hash();
        let reports = vec![RunReport { occurrence: of, attempt, worker, said }];
        match self.apply(Command::ReportRuns { reports }) {
            Outcome::Reports(told) => {
                if matches!(told[0], Reported::Refused { .. }) {
                    assert_eq!(self.state.hash(), before, "a refusal changed the state");
                }
            }
            outcome => panic!("{outcome}"),
        }
    }

    /// A supervisor that puts an offer off, or ends it because its job is gone.
    fn result(&mut self, of: Occurrence, node: u64, which: u8) {
        let Some(row) = self.row(of).filter(|row| row.next_at != PARKED) else { return };
        let at = self.state.now + 30_000;
        let verdict = match which % 3 {
            0 => Verdict::Skipped(SkipReason::Ended),
            _ => Verdict::Postponed { at },
        };
        let (_, epoch) = self.owner();
        let (attempt, pending) = (row.attempt, Some(row.id));
        let record = AttemptRecord { epoch, attempt, pending, ..told(of, verdict) };
        self.write(node, JournalEntry::Attempt(record));
    }

    /// The rules that do not hold.
    fn wrong(&mut self) -> Vec<String> {
        let mut wrong = broken(&self.state);
        let runs = all_runs(&self.state);
        let rows = self.state.read(|c| pending::for_shard(c, 0));
        for job in 2..=POLICIES.len() as u64 {
            let handed = runs.iter().filter(|run| run.occurrence.job == job && run.accepted);
            let exists = self.state.read(|c| jobs::get(c, job)).is_some();
            if exists && handed.count() > 1 {
                wrong.push(format!("two occurrences of job {job} are taken at the same time"));
            }
        }
        let parked = rows.iter().filter(|row| row.next_at == PARKED && row.members.contains(2));
        if parked.count() > 2 {
            wrong.push("more wait than may".to_owned());
        }
        for row in &rows {
            if row.is_offered() != row.on_offer.is_some() {
                wrong.push(format!("row {} is half on offer", row.id));
            }
        }
        self.compare_attempts(&rows, &runs, &mut wrong);
        self.compare_phases(&runs, &mut wrong);
        wrong.extend(self.changed_ends());
        wrong
    }

    fn compare_attempts(&mut self, rows: &[Pending], runs: &[Run], wrong: &mut Vec<String>) {
        let mut now: BTreeMap<Occurrence, u32> = BTreeMap::new();
        for row in rows {
            for job in row.members.iter() {
                now.insert(Occurrence { job, scheduled: row.scheduled, run: row.run }, row.attempt);
            }
        }
        for run in runs {
            let highest = now.entry(run.occurrence).or_default();
            *highest = run.attempt.max(*highest);
        }
        for (of, attempt) in &now {
            if self.attempts.get(of).is_some_and(|before| before > attempt) {
                wrong.push(format!("the attempt of {of:?} fell to {attempt}"));
            }
        }
        self.attempts = now;
    }

    fn compare_phases(&mut self, runs: &[Run], wrong: &mut Vec<String>) {
        let handed = |run: &Run| Some((run.occurrence, (run.attempt, run.worker.as_ref()?.phase)));
        let now: BTreeMap<_, _> = runs.iter().filter_map(handed).collect();
        for (of, (attempt, phase)) in &now {
            let before = self.phases.get(of).filter(|(same, _)| same == attempt);
            if before.is_some_and(|(_, before)| before > phase) {
                wrong.push(format!("the phase of {of:?} went back to {phase:?}"));
            }
        }
        for run in runs.iter().filter(|run| run.worker.is_some() && !run.accepted) {
            wrong.push(format!("{:?} is handed out and not accepted", run.occurrence));
        }
        self.phases = now;
    }

    /// The ends that were followed by another one, other than a dead letter that was completed or
    /// replayed.
    fn changed_ends(&self) -> Vec<String> {
        let mut ends: BTreeMap<Occurrence, Verdict> = BTreeMap::new();
        let mut wrong = Vec::new();
        for stored in self.state.read(|c| attempts::after(c, 0, 0)) {
            let record = &stored.record;
            for job in record.members.iter().filter(|_| stored.is_end()) {
                let of = Occurrence { job, scheduled: record.scheduled, run: record.run };
                let before = ends.insert(of, record.verdict);
                if before.is_some_and(|before| before != Verdict::Dead) {
                    wrong.push(format!("{of:?} ended by {before:?}, then by {:?}", record.verdict));
                }
            }
        }
        wrong
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(feature = "slow") { 96 } else { 24 }))]

    #[test]
    fn runs_of_workers_keep_the_rules_whatever_happens(
        events in prop::collection::vec(any::<Event>(), 1..120),
        chunks in prop::collection::vec(1_usize..20, 1..4),
    ) {
        let mut world = World::new();
        for event in events {
            world.step(event);
            let last = world.log.last().map(|(_, command)| command.name());
            prop_assert_eq!(world.wrong(), Vec::<String>::new(), "after {:?}", last);
        }
        let mut other = born();
        let outcomes = replay(&mut other, &world.log, &chunks, |_| (None, None));
        prop_assert_eq!(&world.outcomes, &outcomes);
        prop_assert_eq!(world.state.hash(), other.hash());
    }
}
