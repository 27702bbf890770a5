//! The preparation of a claim: its members are looked up, and where runs of a job must not overlap,
//! the cluster is asked for leave to begin each. Claims share reads (`shared_reads`); else each is
//! prepared by itself.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::{Semaphore, mpsc};

use super::done::Done;
use super::lookup::{AskedParts, FoundPart, FoundParts, Lookup};
use super::shared_reads::SharedReads;
use super::writer::pause_until;
use crate::clock::SchedulerTime;
use crate::command::{Command, Outcome};
use crate::model::run::{BeginRun, Begun};
use crate::telemetry::LogLimit;
use crate::worker::ports::StateStore;
use crate::worker::supervisor::{ClaimId, Part, Prepared};

/// The most questions under way whether a run may begin.
const MAX_BEGINNING: usize = 64;
/// The longest wait of a claim for its turn and for all the answers, in milliseconds. A run that
/// was granted too late keeps its place, so that the next claim gets it.
const BEGIN_MS: u64 = 2_000;
/// The most members of the claims that share a read, but those of one claim always.
const MAX_MEMBERS: usize = 256;

/// What prepares claims; see the head of this file.
pub(super) struct Preparer<B> {
    store: B,
    lookup: Lookup,
    reads: SharedReads<AskedParts, FoundParts>,
    time: Arc<SchedulerTime>,
    done: mpsc::UnboundedSender<Done>,
    beginning: Semaphore,
}

impl<B: StateStore> Preparer<B> {
    pub(super) fn new(
        store: B,
        lookup: Lookup,
        time: Arc<SchedulerTime>,
        done: mpsc::UnboundedSender<Done>,
    ) -> Self {
        let reads = SharedReads::new(AskedParts::members, MAX_MEMBERS);
        Self { store, lookup, reads, time, done, beginning: Semaphore::new(MAX_BEGINNING) }
    }

    /// Prepares the parts of a claim, with at most so many bytes of data or without any, and tells
    /// the task.
    pub(super) async fn prepare(
        self: Arc<Self>,
        claim: ClaimId,
        parts: Vec<Part>,
        max_bytes: Option<usize>,
    ) {
        static LINES: LogLimit<()> = LogLimit::new();
        let parts = Arc::new(parts);
        let asked = AskedParts { parts: Arc::clone(&parts), max_bytes };
        let read = |asked: Vec<AskedParts>| {
            let lookup = self.lookup.clone();
            self.store.read(move |conn| lookup.look_up(conn, &asked))
        };
        let found = self.reads.ask(asked, read).await;
        let FoundParts { parts, data } = found.unwrap_or_else(|error| {
            if let Some(unsaid) = LINES.admit(()) {
                tracing::error!(%error, unsaid, "jobs of a claim cannot be read; they wait on");
            }
            unread(&parts)
        });
        let asks = parts.iter().any(|part| !part.asking.is_empty());
        let parts = if asks {
            // Boxed: most claims ask for no leave, and need no room for it.
            let until = self.time.clock().boot() + BEGIN_MS;
            Box::pin(join_all(parts.into_iter().map(|part| self.begin(part, until)))).await
        } else {
            parts.into_iter().map(|part| part.prepared).collect()
        };
        // The task is gone only at its end.
        let _ = self.done.send(Done::Prepared { claim, parts, data });
    }

    /// Asks for leave where it is needed, until an instant of the boot clock.
    async fn begin(&self, part: FoundPart, until: u64) -> Prepared {
        let FoundPart { mut prepared, asking } = part;
        let asked = asking
            .into_iter()
            .map(async |(job, begin, terms)| (job, terms, self.may_begin(begin, until).await));
        for (job, terms, begun) in join_all(asked).await {
            match begun {
                Some(Begun::Go) => {
                    let its = prepared.ready.iter_mut().find(|(_, known)| *known == terms);
                    match its {
                        Some((jobs, _)) => jobs.push(job),
                        None => prepared.ready.push((vec![job], terms)),
                    }
                }
                // It is skipped, parked, or another's: the change feed says which.
                Some(Begun::Skipped | Begun::Queued | Begun::NotYours) => {}
                None => prepared.later.push(job),
            }
        }
        prepared.ready.iter_mut().for_each(|(jobs, _)| jobs.sort_unstable());
        prepared.later.sort_unstable();
        prepared
    }

    /// Asks whether a run may begin; `None` while nobody answers.
    async fn may_begin(&self, begin: BeginRun, until: u64) -> Option<Begun> {
        let job = begin.occurrence.job;
        let asked = async {
            // The semaphore is never closed.
            let _turn = self.beginning.acquire().await.ok()?;
            match self.store.propose(Command::BeginRun(begin)).await {
                Ok(Outcome::Begun(leave)) => Some(leave),
                other => {
                    let why = other.map_or_else(|error| error, |outcome| outcome.to_string());
                    tracing::debug!(job, %why, "a claimed run cannot begin yet");
                    None
                }
            }
        };
        tokio::select! {
            leave = asked => leave,
            () = pause_until(&self.time, until) => None,
        }
    }
}

/// What is said of parts that could not be read: all of it waits on.
fn unread(parts: &[Part]) -> FoundParts {
    let later = |part: &Part| {
        let mut prepared = Prepared::new(Arc::clone(&part.source));
        prepared.later.clone_from(&part.jobs);
        FoundPart { prepared, asking: Vec::new() }
    };
    FoundParts { parts: parts.iter().map(later).collect(), ..FoundParts::default() }
}
