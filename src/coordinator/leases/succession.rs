//! The rule by which a process of a node may be served: the renewal that comes next, and the
//! process that may follow another one. `grantor` asks it about each renewal. It grants nothing.

use std::collections::BTreeMap;

use crate::model::NodeId;
use crate::model::lease::{Refusal, Renewal};
use crate::model::process::Process;

/// The processes that may still hold a lease, as far as this term knows.
#[derive(Debug)]
pub(super) struct Succession {
    /// The processes that spoke for each node before this term. Any of them may hold a lease of the
    /// term before.
    before: BTreeMap<NodeId, Vec<Process>>,
    /// The beginning of this term, from which their silence counts.
    began: u64,
    /// The silence, in milliseconds, after which no lease of a process can be left.
    dead_after: u64,
}

/// The newest renewal that a node was served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    instance: u128,
    process: Process,
    boot: u64,
    number: u64,
    /// The leader's boot clock when it came.
    pub(super) heard: u64,
}

impl Served {
    /// A renewal that came at this instant of the boot clock.
    pub(super) fn by(renewal: &Renewal, heard: u64) -> Self {
        let Renewal { instance, process, boot, number, .. } = *renewal;
        Self { instance, process, boot, number, heard }
    }
}

impl Succession {
    pub(super) fn new(began: u64, dead_after: u64) -> Self {
        Self { before: BTreeMap::new(), began, dead_after }
    }

    pub(super) fn spoke_before(&mut self, node: NodeId, process: Process) {
        self.before.entry(node).or_default().push(process);
    }

    /// Admits a renewal that is newer than the last one of its node, from the process that was
    /// served or from one after it.
    pub(super) fn admit(
        &self,
        last: Option<&Served>,
        now_boot: u64,
        renewal: &Renewal,
    ) -> Result<(), Refusal> {
        let process = renewal.process;
        match last {
            Some(last) if last.instance != renewal.instance => Ok(()),
            Some(last) if last.process == process => {
                let newer = (renewal.boot, renewal.number) > (last.boot, last.number);
                if newer { Ok(()) } else { Err(Refusal::Stale) }
            }
            Some(last) => self.follows(now_boot, process, last.process, last.heard),
            None => {
                let before = self.before.get(&renewal.node).into_iter().flatten();
                before.copied().try_for_each(|b| self.follows(now_boot, process, b, self.began))
            }
        }
    }

    /// Decides whether a process may be served after another one of its node. A process that does
    /// not prove that the other is over was started on a copied folder, or on one that was put
    /// back. It follows only when the other was silent for so long that no lease of the other can
    /// be left, and no renewal of the other be late.
    fn follows(
        &self,
        now_boot: u64,
        process: Process,
        served: Process,
        heard: u64,
    ) -> Result<(), Refusal> {
        let silent = now_boot > heard + self.dead_after;
        if served == process || process.succeeds(&served) || silent {
            Ok(())
        } else if served.place == process.place {
            Err(Refusal::Stale)
        } else {
            Err(Refusal::Other)
        }
    }

    /// True if the process of a renewal is the one that its node was heard by before, or the first
    /// one. A process repeats its promises with each renewal. The first renewal of another process
    /// may be late, and its promises are not relied on.
    pub(super) fn is_known(&self, last: Option<&Served>, renewal: &Renewal) -> bool {
        if let Some(last) = last {
            return last.process == renewal.process;
        }
        let before = self.before.get(&renewal.node);
        before.is_none_or(|before| before.contains(&renewal.process))
    }
}
