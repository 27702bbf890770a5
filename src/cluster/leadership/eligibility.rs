//! The rule by which this node may vote and stand for election. Raft's safety rests on a voter that
//! remembers what it has acknowledged; one on a new data folder remembers nothing, and one that is
//! replaying an old log passes through memberships of the past. `rpc` asks before it grants a vote,
//! `duties` before it lets openraft elect.

use crate::store::nodes::Bound;

/// A node's part in an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) enum Eligibility {
    /// The node votes and may stand.
    Full,
    /// The node's log is empty and no other node knows it: either the cluster is being born, or
    /// this is a known voter without its data. Only the founder gets its vote.
    FoundersOnly,
    /// The node neither votes nor stands until its log says that it belongs to the cluster.
    None,
}

/// Judges by what this node's state says of its id, the log index at which others say that it was
/// bound (0: nobody does), and the last index of its log.
pub(in crate::cluster) fn judge(
    bound: Option<&Bound>,
    instance: u128,
    told: u64,
    last_log: Option<u64>,
) -> Eligibility {
    match bound {
        Some(bound) if bound.instance == instance && !bound.removed => Eligibility::Full,
        // Its log does not reach to the entry that binds it: all before is the past.
        _ if told > last_log.unwrap_or(0) => Eligibility::None,
        Some(_) if told == 0 => Eligibility::None,
        _ if last_log.is_none() => Eligibility::FoundersOnly,
        _ => Eligibility::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_remembers_votes() {
        let bound = |instance, removed| {
            Some(Bound { node: 3, instance, since: 40, removed, draining: false })
        };
        let cases = [
            (bound(7, false), 0, Some(90), Eligibility::Full, "a member"),
            (None, 0, None, Eligibility::FoundersOnly, "a birth, or a wiped folder"),
            (None, 0, Some(3), Eligibility::Full, "a birth, not yet registered"),
            (None, 50, None, Eligibility::None, "added, nothing replicated yet"),
            (None, 50, Some(20), Eligibility::None, "added, in the past"),
            (None, 50, Some(50), Eligibility::Full, "added, its own binding is in the log"),
            (bound(6, false), 0, Some(60), Eligibility::None, "another folder's id"),
            (bound(6, false), 50, Some(45), Eligibility::None, "a replacement in the past"),
            (bound(6, true), 50, Some(60), Eligibility::Full, "a replacement that has arrived"),
            (bound(7, true), 0, Some(60), Eligibility::None, "removed"),
        ];
        for (bound, told, last_log, eligibility, why) in cases {
            assert_eq!(judge(bound.as_ref(), 7, told, last_log), eligibility, "{why}");
        }
    }
}
