//! The parts of a running cluster that its tasks and calls share, and the short questions about
//! them. `start` makes it; everything in `cluster` holds it. The long paths are elsewhere
//! (`propose`, `membership`, `leadership`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openraft::Raft;
use openraft::async_runtime::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::Error;
use super::leadership::eligibility::{self, Eligibility};
use super::leadership::quorum_ack::BootOffset;
use super::leadership::state::Leadership;
use super::options::Options;
use super::reversion::Record;
use crate::model::NodeId;
use crate::peer::Peers;
use crate::raft::log::{Joiner, LogView};
use crate::raft::machine::{Machine, Watches};
use crate::raft::snapshot::Snapshots;
use crate::raft::types::{Member, StoredMembership, TypeConfig};
use crate::store::Store;

/// The longest time that the threads of log and state may take to end.
const CLOSE: Duration = Duration::from_secs(10);

pub(super) struct Inner {
    pub(super) options: Options,
    pub(super) raft: Raft<TypeConfig, Machine>,
    pub(super) peers: Peers,
    pub(super) store: Store,
    pub(super) snapshots: Arc<Snapshots>,
    pub(super) watches: Watches,
    pub(super) log: LogView,
    pub(super) leadership: watch::Sender<Leadership>,
    pub(super) boot_offset: BootOffset,
    /// The highest stamp this node has proposed.
    pub(super) last_stamp: AtomicI64,
    /// True until a leader found this node's clock to agree with the others', since it started.
    pub(super) clock_unconfirmed: AtomicBool,
    /// The instant at which a leader last spoke to this node.
    pub(super) heard: Mutex<Option<Instant>>,
    /// Held while a snapshot is received and put in place.
    pub(super) receiving: Arc<tokio::sync::Mutex<()>>,
    /// Held while the members are being changed.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Held while the level is raised, and while a member is added: the level must not rise between
    /// the look at a member's level and the entry.
    pub(super) leveling: tokio::sync::Mutex<()>,
    /// The instant at which this node was last elected.
    pub(super) elected: Mutex<Option<Instant>>,
    /// The addresses that nodes announced, if the membership says otherwise.
    pub(super) announced: Mutex<BTreeMap<NodeId, Member>>,
    /// True once this node has announced its address since its start. Before, it stands in no
    /// election, since another process may be this node.
    pub(super) introduced: AtomicBool,
    /// The entries that each follower has acknowledged to this leader.
    pub(super) acknowledged: Arc<Record>,
    /// The reason why the founder has not founded the cluster yet.
    pub(super) founding: Mutex<Option<String>>,
    /// The boot-clock instant (ms) until which this node's clock counts as wrong: it neither stands
    /// nor stamps.
    pub(super) clock_off_until: AtomicU64,
    pub(super) runtime: Handle,
    pub(super) stop: watch::Sender<bool>,
    pub(super) tasks: Mutex<Vec<JoinHandle<()>>>,
    pub(super) threads: Mutex<Vec<Joiner>>,
}

impl Inner {
    pub(super) fn membership(&self) -> StoredMembership {
        StoredMembership::clone(&self.raft.metrics().borrow_watched().membership_config)
    }

    /// True if this node knows of no cluster that it could belong to.
    pub(super) fn is_waiting(&self) -> bool {
        self.membership().membership().nodes().next().is_none()
    }

    pub(super) fn voters(&self) -> BTreeSet<NodeId> {
        self.membership().membership().voter_ids().collect()
    }

    /// True if a leader said lately that this node's clock is off.
    pub(super) fn clock_is_off(&self) -> bool {
        self.boot_offset.now() < self.clock_off_until.load(Ordering::SeqCst)
    }

    /// This node's part in an election.
    pub(super) fn eligibility(&self) -> Eligibility {
        let bound = self.peers.bound(self.options.node);
        let told = *self.peers.told().borrow();
        let last_log = self.log.last().map(|id| id.index);
        eligibility::judge(bound.as_ref(), self.options.instance, told, last_log)
    }

    pub(super) fn quorum_acked_boot(&self) -> Option<u64> {
        if !self.leadership.borrow().me {
            return None;
        }
        let metrics = self.raft.metrics();
        let m = metrics.borrow_watched();
        if m.membership_config.membership().voter_ids().count() == 1 {
            return Some(self.boot_offset.now());
        }
        let acked = m.last_quorum_acked.as_ref()?;
        Some(self.boot_offset.boot_ago(acked.elapsed()))
    }

    pub(super) fn heard_leader(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The time since a leader last spoke to this node; `None` when none ever has.
    pub(super) fn silence(&self) -> Option<Duration> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.is_stopping() {
            return Err(Error::Fatal("it is being shut down".to_owned()));
        }
        match self.peers.failure() {
            Some(message) => Err(Error::Fatal(message)),
            None => Ok(()),
        }
    }

    pub(super) async fn shutdown(&self) {
        self.stop.send_replace(true);
        // The tasks that call Raft end first, then Raft itself: it logs an error for each call
        // after its end.
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for mut task in tasks {
            // The server ends by itself once its last answer is out; the other tasks are aborted.
            if timeout(Duration::from_millis(100), &mut task).await.is_err() {
                task.abort();
                let _ = task.await;
            }
        }
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "raft did not end in good order");
        }
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let join = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let handle = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
                if handle.is_some_and(|handle| handle.join().is_err()) {
                    tracing::error!("a storage thread had panicked");
                }
            }
        });
        if timeout(CLOSE, join).await.is_err() {
            tracing::warn!("log or state is still open");
        }
    }
}
