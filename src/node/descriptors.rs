//! File descriptors: as many as the system allows, and how they are shared out. `Node::start` asks
//! once, first of all; nothing here opens anything.
//!
//! Connections that a stranger can make are bounded so that they never take what callbacks, peers
//! and files need: those of the API by half of the limit, those of the Raft port that have not
//! shown the cluster's token by a number for each member; and calls that hang by a quarter of the
//! limit. What the files need beyond that is held in reserve ([`crate::disk::spare`]).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for files, peers, name lookups, and connections to receivers that are kept open for a
/// while.
const KEPT: u64 = 256;
/// The least connections of the API, however few descriptors there are.
const LEAST: usize = 16;
/// Connections of the Raft port that nobody has vouched for yet: so many ...
const RAFT_STRANGERS: usize = 16;
/// ... and so many for each member.
const RAFT_STRANGERS_A_MEMBER: usize = 8;
/// The share of the limit that connections of members may have, each of which carries one message.
const RAFT_MEMBERS_SHARE: u64 = 4;
/// The bounds of that share.
const RAFT_MEMBERS: std::ops::RangeInclusive<usize> = 16..=4_096;
/// The most calls that hang: beyond, their memory (some 20 kB each) counts rather than descriptors.
const MOST_HANGING: usize = 4_096;

/// How many of each kind there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Connections of the API.
    pub(super) api: usize,
    /// Connections of the Raft port that have not shown the cluster's token.
    pub(super) raft_strangers: usize,
    /// Connections of the Raft port that have.
    pub(super) raft_members: usize,
}

/// Raises the soft limit to the hard one, says in the log what there is, and shares it out:
/// `wanted` connections for the API, or fewer, and those of the Raft port for a cluster of
/// `members`.
pub(super) fn share_out(max_workers: usize, members: usize, wanted: usize) -> Shares {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current != raised.current
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised");
    }
    let limit = getrlimit(Resource::Nofile).current;
    let shares = shares(limit, max_workers, members, wanted);
    let shown = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    tracing::info!(
        limit = shown,
        api = shares.api,
        raft_strangers = shares.raft_strangers,
        raft_members = shares.raft_members,
        "file descriptors, and the connections that may have them"
    );
    if shares.api < wanted {
        let needed = (max_workers as u64 + wanted as u64 + KEPT).max(wanted as u64 * 2);
        tracing::warn!(
            "{shown} file descriptors are few: MaxWorkers ({max_workers}), {wanted} API connections \
             (half of the limit at most) and {KEPT} for files and peers need {needed}; the API takes \
             {} connections at once; raise the hard limit (ulimit -Hn, LimitNOFILE=)",
            shares.api
        );
    }
    shares
}

fn shares(limit: Option<u64>, max_workers: usize, members: usize, wanted: usize) -> Shares {
    let raft_strangers = RAFT_STRANGERS + RAFT_STRANGERS_A_MEMBER * members;
    let Some(limit) = limit else {
        return Shares { api: wanted, raft_strangers, raft_members: *RAFT_MEMBERS.end() };
    };
    let left = limit.saturating_sub(max_workers as u64).saturating_sub(KEPT).min(limit / 2);
    let api = usize::try_from(left).unwrap_or(wanted).clamp(LEAST.min(wanted), wanted);
    let of_members = usize::try_from(limit / RAFT_MEMBERS_SHARE).unwrap_or(usize::MAX);
    let raft_members = of_members.clamp(*RAFT_MEMBERS.start(), *RAFT_MEMBERS.end());
    Shares { api, raft_strangers, raft_members }
}

/// How many calls may hang at a time: a quarter of the limit, to be asked after [`share_out`]. No
/// call is bounded by it before it has taken a second.
pub(super) fn hanging_calls() -> usize {
    quarter(getrlimit(Resource::Nofile).current)
}

fn quarter(limit: Option<u64>) -> usize {
    limit.map_or(MOST_HANGING, |limit| (limit / 4).min(MOST_HANGING as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_for_calls_that_hang() {
        let limits = [None, Some(1_048_576), Some(4_096), Some(1_024), Some(3)];
        assert_eq!(limits.map(quarter), [4_096, 4_096, 1_024, 256, 0]);
    }

    #[test]
    fn strangers_leave_what_callbacks_peers_and_files_need() {
        let of = |limit| shares(limit, 64, 3, 4_096);
        let plenty = Shares { api: 4_096, raft_strangers: 40, raft_members: 4_096 };
        assert_eq!((of(None), of(Some(1_048_576))), (plenty, plenty));
        let few = Shares { api: 512, raft_strangers: 40, raft_members: 256 };
        assert_eq!(of(Some(1_024)), few);
        assert_eq!(of(Some(64)).api, LEAST);
        for limit in 512..10_000 {
            let of = of(Some(limit));
            let strangers = (of.api + of.raft_strangers) as u64;
            assert!(strangers + 64 + 64 < limit, "{limit}: {of:?}");
        }
    }
}
