//! File descriptors: as many as the system allows, and how they are shared out. `Node::start` asks
//! once, first of all; nothing here opens anything.
//!
//! All kinds of connections together, the workers' and what files need stay below the limit, so
//! that no kind takes what another one needs. Calls that hang get a quarter of it, members and kept
//! connections an eighth of what workers and files leave; the API gets the rest. Where that cannot
//! be (the limit is below `MaxWorkers` and some 300), each kind gets its least, and the log warns.
//! The rest of what files need is held in reserve ([`crate::disk::spare`]).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for files (and their reserve), connections to peers and name lookups.
const KEPT: usize = 160;
/// The least of each kind of connection, however few descriptors there are.
const LEAST: usize = 16;
/// Connections of the Raft port that nobody has vouched for yet: so many ...
const RAFT_STRANGERS: usize = 16;
/// ... and so many for each member.
const RAFT_STRANGERS_A_MEMBER: usize = 8;
/// The most connections that members may have, each of which carries one message.
const MOST_MEMBERS: usize = 4_096;
/// The most calls that hang: beyond, their memory (some 20 kB each) counts rather than descriptors.
/// With more workers than half of that, twice as many as workers: then a project that is alone has
/// all of these.
const MOST_HANGING: usize = 4_096;
/// Connections to receivers that are kept for the next request: so many, or as many as workers.
const MOST_IDLE: usize = 128;

/// The number of each kind that there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Connections of the API.
    pub(super) api: usize,
    /// Connections of the Raft port that have not shown the cluster's token.
    pub(super) raft_strangers: usize,
    /// Connections of the Raft port that have.
    pub(super) raft_members: usize,
    /// Calls that have taken a second.
    pub(super) hanging: usize,
    /// Connections to receivers that are kept for the next request.
    pub(super) idle: usize,
}

/// Raises the soft limit to the hard one, says in the log what there is, and shares it out:
/// `wanted` connections for the API, or fewer, those of the Raft port for a cluster of `members`,
/// and those to receivers beside `max_workers` calls.
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
        hanging_calls = shares.hanging,
        idle = shares.idle,
        "file descriptors, and the connections that may have them"
    );
    if shares.api < wanted {
        tracing::warn!(
            "{shown} file descriptors are few: MaxWorkers ({max_workers}), MaxConnections ({wanted}), \
             those to receivers and members, and {KEPT} for files need {}; the API takes {} \
             connections at once, and {} calls may hang; raise the hard limit (ulimit -Hn, \
             LimitNOFILE=)",
            enough(max_workers, members, wanted),
            shares.api,
            shares.hanging
        );
    }
    shares
}

/// The first power of two that does for `wanted` connections of the API.
fn enough(max_workers: usize, members: usize, wanted: usize) -> u64 {
    let does = |limit: &u64| shares(Some(*limit), max_workers, members, wanted).api == wanted;
    (8..63).map(|bits| 1 << bits).find(does).unwrap_or(u64::MAX)
}

fn shares(limit: Option<u64>, max_workers: usize, members: usize, wanted: usize) -> Shares {
    let raft_strangers = RAFT_STRANGERS + RAFT_STRANGERS_A_MEMBER * members;
    let most_hanging = MOST_HANGING.max(2 * max_workers);
    let most_idle = MOST_IDLE.max(max_workers);
    let Some(limit) = limit else {
        let (raft_members, hanging, idle) = (MOST_MEMBERS, most_hanging, most_idle);
        return Shares { api: wanted, raft_strangers, raft_members, hanging, idle };
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let left = limit.saturating_sub(max_workers + KEPT + raft_strangers);
    let hanging = (limit / 4).max(2 * max_workers).min(left / 2).clamp(LEAST, most_hanging);
    let raft_members = (left / 8).clamp(LEAST, MOST_MEMBERS);
    let idle = (left / 8).clamp(LEAST, most_idle);
    let api = left.saturating_sub(hanging + raft_members + idle);
    let api = api.clamp(LEAST.min(wanted), wanted);
    Shares { api, raft_strangers, raft_members, hanging, idle }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_plenty_each_kind_has_its_most() {
        let plenty = Shares {
            api: 4_096,
            raft_strangers: 40,
            raft_members: 4_096,
            hanging: 4_096,
            idle: 128,
        };
        let of = |limit| shares(limit, 64, 3, 4_096);
        assert_eq!((of(None), of(Some(1_048_576))), (plenty, plenty));
        let wide = shares(None, 5_000, 3, 4_096);
        assert_eq!((wide.hanging, wide.idle), (10_000, 5_000));
    }

    #[test]
    fn the_shares_of_all_kinds_stay_below_the_limit() {
        let few = Shares { api: 314, raft_strangers: 40, raft_members: 95, hanging: 256, idle: 95 };
        assert_eq!(shares(Some(1_024), 64, 3, 4_096), few);
        for workers in [1, 64, 256, 1_000] {
            let limits = [256_usize, 1_024, 2_048, 4_096, 8_192, 65_536].into_iter();
            for limit in limits.chain((64..20_000).step_by(7)) {
                let of = shares(Some(limit as u64), workers, 3, 4_096);
                let least = [of.api, of.raft_members, of.hanging, of.idle];
                assert!(least.into_iter().all(|kind| kind >= LEAST), "{limit}: {of:?}");
                let connections = of.api + of.raft_strangers + of.raft_members;
                let all = connections + workers + of.hanging + of.idle + KEPT;
                // Below that there is no room for the least of each kind.
                let possible = limit.max(workers + KEPT + of.raft_strangers + 8 * LEAST);
                assert!(all <= possible, "{limit} with {workers} workers: {all} of {of:?}");
            }
        }
    }

    #[test]
    fn hanging_calls_have_a_quarter_and_a_project_alone_all_workers_where_there_are_enough() {
        let of = |limit, workers| shares(Some(limit), workers, 3, 4_096).hanging;
        assert_eq!([1_024, 4_096, 65_536].map(|limit| of(limit, 64)), [256, 1_024, 4_096]);
        assert_eq!([2_048, 4_096].map(|limit| of(limit, 1_000)), [424, 1_448]);
        assert_eq!(of(8_192, 1_000), 2_048);
        assert_eq!(of(64, 64), LEAST);
    }

    #[test]
    fn the_warning_names_a_limit_that_does() {
        assert_eq!(enough(64, 1, 4_096), 8_192);
        let needed = enough(4_000, 3, 4_096);
        assert_eq!(shares(Some(needed), 4_000, 3, 4_096).api, 4_096);
        assert!(shares(Some(needed / 2), 4_000, 3, 4_096).api < 4_096);
    }
}
