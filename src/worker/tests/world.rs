//! The world of the engine's tests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue};
use rusqlite::Connection;
use tokio::sync::{broadcast, watch};

use crate::clock::{SchedulerTime, TestClock};
use crate::command::{
    Change, Command, CreateJobs, JobAction, NewJob, NewProject, Outcome, ProjectAction, apply,
};
use crate::executor::destination::{Destination, PermitRequest};
use crate::executor::destination_queues::{CallPermit, DestinationQueues};
use crate::executor::fair_queue::Stage;
use crate::executor::{self, Answer, Call, Reply};
use crate::journal::{self, Journal};
use crate::metrics::Metrics;
use crate::model::attempt::{
    AttemptRecord, JournalBatch, JournalEntry, Verdict, parse_execution_id,
};
use crate::model::job::{JobDefinition, JobStatus, Pending};
use crate::model::postponement::Obstacle;
use crate::model::run::{BeginRun, Begun};
use crate::model::shard::{Move, MoveKind, Ownership, SHARDS, Shard, ShardId};
use crate::model::{JobId, Millis, NodeId, ProjectId};
use crate::secret::Keys;
use crate::store::attempts::StoredAttempt;
use crate::store::explain::{Explained, explain};
use crate::store::{Store, Writer, attempts, jobs, pending, runs, shards};
use crate::worker::work::Head;
use crate::worker::{Deps, Dispatcher, Lease, Options, PoisonRegister, StateStore, Worker};

pub(super) const NODE: NodeId = 1;
/// A whole minute.
pub(super) const T0: Millis = 1_763_700_000_000;

#[derive(Clone)]
pub(super) struct TestStore {
    store: Store,
    changes: broadcast::Sender<Arc<Change>>,
    writer: Arc<Mutex<Writer>>,
    index: Arc<AtomicU64>,
    time: Arc<SchedulerTime>,
    proposals: Arc<Mutex<Proposals>>,
}

type Begins = Box<dyn Fn(&BeginRun) -> Result<Begun, String> + Send>;

/// What was proposed, and what the store say instead of what they would.
#[derive(Default)]
struct Proposals {
    begins: Option<Begins>,
    seen: Vec<BeginRun>,
}

impl TestStore {
    /// Applies a command at the present instant and rings the changes.
    fn apply(&self, command: &Command) -> Outcome {
        self.apply_at(self.time.now(), command)
    }

    pub(super) fn apply_at(&self, stamp: Millis, command: &Command) -> Outcome {
        let mut change = Change::default();
        let index = self.index.fetch_add(1, Ordering::SeqCst) + 1;
        let mut writer = self.writer.lock().unwrap();
        let outcome =
            writer.transaction(|tx| apply(tx, index, stamp, command, &mut change)).unwrap();
        // Nobody may be listening yet.
        let _ = self.changes.send(Arc::new(change));
        outcome
    }
}

impl StateStore for TestStore {
    async fn read<T, F>(&self, read: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let store = self.store.clone();
        let task = tokio::task::spawn_blocking(move || store.read(read));
        task.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }

    fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }

    async fn propose(&self, command: Command) -> Result<Outcome, String> {
        if let Command::BeginRun(begin) = &command {
            let mut proposals = self.proposals.lock().unwrap();
            proposals.seen.push(begin.clone());
            if let Some(begins) = &proposals.begins {
                return begins(begin).map(Outcome::Begun);
            }
        }
        Ok(self.apply(&command))
    }
}

/// One request, as the receiver saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) at: Millis,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) body: String,
    pub(super) timeout: Option<Duration>,
    /// All header lines, by name.
    pub(super) lines: BTreeMap<String, String>,
    pub(super) scheduled: String,
    pub(super) attempt: u32,
    pub(super) fence: u64,
    pub(super) webhook_id: String,
    pub(super) chunk: u32,
    pub(super) jobs: Vec<JobId>,
    pub(super) data: Vec<String>,
}

type Says = Box<dyn Fn(&Seen) -> (u16, String) + Send + Sync>;

