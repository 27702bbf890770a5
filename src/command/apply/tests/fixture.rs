//! A store with a log that is applied to it entry by entry, and the commands and records that the
//! tests apply. Every test of the rules uses it.

use tempfile::TempDir;

use crate::command::apply::audit_notes::AuditNotes;
use crate::command::apply::entry::{Entry, Refusal};
use crate::command::{
    Change, Command, CreateJobs, Error, JobEdit, NewJob, NewProject, Outcome, RejectionKind, apply,
};
use crate::model::Millis;
use crate::model::actor::{ActorRef, RequestOrigin};
use crate::model::attempt::{
    AttemptRecord, JournalBatch, JournalEntry, Occurrences, Verdict, Watermark,
};
use crate::model::job::{Job, JobDefinition, JobStatus, Pending, Timing};
use crate::model::members::Members;
use crate::model::reach::Reach;
use crate::model::result_code::ResultCode;
use crate::model::shard::{Move, MoveKind, SHARDS, ShardId, shard_of};
use crate::store::jobs::{self, Filter, walk};
use crate::store::{Store, Writer, pending, plans};

/// Log time when a test begins: a whole second.
pub(super) const START: Millis = 1_763_700_000_000;

/// A store, and a log that is applied to it entry by entry.
pub(super) struct ApplyFixture {
    pub(super) dir: TempDir,
    pub(super) store: Store,
    pub(super) writer: Writer,
    pub(super) index: u64,
    pub(super) now: Millis,
    pub(super) change: Change,
}

impl ApplyFixture {
    /// An empty state.
    pub(super) fn unborn() -> Self {
        let dir = TempDir::new().unwrap();
        let (store, writer) = Store::open(dir.path()).unwrap();
        Self { dir, store, writer, index: 0, now: START, change: Change::default() }
    }

    /// A cluster with one project, number 1, whose shards belong to node 1 (epoch 1).
    pub(super) fn new() -> Self {
        let mut state = Self::unborn();
        state.done(Command::Init { cluster: 7 });
        state.assign_all(1, 0);
        state.done(Command::CreateProject(NewProject {
            name: "p".into(),
            description: "d".into(),
            by: None,
            ..NewProject::default()
        }));
        state
    }

    /// Applies a command now, in a transaction of its own.
    pub(super) fn apply(&mut self, command: &Command) -> Outcome {
        self.apply_for(None, command)
    }

    /// Applies a command now, for an actor.
    pub(super) fn apply_for(&mut self, actor: Option<&ActorRef>, command: &Command) -> Outcome {
        self.apply_received((actor, None), command)
    }

    /// Applies a command now, for an actor whose request came in this way.
    pub(super) fn apply_received(
        &mut self,
        asked: (Option<&ActorRef>, Option<&RequestOrigin>),
        command: &Command,
    ) -> Outcome {
        self.index += 1;
        let (index, now) = (self.index, self.now);
        let mut change = Change::default();
        let outcome = self
            .writer
            .transaction(|tx| apply(tx, index, now, asked, command, &mut change))
            .unwrap_or_else(|e: Error| panic!("the store failed: {e}"));
        self.change = change;
        outcome
    }

    /// Applies commands now, all in one transaction; none may be refused.
    pub(super) fn apply_all(&mut self, commands: &[Command]) {
        let now = self.now;
        self.apply_at(commands.iter().map(|command| (now, command)));
    }

    /// As [`Self::apply_all`], each command at its own moment, as a node does that catches up.
    pub(super) fn apply_at<'a>(
        &mut self,
        commands: impl IntoIterator<Item = (Millis, &'a Command)>,
    ) {
        let mut change = Change::default();
        let index = &mut self.index;
        let done = self.writer.transaction(|tx| {
            for (now, command) in commands {
                *index += 1;
                let outcome = apply(tx, *index, now, (None, None), command, &mut change)?;
                assert!(!matches!(outcome, Outcome::Rejected(_)), "{command:?}: {outcome}");
            }
            Ok(())
        });
        done.unwrap_or_else(|e: Error| panic!("the store failed: {e}"));
        self.change = change;
    }

