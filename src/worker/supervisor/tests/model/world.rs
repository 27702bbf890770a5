//! The model's data: nodes, workers, messages, and the store with the log that is applied to it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use tempfile::TempDir;

use super::super::super::event::{
    AppendId, ClaimId, Effect, Event, HandOutLease, Part, PublishOutcome,
};
use super::super::super::state::Supervisor;
use super::departures::{Broker, Departure};
use super::random::Random;
pub(super) use super::rules::{Rule, Scenario};
use crate::command::{Change, Command, CreateJobs, Error, NewJob, NewProject, Outcome, apply};
use crate::model::attempt::JournalEntry;
use crate::model::delivery::Overlap;
use crate::model::job::{JobDefinition, Pending};
use crate::model::run::Occurrence;
use crate::model::run_report::RunReport;
use crate::model::shard::{Move, MoveKind, Shard, ShardId};
use crate::model::{JobId, Millis};
use crate::store::{Store, Writer, pending, shards};

/// The instant at which a run begins: a whole second.
pub(super) const START: Millis = 1_763_700_000_000;
/// The time between two occurrences of a job, in milliseconds.
pub(super) const PERIOD: u64 = 1_500;
/// The jobs, by their numbers from 1 on.
pub(super) const JOBS: [Overlap; 4] =
    [Overlap::Allow, Overlap::Queue { most: 2 }, Overlap::Skip, Overlap::QueueOne];
/// The longest silence of a worker, in milliseconds.
pub(super) const SILENCE: u64 = 2_000;
/// The most unclaimed occurrences of the job that allows overlap.
pub(super) const MOST_WAITING: u32 = 3;
/// The length of a lease, in milliseconds.
pub(super) const LEASE: u64 = 2_000;

/// A store, and the log that is applied to it.
pub(super) struct Log {
    pub(super) store: Store,
    writer: Writer,
    index: u64,
    /// Shard 0 and its rows at this index, once somebody has asked for them.
    shard: OnceCell<Shard>,
    rows: OnceCell<Rc<[Pending]>>,
    _dir: TempDir,
}

impl Log {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let (store, writer) = Store::open(dir.path()).unwrap();
        let (shard, rows) = (OnceCell::new(), OnceCell::new());
        let mut log = Self { store, writer, index: 0, shard, rows, _dir: dir };
        log.apply(0, &Command::Init { cluster: 7 });
        let (shard, kind) = (0, MoveKind::TakeOver);
        log.apply(0, &Command::Assign(vec![Move { shard, to: 1, expects: 0, kind }]));
        let project =
            NewProject { name: "p".into(), description: "d".into(), ..NewProject::default() };
        log.apply(0, &Command::CreateProject(project));
        for (n, overlap) in JOBS.into_iter().enumerate() {
            let definition = JobDefinition {
                project: 1,
                spec: "@every 1m".into(),
                period: Some(60_000),
                timezone: "UTC".into(),
                callback_url: "http://127.0.0.1:3000/callback".into(),
                execution_type: "http".into(),
                overlap,
                ..JobDefinition::default()
            };
            let (request, definitions) = (n as u128 + 1, vec![definition]);
            let jobs = vec![NewJob::default()];
            log.apply(
                0,
                &Command::CreateJobs(CreateJobs { request, definitions, jobs, staged: false }),
            );
        }
        log
    }

    pub(super) fn apply(&mut self, now: u64, command: &Command) -> (Outcome, Change) {
        self.index += 1;
        let (index, stamp) = (self.index, START + now.cast_signed());
        let mut change = Change::default();
        (self.shard, self.rows) = (OnceCell::new(), OnceCell::new());
        let outcome = self
            .writer
            .transaction(|tx| apply(tx, index, stamp, (None, None), command, &mut change))
            .unwrap_or_else(|e: Error| panic!("the store failed: {e}"));
        (outcome, change)
    }

    pub(super) fn read<T>(
        &self,
        f: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> T {
        self.store.read(f).unwrap()
    }

    /// The index of the last entry.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    pub(super) fn shard(&self) -> Shard {
        self.shard.get_or_init(|| self.read(shards::all).swap_remove(0)).clone()
    }

    /// The pending rows of the shard.
    pub(super) fn rows(&self) -> Rc<[Pending]> {
        self.rows.get_or_init(|| self.read(|c| pending::for_shard(c, 0)).into()).clone()
    }

    /// The pending row of an occurrence.
    pub(super) fn row_of(&self, of: Occurrence) -> Option<Pending> {
        let rows = self.rows();
        let its = |row: &&Pending| row.scheduled == of.scheduled && row.members.contains(of.job);
        rows.iter().find(its).cloned()
    }
}

