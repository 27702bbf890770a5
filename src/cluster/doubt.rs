//! Looks into claims that this node must not take part. `duties` starts [`tend`]; a claim that
//! comes in (by `rpc` or peer authentication) wakes it. It asks every member at the address that
//! the cluster has for it: they refuse a node that must end, and `peer` ends it when the leader or
//! most of them do. Nothing here believes what a message says.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::inner::Inner;
use super::reversion;
use super::wire::{ACKNOWLEDGED, Acknowledged, WHO, Who};

/// The pause between two rounds of questions, however many claims come meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks into doubts as they come, until dropped.
pub(super) async fn tend(inner: Arc<Inner>) {
    loop {
        inner.peers.doubted().await;
        let limit = inner.options.transport_timeout;
        let others = inner.peers.others();
        // The answers are judged where they come in: here they say nothing.
        join_all(others.iter().map(async |(node, address)| {
            inner.peers.call_at::<_, Who>(*node, address, WHO, &(), limit).await
        }))
        .await;
        look_at_log(&inner).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks the leader of the current term what this node has acknowledged to it, and ends the node
/// when its log does not reach so far.
async fn look_at_log(inner: &Inner) {
    let lead = *inner.leadership.borrow();
    let Some(leader) = lead.leader.filter(|_| !lead.me) else { return };
    let limit = inner.options.transport_timeout;
    let said = inner.peers.call::<_, Option<Acknowledged>>(leader, ACKNOWLEDGED, &(), limit).await;
    let now = *inner.leadership.borrow();
    let last = inner.log.last().map_or(0, |id| id.index);
    match said {
        // A leader of an earlier term does not count: what it wrote may have been replaced.
        Ok(Some(said))
            if said.term == now.term && now.leader == Some(leader) && last < said.index =>
        {
            inner.peers.fail(reversion::message(inner.options.node, last, said.index));
        }
        Ok(_) => {}
        Err(error) => {
            tracing::debug!(leader, %error, "the leader did not say what is missing here");
        }
    }
}