    /// Applies a command that must not be refused.
    #[expect(clippy::needless_pass_by_value, reason = "tests read better without a `&` a line")]
    pub(super) fn done(&mut self, command: Command) -> Outcome {
        match self.apply(&command) {
            Outcome::Rejected(why) => panic!("{command:?} was refused: {why}"),
            outcome => outcome,
        }
    }

    /// Applies a command that must be refused, and must leave nothing behind.
    pub(super) fn refused(&mut self, command: &Command) -> (RejectionKind, String) {
        self.apply(&Command::Checksum); // so that log time is this stamp already
        let before = self.hash();
        match self.apply(command) {
            Outcome::Rejected(why) => {
                assert_eq!(self.hash(), before, "a refusal changed the state");
                (why.kind, why.message)
            }
            outcome => panic!("{command:?} was not refused: {outcome}"),
        }
    }

    pub(super) fn read<T>(
        &self,
        f: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> T {
        self.store.read(f).unwrap()
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        self.read(Store::hash)
    }

    /// Creates `n` jobs of a definition; the first id.
    pub(super) fn jobs(&mut self, definition: JobDefinition, n: usize) -> u64 {
        let request = u128::from(self.index) + 1_000;
        match self.done(create(request, definition, n, false)) {
            Outcome::Jobs { jobs, .. } => jobs[0].0,
            outcome => panic!("{outcome}"),
        }
    }

    /// All shards to a node, from owners of one epoch.
    pub(super) fn assign_all(&mut self, to: u64, expects: u64) {
        let moves = (0..SHARDS)
            .map(|shard| Move { shard, to, expects, kind: MoveKind::TakeOver })
            .collect();
        assert_eq!(self.done(Command::Assign(moves)), Outcome::Assigned(u32::from(SHARDS)));
    }

    /// The number of rows of a table.
    pub(super) fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        self.read(|c| c.query_row(&sql, [], |row| row.get::<_, i64>(0))) as u64
    }
}

/// All jobs that a filter finds, by a walk that looks at so many at a time.
pub(super) fn walked(state: &ApplyFixture, filter: &Filter, most: usize) -> Vec<u64> {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let some = state.read(|c| walk(c, filter, (after, u64::MAX), most));
        found.extend(some.found);
        match some.on {
            Some(id) => after = id,
            None => return found,
        }
    }
}

pub(super) fn every_minute() -> JobDefinition {
    JobDefinition {
        project: 1,
        spec: "@every 1m".into(),
        period: Some(60_000),
        timezone: "UTC".into(),
        callback_url: "http://127.0.0.1:3000/callback".into(),
        execution_type: "http".into(),
        ..JobDefinition::default()
    }
}

pub(super) fn create(request: u128, definition: JobDefinition, n: usize, staged: bool) -> Command {
    let job = |i| NewJob {
        definition: 0,
        data: format!("data {i}"),
        status: JobStatus::Active,
        ..NewJob::default()
    };
    let jobs = (0..n).map(job).collect();
    Command::CreateJobs(CreateJobs { request, definitions: vec![definition], jobs, staged })
}

/// A first attempt at jobs of one shard, in epoch 1.
pub(super) fn record(members: impl IntoIterator<Item = u64>, verdict: Verdict) -> AttemptRecord {
    let members = Members::from_sorted(members);
    let shard = members.iter().next().map_or(0, shard_of);
    let due = START + 60_000;
    let occurrences = Occurrences { project: 1, shard, epoch: 1, due, scheduled: due, members };
    AttemptRecord {
        result: ResultCode::Http(if verdict == Verdict::Delivered { 200 } else { 503 }),
        started: START + 60_001,
        duration: 12,
        ..AttemptRecord::attempt(occurrences, verdict)
    }
}

pub(super) fn journal_batch(
    node: u64,
    incarnation: u128,
    first: u64,
    records: Vec<AttemptRecord>,
) -> Command {
    let entries = records.into_iter().map(JournalEntry::Attempt).collect();
    Command::Record(JournalBatch { node, incarnation, first, entries })
}