/// The lease of a node as the supervisor sees it.
#[derive(Clone, Copy, Default)]
pub(super) struct ModelLease {
    pub(super) since: Option<u64>,
    pub(super) until: u64,
    pub(super) promised: Option<(u64, Millis)>,
}

/// The lease at a moment.
pub(super) struct LeaseNow {
    pub(super) since: Option<u64>,
    pub(super) promised: Option<u64>,
}

impl HandOutLease for LeaseNow {
    fn usable_since(&self) -> Option<u64> {
        self.since
    }

    fn is_promised(&self, _: ShardId, epoch: u64) -> bool {
        self.promised == Some(epoch)
    }
}

/// What a node has to do later.
pub(super) enum Task {
    Load(u64),
    Prepare(ClaimId, Vec<Part>),
    Read(Vec<Occurrence>),
}

/// An epoch of the shard, as the engine of a node has it.
pub(super) struct Firing {
    pub(super) epoch: u64,
    pub(super) until: Millis,
    pub(super) is_closing: bool,
    /// All that is due up to here is given out, or in `todo`.
    pub(super) planned: Millis,
    pub(super) todo: VecDeque<(Millis, JobId)>,
    /// Dispatches under way, with their due instant and job.
    pub(super) open: BTreeMap<u64, (Millis, JobId, Option<u64>)>,
    /// Rows that were given out.
    pub(super) rows: BTreeSet<u64>,
    pub(super) stated: Millis,
}

pub(super) struct Node {
    pub(super) id: u64,
    pub(super) alive: bool,
    pub(super) frozen_until: u64,
    pub(super) dead_until: u64,
    pub(super) cut_until: u64,
    pub(super) supervisor: Supervisor,
    pub(super) lease: ModelLease,
    pub(super) inbox: VecDeque<(u64, Event)>,
    pub(super) feed: VecDeque<(u64, Change)>,
    pub(super) tasks: VecDeque<(u64, Task)>,
    pub(super) writes: VecDeque<(u64, Option<AppendId>, Vec<JournalEntry>)>,
    pub(super) journal: Vec<JournalEntry>,
    pub(super) firing: Vec<Firing>,
    /// The epoch that this process has read the shard for.
    pub(super) loaded: Option<u64>,
    pub(super) next_tick: u64,
    pub(super) next_mark: u64,
    pub(super) dispatches: u64,
    /// How often it was started.
    pub(super) life: u64,
    pub(super) bus_up: bool,
    /// Runs on their way to the broker.
    pub(super) departures: Vec<Departure>,
    /// Runs that were handed to the bus and are not answered.
    pub(super) unanswered: BTreeSet<(Occurrence, u32)>,
    /// Those of which a worker has spoken then, and when.
    pub(super) reported: BTreeMap<(Occurrence, u32), u64>,
    /// Those that came back and may have arrived.
    pub(super) given_back: BTreeSet<(Occurrence, u32)>,
    /// Those of them of which a worker has spoken since.
    pub(super) spoken_of: BTreeSet<(Occurrence, u32)>,
    /// Until when a job is to rest.
    pub(super) rests: BTreeMap<JobId, u64>,
}

impl Node {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            alive: true,
            frozen_until: 0,
            dead_until: 0,
            cut_until: 0,
            supervisor: Supervisor::new(id),
            lease: ModelLease::default(),
            inbox: VecDeque::new(),
            feed: VecDeque::new(),
            tasks: VecDeque::new(),
            writes: VecDeque::new(),
            journal: Vec::new(),
            firing: Vec::new(),
            loaded: None,
            next_tick: 0,
            next_mark: 0,
            dispatches: 0,
            life: 0,
            bus_up: false,
            departures: Vec::new(),
            unanswered: BTreeSet::new(),
            reported: BTreeMap::new(),
            given_back: BTreeSet::new(),
            spoken_of: BTreeSet::new(),
            rests: BTreeMap::new(),
        }
    }

    pub(super) fn is_leased(&self, now: u64) -> bool {
        self.alive && now < self.lease.until
    }
}