/// The receiver.
pub(super) struct Receiver {
    pub(super) seen: watch::Sender<Vec<Seen>>,
    says: Mutex<Says>,
    /// URLs that hang until this is moved.
    hanging: watch::Sender<Vec<String>>,
    /// URLs whose destination takes nothing up to an instant.
    closed: Mutex<BTreeMap<String, (Millis, Obstacle)>>,
    time: Arc<SchedulerTime>,
    workers: tokio::sync::Semaphore,
    at_most: AtomicU64,
    /// The executor's own queues, where a test wants them.
    fair: Mutex<Option<DestinationQueues>>,
    /// How long URLs take to answer, by their beginning, in milliseconds.
    slow: Mutex<BTreeMap<String, u64>>,
}

impl Receiver {
    /// Waits for a worker as the executor does.
    async fn turn(&self, url: Arc<str>, wish: PermitRequest) -> Result<Option<CallPermit>, Reply> {
        let Some(queues) = self.fair.lock().unwrap().clone() else { return Ok(None) };
        let to = Destination::of(&url.parse().unwrap());
        queues.acquire(&to, wish).await.map(Some).map_err(|refusal| {
            let wait = refusal.until.saturating_sub(self.time.clock().boot());
            let until = self.time.now() + wait.cast_signed();
            Reply::Refused { until, obstacle: refusal.obstacle }
        })
    }

    /// Answers in its own time: returns when it does.
    async fn answers(&self, url: &str, mut turn: Option<CallPermit>) {
        let clock = self.time.clock();
        let begun = clock.boot();
        let slow = self.slow.lock().unwrap().clone();
        let takes = slow.iter().find(|(begins, _)| url.starts_with(*begins)).map_or(0, |s| *s.1);
        if takes >= HANGING_MS
            && let Some(turn) = &mut turn
        {
            clock.sleep_until(begun + HANGING_MS).await;
            turn.advance(Stage::Hanging);
        }
        clock.sleep_until(begun + takes).await;
        let mut hanging = self.hanging.subscribe();
        hanging.wait_for(|urls| !urls.iter().any(|hangs| hangs == url)).await.unwrap();
    }
}

/// After this long the executor takes a call's worker.
const HANGING_MS: u64 = 1_000;

#[derive(Clone)]
pub(super) struct TestDispatcher(Arc<Receiver>);

impl Dispatcher for TestDispatcher {
    async fn call(&self, mut call: Call) -> Reply {
        let receiver = &self.0;
        let _worker = receiver.workers.acquire().await.unwrap();
        let (limits, project) = (call.limits, call.project);
        let wish = PermitRequest { limits, project, ..PermitRequest::default() };
        let turn = match receiver.turn(Arc::clone(&call.url), wish).await {
            Ok(turn) => turn,
            Err(refused) => return refused,
        };
        if !(call.before_send)() {
            return Reply::Withheld;
        }
        let text = |(name, value): &(HeaderName, HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let lines: BTreeMap<String, String> = call.headers.iter().map(text).collect();
        assert_eq!(lines.len(), call.headers.len(), "each line once: {lines:?}");
        let header = |name: &str| lines[name].clone();
        // A batch is a list; what is not is a request for the occurrence that its id names.
        let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let list = body.as_array().cloned().unwrap_or_default();
        let single = parse_execution_id(&header("webhook-id")).map(|of| of.job);
        let seen = Seen {
            at: receiver.time.now(),
            method: call.method.to_string(),
            url: call.url.to_string(),
            body: String::from_utf8(call.body.to_vec()).unwrap(),
            timeout: call.timeout,
            scheduled: header("scheduler-scheduled-at"),
            attempt: header("scheduler-attempt").parse().unwrap(),
            fence: header("scheduler-fence").parse().unwrap(),
            webhook_id: header("webhook-id"),
            chunk: header("x-payload-chunk-id").parse().unwrap(),
            jobs: match single {
                Some(job) => vec![job],
                None => list.iter().map(|job| job["id"].as_u64().unwrap()).collect(),
            },
            data: list.iter().map(|job| job["data"].as_str().unwrap().to_owned()).collect(),
            lines,
        };
        let started_boot = receiver.time.clock().boot();
        let (status, body) = (receiver.says.lock().unwrap())(&seen);
        if body == "no descriptor" {
            let obstacle = Obstacle::Node("too many open files".to_owned());
            return Reply::Refused { until: receiver.time.now(), obstacle };
        }
        let url = seen.url.clone();
        receiver.seen.send_modify(|all| all.push(seen));
        let unwanted = call.unwanted.unwrap();
        tokio::select! {
            biased;
            () = receiver.answers(&url, turn) => {}
            () = unwanted() => return Reply::Unwanted(Answer {
                started_boot,
                sent: true,
                error: Some("ended".to_owned()),
                ..Answer::default()
            }),
        }
        Reply::Done(Answer {
            status,
            retry_after: body
                .strip_prefix("retry-after: ")
                .map(|seconds| Duration::from_secs(seconds.parse().unwrap())),
            flaw: None,
            accepted_async: body == "async",
            started_boot,
            duration_ms: 1,
            sent: body != "not sent",
            error: (status >= 300 || status == 0).then(|| format!("status {status}")),
            body: Bytes::from(body),
        })
    }

    fn at_most(&self) -> usize {
        self.0.at_most.load(Ordering::SeqCst) as usize
    }

    fn closed(&self, url: &str, _: ProjectId) -> Option<(Millis, Obstacle)> {
        let closed = self.0.closed.lock().unwrap().get(url).cloned()?;
        (self.0.time.now() < closed.0).then_some(closed)
    }
}

/// A lease that the test gives and takes.
pub(super) struct TestLease {
    pub(super) given: AtomicBool,
    /// H of every epoch below this number.
    promise: Mutex<BTreeMap<(ShardId, u64), Millis>>,
    moved: watch::Sender<u64>,
}

impl TestLease {
    pub(super) fn give(&self, given: bool) {
        self.given.store(given, Ordering::SeqCst);
        self.moved.send_modify(|n| *n += 1);
    }

