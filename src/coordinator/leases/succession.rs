//! The part of [`Grantor`] that tells the processes of a node apart: which renewal comes next, and
//! which process may follow which. `leases` asks it about each renewal; it grants nothing.

use super::Grantor;
use crate::model::NodeId;
use crate::model::lease::{Refusal, Renewal};
use crate::model::process::Process;

impl Grantor {
    /// A process that spoke for a node before this term began; a node may have several. One on another
    /// folder gets no lease before that one's must have ended.
    pub fn spoke_before(&mut self, node: NodeId, process: Process) {
        self.before.entry(node).or_default().push(process);
    }

    /// Whether a renewal is newer than what was heard of its node, and comes from the process that
    /// was served, or from one after it.
    pub(super) fn comes_next(&self, now_boot: u64, renewal: &Renewal) -> Result<(), Refusal> {
        let process = renewal.process;
        match self.nodes.get(&renewal.node) {
            Some(peer) if peer.instance != renewal.instance => Ok(()),
            Some(peer) if peer.process == process => {
                let newer = (renewal.boot, renewal.number) > (peer.boot, peer.number);
                if newer { Ok(()) } else { Err(Refusal::Stale) }
            }
            Some(peer) => self.follows(now_boot, process, peer.process, peer.heard),
            None => {
                let before = self.before.get(&renewal.node).into_iter().flatten();
                before.copied().try_for_each(|b| self.follows(now_boot, process, b, self.began))
            }
        }
    }

    /// Whether a process may be served after another one of its node. One that does not prove that
    /// the other is over follows only when that one was silent for so long that no lease of it can be
    /// left, and no renewal of this one be late: a folder was copied, or put back in place.
    fn follows(
        &self,
        now_boot: u64,
        process: Process,
        served: Process,
        heard: u64,
    ) -> Result<(), Refusal> {
        let silent = now_boot > heard + self.timing.dead_after();
        if served == process || process.succeeds(&served) || silent {
            Ok(())
        } else if served.place == process.place {
            Err(Refusal::Stale)
        } else {
            Err(Refusal::Other)
        }
    }

    /// Whether the process is the one that was heard of its node before, or the first one. A process
    /// repeats its promises with each renewal; the first renewal of another process may be late, and
    /// its promises are not relied on.
    pub(super) fn is_known(&self, node: NodeId, process: Process) -> bool {
        match self.nodes.get(&node) {
            Some(peer) => peer.process == process,
            None => self.before.get(&node).is_none_or(|before| before.contains(&process)),
        }
    }
}
