//! Sending: one task for each thing that is due, one for each request of it. They wait for a place
//! in the queue of built requests (`MaxQueue`), for the due instant, for a worker (`MaxWorkers`, in
//! the executor), ask the lease at the last moment, and turn what came back into blocks.
//!
//! Nothing here touches the queue, the tracker or the journal: results go to the engine.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::lanes::Lanes;
use super::live::Live;
use super::plans::Plans;
use super::request::{Desk, Head, Request, Work};
use super::seams::{Books, Hands, Lease};
use super::verdict::{self, Next, Policy};
use crate::clock::SchedulerTime;
use crate::executor::headers::{Labels, headers};
use crate::executor::{Call, Reply};
use crate::metrics::Metrics;
use crate::model::block::{Block, How, SkipReason, Verdict};
use crate::model::members::Members;
use crate::model::{JobId, ProjectId};

/// So many jobs are read and written at a time.
const SLICE: usize = 4_096;
/// A refused batch of at most so many is tried one by one; a larger one in halves.
const SINGLES: usize = 8;
/// How long the owner of a fenced request waits to learn whether it still is the owner.
const FENCED_MS: u64 = 1_000;
/// How long to leave the books alone when they cannot be read.
const UNREADABLE_MS: u64 = 250;

/// What senders tell the engine.
#[derive(Debug)]
pub(super) enum Sent {
    /// One more piece of this work is under way.
    Opened(Arc<Head>),
    /// A piece is over. What could not be sent goes back; blocks go to the journal.
    Over {
        /// What it was a piece of.
        head: Arc<Head>,
        /// What came of it.
        blocks: Vec<Block>,
        /// What was not sent.
        back: Option<Work>,
    },
    /// All requests of a work are written; the engine may begin the next.
    Written,
}

/// What all senders share.
pub(super) struct Sender<B, H, L> {
    pub(super) books: B,
    pub(super) hands: H,
    pub(super) lease: Arc<L>,
    pub(super) live: Arc<Live>,
    pub(super) plans: Arc<Plans>,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) policy: Policy,
    pub(super) cluster: u128,
    pub(super) max_bytes: usize,
    /// `MaxQueue`: one permit a built request that waits for its first byte.
    pub(super) slots: Arc<Semaphore>,
    /// How many requests each destination may have, built or under way.
    pub(super) lanes: Lanes,
    pub(super) in_flight: AtomicU64,
    /// Where senders run: not on the core runtime.
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) events: mpsc::UnboundedSender<Sent>,
}

impl<B: Books, H: Hands, L: Lease> Sender<B, H, L> {
    /// Begins a work; `Sent::Written` follows when its requests are written.
    pub(super) fn begin(self: &Arc<Self>, work: Work) {
        let this = Arc::clone(self);
        self.runtime.spawn(async move {
            this.write(work, None).await;
            this.tell(Sent::Written);
        });
    }

    /// [`Sender::write`] from within what it began.
    fn again(
        self: &Arc<Self>,
        work: Work,
        pass: Option<OwnedSemaphorePermit>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let this = Arc::clone(self);
        Box::pin(async move { this.write(work, pass).await })
    }

    /// Writes the requests of a work and gives each its own task. `pass` is a place in the lane of
    /// the first one's destination.
    async fn write(self: &Arc<Self>, work: Work, mut pass: Option<OwnedSemaphorePermit>) {
        let head = Arc::clone(&work.head);
        let mut blocks = Vec::new();
        let mut numbers: Vec<(Arc<str>, u32)> = Vec::new();
        for slice in work.jobs.chunks(SLICE) {
            let edition = self.live.edition();
            let piece = Work { head: Arc::clone(&head), jobs: slice.to_vec() };
            let (plans, cluster) = (Arc::clone(&self.plans), self.cluster);
            let (max_bytes, retry_max) = (self.max_bytes, self.policy.retry_max);
            let prepared = self
                .books
                .read(move |conn| {
                    let desk = Desk { conn, plans: &plans, cluster, max_bytes, retry_max };
                    desk.prepare(&piece.head, &piece.jobs)
                })
                .await;
            let prepared = match prepared {
                Ok(prepared) => prepared,
                Err(error) => {
                    tracing::error!(%error, "jobs that are due cannot be read; trying again");
                    let pause = self.time.clock().boot() + UNREADABLE_MS;
                    self.time.clock().sleep_until(pause).await;
                    let back = Work { head: Arc::clone(&head), jobs: slice.to_vec() };
                    self.tell(Sent::Opened(Arc::clone(&head)));
                    self.over(&head, Vec::new(), Some(back));
                    continue;
                }
            };
            for (project, gone) in prepared.ended {
                let verdict = Verdict::Skipped(SkipReason::Ended);
                blocks.push(self.unsent(&head, project, gone, verdict, None));
            }
            for (project, large) in prepared.oversized {
                let why = format!("larger than the payload limit of {} bytes", self.max_bytes);
                blocks.push(self.unsent(&head, project, large, Verdict::Dead, Some(why)));
            }
            for request in prepared.requests {
                let number = number_of(&mut numbers, &request.url);
                let ids = request.chunk.members.clone();
                self.send(work.only(&ids), request, number, edition, pass.take()).await;
            }
        }
        self.over(&head, blocks, None);
    }

