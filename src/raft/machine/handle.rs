//! The state machine as openraft sees it: it passes entries, in chunks, to the thread that owns the
//! writer, and snapshots to it or to the builder. It applies nothing itself.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use futures_util::{FutureExt, Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::oneshot;

use super::builder::Builder;
use super::thread::{Job, Thread};
use super::watches::Watches;
use crate::raft::log::Joiner;
use crate::raft::snapshot::{Snapshot, SnapshotFile, Snapshots};
use crate::raft::types::{LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::store::{Store, Writer};

/// A transaction holds at most this many entries ...
const CHUNK: usize = 4_096;
/// ... and about this many bytes of commands.
const CHUNK_BYTES: usize = 8 << 20;

/// openraft's state machine over `store`.
pub struct Machine {
    jobs: Sender<Job>,
    pub(super) store: Store,
    pub(super) snapshots: Arc<Snapshots>,
    watches: Watches,
    thread: Joiner,
}

impl Machine {
    /// Starts the thread that owns the writer.
    pub fn start(store: Store, writer: Writer, snapshots: Arc<Snapshots>) -> io::Result<Self> {
        let watches = Watches::new();
        let (jobs, queue) = channel();
        let mut thread = Thread::new(store.clone(), writer, snapshots.clone(), watches.clone())?;
        let builder = std::thread::Builder::new().name("apply".to_owned());
        let thread = Arc::new(Mutex::new(Some(builder.spawn(move || thread.run(&queue))?)));
        Ok(Self { jobs, store, snapshots, watches, thread })
    }

    /// The part that others may watch.
    pub fn watches(&self) -> Watches {
        self.watches.clone()
    }

    /// The thread's handle, for waiting until the state is closed: it ends when the machine is
    /// dropped.
    pub fn joiner(&self) -> Joiner {
        self.thread.clone()
    }

    async fn ask(
        &self,
        job: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Job,
    ) -> io::Result<()> {
        let gone = || io::Error::other("the thread that applies the log has ended");
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let mark = self.watches.applied_state();
        Ok((mark.last, mark.membership))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(first) = entries.next().await {
            let mut chunk = vec![first?];
            let mut bytes = size(&chunk[0]);
            while chunk.len() < CHUNK && bytes < CHUNK_BYTES {
                let Some(Some(next)) = entries.next().now_or_never() else { break };
                let next = next?;
                bytes += size(&next);
                chunk.push(next);
            }
            self.ask(|reply| Job::Apply { chunk, reply }).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder::new(self.store.clone(), self.snapshots.clone(), false)
    }

    /// A snapshot that must succeed (`force`) is wanted at the start of a node that has dropped its
    /// log and has no snapshot.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        Some(Builder::new(self.store.clone(), self.snapshots.clone(), force))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> io::Result<()> {
        let meta = meta.clone();
        self.ask(|reply| Job::Install { meta, snapshot, reply }).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.snapshots.current())
    }
}

fn size((entry, _): &EntryResponder<TypeConfig>) -> usize {
    match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.command.len(),
        _ => 0,
    }
}
