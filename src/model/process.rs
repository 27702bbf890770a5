//! Decides which process speaks for a node. A data folder can be copied, with the node's identity
//! in it, and two processes may then claim to be the same node. The peers' authentication asks
//! [`Starts`] about each sender, and the coordinator asks [`Process::succeeds`] before it grants a
//! lease. Pure: no clock, no I/O.
//!
//! A process is followed by another one of the same node in one of two ways. On the same physical
//! folder the next start is a successor: the folder's lock proves that the process before has
//! ended. A start number that is not higher is taken for a late message until the process before
//! has been silent for a whole window; after that the folder was put back in place. On another
//! folder (a copy, or the same disk after a restart of the machine) nothing is proven. The new
//! process is served only after the one before it has been silent for a whole window, and it is
//! told to end if that one answers at the node's address meanwhile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NodeId;

/// A run of a node's program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Random, made at the start; 0 for a node of a version that does not say it.
    pub id: u64,
    /// Names the physical data folder until the machine restarts: two processes with the same place
    /// held the same lock one after the other.
    pub place: u64,
    /// The folder's start number (durable, + 1 a start).
    pub boot: u64,
}

impl Process {
    /// Returns whether another process of the same node has certainly ended because this one runs.
    pub fn succeeds(&self, other: &Process) -> bool {
        self.place == other.place && self.boot > other.boot
    }
}

/// The treatment of a message of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The process speaks for its node.
    Served,
    /// An earlier start on the same folder: the message was late.
    Old,
    /// Another process spoke for this node lately: the sender may try again.
    Wait,
    /// Another process answered at this node's address after this one had come: this one must end.
    Twin,
}

/// The processes that speak for each node, by the messages that one node has received.
#[derive(Debug, Default)]
pub struct Starts {
    /// The time for which a process must be silent before one on another folder replaces it, in
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
    /// The time of its last answer at the address that the cluster has for its node.
    confirmed: Option<u64>,
    newcomer: Option<Newcomer>,
    /// The other processes of the node that sent messages, on other folders, and may still run. A
    /// leader may serve any of them, whatever this node received. Each counts until its lease must
    /// have ended, from the answer of the process that speaks at the node's address.
    others: Vec<(Process, Option<u64>)>,
}

#[derive(Clone, Copy, Debug)]
struct Newcomer {
    process: Process,
    /// The time since which it has waited without a sign of the process before it.
    since: u64,
    /// The time of its last message.
    heard: u64,
}

impl Known {
    fn new(instance: u128, process: Process, now: u64) -> Self {
        let (newcomer, others) = (None, Vec::new());
        Self { instance, process, heard: now, confirmed: None, newcomer, others }
    }

    /// Another process speaks from now on, on the same folder: the one before is over.
    fn succeed(&mut self, process: Process, now: u64) {
        (self.process, self.heard) = (process, now);
        (self.confirmed, self.newcomer) = (None, None);
        self.others.retain(|(other, _)| other.place != process.place);
    }

    /// Notes a message of another process on another folder.
    fn hear_other(&mut self, process: Process) {
        self.others.retain(|(other, _)| *other != process && !process.succeeds(other));
        self.others.push((process, None));
    }

    /// Makes another process on another folder the one that speaks. The one before may still hold a
    /// lease.
    fn displace(&mut self, process: Process, now: u64) {
        self.hear_other(self.process);
        self.succeed(process, now);
    }

    /// The process that speaks answered at the node's address.
    fn confirm(&mut self, now: u64, window: u64) {
        (self.heard, self.confirmed) = (now, Some(now));
        self.others.retain(|(_, until)| until.is_none_or(|until| now <= until));
        for (_, until) in &mut self.others {
            until.get_or_insert(now.saturating_add(window));
        }
    }
}

impl Starts {
    /// Makes a register that knows no process.
    pub fn new(window: u64) -> Self {
        Self { window, nodes: BTreeMap::new() }
    }

