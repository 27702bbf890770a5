//! The gate of a call: what an executor asks while it sends. It has the lease check, the time of
//! the call, and its permit. `call_queue` makes one for each call that has its turn.
//!
//! An executor asks [`Gate::check`] before its first byte, runs the exchange by [`Gate::run`],
//! which ends it in time, and says with [`Gate::finish`] what the call means for its destination.

use std::sync::Arc;
use std::time::Duration;

use super::call_checks::{SendCheck, Unwanted};
use super::call_outcome::CallOutcome;
use super::destination_queues::CallPermit;
use super::fair_queue::Stage;
use crate::clock::SchedulerTime;
use crate::model::ProjectId;

/// A call counts as slow after this time: another project that waits may have its worker.
const SLOW: Duration = Duration::from_millis(100);
/// A call counts as hanging after this time: it gives its worker back.
const HANGING: Duration = Duration::from_secs(1);

/// The gate of a call.
pub struct Gate {
    check: Arc<SendCheck>,
    permit: CallPermit,
    timeout: Duration,
    unwanted: Option<Unwanted>,
    project: ProjectId,
    time: Arc<SchedulerTime>,
    /// The instant at which the call was tried, in boot-clock milliseconds.
    tried: u64,
}

/// The reason why a call was ended before its answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The time of the call was up.
    TimedOut,
    /// The jobs of the call were deleted.
    Unwanted,
    /// Other calls needed the place of the call, after this time.
    Evicted(Duration),
}

impl Gate {
    /// The gate of a call that has its permit, from this moment on.
    pub fn new(
        check: Arc<SendCheck>,
        permit: CallPermit,
        (timeout, unwanted): (Duration, Option<Unwanted>),
        project: ProjectId,
        time: Arc<SchedulerTime>,
    ) -> Self {
        let tried = time.clock().boot();
        Self { check, permit, timeout, unwanted, project, time, tried }
    }

    /// The lease check, to be made right before the first byte, each time that one goes out.
    pub fn check(&self) -> &Arc<SendCheck> {
        &self.check
    }

    /// The longest time for the call.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The project of the call.
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// The most jobs that the call may send; `None` for all of them. It is 1 for the probe of a
    /// breaker: where its destination is still down, one job has failed and not a thousand. A kind
    /// with [`Grouping::Chunk`](super::executor::Grouping::Chunk) sends the first job of a probe,
    /// and says of the others [`Rest::Again`](super::reply::Rest::Again).
    pub fn max_jobs(&self) -> Option<usize> {
        self.permit.is_probe().then_some(1)
    }

    /// The node's scheduler time.
    pub fn time(&self) -> &Arc<SchedulerTime> {
        &self.time
    }

    /// The instant at which the call was tried, in boot-clock milliseconds.
    pub fn tried(&self) -> u64 {
        self.tried
    }

    /// Runs an exchange up to its end, or to that of the call. It tells the permit how far the call
    /// has come. To be called once.
    pub async fn run<T>(&mut self, exchange: impl Future<Output = T>) -> Result<T, Interruption> {
        let timeout = self.timeout;
        let mut exchange = std::pin::pin!(exchange);
        // Most calls are over by the first of these, and set no other timer.
        let mut done = tokio::time::timeout(timeout.min(SLOW), &mut exchange).await;
        if done.is_err() && timeout > SLOW {
            self.permit.advance(Stage::Slow);
            let rest = timeout.min(HANGING).saturating_sub(SLOW);
            done = tokio::time::timeout(rest, &mut exchange).await;
        }
        let left = timeout.saturating_sub(HANGING);
        if done.is_err() && !left.is_zero() {
            self.permit.advance(Stage::Hanging);
            let unwanted = self.unwanted.take();
            let unwanted = async {
                match unwanted {
                    Some(unwanted) => unwanted().await,
                    None => std::future::pending().await,
                }
            };
            done = tokio::select! {
                done = tokio::time::timeout(left, exchange) => done,
                () = unwanted => return Err(Interruption::Unwanted),
                () = self.permit.evicted() => {
                    let after = self.time.clock().boot().saturating_sub(self.tried);
                    return Err(Interruption::Evicted(Duration::from_millis(after)));
                }
            };
        }
        done.map_err(|_| Interruption::TimedOut)
    }

    /// Records the outcome of the call, which began at an instant of the boot clock.
    pub fn finish(self, began: u64, outcome: CallOutcome) {
        self.permit.finish(began, outcome);
    }
}
