//! The task that hears the workers of one shard at one broker, from attach to detach. It waits for
//! the connection, consumes on a channel of its own (`consuming`), and begins anew when the channel
//! or the connection has ended.

use tokio::time::Instant;

use super::broker_link::LiveLink;
use super::consuming::{End, consume};
use super::heard_shard::{Failures, HeardShard};

/// Hears the workers of a shard until it is detached.
pub(super) async fn run(mut shard: HeardShard) {
    let mut ends = Failures::default();
    while let Some(live) = connected(&mut shard).await {
        match consume(&mut shard, live).await {
            End::Detached => return,
            End::Renewed => {}
            End::Lost(why) => {
                shard.set_down(&why);
                let until = ends.note(Instant::now());
                if detached_before(&mut shard, until).await {
                    return;
                }
            }
        }
    }
}

/// The open connection; `None` when the shard is detached.
async fn connected(shard: &mut HeardShard) -> Option<LiveLink> {
    let mut open = shard.link.open.subscribe();
    let usable =
        |live: &Option<LiveLink>| live.as_ref().is_some_and(|live| live.connection.is_open());
    loop {
        tokio::select! {
            live = open.wait_for(usable) => return live.ok()?.clone(),
            changed = shard.wanted.changed() => changed.ok()?,
        }
    }
}

/// Waits; true if the shard is detached meanwhile.
async fn detached_before(shard: &mut HeardShard, until: Instant) -> bool {
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(until) => return false,
            changed = shard.wanted.changed() => {
                if changed.is_err() {
                    return true;
                }
            }
        }
    }
}
