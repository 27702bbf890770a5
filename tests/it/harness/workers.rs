//! A supervisor of one node in memory, behind the gateway of an [`ApiFixture`](super::ApiFixture):
//! what waits for workers there is what a test puts in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use scheduler0::gateway::{Answer, NodeWorkers, Notices, Supervisors};
use scheduler0::model::claim::{
    ClaimRequest, ClaimedRun, HandOutQuestion, HandedOut, LiveRun, QueueCounts, QueueHint,
    ReportNotice, WorkerHeartbeat,
};
use scheduler0::model::delivery::Retry;
use scheduler0::model::run::Occurrence;
use scheduler0::model::run_terms::{BusKind, RunTerms};
use scheduler0::model::{Millis, NodeId};
use tokio::sync::broadcast;

/// The supervisor. Cloning gives another handle to the same one.
#[derive(Clone)]
pub(crate) struct MemorySupervisor(Arc<Inner>);

struct Inner {
    offers: Mutex<BTreeMap<u64, VecDeque<ClaimedRun>>>,
    hints: broadcast::Sender<(NodeId, QueueHint)>,
    /// The claims that it got.
    claims: Mutex<Vec<ClaimRequest>>,
    /// The heartbeats that it got.
    beats: Mutex<Vec<WorkerHeartbeat>>,
    /// The occurrences that it does not know.
    unknown: Mutex<BTreeSet<Occurrence>>,
    /// The runs as it knows them; `None` while it does not answer.
    live: Mutex<Option<Vec<LiveRun>>>,
    /// The answer to whether it has handed something out.
    handed_out: Mutex<HandedOut>,
    /// The reports that it was told of.
    reports: Mutex<Vec<ReportNotice>>,
}

impl MemorySupervisor {
    /// A supervisor without offers.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            offers: Mutex::default(),
            hints: broadcast::Sender::new(1_000),
            claims: Mutex::default(),
            beats: Mutex::default(),
            unknown: Mutex::default(),
            live: Mutex::new(Some(Vec::new())),
            handed_out: Mutex::new(HandedOut::No),
            reports: Mutex::default(),
        }))
    }

    /// Lets a run wait in a queue, and tells the gateway.
    pub(crate) fn offer(&self, queue: (u64, &str), job: u64, data: &str) -> Occurrence {
        let retry = Retry { max: 0, delay: 0, factor: 1_000, max_delay: 0 };
        let terms = RunTerms {
            queue: queue.1.to_owned(),
            heartbeat_timeout: Some(60_000),
            ..RunTerms::new(BusKind::Embedded, queue.0, retry)
        };
        let occurrence = Occurrence { job, scheduled: 1_763_700_000_000, run: 0 };
        let run = ClaimedRun {
            occurrence,
            attempt: 3,
            project: 1,
            due: 1_763_700_001_000,
            external_id: Some("mine".into()),
            data: data.to_owned(),
            terms,
        };
        self.0.offers.lock().unwrap().entry(queue.0).or_default().push_back(run);
        self.hint(queue.0);
        occurrence
    }

    /// Forgets a run, or knows it again.
    pub(crate) fn forget(&self, of: Occurrence) {
        self.0.unknown.lock().unwrap().insert(of);
    }

    /// Knows these runs; with `None` it does not say.
    pub(crate) fn know(&self, live: Option<Vec<LiveRun>>) {
        *self.0.live.lock().unwrap() = live;
    }

    /// Says this of all that it is asked about.
    pub(crate) fn say_handed_out(&self, handed_out: HandedOut) {
        *self.0.handed_out.lock().unwrap() = handed_out;
    }

    /// The reports so far that it was told of.
    pub(crate) fn reports(&self) -> Vec<ReportNotice> {
        self.0.reports.lock().unwrap().clone()
    }

    /// The claims so far.
    pub(crate) fn claims(&self) -> Vec<ClaimRequest> {
        self.0.claims.lock().unwrap().clone()
    }

    /// The heartbeats so far.
    pub(crate) fn beats(&self) -> Vec<WorkerHeartbeat> {
        self.0.beats.lock().unwrap().clone()
    }

    fn hint(&self, queue: u64) {
        let count = self.0.offers.lock().unwrap().get(&queue).map_or(0, VecDeque::len) as u64;
        let oldest = if count > 0 { 1 } else { Millis::MAX };
        // Nobody listens before the gateway runs.
        let _ = self.0.hints.send((1, QueueHint { queue, count, oldest }));
    }

    fn take(&self, ask: ClaimRequest) -> Vec<ClaimedRun> {
        let mut offers = self.0.offers.lock().unwrap();
        let mut runs = Vec::new();
        for queue in &ask.queues {
            let waiting = offers.entry(*queue).or_default();
            let room = (ask.max as usize - runs.len()).min(waiting.len());
            runs.extend(waiting.drain(..room));
        }
        drop(offers);
        self.0.claims.lock().unwrap().push(ask);
        runs
    }
}

impl Supervisors for MemorySupervisor {
    fn own(&self) -> NodeId {
        1
    }

    fn others(&self) -> Vec<NodeId> {
        Vec::new()
    }

    fn hints(&self) -> broadcast::Receiver<(NodeId, QueueHint)> {
        self.0.hints.subscribe()
    }

    fn claim(&self, _: NodeId, asks: Vec<ClaimRequest>) -> Answer<Vec<Option<Vec<ClaimedRun>>>> {
        let told = asks.into_iter().map(|ask| Some(self.take(ask))).collect();
        async { Ok(told) }.boxed()
    }

    fn heartbeat(&self, _: NodeId, beats: Vec<WorkerHeartbeat>) -> Answer<Vec<Vec<Occurrence>>> {
        let unknown = self.0.unknown.lock().unwrap();
        let told = beats.iter().map(|beat| {
            let all = beat.runs.iter().map(|run| run.occurrence);
            all.filter(|of| unknown.contains(of)).collect()
        });
        let told = told.collect();
        self.0.beats.lock().unwrap().extend(beats);
        async { Ok(told) }.boxed()
    }

    fn notify(&self, _: NodeId, notices: Notices) -> Answer<()> {
        self.0.reports.lock().unwrap().extend(notices.reports);
        notices.wants.into_iter().for_each(|want| self.hint(want.queue));
        async { Ok(()) }.boxed()
    }

    fn live(&self, _: NodeId, of: Vec<Occurrence>) -> Answer<Vec<LiveRun>> {
        let Some(live) = self.0.live.lock().unwrap().clone() else {
            return std::future::pending().boxed();
        };
        let live = live.into_iter().filter(|run| of.contains(&run.occurrence)).collect();
        async { Ok(live) }.boxed()
    }

    fn handed_out(&self, _: NodeId, asked: Vec<HandOutQuestion>) -> Answer<Vec<HandedOut>> {
        let told = vec![*self.0.handed_out.lock().unwrap(); asked.len()];
        async { Ok(told) }.boxed()
    }

    fn view(&self, _: NodeId, _: bool) -> Answer<NodeWorkers> {
        let offers = self.0.offers.lock().unwrap();
        let queues = offers.iter().map(|(queue, waiting)| QueueCounts {
            queue: *queue,
            offers: waiting.len() as u64,
            taken: 7,
            oldest: waiting.front().map_or(Millis::MAX, |run| run.due),
            since: waiting.front().map_or(Millis::MAX, |run| run.due),
        });
        let view = NodeWorkers { queues: queues.collect(), ..NodeWorkers::default() };
        async { Ok(view) }.boxed()
    }
}