/// How a worker behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As it should, and it stops when it had no answer for too long.
    Good,
    /// It dies from time to time.
    Silent,
    /// It stops for nobody.
    Zombie,
    /// It talks of runs that it does not have.
    Liar,
}

/// A run as its worker has it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) attempt: u32,
    /// When it sent the last words that were answered.
    pub(super) answered: u64,
    pub(super) finish: u64,
    /// The node that handed it out, and when.
    pub(super) from: (u64, u64),
    /// The store had it: it does not go when that node dies.
    pub(super) is_recorded: bool,
    /// It came by the broker at this instant, and that it has begun is not answered.
    pub(super) begins: Option<u64>,
}

pub(super) struct Worker {
    pub(super) name: String,
    pub(super) manner: Manner,
    /// The node on whose side it is when that one is cut off.
    pub(super) beside: usize,
    pub(super) dead_until: u64,
    pub(super) runs: BTreeMap<Occurrence, Held>,
    /// The claim that is not answered, and when it was sent.
    pub(super) claim: Option<(ClaimId, u64)>,
    pub(super) next_beat: u64,
}

/// What is on its way.
pub(super) enum Message {
    ToNode(usize, Event),
    Answer { claim: ClaimId, node: u64, effect: Effect },
    Propose(Vec<RunReport>),
    Confirm { n: usize, life: u64, claim: ClaimId, key: (Occurrence, u32), outcome: PublishOutcome },
}

/// The model at a moment.
pub(super) struct World {
    pub(super) now: u64,
    pub(super) scenario: Scenario,
    pub(super) without: Option<Rule>,
    pub(super) random: Random,
    pub(super) log: Log,
    pub(super) nodes: Vec<Node>,
    pub(super) workers: Vec<Worker>,
    pub(super) broker: Broker,
    pub(super) net: BTreeMap<(u64, u64), Message>,
    pub(super) sent: u64,
    pub(super) no_leader_until: u64,
    pub(super) checks: super::record::Checks,
    /// What heartbeats are about: worker, sent at, runs.
    pub(super) beats: BTreeMap<u64, (usize, u64, Vec<Occurrence>)>,
    /// The claims under way: worker, sent at.
    pub(super) claims: BTreeMap<ClaimId, (usize, u64)>,
}

impl World {
    pub(super) fn lacks(&self, rule: Rule) -> bool {
        self.without == Some(rule)
    }

    pub(super) fn sched(&self) -> Millis {
        START + self.now.cast_signed()
    }

    pub(super) fn has_leader(&self) -> bool {
        self.now >= self.no_leader_until
    }

    /// Says whether a node reaches the leader and the others.
    pub(super) fn is_reachable(&self, node: usize) -> bool {
        self.nodes[node].alive && self.now >= self.nodes[node].cut_until
    }

    /// Says whether a worker and a node reach each other: both are on the same side of a cut.
    pub(super) fn reaches(&self, w: usize, n: usize) -> bool {
        let beside = self.workers[w].beside;
        let is_cut = |node: usize| self.now < self.nodes[node].cut_until;
        self.nodes[n].alive && if is_cut(beside) { n == beside } else { !is_cut(n) }
    }

    pub(super) fn send(&mut self, message: Message) {
        self.sent += 1;
        let at =
            self.now + self.random.below(if self.scenario == Scenario::Calm { 40 } else { 160 });
        self.net.insert((at, self.sent), message);
    }

    /// Applies a command; all nodes hear of it in time.
    pub(super) fn apply(&mut self, command: &Command) -> Outcome {
        let (outcome, mut change) = self.log.apply(self.now, command);
        change.index = self.log.index;
        let delay = self.random.below(80);
        for node in self.nodes.iter_mut().filter(|node| node.alive) {
            let at = node.feed.back().map_or(0, |(at, _)| *at).max(self.now + delay);
            node.feed.push_back((at, change.clone()));
        }
        outcome
    }
}
