//! Backups: the label of a backup, and how the state in it becomes that of a new cluster. `cluster`
//! makes them beside a running node, `node` restores them where none runs, `cli` looks at them.
//!
//! A restored cluster keeps its id, and with it the ids of its executions. Its log begins where the
//! backup's index was, in term 0, with nothing before: a node that joins gets a snapshot. Nodes of
//! the former cluster know the data folder of this node as another one and refuse it, as it refuses
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use openraft::Membership;

use super::machine::AppliedState;
use super::types::{LogId, Member, StoredMembership};
use crate::command::{self, Reopened, RestorePolicy};
use crate::model::time::{parse_rfc3339, rfc3339};
use crate::model::{Millis, NodeId};
use crate::store::{self, Label, Store, Tx, meta};

/// The form of the label; a backup of a newer form is refused. From 2 on it holds a hash. Turning
/// one bit of a 2 makes no 1.
const FORMAT: u32 = 2;
/// The first form with a hash of the file.
const HASHED: u32 = 2;

/// The label of a backup: what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The cluster's id.
    pub cluster: u128,
    /// The last log entry in it.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// Log time there.
    pub stamp: Millis,
    /// The number of jobs.
    pub jobs: u64,
    /// The version of the node that made it.
    pub version: String,
    /// A text sealed under its `SecretKey`, to tell whether a key opens what is sealed in it.
    pub sealed: String,
    /// True if it holds a hash of its content, by which damage is found; older versions wrote none.
    pub hashed: bool,
}

/// The reason why a backup cannot be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or the state.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// SQLite, while the state was changed.
    #[error("state.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The rules of a restore.
    #[error(transparent)]
    Rules(#[from] command::Error),
    /// The label is damaged.
    #[error("the label of the backup is damaged or incomplete: {0}")]
    Label(&'static str),
    /// The label is of a newer form.
    #[error("the backup has format {0}, this binary knows up to {FORMAT}: use a newer scheduler0")]
    Newer(u32),
    /// There is no state yet.
    #[error("the cluster is not born yet: there is nothing to back up")]
    Unborn,
    /// The writing ended early.
    #[error("the backup broke off: see the log of the node")]
    Interrupted,
    /// The members make no cluster.
    #[error("the configured Replicas make no cluster: {0}")]
    Members(String),
}

/// Writes a backup of a node's state to a path that does not exist yet. Blocks while it is written.
pub fn make(store: &Store, path: &Path, sealed: &str) -> Result<Facts, Error> {
    let cluster = store.read(meta::cluster_id)?.ok_or(Error::Unborn)?;
    let mut facts = Facts {
        cluster,
        index: 0,
        term: 0,
        stamp: 0,
        jobs: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sealed: sealed.to_owned(),
        hashed: true,
    };
    store.backup_to(path, |mark, stamp, jobs| {
        let last = mark_of(&mark)?.last.ok_or(Error::Unborn)?;
        (facts.index, facts.term) = (last.index, last.leader_id.term);
        (facts.stamp, facts.jobs) = (stamp, jobs);
        Ok::<_, Error>(facts.label())
    })?;
    Ok(facts)
}

/// Reads the label of a backup, after the whole file was read and found to be sound.
pub fn inspect(path: &Path) -> Result<Facts, Error> {
    let (label, mark) = Store::inspect_backup(path)?;
    let facts = Facts::read(&label)?;
    match mark_of(&mark)?.last {
        Some(last) if last.index == facts.index => Ok(facts),
        _ => Err(Error::Label("index")),
    }
}

/// Makes a backup the state of a folder that has none, for a cluster of these members that begins
/// now. The caller holds the folder's lock. Blocks while it is copied.
pub fn restore(
    path: &Path,
    dir: &Path,
    members: BTreeMap<NodeId, Member>,
    now: Millis,
    due: RestorePolicy,
) -> Result<(Facts, Reopened), Error> {
    let facts = inspect(path)?;
    let voters: BTreeSet<NodeId> = members.keys().copied().collect();
    let membership =
        Membership::new(vec![voters], members).map_err(|e| Error::Members(e.to_string()))?;
    let last = LogId { leader_id: 0.into(), index: facts.index };
    let mark = AppliedState {
        last: Some(last),
        membership: StoredMembership::new(Some(last), membership),
    };
    let mark = postcard::to_allocvec(&mark).map_err(command::Error::from)?;
    let change = |tx: &mut Tx<'_>| -> Result<Reopened, Error> {
        let reopened = command::reopen(tx, now, due)?;
        // The nodes of the lost cluster must not take this one for theirs.
        meta::set_generation(tx, rand::random::<u128>().max(1)).map_err(command::Error::from)?;
        meta::set_applied(tx, &mark)?;
        Ok(reopened)
    };
    let reopened = Store::restore(path, dir, change)?;
    Ok((facts, reopened))
}

fn mark_of(bytes: &[u8]) -> Result<AppliedState, Error> {
    postcard::from_bytes(bytes).map_err(|_| Error::Label("applied mark"))
}

impl Facts {
    fn label(&self) -> Label {
        let pairs = [
            ("format", FORMAT.to_string()),
            ("cluster", format!("{:032x}", self.cluster)),
            ("index", self.index.to_string()),
            ("term", self.term.to_string()),
            ("stamp", rfc3339(self.stamp)),
            ("jobs", self.jobs.to_string()),
            ("version", self.version.clone()),
            ("commands", command::VERSION.to_string()),
            ("sealed", self.sealed.clone()),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn read(label: &Label) -> Result<Self, Error> {
        let text = |key: &'static str| label.get(key).ok_or(Error::Label(key));
        let number = |key| text(key)?.parse().map_err(|_| Error::Label(key));
        let format = text("format")?.parse().map_err(|_| Error::Label("format"))?;
        if format > FORMAT {
            return Err(Error::Newer(format));
        }
        let hashed = store::is_hashed(label);
        if hashed != (format >= HASHED) {
            return Err(Error::Label("sha256"));
        }
        Ok(Self {
            hashed,
            cluster: u128::from_str_radix(text("cluster")?, 16)
                .map_err(|_| Error::Label("cluster"))?,
            index: number("index")?,
            term: number("term")?,
            stamp: parse_rfc3339(text("stamp")?).ok_or(Error::Label("stamp"))?,
            jobs: number("jobs")?,
            version: text("version")?.clone(),
            sealed: text("sealed")?.clone(),
        })
    }
}
