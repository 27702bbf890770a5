//! The process that speaks for each other node: [`Starts`] behind a lock, with a clock. `auth` asks
//! it about every message; `cluster` asks around for the nodes that several processes speak for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::NodeId;
use crate::model::process::{Process, Starts, Verdict};

/// The processes that spoke for the other nodes.
#[derive(Debug)]
pub struct Speakers {
    born: Instant,
    starts: Mutex<Starts>,
}

impl Speakers {
    pub(super) fn new(silence: Duration) -> Self {
        let starts = Mutex::new(Starts::new(silence.as_millis() as u64));
        Self { born: Instant::now(), starts }
    }

    fn now(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }

    fn starts(&self) -> MutexGuard<'_, Starts> {
        // A panic while it was held leaves whole entries.
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn judge(&self, node: NodeId, instance: u128, process: Process) -> Verdict {
        self.starts().judge(node, instance, process, self.now())
    }

    /// Takes note that this process answered at the address that the cluster has for a node.
    pub fn answered(&self, node: NodeId, process: Process) {
        self.starts().answered(node, process, self.now());
    }

    /// The nodes at whose addresses `cluster` is to ask which process is there.
    pub fn to_ask(&self) -> Vec<NodeId> {
        let now = self.now();
        self.starts().to_ask(now)
    }

    /// The processes of each node that may hold a lease; a node may have several.
    pub fn may_be_leased(&self) -> Vec<(NodeId, Process)> {
        self.starts().may_be_leased(self.now()).collect()
    }
}