    pub(super) fn promise(&self, shard: ShardId, epoch: u64, until: Millis) {
        self.promise.lock().unwrap().insert((shard, epoch), until);
    }

    fn promised(&self, shard: ShardId, part: &Ownership) -> Millis {
        let promise = self.promise.lock().unwrap();
        promise.get(&(shard, part.epoch)).copied().unwrap_or(Millis::MAX)
    }
}

impl Lease for TestLease {
    fn fires_until(&self, shard: ShardId, part: &Ownership) -> Millis {
        if !self.given.load(Ordering::SeqCst) {
            return Millis::MIN;
        }
        self.promised(shard, part).min(part.until)
    }
    fn may_fire(&self, shard: ShardId, part: &Ownership, due: Millis) -> bool {
        due > part.after && due <= self.fires_until(shard, part)
    }
    fn may_send(&self, shard: ShardId, part: &Ownership, due: Millis) -> bool {
        due <= self.fires_until(shard, part)
    }
    fn max_watermark(&self, shard: ShardId, part: &Ownership) -> Millis {
        let until = self.fires_until(shard, part);
        if part.closing || until == Millis::MAX { until } else { until.saturating_sub(1) }
    }
    fn state_watermark(&self, _: ShardId, _: &Ownership, _: Millis) -> bool {
        true
    }
    fn changed(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

pub(super) struct World {
    pub(super) clock: Arc<TestClock>,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) receiver: Arc<Receiver>,
    pub(super) lease: Arc<TestLease>,
    pub(super) options: Options,
    pub(super) keys: Arc<Keys>,
    pub(super) metrics: Arc<Metrics>,
    store: TestStore,
    dir: PathBuf,
    journal: Option<Journal>,
    worker: Option<Worker>,
    /// How often a process of the node has begun.
    starts: u64,
    _folder: tempfile::TempDir,
}

impl World {
    /// A cluster of one node that owns all shards, with one project, and no worker yet.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, writer) = Store::open(folder.path()).unwrap();
        let clock = TestClock::new(T0);
        let time = Arc::new(SchedulerTime::new(clock.clone()));
        let receiver = Arc::new(Receiver {
            seen: watch::Sender::new(Vec::new()),
            says: Mutex::new(Box::new(|_| (200, String::new()))),
            hanging: watch::Sender::new(Vec::new()),
            closed: Mutex::default(),
            time: Arc::clone(&time),
            workers: tokio::sync::Semaphore::new(64),
            at_most: AtomicU64::new(64),
            fair: Mutex::default(),
            slow: Mutex::default(),
        });
        let lease = TestLease {
            given: AtomicBool::new(true),
            promise: Mutex::default(),
            moved: watch::Sender::new(0),
        };
        let world = Self {
            clock,
            time: Arc::clone(&time),
            receiver,
            lease: Arc::new(lease),
            options: Options {
                node: NODE,
                max_queue: 1_024,
                payload_max_bytes: 2_000_000,
                retry_max: 3,
                retry_delay: Duration::from_secs(5),
                timeout: Duration::from_secs(30),
                max_timeout: Duration::from_mins(5),
                misfire_grace: crate::worker::MISFIRE_GRACE,
            },
            store: TestStore {
                store,
                changes: broadcast::Sender::new(1_024),
                writer: Arc::new(Mutex::new(writer)),
                index: Arc::default(),
                time: Arc::clone(&time),
                proposals: Arc::default(),
            },
            keys: Arc::new(Keys::new(&"5e".repeat(32), "u", "p").unwrap()),
            metrics: Arc::new(Metrics::new()),
            dir: folder.path().to_owned(),
            journal: None,
            worker: None,
            starts: 0,
            _folder: folder,
        };
        world.apply(&Command::Init { cluster: 0xc1 << 96 });
        let (name, description) = ("p".to_owned(), "d".to_owned());
        world.apply(&Command::CreateProject(NewProject {
            name,
            description,
            by: None,
            ..NewProject::default()
        }));
        let take = |shard| Move { shard, to: NODE, expects: 0, kind: MoveKind::TakeOver };
        world.apply(&Command::Assign((0..SHARDS).map(take).collect()));
        world
    }