    /// Gives one request its place in the queue and its task. What is beyond its destination's share
    /// gives up its body and waits for its lane, so that a dead endpoint cannot fill the queue.
    async fn send(
        self: &Arc<Self>,
        piece: Work,
        request: Request,
        number: u32,
        edition: u64,
        pass: Option<OwnedSemaphorePermit>,
    ) {
        let lane = self.lanes.of(&request.url);
        let this = Arc::clone(self);
        let Ok(pass) = pass.map_or_else(|| Arc::clone(&lane).try_acquire_owned(), Ok) else {
            self.tell(Sent::Opened(Arc::clone(&piece.head)));
            tokio::spawn(async move {
                // The semaphore is never closed.
                let pass = lane.acquire_owned().await.ok();
                this.again(piece, pass).await;
            });
            return;
        };
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
        self.tell(Sent::Opened(Arc::clone(&piece.head)));
        tokio::spawn(async move {
            let head = Arc::clone(&piece.head);
            while this.time.now() < head.due {
                let wake = this.time.boot_at(head.due);
                this.time.clock().sleep_until(wake).await;
            }
            if this.live.is_stale(edition, &request.chunk.members) {
                // Its jobs were changed since: written anew, perhaps for another destination.
                drop((slot, pass));
                return this.again(piece, None).await;
            }
            let (project, retry_max) = (request.project, request.retry_max);
            let url = Arc::clone(&request.url);
            let jobs = request.chunk.members.len() as u64;
            let lines = headers(&Labels {
                shard: head.key.0,
                epoch: this.live.fence(head.key),
                scheduled: head.scheduled,
                attempt: head.attempt,
                chunk: number,
                webhook_id: &request.chunk.webhook_id,
                now: this.time.now(),
            });
            let members: Arc<[JobId]> = request.chunk.members.into();
            let ask = (Arc::clone(&this), Arc::clone(&head), Arc::clone(&members));
            let call = Call::new(url, lines, request.chunk.body, move || {
                drop(slot);
                // It may have waited long for a worker.
                !ask.0.live.is_changed(edition, &ask.2) && ask.0.may_send(&ask.1, jobs)
            });
            let counted = Counted::new(&this.in_flight);
            let reply = this.hands.call(call).await;
            drop((counted, pass));
            match reply {
                Reply::Withheld if this.live.is_changed(edition, &members) => {
                    this.again(piece, None).await;
                }
                reply => this.settle(piece, project, retry_max, reply).await,
            }
        });
    }

    /// The last look before the first byte.
    fn may_send(&self, head: &Head, jobs: u64) -> bool {
        let (shard, gate) = (head.key.0, head.gate);
        let may = self.live.part(head.key).is_some_and(|part| match head.row {
            None => self.lease.may_fire(shard, &part, gate),
            Some(_) => {
                self.live.holder(shard, gate) == Some(head.key)
                    && self.lease.may_send(shard, &part, gate)
            }
        });
        if may && head.attempt == 1 {
            self.metrics.fired((self.time.now() - head.due).max(0) as u64, jobs);
        }
        may
    }

