//! Which process speaks for a node. A data folder can be copied, with the node's identity in it, and
//! two processes may then claim to be the same node. The peers' gate asks [`Starts`] about each
//! sender, the coordinator asks [`Process::succeeds`] before it grants a lease. Pure: no clock, no I/O.
//!
//! A process is followed by another one of the same node in one of two ways. On the same physical
//! folder the next start is a successor: the folder's lock proves that the process before is over.
//! On another folder (a copy, or the same disk after the machine was started anew) nothing is proven:
//! the newcomer is served only after the process before it has been silent for a whole window, and it
//! is told to end if that process is heard meanwhile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NodeId;

/// One run of a node's program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Random, made at the start; 0 for a node of a version that does not say it.
    pub id: u64,
    /// Names the physical data folder until the machine is started anew: two processes with the same
    /// place held the same lock one after the other.
    pub place: u64,
    /// The folder's start number (durable, + 1 a start).
    pub boot: u64,
}

impl Process {
    /// Whether another process of the same node is certainly over because this one runs.
    pub fn succeeds(&self, other: &Process) -> bool {
        self.place == other.place && self.boot > other.boot
    }
}

/// What is to be done with a message of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It speaks for its node.
    Served,
    /// An earlier start on the same folder: the message was late.
    Old,
    /// Another process spoke for this node lately: the sender may ask again.
    Wait,
    /// Another process spoke for this node after this one had come: this one must end.
    Twin,
}

/// The processes that speak for each node, as one node has heard of them.
#[derive(Debug, Default)]
pub struct Starts {
    /// For how long a process must be silent before one on another folder takes its place, in
    /// milliseconds: longer than any lease that it may hold.
    window: u64,
    nodes: BTreeMap<NodeId, Known>,
}

#[derive(Debug)]
struct Known {
    /// The data folder's random id, which copies share.
    instance: u128,
    process: Process,
    heard: u64,
    newcomer: Option<Newcomer>,
}

#[derive(Clone, Copy, Debug)]
struct Newcomer {
    process: Process,
    /// When it came first.
    first: u64,
}

impl Starts {
    /// Nothing is known yet.
    pub fn new(window: u64) -> Self {
        Self { window, nodes: BTreeMap::new() }
    }

    /// Judges a message that came from a process of a node, `now` in milliseconds of any clock that
    /// never goes back.
    pub fn judge(&mut self, node: NodeId, instance: u128, process: Process, now: u64) -> Verdict {
        // A node of an older version does not say which process it is.
        if process.id == 0 {
            return Verdict::Served;
        }
        let fresh = Known { instance, process, heard: now, newcomer: None };
        let Some(known) = self.nodes.get_mut(&node).filter(|known| known.instance == instance)
        else {
            self.nodes.insert(node, fresh);
            return Verdict::Served;
        };
        if known.process == process {
            known.heard = now;
            return Verdict::Served;
        }
        if known.process.place == process.place {
            if !process.succeeds(&known.process) {
                return Verdict::Old;
            }
            *known = fresh;
            return Verdict::Served;
        }
        let newcomer = match known.newcomer {
            Some(newcomer) if newcomer.process == process => newcomer,
            _ => *known.newcomer.insert(Newcomer { process, first: now }),
        };
        if known.heard > newcomer.first {
            return Verdict::Twin;
        }
        if now <= newcomer.first.saturating_add(self.window) {
            return Verdict::Wait;
        }
        *known = fresh;
        Verdict::Served
    }

