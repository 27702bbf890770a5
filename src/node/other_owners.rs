//! The ways of this node's worker to the owners of runs on other nodes: signs of life that came
//! over a broker, and questions about what was handed out. `wiring` makes one before there is a
//! gateway; until that is there nobody is reached. It decides nothing.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

use crate::gateway::Gateway;
use crate::model::claim::HandedOut;
use crate::worker::{AskOwners, Elsewhere};

/// The ways to other owners.
pub(super) struct OtherOwners {
    /// The gateway, once it is there.
    gateway: Arc<OnceLock<Gateway>>,
    /// The runtime of the gateway.
    main: Handle,
}

impl OtherOwners {
    /// The ways, which lead nowhere yet. Messages are sent on the runtime.
    pub(super) fn new(main: Handle) -> Self {
        Self { gateway: Arc::default(), main }
    }

    /// Lets them lead to other nodes by a gateway.
    pub(super) fn reach_by(&self, gateway: Gateway) {
        // It is called once.
        let _ = self.gateway.set(gateway);
    }

    /// The way of signs of life.
    pub(super) fn elsewhere(&self) -> Elsewhere {
        let (gateway, main) = (Arc::clone(&self.gateway), self.main.clone());
        Arc::new(move |runs| {
            if let Some(gateway) = gateway.get().cloned() {
                main.spawn(async move { gateway.hear_for_others(runs).await });
            }
        })
    }

    /// The way of questions about what was handed out. This node's own supervisor is asked by it,
    /// too.
    pub(super) fn ask(&self) -> AskOwners {
        let (gateway, main) = (Arc::clone(&self.gateway), self.main.clone());
        Arc::new(move |asked| {
            let unknown = vec![HandedOut::Unknown; asked.len()];
            let Some(gateway) = gateway.get().cloned() else {
                return Box::pin(std::future::ready(unknown));
            };
            let asking = main.spawn(async move { gateway.handed_out(asked).await });
            // Without an answer the runtime ends.
            Box::pin(async move { asking.await.unwrap_or(unknown) })
        })
    }
}