    /// Judges a message that came from a process of a node, `now` in milliseconds of any clock that
    /// never goes back.
    pub fn judge(&mut self, node: NodeId, instance: u128, process: Process, now: u64) -> Verdict {
        // A node of an older version does not send its process.
        if process.id == 0 {
            return Verdict::Served;
        }
        let window = self.window;
        let Some(known) = self.nodes.get_mut(&node).filter(|known| known.instance == instance)
        else {
            self.nodes.insert(node, Known::new(instance, process, now));
            return Verdict::Served;
        };
        if known.process == process {
            known.heard = now;
            return Verdict::Served;
        }
        if known.process.place == process.place {
            // The folder's content may have been put back to an older state in place: no message is
            // late for so long, and the lock proves that the process before is over.
            if !process.succeeds(&known.process) && now <= known.heard.saturating_add(window) {
                return Verdict::Old;
            }
            known.succeed(process, now);
            return Verdict::Served;
        }
        let newcomer = match &mut known.newcomer {
            Some(newcomer) if newcomer.process == process => newcomer,
            other => other.insert(Newcomer { process, since: now, heard: now }),
        };
        newcomer.heard = now;
        let newcomer = *newcomer;
        known.hear_other(process);
        if known.confirmed.is_some_and(|at| at > newcomer.since) {
            return Verdict::Twin;
        }
        // A message proves little, because it may be late: the new process waits again from the
        // beginning.
        let since = if known.heard > newcomer.since { now } else { newcomer.since };
        known.newcomer = Some(Newcomer { since, ..newcomer });
        if now <= since.saturating_add(window) {
            return Verdict::Wait;
        }
        known.displace(process, now);
        Verdict::Served
    }