    /// Takes note that a process answered when it was asked, at the address that the cluster has for
    /// its node. A newcomer that answers there is at its predecessor's place, which is over.
    pub fn answered(&mut self, node: NodeId, process: Process, now: u64) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        if known.process == process {
            known.heard = now;
        } else if known.newcomer.is_some_and(|newcomer| newcomer.process == process) {
            *known = Known { process, heard: now, newcomer: None, ..*known };
        }
    }

    /// The nodes for which a newcomer waits.
    pub fn waited_for(&self) -> Vec<NodeId> {
        let waiting = self.nodes.iter().filter(|(_, known)| known.newcomer.is_some());
        waiting.map(|(node, _)| *node).collect()
    }

    /// The process that speaks for each node.
    pub fn served(&self) -> impl Iterator<Item = (NodeId, Process)> {
        self.nodes.iter().map(|(node, known)| (*node, known.process))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: u64, place: u64, boot: u64) -> Process {
        Process { id, place, boot }
    }

    fn starts() -> Starts {
        let mut starts = Starts::new(4_500);
        assert_eq!(starts.judge(3, 7, process(1, 10, 5), 1_000), Verdict::Served);
        starts
    }

    #[test]
    fn a_restart_on_the_same_folder_is_served_at_once() {
        let mut starts = starts();
        assert_eq!(starts.judge(3, 7, process(2, 10, 6), 1_001), Verdict::Served);
        assert_eq!(starts.judge(3, 7, process(1, 10, 5), 1_002), Verdict::Old);
        assert_eq!(starts.judge(3, 7, process(2, 10, 6), 1_003), Verdict::Served);
    }

    #[test]
    fn a_copy_that_is_started_beside_the_original_is_told_to_end_whatever_its_number() {
        for boot in [4, 5, 6] {
            let mut starts = starts();
            let copy = process(2, 20, boot);
            assert_eq!(starts.judge(3, 7, copy, 1_100), Verdict::Wait);
            assert_eq!(starts.waited_for(), [3]);
            assert_eq!(starts.judge(3, 7, process(1, 10, 5), 1_300), Verdict::Served);
            assert_eq!(starts.judge(3, 7, copy, 1_400), Verdict::Twin);
            assert_eq!(starts.judge(3, 7, process(1, 10, 5), 1_500), Verdict::Served);
        }
    }

    #[test]
    fn a_copy_is_served_when_the_original_was_silent_for_the_window_and_the_original_then_waits() {
        let mut starts = starts();
        let (original, copy) = (process(1, 10, 5), process(2, 20, 5));
        assert_eq!(starts.judge(3, 7, copy, 9_000), Verdict::Wait, "it may be unheard only here");
        assert_eq!(starts.judge(3, 7, copy, 13_500), Verdict::Wait);
        assert_eq!(starts.judge(3, 7, copy, 13_501), Verdict::Served);
        assert_eq!(starts.judge(3, 7, original, 13_600), Verdict::Wait);
        assert_eq!(starts.judge(3, 7, copy, 13_700), Verdict::Served);
        assert_eq!(starts.judge(3, 7, original, 13_800), Verdict::Twin);
        assert_eq!(starts.judge(3, 7, process(9, 10, 6), 13_900), Verdict::Wait, "restarted");
        assert_eq!(starts.judge(3, 7, process(9, 10, 6), 18_401), Verdict::Served, "it came back");
    }

    #[test]
    fn whoever_answers_at_the_nodes_address_settles_it() {
        let mut starts = starts();
        let copy = process(2, 20, 6);
        assert_eq!(starts.judge(3, 7, copy, 9_000), Verdict::Wait);
        starts.answered(3, process(1, 10, 5), 9_100);
        assert_eq!(starts.judge(3, 7, copy, 9_200), Verdict::Twin);
        let moved = process(4, 40, 6);
        assert_eq!(starts.judge(3, 7, moved, 9_300), Verdict::Wait);
        starts.answered(3, moved, 9_400);
        assert_eq!(starts.judge(3, 7, moved, 9_500), Verdict::Served);
    }

    #[test]
    fn another_folder_of_the_same_id_and_an_old_version_are_not_this_rules_business() {
        let mut starts = starts();
        assert_eq!(starts.judge(3, 8, process(2, 20, 1), 1_001), Verdict::Served);
        assert_eq!(starts.judge(3, 8, Process::default(), 1_002), Verdict::Served);
    }
}