    pub(super) fn workers(&mut self, max_workers: u32, max_queue: usize) {
        self.receiver.workers.forget_permits(64 - max_workers as usize);
        self.receiver.at_most.store(max_workers.into(), Ordering::SeqCst);
        self.options.max_queue = max_queue;
    }

    fn register(&mut self) -> PoisonRegister {
        self.starts += 1;
        PoisonRegister::open(&self.dir.join("rendering"), self.starts, self.time.now()).unwrap()
    }

    /// A process begins, and dies while it writes the first attempts of jobs for an instant.
    pub(super) fn dies_writing(&mut self, scheduled: Millis, jobs: &[JobId]) {
        let register = self.register();
        let mut mark = register.mark(&Head { scheduled, attempt: 1, ..Head::default() });
        mark.set(jobs.iter().copied());
        std::mem::forget(mark);
    }

    /// So many workers, shared out as the executor does it.
    pub(super) fn fair(&mut self, max_workers: usize, max_queue: usize) {
        let options = executor::Options { max_workers, ..executor::Options::default() };
        let queues = DestinationQueues::new(&options, self.clock.clone());
        self.receiver.at_most.store(queues.flow_limit() as u64, Ordering::SeqCst);
        *self.receiver.fair.lock().unwrap() = Some(queues);
        self.receiver.workers.add_permits(1_000_000);
        self.options.max_queue = max_queue;
    }

    /// URLs that begin so take so long to answer.
    pub(super) fn slow(&self, begins: &str, ms: u64) {
        self.receiver.slow.lock().unwrap().insert(begins.to_owned(), ms);
    }