    /// What follows from a reply.
    async fn settle(
        self: Arc<Self>,
        piece: Work,
        project: ProjectId,
        retry_max: u32,
        reply: Reply,
    ) {
        let head = Arc::clone(&piece.head);
        let answer = match reply {
            Reply::Done(answer) => answer,
            Reply::Withheld => return self.over(&head, Vec::new(), Some(piece)),
            Reply::Refused { until } => {
                let wake = self.time.boot_at(until);
                while self.time.clock().boot() < wake {
                    self.time.clock().sleep_until(wake).await;
                }
                return self.over(&head, Vec::new(), Some(piece));
            }
        };
        let ids: Vec<JobId> = piece.jobs.iter().map(|(job, _)| *job).collect();
        let now = self.time.now();
        let boot = self.time.clock().boot();
        let started = now - boot.saturating_sub(answer.started_boot) as i64;
        let policy = Policy { retry_max, ..self.policy };
        let block = |verdict: Verdict, members: Members, error: Option<String>| Block {
            project,
            shard: head.key.0,
            epoch: head.key.1,
            due: head.due,
            scheduled: head.scheduled,
            since: None,
            attempt: head.attempt,
            verdict,
            http_code: answer.status,
            started,
            duration: answer.duration_ms,
            members,
            error: error.map(verdict::bounded),
            pending: head.row.map(|(id, _)| id),
            run: 0,
            once: false,
            how: How::Answer,
            accepted: None,
            response: None,
        };
        let next = policy.judge(&answer, &ids, head.scheduled, head.attempt, now);
        let blocks = match next {
            Next::Delivered => vec![block(Verdict::Delivered, Members::from_sorted(ids), None)],
            Next::Partly { failed, verdict } => {
                let failed = Members::from_sorted(failed);
                let fine = Members::from_sorted(ids).without(&failed);
                let why = Some("the receiver names it as failed".to_owned());
                let delivered = (!fine.is_empty()).then(|| block(Verdict::Delivered, fine, None));
                delivered.into_iter().chain([block(verdict, failed, why)]).collect()
            }
            Next::Failed(verdict) => {
                vec![block(verdict, Members::from_sorted(ids), answer.error.clone())]
            }
            Next::Split => {
                return self.split(&piece, &ids).await;
            }
            Next::Fenced(verdict) => {
                let wake = boot + FENCED_MS;
                while self.time.clock().boot() < wake {
                    self.time.clock().sleep_until(wake).await;
                }
                if self.live.part(head.key).is_some() {
                    vec![block(verdict, Members::from_sorted(ids), answer.error.clone())]
                } else {
                    // Whoever has the shard now decides; it may be this node, under a new epoch.
                    return self.over(&head, Vec::new(), Some(piece));
                }
            }
        };
        self.over(&head, blocks, None);
    }

    /// A refused batch goes out again in pieces, at once, as the same attempt.
    async fn split(self: &Arc<Self>, piece: &Work, ids: &[JobId]) {
        let size = if ids.len() <= SINGLES { 1 } else { ids.len().div_ceil(2) };
        for part in ids.chunks(size) {
            self.tell(Sent::Opened(Arc::clone(&piece.head)));
            self.again(piece.only(part), None).await;
        }
        self.over(&piece.head, Vec::new(), None);
    }

    /// A block for jobs that no request went out for.
    fn unsent(
        &self,
        head: &Head,
        project: ProjectId,
        members: Members,
        verdict: Verdict,
        error: Option<String>,
    ) -> Block {
        Block {
            project,
            shard: head.key.0,
            epoch: head.key.1,
            due: head.due,
            scheduled: head.scheduled,
            since: None,
            attempt: head.attempt,
            verdict,
            http_code: 0,
            started: self.time.now(),
            duration: 0,
            members,
            error,
            pending: head.row.map(|(id, _)| id),
            run: 0,
            once: false,
            how: How::Answer,
            accepted: None,
            response: None,
        }
    }

    fn over(&self, head: &Arc<Head>, blocks: Vec<Block>, back: Option<Work>) {
        self.tell(Sent::Over { head: Arc::clone(head), blocks, back });
    }

    fn tell(&self, sent: Sent) {
        // The engine outlives its senders, except at the very end of the process.
        let _ = self.events.send(sent);
    }
}

/// The place of a request among those of its target.
fn number_of(numbers: &mut Vec<(Arc<str>, u32)>, url: &Arc<str>) -> u32 {
    if let Some((_, next)) = numbers.iter_mut().find(|(known, _)| known == url) {
        *next += 1;
        return *next;
    }
    numbers.push((Arc::clone(url), 0));
    0
}

/// Counts a call as under way.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
