//! File descriptors: as many as the system allows, and how they are shared out. `Node::start` asks once;
//! nothing here opens anything.
//!
//! Connections of the API are the ones that a stranger can make many of: they get what is left when
//! callbacks, peers and files have theirs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for files, peers, name lookups, and connections to receivers that are kept open for a while.
const KEPT: u64 = 256;
/// The least connections of the API, however few descriptors there are.
const LEAST: usize = 16;

/// Raises the soft limit to the hard one, says in the log what there is, and gives how many
/// connections the API may have: `wanted`, or fewer.
pub(super) fn share_out(max_workers: usize, wanted: usize) -> usize {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current != raised.current
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised");
    }
    let limit = getrlimit(Resource::Nofile).current;
    let connections = connections(limit, max_workers, wanted);
    let shown = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    tracing::info!(limit = shown, connections, "file descriptors, and the API's share of them");
    if connections < wanted {
        let needed = max_workers as u64 + wanted as u64 + KEPT;
        tracing::warn!(
            "{shown} file descriptors are few: MaxWorkers ({max_workers}), {wanted} API connections \
             and {KEPT} for files and peers need {needed}; the API takes {connections} connections \
             at once; raise the hard limit (ulimit -Hn, LimitNOFILE=)"
        );
    }
    connections
}

fn connections(limit: Option<u64>, max_workers: usize, wanted: usize) -> usize {
    let Some(limit) = limit else { return wanted };
    let left = limit.saturating_sub(max_workers as u64).saturating_sub(KEPT);
    usize::try_from(left).unwrap_or(wanted).clamp(LEAST.min(wanted), wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_gets_what_callbacks_and_peers_leave() {
        assert_eq!(connections(None, 64, 4_096), 4_096);
        assert_eq!(connections(Some(1_048_576), 64, 4_096), 4_096);
        assert_eq!(connections(Some(1_024), 64, 4_096), 704);
        assert_eq!(connections(Some(64), 64, 4_096), LEAST);
    }
}
