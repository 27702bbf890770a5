//! Keeps the connection on which a broker's workers are heard, as long as a shard is attached: it
//! is opened, the consumers of shards are told, and it is opened anew when it has ended. There is
//! one task for each broker.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::broker_link::{BrokerLink, LiveLink};
use crate::executor::broker::role::Role;

/// The time between two looks whether a connection still gives channels.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the connection until the link is gone.
pub(super) async fn keep(link: Weak<BrokerLink>) {
    let Some(mut attached) = link.upgrade().map(|link| link.attached.subscribe()) else { return };
    let mut was_lost = false;
    loop {
        if *attached.borrow_and_update() == 0 {
            let Some(strong) = link.upgrade() else { return };
            strong.shared.metrics.forget(&strong.broker.address());
        }
        if attached.wait_for(|shards| *shards > 0).await.is_err() {
            return;
        }
        let Some(strong) = link.upgrade() else { return };
        match strong.connection(Role::Consumer).await {
            Ok(live) => {
                let broker = strong.broker.address();
                if std::mem::take(&mut was_lost) {
                    strong.shared.metrics.reconnected();
                }
                strong.shared.metrics.set_up(&broker, true);
                strong.open.send_replace(Some(Arc::clone(&live)));
                drop(strong);
                let is_lost = tokio::select! {
                    is_lost = ended(&live) => is_lost,
                    gone = attached.wait_for(|shards| *shards == 0) => {
                        if gone.is_err() {
                            return;
                        }
                        // It closes itself unless it is used again.
                        false
                    }
                };
                let Some(strong) = link.upgrade() else { return };
                strong.open.send_replace(None);
                if is_lost {
                    was_lost = true;
                    strong.shared.metrics.set_up(&broker, false);
                    // The broker may have lost what was declared.
                    strong.forget_all();
                }
            }
            Err(not_now) => {
                was_lost = true;
                strong.shared.metrics.set_up(&strong.broker.address(), false);
                let clock = Arc::clone(&strong.shared.options.clock);
                drop(strong);
                clock.sleep_until(not_now.until).await;
            }
        }
    }
}

/// Waits for the end of a connection; true if it was lost, false if another one takes over.
async fn ended(live: &LiveLink) -> bool {
    let mut ended = std::pin::pin!(live.connection.ended());
    loop {
        tokio::select! {
            () = &mut ended => return true,
            () = tokio::time::sleep(LOOK) => {
                if live.connection.is_used_up() {
                    return false;
                }
            }
        }
    }
}