pub(super) fn mark(shard: ShardId, epoch: u64, at: Millis) -> JournalEntry {
    JournalEntry::Watermarks(vec![Watermark { shard, epoch, at }])
}

impl ApplyFixture {
    /// Creates one job; its id.
    pub(super) fn create_one(&mut self, definition: JobDefinition, job: NewJob) -> u64 {
        let number = u128::from(self.index) + 1_000;
        match self.done(request(number, definition, vec![job], false)) {
            Outcome::Jobs { jobs, .. } => jobs[0].0,
            outcome => panic!("{outcome}"),
        }
    }

    pub(super) fn job(&self, id: u64) -> Job {
        self.read(|c| jobs::get(c, id)).unwrap_or_else(|| panic!("job {id} is gone"))
    }

    /// Edits a job: all that it is, but for what `change` does.
    pub(super) fn edit(&mut self, id: u64, change: impl FnOnce(&mut JobEdit)) -> Job {
        let mut edit = same(&self.job(id), self.now);
        change(&mut edit);
        self.done(Command::UpdateJob(Box::new(edit)));
        self.job(id)
    }

    /// All pending rows.
    pub(super) fn rows(&self) -> Vec<Pending> {
        let mut all: Vec<_> =
            (0..SHARDS).flat_map(|shard| self.read(|c| pending::for_shard(c, shard))).collect();
        all.sort_unstable_by_key(|row| row.id);
        all
    }

    /// The closed plans of a job as (from, until, active), relative to the start.
    pub(super) fn closed_intervals(&self, id: u64) -> Vec<(Millis, Millis, bool)> {
        let plans = self.read(|c| plans::of_job(c, id));
        plans.iter().map(|p| (p.from - START, p.until - START, p.status.fires())).collect()
    }

    /// Lets a one-off come to its end, as the rules of results do.
    pub(super) fn complete(&mut self, id: u64, scheduled: Millis, end: Verdict) {
        self.entry(|entry| entry.complete_job(id, scheduled, end));
    }

    pub(super) fn disable(&mut self, id: u64) {
        self.entry(|entry| entry.disable_job(id));
    }

    fn entry(&mut self, f: impl FnOnce(&mut Entry<'_, '_>) -> Result<(), Refusal>) {
        self.index += 1;
        let (index, now) = (self.index, self.now);
        let mut change = Change::default();
        let done = self.writer.transaction(|tx| {
            let stamp = tx.advance_log_time(now)?;
            let mut entry = Entry {
                tx,
                index,
                stamp,
                actor: None,
                reach: Reach::all(),
                notes: AuditNotes::default(),
                change: &mut change,
            };
            match f(&mut entry) {
                Err(Refusal::Failed(error)) => Err(error),
                Err(Refusal::Rejected(why)) => panic!("{why}"),
                Ok(()) => Ok(()),
            }
        });
        done.unwrap();
        self.change = change;
    }
}

pub(super) fn at() -> JobDefinition {
    JobDefinition { spec: String::new(), period: None, timing: Timing::At, ..every_minute() }
}

pub(super) fn after(delay: Millis) -> JobDefinition {
    JobDefinition { timing: Timing::After(delay), ..at() }
}

/// A one-off of a definition at an instant.
pub(super) fn one(at: impl Into<Option<Millis>>) -> NewJob {
    NewJob { at: at.into(), ..NewJob::default() }
}

pub(super) fn request(
    request: u128,
    definition: JobDefinition,
    jobs: Vec<NewJob>,
    staged: bool,
) -> Command {
    Command::CreateJobs(CreateJobs { request, definitions: vec![definition], jobs, staged })
}

/// An edit that changes nothing.
pub(super) fn same(job: &Job, now: Millis) -> JobEdit {
    JobEdit {
        id: job.id,
        expect: Some(job.version),
        definition: JobDefinition::clone(&job.definition),
        data: job.data.clone(),
        status: job.status,
        at: job.definition.is_one_off().then_some(job.anchor),
        pause_until: job.paused_until(now),
        external_id: job.external_id.clone(),
        by: None,
    }
}
