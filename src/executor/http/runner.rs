//! The sending of requests: the checks before a call leaves, the client, and the count of what this
//! node could not do. `run` calls it.

use std::sync::Arc;

use super::client::Client;
use super::egress::{self, Admitted};
use super::options::{Error, Options};
use super::request::OutgoingRequest;
use super::response::{self, Received};
use super::send_error::SendError;
use crate::clock::{Clock, SchedulerTime};
use crate::delivery::call_outcome::CallOutcome;
use crate::delivery::gate::Gate;
use crate::delivery::reply::Reply;
use crate::executor::outbound::local_error::{LocalError, LocalErrors};
use crate::executor::outbound::tls::Identity;
use crate::model::postponement::Obstacle;

/// Sends requests.
pub(super) struct Runner {
    client: Client,
    local_errors: LocalErrors,
    options: Arc<Options>,
}

impl Runner {
    pub(super) fn new(options: &Arc<Options>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let client = Client::new(options, clock).map_err(Error::Client)?;
        let options = Arc::clone(options);
        Ok(Self { client, local_errors: LocalErrors::default(), options })
    }

    /// The number of local errors of each kind, by name.
    pub(super) fn local_errors(&self) -> Vec<(&'static str, u64)> {
        self.local_errors.counts()
    }

    /// Sends a request, and reads its answer into `received`.
    pub(super) async fn send(
        &self,
        request: &OutgoingRequest,
        tls: Option<&Arc<Identity>>,
        room: usize,
        (tried, time): (u64, &SchedulerTime),
        received: &mut Option<Received>,
    ) -> Result<(), SendError> {
        // Held until the call is over.
        let admitted = if egress::is_checked(&self.options, request, tried) {
            egress::admit(&self.options, request, tried).await?
        } else {
            Admitted::default()
        };
        let mut response = self.client.send(request, tls, response::longest(room)).await?;
        response.is_hidden |= admitted.is_hidden;
        response::read(response, room, time.now(), received).await;
        Ok(())
    }

    /// The reply to a call that this node could not make.
    pub(super) fn refuse(&self, error: LocalError, gate: Gate) -> Reply {
        let tried = gate.tried();
        self.local_errors.note(error, tried);
        // Perhaps only the name servers of one domain are down. Each call waits for them and holds
        // a place meanwhile, so the breaker counts these calls, though they are no attempts.
        let outcome = match error {
            LocalError::Resolver => {
                CallOutcome::Failed { down: true, unreachable: false, after: 0 }
            }
            _ => CallOutcome::Nothing,
        };
        let until = gate.time().now();
        gate.finish(tried, outcome);
        Reply::Refused { until, obstacle: Obstacle::Node(error.text().to_owned()) }
    }
}
