//! The thread that owns the writer: it applies chunks of entries and installs snapshots, one after
//! the other, and publishes what changed.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use openraft::EntryPayload;
use openraft::storage::{ApplyResponder, EntryResponder};
use tokio::sync::oneshot;

use super::applied::{Applied, AppliedState, decode_applied};
use super::builder::{Unbuilt, build};
use super::watches::{NodeRegistry, Watches};
use crate::command::{self, Change, Command, Outcome, Proposal};
use crate::disk;
use crate::model::Millis;
use crate::model::event::Fact;
use crate::raft::snapshot::{SnapshotFile, Snapshots};
use crate::raft::types::{LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::store::{self, ReadClass, ReadLimit, Store, Writer, meta, nodes};

/// Time between two tries to put a snapshot in place.
const INSTALL_AGAIN: Duration = Duration::from_secs(1);
/// The number of tries of an install that may fail of a lack or a broken disk (it is not known
/// which), before the node ends.
const UNCLEAR_TRIES: u32 = 10;

type Reply = oneshot::Sender<io::Result<()>>;

/// A request to the thread.
pub(super) enum Job {
    /// Applies entries.
    Apply { chunk: Vec<EntryResponder<TypeConfig>>, reply: Reply },
    /// Replaces the state.
    Install { meta: SnapshotMeta, snapshot: SnapshotFile, reply: Reply },
}

/// An entry, decoded.
struct Step {
    id: LogId,
    payload: Payload,
    responder: Option<ApplyResponder<TypeConfig>>,
}

enum Payload {
    Nothing,
    Members(StoredMembership),
    Command { stamp: Millis, proposal: Box<Proposal> },
}

impl Payload {
    /// The name of the command; for one that wraps another, the name of the wrapped one.
    fn name(&self) -> Option<&'static str> {
        let Self::Command { proposal, .. } = self else { return None };
        let wrapped = std::iter::successors(Some(&proposal.command), |command| command.inner());
        wrapped.last().map(Command::name)
    }
}

pub(super) struct Thread {
    store: Store,
    writer: Writer,
    snapshots: Arc<Snapshots>,
    watches: Watches,
    position: AppliedState,
    stamp: Millis,
}

impl Thread {
    pub(super) fn new(
        store: Store,
        writer: Writer,
        snapshots: Arc<Snapshots>,
        watches: Watches,
    ) -> io::Result<Self> {
        let mut thread =
            Self { store, writer, snapshots, watches, position: AppliedState::default(), stamp: 0 };
        thread.look()?;
        Ok(thread)
    }

