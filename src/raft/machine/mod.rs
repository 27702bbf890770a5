//! The state machine as openraft sees it: it hands entries to one thread, which applies a chunk of
//! them in one transaction, and it makes and installs snapshots.
//!
//! ```text
//!   apply(stream) --chunks--> thread: decode, one transaction, commit --> applied, bell, responders
//! ```
//! A command that cannot be decoded and a store that fails are errors here: openraft stops, and the
//! node exits rather than diverge. A snapshot that lacks disk or descriptors is none: it is tried again.

#[cfg(test)]
mod tests;
mod thread;

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{FutureExt, Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, oneshot, watch};

use self::thread::{Job, Thread};
use super::log::Joiner;
use super::snapshot::{SnapshotFile, Snapshots};
use super::types::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::command::Change;
use crate::disk::{self, spare};
use crate::model::{Millis, NodeId};
use crate::store::nodes::Bound;
use crate::store::{self, Staged, Store, Writer};

/// A transaction holds at most this many entries ...
const CHUNK: usize = 4_096;
/// ... and about this many bytes of commands.
const CHUNK_BYTES: usize = 8 << 20;
/// Bells that a slow listener may be behind before it has to look at everything.
const BELLS: usize = 4_096;
/// So many descriptors a snapshot takes while it is built.
const DESCRIPTORS: usize = 8;
/// Hashes of `Checksum` entries that are kept.
const CHECKSUMS: usize = 16;

/// How far this node has applied the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The index of the last applied entry; 0 before the first.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// Log time there.
    pub stamp: Millis,
}

/// What the applied state says about who belongs to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// Which line of descent this is: the cluster's id, or what a recovery put in its place; 0
    /// before its birth.
    pub generation: u128,
    /// The nodes and the data folders that they are bound to, the removed ones too.
    pub nodes: Vec<Bound>,
}

/// The mark that is left in each transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) last: Option<LogId>,
    pub(super) membership: StoredMembership,
}

/// Index and hash of each, the oldest first.
type Checksums = VecDeque<(u64, [u8; 32])>;

/// What others may watch of the machine. Clones share it.
#[derive(Clone, Debug)]
pub struct Watches {
    /// The bell.
    pub changes: broadcast::Sender<Arc<Change>>,
    /// How far.
    pub applied: watch::Sender<Applied>,
    /// Who belongs to the cluster.
    pub roll: watch::Sender<Roll>,
    checksums: Arc<Mutex<Checksums>>,
    mark: Arc<Mutex<Mark>>,
}

impl Roll {
    /// What a node id is bound to.
    pub fn get(&self, node: NodeId) -> Option<&Bound> {
        self.nodes.iter().find(|bound| bound.node == node)
    }
}

impl Watches {
    /// The hash of the state at a `Checksum` entry, once it is computed.
    pub fn checksum(&self, index: u64) -> Option<[u8; 32]> {
        let known = self.checksums.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(at, _)| *at == index).map(|(_, hash)| *hash)
    }

    fn mark(&self) -> Mark {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_checksum(&self, index: u64, hash: [u8; 32]) {
        let mut known = self.checksums.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_back((index, hash));
        while known.len() > CHECKSUMS {
            known.pop_front();
        }
    }
}

/// openraft's state machine over `store`.
pub struct Machine {
    jobs: Sender<Job>,
    store: Store,
    snapshots: Arc<Snapshots>,
    watches: Watches,
    thread: Joiner,
}

impl Machine {
    /// Starts the thread that owns the writer.
    pub fn start(store: Store, writer: Writer, snapshots: Arc<Snapshots>) -> io::Result<Self> {
        let watches = Watches {
            changes: broadcast::Sender::new(BELLS),
            applied: watch::Sender::default(),
            roll: watch::Sender::default(),
            checksums: Arc::default(),
            mark: Arc::default(),
        };
        let (jobs, queue) = channel();
        let mut thread = Thread::new(store.clone(), writer, snapshots.clone(), watches.clone())?;
        let builder = std::thread::Builder::new().name("apply".to_owned());
        let thread = Arc::new(Mutex::new(Some(builder.spawn(move || thread.run(&queue))?)));
        Ok(Self { jobs, store, snapshots, watches, thread })
    }

    /// What others may watch.
    pub fn watches(&self) -> Watches {
        self.watches.clone()
    }

    /// For waiting until the state is closed, which it is when the machine is dropped.
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
        let mark = self.watches.mark();
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
        Builder { store: self.store.clone(), snapshots: self.snapshots.clone(), must: false }
    }

    /// One that must come (`force`) is wanted at the start of a node that has dropped its log and has
    /// no snapshot: it cannot be without.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        let builder = self.get_snapshot_builder().await;
        Some(Builder { must: force, ..builder })
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

/// Makes a snapshot of what is applied when it runs. One that lacks disk or descriptors is noted, and
/// openraft hears of the snapshot before instead: an error would end the node.
pub struct Builder {
    store: Store,
    snapshots: Arc<Snapshots>,
    must: bool,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let (store, snapshots) = (self.store.clone(), self.snapshots.clone());
        let built = tokio::task::spawn_blocking(move || build(&store, &snapshots)).await;
        match built.map_err(io::Error::other)? {
            Ok(snapshot) => {
                self.snapshots.failures().worked();
                Ok(snapshot)
            }
            Err(Unbuilt::Passing(error)) if !self.must => Ok(self.snapshots.failed(&error)),
            Err(Unbuilt::Passing(error) | Unbuilt::Fatal(error)) => Err(error),
        }
    }
}

/// Why a snapshot was not built.
enum Unbuilt {
    /// Something is lacking.
    Passing(io::Error),
    /// What is stored cannot be read.
    Fatal(io::Error),
}

fn build(store: &Store, snapshots: &Snapshots) -> Result<Snapshot, Unbuilt> {
    // Two databases, a file and a folder.
    spare::lend(DESCRIPTORS);
    let path = snapshots.fresh_path();
    let written = loop {
        match store.snapshot_to(&path) {
            // By an install, which does not wait for it. The next one is of what was installed.
            Err(store::Error::Ended(_)) => {}
            written => break written,
        }
    };
    let mark = written.map_err(|error| {
        let passes = error.may_pass();
        let error = io::Error::other(error);
        if passes { Unbuilt::Passing(error) } else { Unbuilt::Fatal(error) }
    })?;
    let mark = decode_mark(Some(mark)).map_err(Unbuilt::Fatal)?;
    let meta = SnapshotMeta { last_log_id: mark.last, last_membership: mark.membership };
    let published = snapshots.publish(&meta, &path);
    if published.is_err() {
        // The next try makes another one.
        let _ = disk::remove_if_there(&path);
    }
    published.map_err(Unbuilt::Passing)
}

/// Up to which entry a staged snapshot covers the log.
pub fn covered_by(staged: &Staged) -> io::Result<Option<LogId>> {
    Ok(decode_mark(Some(staged.applied().to_vec()))?.last)
}

fn decode_mark(bytes: Option<Vec<u8>>) -> io::Result<Mark> {
    match bytes.filter(|bytes| !bytes.is_empty()) {
        Some(bytes) => postcard::from_bytes(&bytes)
            .map_err(|e| io::Error::other(format!("state.db: its applied mark is damaged: {e}"))),
        None => Ok(Mark::default()),
    }
}