    /// Notes that a process answered at the address that the cluster has for its node. If it is the
    /// new process, it has replaced the one before.
    pub fn answered(&mut self, node: NodeId, process: Process, now: u64) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        if known.newcomer.is_some_and(|newcomer| newcomer.process == process) {
            known.displace(process, now);
        }
        if known.process == process {
            known.confirm(now, self.window);
        }
    }

    /// The nodes whose address has to be asked: a new process waits, or another process may hold a
    /// lease. A new process that has been silent for two windows is forgotten.
    pub fn to_ask(&mut self, now: u64) -> Vec<NodeId> {
        let limit = self.window.saturating_mul(2);
        for known in self.nodes.values_mut() {
            known.newcomer = known.newcomer.filter(|n| now <= n.heard.saturating_add(limit));
        }
        let open = |known: &Known| {
            let heard = now <= known.heard.saturating_add(limit);
            heard && known.others.iter().any(|(_, until)| until.is_none())
        };
        let asked = self.nodes.iter().filter(|(_, known)| known.newcomer.is_some() || open(known));
        asked.map(|(node, _)| *node).collect()
    }

    /// The processes of each node that may hold a lease: the one that speaks for it, and others
    /// until their leases must have ended.
    pub fn may_be_leased(&self, now: u64) -> impl Iterator<Item = (NodeId, Process)> {
        self.nodes.iter().flat_map(move |(node, known)| {
            let others =
                known.others.iter().filter(move |(_, until)| until.is_none_or(|u| now <= u));
            let others = others.map(|(process, _)| *process);
            others.chain([known.process]).map(|process| (*node, process))
        })
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
            assert_eq!(starts.to_ask(1_200), [3]);
            assert_eq!(starts.judge(3, 7, process(1, 10, 5), 1_300), Verdict::Served);
            assert_eq!(starts.judge(3, 7, copy, 1_350), Verdict::Wait, "heard, and not asked");
            starts.answered(3, process(1, 10, 5), 1_400);
            assert_eq!(starts.judge(3, 7, copy, 1_450), Verdict::Twin);
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
        starts.answered(3, copy, 13_750);
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
    fn a_folder_that_was_put_back_in_place_is_served_when_no_message_can_be_late_any_more() {
        for boot in [4, 5] {
            let mut starts = starts();
            let put_back = process(2, 10, boot);
            assert_eq!(starts.judge(3, 7, put_back, 5_500), Verdict::Old);
            assert_eq!(starts.judge(3, 7, put_back, 5_501), Verdict::Served);
            assert_eq!(starts.judge(3, 7, put_back, 5_600), Verdict::Served);
        }
    }

    #[test]
    fn a_late_message_of_a_dead_process_does_not_end_its_successor() {
        let mut starts = starts();
        let (dead, moved) = (process(1, 10, 5), process(2, 20, 6));
        assert_eq!(starts.judge(3, 7, moved, 2_000), Verdict::Wait);
        assert_eq!(starts.judge(3, 7, dead, 2_100), Verdict::Served, "it was sent long before");
        assert_eq!(starts.judge(3, 7, moved, 2_200), Verdict::Wait);
        assert_eq!(starts.judge(3, 7, moved, 6_700), Verdict::Wait, "a whole window from 2,200");
        assert_eq!(starts.judge(3, 7, moved, 6_701), Verdict::Served);
    }

    #[test]
    fn a_copy_that_is_heard_before_its_original_does_not_end_the_original() {
        let mut starts = Starts::new(4_500);
        let (original, copy) = (process(1, 10, 5), process(2, 20, 5));
        assert_eq!(starts.judge(3, 7, copy, 1_000), Verdict::Served, "nothing is known yet");
        assert_eq!(starts.judge(3, 7, original, 1_100), Verdict::Wait);
        assert_eq!(starts.judge(3, 7, copy, 1_200), Verdict::Served);
        assert_eq!(starts.judge(3, 7, original, 1_300), Verdict::Wait);
        starts.answered(3, original, 1_400);
        assert_eq!(starts.judge(3, 7, original, 1_500), Verdict::Served);
        assert_eq!(starts.judge(3, 7, copy, 1_600), Verdict::Wait);
        starts.answered(3, original, 1_900);
        assert_eq!(starts.judge(3, 7, copy, 2_000), Verdict::Twin);
    }

    #[test]
    fn who_was_displaced_is_known_until_its_lease_must_have_ended() {
        let mut starts = starts();
        let (before, moved) = (process(1, 10, 5), process(2, 20, 6));
        assert_eq!(starts.judge(3, 7, moved, 2_000), Verdict::Wait);
        starts.answered(3, moved, 2_100);
        assert_eq!(starts.judge(3, 7, moved, 2_200), Verdict::Served);
        let again = process(4, 20, 7);
        assert_eq!(starts.judge(3, 7, again, 2_300), Verdict::Served, "started anew there");
        let leased = |now| starts.may_be_leased(now).collect::<Vec<_>>();
        assert_eq!(leased(6_600), [(3, before), (3, again)]);
        assert_eq!(leased(6_601), [(3, again)]);
        assert_eq!(starts.to_ask(6_601), [0; 0]);
    }

    #[test]
    fn who_was_silent_here_may_hold_a_lease_until_its_successor_answers_at_the_address() {
        let mut starts = starts();
        let (original, copy) = (process(1, 10, 5), process(2, 20, 6));
        assert_eq!(starts.judge(3, 7, copy, 2_000), Verdict::Wait);
        assert_eq!(starts.judge(3, 7, copy, 6_501), Verdict::Served);
        let leased = |s: &Starts, now| s.may_be_leased(now).map(|(_, p)| p).collect::<Vec<_>>();
        assert_eq!(leased(&starts, 60_000), [original, copy], "another leader may hear it");
        assert_eq!(starts.judge(3, 7, copy, 59_999), Verdict::Served);
        assert_eq!(starts.to_ask(60_000), [3]);
        starts.answered(3, copy, 60_000);
        assert_eq!(leased(&starts, 64_500), [original, copy]);
        assert_eq!(leased(&starts, 64_501), [copy]);
        let again = process(9, 10, 7);
        assert_eq!(starts.judge(3, 7, again, 70_000), Verdict::Wait);
        starts.answered(3, again, 70_001);
        assert_eq!(leased(&starts, 70_002), [copy, again], "the original's folder is back");
    }

    #[test]
    fn a_newcomer_that_is_not_heard_any_more_is_forgotten() {
        let mut starts = starts();
        assert_eq!(starts.judge(3, 7, process(2, 20, 6), 1_100), Verdict::Wait);
        assert_eq!(starts.judge(3, 7, process(2, 20, 6), 1_200), Verdict::Wait);
        assert_eq!(starts.to_ask(10_200), [3]);
        assert_eq!(starts.to_ask(10_201), [0; 0]);
    }

    #[test]
    fn another_folder_of_the_same_id_and_an_old_version_are_not_this_rules_business() {
        let mut starts = starts();
        assert_eq!(starts.judge(3, 8, process(2, 20, 1), 1_001), Verdict::Served);
        assert_eq!(starts.judge(3, 8, Process::default(), 1_002), Verdict::Served);
    }
}