    pub(super) fn run(&mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            let (result, reply) = match job {
                Job::Apply { chunk, reply } => (self.apply(chunk), reply),
                Job::Install { meta, snapshot, reply } => (self.install(&meta, &snapshot), reply),
            };
            if let Err(error) = &result {
                tracing::error!(%error, "the log cannot be applied");
            }
            // The caller may be gone; what was committed stands.
            let _ = reply.send(result);
        }
        if let Err(error) = self.writer.checkpoint() {
            tracing::warn!(%error, "state.db was not checkpointed at the end");
        }
    }

    /// Takes applied position, log time and node registry from the state, by the writer's own
    /// connection: a reader would have to be opened after an install, and without a descriptor for
    /// it the node would end.
    fn look(&mut self) -> io::Result<()> {
        self.position = decode_applied(self.writer.applied().map_err(io::Error::other)?)?;
        self.stamp = self.writer.read(meta::log_time).map_err(io::Error::other)?;
        self.read_registry()?;
        self.show();
        Ok(())
    }

    fn read_registry(&self) -> io::Result<()> {
        let read = self.writer.read(|conn| {
            let generation = meta::generation(conn)?.unwrap_or_default();
            Ok(NodeRegistry { generation, nodes: nodes::all(conn)?, level: meta::level(conn)? })
        });
        self.watches.registry.send_replace(read.map_err(io::Error::other)?);
        Ok(())
    }

    fn show(&self) {
        *self.watches.applied_state.lock().unwrap_or_else(PoisonError::into_inner) =
            self.position.clone();
        let (term, index) = self.position.last.map_or((0, 0), |id| (id.leader_id.term, id.index));
        self.watches.applied.send_replace(Applied { index, term, stamp: self.stamp });
    }

    fn apply(&mut self, chunk: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let mut steps = Vec::with_capacity(chunk.len());
        for entry in chunk {
            let step = decode(entry)?;
            // A hash is taken of the state right after its entry: nothing else may be in there.
            let checksum = matches!(&step.payload, Payload::Command { proposal, .. } if proposal.command == Command::Checksum);
            let id = step.id;
            steps.push(step);
            if checksum {
                self.commit(std::mem::take(&mut steps))?;
                self.checksum(id.index);
            }
        }
        if steps.is_empty() { Ok(()) } else { self.commit(steps) }
    }

    fn commit(&mut self, steps: Vec<Step>) -> io::Result<()> {
        let mut position = self.position.clone();
        let mut change = Change { stamp: self.stamp, ..Change::default() };
        let mut outcomes = Vec::with_capacity(steps.len());
        let done: Result<(), command::Error> = self.writer.transaction(|tx| {
            for step in &steps {
                if let Some(command) = step.payload.name() {
                    tracing::debug!(index = step.id.index, command, "applying a log entry");
                }
                position.last = Some(step.id);
                outcomes.push(match &step.payload {
                    Payload::Nothing => Outcome::Done,
                    Payload::Members(members) => {
                        position.membership = members.clone();
                        change.events.begin(step.id.index, change.stamp);
                        change.events.add(Fact::Members);
                        Outcome::Done
                    }
                    Payload::Command { stamp, proposal } => {
                        let Proposal { actor, origin, command } = &**proposal;
                        let (index, asked) = (step.id.index, (actor.as_ref(), origin.as_ref()));
                        command::apply(tx, index, *stamp, asked, command, &mut change)?
                    }
                });
            }
            meta::set_applied(tx, &postcard::to_allocvec(&position)?)?;
            Ok(())
        });
        done.map_err(io::Error::other)?;
        self.stamp = change.stamp;
        change.index = position.last.map_or(0, |id| id.index);
        self.position = position;
        if change.nodes {
            self.read_registry()?;
        }
        self.watches.count_applied(steps.iter().filter_map(|step| step.payload.name()));
        self.show();
        // Without subscribers nobody misses the change.
        let _ = self.watches.changes.send(Arc::new(change));
        for (step, outcome) in steps.into_iter().zip(outcomes) {
            if let Some(responder) = step.responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    /// Hashes the state as it is now, in the background; this thread goes on once the reader has
    /// its view. A hash is not taken while others are being taken: nothing waits for that.
    fn checksum(&self, index: u64) {
        let (store, watches) = (self.store.clone(), self.watches.clone());
        let (pinned, wait) = channel();
        let hash = move || {
            let limit = Arc::new(ReadLimit::endless());
            let hash = store.read_as(ReadClass::Checksum, Some(&limit), |conn| {
                // The view is taken by the first read, not by the beginning of the transaction.
                meta::log_time(conn)?;
                let _ = pinned.send(());
                Store::hash(conn)
            });
            match hash {
                Ok(hash) => watches.keep_checksum(index, hash),
                Err(error) => tracing::warn!(%error, index, "the state was not hashed"),
            }
        };
        let thread = std::thread::Builder::new().name("checksum".to_owned());
        if let Err(error) = thread.spawn(hash) {
            // A hash is for people: no lack of threads for it ends a node.
            tracing::warn!(%error, index, "the state was not hashed");
        }
        // An error means that the reader is gone, which was logged: there is no view to wait for.
        let _ = wait.recv();
    }

    /// Replaces the state by a snapshot. A step that lacks disk or descriptors is tried again until
    /// it works: the state is in the middle of an exchange, and the node applies nothing before its
    /// end. A failure that may be the disk's own is tried again a few times ([`UNCLEAR_TRIES`]).
    fn install(&mut self, meta: &SnapshotMeta, snapshot: &SnapshotFile) -> io::Result<()> {
        let here = match snapshot.staged() {
            Some(_) => None,
            None => Some(self.store.stage(snapshot.path()).map_err(io::Error::other)?),
        };
        let snapshots = Arc::clone(&self.snapshots);
        let _under_way = snapshots.installing().begin();
        let mut tries = Tries { snapshots: &snapshots, unclear: 0 };
        if let Some(staged) = snapshot.staged().or(here.as_ref()) {
            let again =
                |error: &store::Error| error.may_pass() && tries.again(error, error.is_lack());
            let put = self.store.put_in_place(&mut self.writer, staged, again);
            put.map_err(io::Error::other)?;
        }
        self.look()?;
        if self.position.last != meta.last_log_id {
            return Err(io::Error::other(format!(
                "the installed snapshot is at {:?}, announced was {:?}",
                self.position.last, meta.last_log_id
            )));
        }
        if self.snapshots.current().is_none_or(|s| s.snapshot.path() != snapshot.path()) {
            self.publish(meta, snapshot.path(), &mut tries)?;
        }
        self.snapshots.failures().worked();
        let index = self.position.last.map_or(0, |id| id.index);
        let change = Change { index, stamp: self.stamp, replaced: true, ..Change::default() };
        let _ = self.watches.changes.send(Arc::new(change));
        Ok(())
    }
}

impl Thread {
    /// Makes what was installed the current snapshot; where its file is gone, another one of the
    /// state, which is the same.
    fn publish(&self, meta: &SnapshotMeta, path: &Path, tries: &mut Tries<'_>) -> io::Result<()> {
        loop {
            let published = if path.exists() {
                self.snapshots.publish(meta, path).map_err(|error| {
                    let passes = disk::may_pass(&error);
                    if passes { Unbuilt::Passing(error) } else { Unbuilt::Fatal(error) }
                })
            } else {
                build(&self.store, &self.snapshots)
            };
            match published {
                Ok(_) => return Ok(()),
                Err(Unbuilt::Passing(error)) if tries.again(&error, is_lack(&error)) => {}
                Err(Unbuilt::Passing(error) | Unbuilt::Fatal(error)) => return Err(error),
            }
        }
    }
}

/// The tries of one install that failed.
struct Tries<'a> {
    snapshots: &'a Snapshots,
    /// The number of tries that may have been the disk's failure.
    unclear: u32,
}