    /// Another project; its number.
    pub(super) fn project(&self, name: &str) -> ProjectId {
        let (name, description) = (name.to_owned(), String::new());
        match self.apply(&Command::CreateProject(NewProject {
            name,
            description,
            ..NewProject::default()
        })) {
            Outcome::Created(id) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn start(&mut self) {
        let register = self.register();
        let options = journal::Options { min_free: 0, ..journal::Options::default() };
        let (journal, unforgotten) = Journal::open(&self.dir.join("journal"), options).unwrap();
        self.journal = Some(journal.clone());
        self.worker = Some(Worker::start(
            self.options.clone(),
            Deps {
                store: self.store.clone(),
                dispatcher: TestDispatcher(Arc::clone(&self.receiver)),
                lease: Arc::clone(&self.lease),
                keys: Arc::clone(&self.keys),
                journal,
                unforgotten,
                time: Arc::clone(&self.time),
                metrics: Arc::clone(&self.metrics),
                register,
                runtime: tokio::runtime::Handle::current(),
            },
        ));
    }

    /// Stops the worker in good order, as far as it goes.
    pub(super) async fn stop(&mut self) {
        self.worker.take().unwrap().stop().await;
        self.journal = None;
    }

    /// Applies a command at the present instant and rings the changes; it must not be refused.
    pub(super) fn apply(&self, command: &Command) -> Outcome {
        let outcome = self.store.apply(command);
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        outcome
    }

    /// As [`World::apply`], by a leader whose clock shows another instant.
    pub(super) fn apply_at(&self, stamp: Millis, command: &Command) {
        let outcome = self.store.apply_at(stamp, command);
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    }

    /// A handle to the store.
    pub(super) fn store(&self) -> TestStore {
        self.store.clone()
    }

    /// What the store know of a job at an instant.
    pub(super) fn explained(&self, id: JobId, at: Millis) -> Explained {
        let now = self.time.now();
        self.read(move |conn| explain(conn, id, at, now)).unwrap()
    }

    /// The runs of a job.
    pub(super) fn runs(&self, id: JobId) -> usize {
        self.read(move |conn| runs::of_job(conn, id)).len()
    }

    /// Makes so many jobs; their first id.
    pub(super) fn jobs(&self, spec: &str, url: &str, n: u64) -> JobId {
        self.shaped(definition(spec, url), n)
    }

    /// Makes so many jobs of a definition; their first id.
    pub(super) fn shaped(&self, definition: JobDefinition, n: u64) -> JobId {
        let job = |i| NewJob {
            definition: 0,
            data: format!("d{i}"),
            status: JobStatus::Active,
            ..NewJob::default()
        };
        let outcome = self.apply(&Command::CreateJobs(CreateJobs {
            request: u128::from(self.store.index.load(Ordering::SeqCst)),
            definitions: vec![definition],
            jobs: (0..n).map(job).collect(),
            staged: false,
        }));
        match outcome {
            Outcome::Jobs { jobs, .. } => jobs[0].0,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass in steps, and the engine work in between.
    pub(super) async fn pass(&self, ms: u64, step: u64) {
        for _ in 0..ms.div_ceil(step) {
            self.clock.advance(Duration::from_millis(step));
            self.settle().await;
        }
    }

    /// Gives the engine's tasks turns until nothing more comes of it. How long a turn takes depends on
    /// what else the machine does: a thread and the runtime's pool have theirs within each.
    pub(super) async fn settle(&self) {
        let mark = || {
            let synced = self.journal.as_ref().map(|journal| journal.state().synced);
            let status = self.worker.as_ref().map(Worker::status);
            (self.receiver.seen.borrow().len(), synced, status)
        };
        let mut last = mark();
        let mut quiet = 0;
        while quiet < 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let thread = tokio::task::spawn_blocking(|| std::thread::spawn(|| ()).join());
            thread.await.unwrap().unwrap();
            tokio::task::yield_now().await;
            let now = mark();
            let working = now.2.is_some_and(|status| status.working || status.loading > 0);
            quiet = if now == last && !working { quiet + 1 } else { 0 };
            last = now;
        }
    }

    /// What the collector does: records the journal, and lets it forget.
    pub(super) fn collect(&self) {
        let journal = self.journal.as_ref().unwrap();
        let stretch = journal.read(journal.state().forgotten, 1 << 20);
        let Some(last) = (stretch.entries.len() as u64).checked_sub(1) else { return };
        let last = stretch.first + last;
        let (incarnation, first, entries) = (stretch.incarnation, stretch.first, stretch.entries);
        self.apply(&Command::Record(JournalBatch { node: NODE, incarnation, first, entries }));
        journal.forget(incarnation, last);
    }

    pub(super) fn says(&self, says: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) {
        *self.receiver.says.lock().unwrap() = Box::new(says);
    }

    pub(super) fn hang(&self, urls: &[&str]) {
        self.receiver.hanging.send_replace(urls.iter().map(|url| (*url).to_owned()).collect());
    }

    /// What the store say when they are asked whether a run may begin.
    pub(super) fn begins(
        &self,
        begins: impl Fn(&BeginRun) -> Result<Begun, String> + Send + 'static,
    ) {
        self.store.proposals.lock().unwrap().begins = Some(Box::new(begins));
    }

    /// Who asked whether a run may begin.
    pub(super) fn asked(&self) -> Vec<BeginRun> {
        self.store.proposals.lock().unwrap().seen.clone()
    }

    /// A URL's destination takes nothing up to an instant.
    pub(super) fn close(&self, url: &str, until: Millis) {
        self.holds_back(url, until, Obstacle::Failing);
    }

    /// The same, for a reason.
    pub(super) fn holds_back(&self, url: &str, until: Millis, obstacle: Obstacle) {
        self.receiver.closed.lock().unwrap().insert(url.to_owned(), (until, obstacle));
    }

    /// What the journal holds of results.
    pub(super) fn journaled(&self) -> Vec<AttemptRecord> {
        let journal = self.journal.as_ref().unwrap();
        let stretch = journal.read(journal.state().forgotten, 1 << 20);
        let record = |entry| match entry {
            JournalEntry::Attempt(record) => Some(record),
            JournalEntry::Watermarks(_) => None,
        };
        stretch.entries.into_iter().filter_map(record).collect()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.receiver.seen.borrow().clone()
    }

    /// (seconds after T0, attempt) of every call that a job was in.
    pub(super) fn calls_of(&self, job: JobId) -> Vec<(i64, u32)> {
        let seen = self.seen();
        let calls = seen.iter().filter(|call| call.jobs.contains(&job));
        calls.map(|call| ((call.at - T0) / 1_000, call.attempt)).collect()
    }

    pub(super) fn shard(&self, id: ShardId) -> Shard {
        self.read(shards::all).into_iter().nth(usize::from(id)).unwrap()
    }

    pub(super) fn records(&self, shard: ShardId) -> Vec<StoredAttempt> {
        self.read(move |conn| attempts::after(conn, shard, 0))
    }

    pub(super) fn verdicts(&self, shard: ShardId) -> Vec<&'static str> {
        self.records(shard).iter().map(|b| b.record.verdict.name()).collect()
    }

    pub(super) fn delivered(&self, shard: ShardId) -> Vec<i64> {
        let records = self.records(shard);
        let fine = records.iter().filter(|b| b.record.verdict == Verdict::Delivered);
        fine.map(|b| (b.record.scheduled - T0) / 1_000).collect()
    }

    pub(super) fn pending(&self, shard: ShardId) -> usize {
        self.rows(shard).len()
    }

    pub(super) fn rows(&self, shard: ShardId) -> Vec<Pending> {
        self.read(move |conn| pending::for_shard(conn, shard))
    }

    pub(super) fn job(&self, id: JobId) -> crate::model::job::Job {
        self.read(move |conn| jobs::get(conn, id)).unwrap()
    }

    fn read<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
        self.store.store.read(f).unwrap()
    }
}

/// A pause without an end and what ends it: of a job that was never changed, or of its project.
pub(super) fn pause_and_resume(job: JobId, of_project: bool) -> (Command, Command) {
    if of_project {
        let pause = Command::turn_project(1, ProjectAction::Pause { until: None }, None);
        return (pause, Command::turn_project(1, ProjectAction::Resume, None));
    }
    let act = |action| Command::ChangeJobs { jobs: vec![(job, 1)], action, by: None };
    (act(JobAction::Pause { until: None }), act(JobAction::Resume))
}

pub(super) fn definition(spec: &str, url: &str) -> JobDefinition {
    let period = spec.strip_prefix("@every ").and_then(|p| p.strip_suffix('s'));
    JobDefinition {
        project: 1,
        spec: spec.to_owned(),
        period: period.map(|p| p.parse::<i64>().unwrap() * 1_000),
        timezone: "UTC".to_owned(),
        dst: crate::schedule::DstRule::default(),
        callback_url: url.to_owned(),
        execution_type: "http".to_owned(),
        casing: crate::model::job::Casing::Snake,
        start: None,
        end: None,
        retry_max: None,
        executor: None,
        created_by: None,
        ..JobDefinition::default()
    }
}

impl World {
    /// Rings as after a snapshot install.
    pub(super) fn ring_replaced(&self) {
        let index = self.store.index.load(Ordering::SeqCst);
        let change = Change { index, stamp: self.time.now(), replaced: true, ..Change::default() };
        let _ = self.store.changes.send(Arc::new(change));
    }
}

impl World {
    /// How many parts are loaded.
    pub(super) fn parts(&self) -> u64 {
        self.worker.as_ref().map_or(0, |worker| worker.status().parts)
    }
}