impl Tries<'_> {
    /// Notes why an install does not go on, and waits before the next try; false when there is to
    /// be none.
    fn again(&mut self, error: &dyn std::fmt::Display, is_lack: bool) -> bool {
        self.snapshots.failures().note(error);
        if !self.admits(is_lack) {
            return false;
        }
        self.snapshots.installing().repeat();
        std::thread::sleep(INSTALL_AGAIN);
        true
    }

    fn admits(&mut self, is_lack: bool) -> bool {
        self.unclear += u32::from(!is_lack);
        self.unclear <= UNCLEAR_TRIES
    }
}

/// True if a snapshot was not built for a known lack, and not for a broken disk.
fn is_lack(error: &io::Error) -> bool {
    let of_the_store = error.get_ref().and_then(|e| e.downcast_ref::<store::Error>());
    of_the_store.map_or_else(|| disk::may_pass(error), store::Error::is_lack)
}

fn decode((entry, responder): EntryResponder<TypeConfig>) -> io::Result<Step> {
    let id = entry.log_id;
    let payload = match entry.payload {
        EntryPayload::Blank => Payload::Nothing,
        EntryPayload::Membership(members) => {
            Payload::Members(StoredMembership::new(Some(id), members))
        }
        EntryPayload::Normal(data) => {
            let proposal = Proposal::decode(&data.command)
                .map_err(|e| io::Error::other(format!("log entry {}: {e}", id.index)))?;
            Payload::Command { stamp: data.stamp, proposal: Box::new(proposal) }
        }
    };
    Ok(Step { id, payload, responder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_install_is_tried_for_ever_for_a_lack_and_ten_times_for_what_may_be_a_broken_disk() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(dir.path()).unwrap();
        let mut tries = Tries { snapshots: &snapshots, unclear: 0 };
        let sqlite = |code| {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            store::Error::Sqlite(error)
        };
        let full = io::Error::other(sqlite(rusqlite::ffi::SQLITE_FULL));
        let broken = io::Error::other(sqlite(rusqlite::ffi::SQLITE_IOERR_READ));
        for _ in 0..10 {
            assert!((0..100).all(|_| tries.admits(is_lack(&full))), "there may be room again");
            assert!(tries.admits(is_lack(&broken)));
        }
        assert!(tries.admits(is_lack(&full)));
        assert!(!tries.admits(is_lack(&broken)));
        assert!(is_lack(&rustix::io::Errno::MFILE.into()));
        assert!(!is_lack(&rustix::io::Errno::IO.into()));
    }
}
