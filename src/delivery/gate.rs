//! The gate of a call: what an executor asks while it sends. It has the lease check, the time of
//! the call, and what the call says about its destination. `call_queue` makes one for each call
//! that has its turn; `running_call` ends the call in time.
//!
//! An executor asks [`Gate::check`] before its first byte, runs the exchange by [`Gate::run`],
//! which tells it that the call is over, and says with [`Gate::finish`] what the call means for its
//! destination.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::call_checks::SendCheck;
use super::call_outcome::CallOutcome;
use super::interruption::Interruption;
use crate::clock::SchedulerTime;
use crate::model::ProjectId;

/// The gate of a call.
pub struct Gate {
    check: Arc<SendCheck>,
    timeout: Duration,
    is_probe: bool,
    project: ProjectId,
    time: Arc<SchedulerTime>,
    /// The instant at which the call was tried, in boot-clock milliseconds.
    tried: u64,
}

impl Gate {
    /// The gate of a call that has its permit, from this moment on.
    pub(crate) fn new(
        check: Arc<SendCheck>,
        timeout: Duration,
        is_probe: bool,
        project: ProjectId,
        time: Arc<SchedulerTime>,
    ) -> Self {
        let tried = time.clock().boot();
        Self { check, timeout, is_probe, project, time, tried }
    }

    /// The lease check, to be made right before the first byte, each time that one goes out. It
    /// fails once the call is over.
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
        self.is_probe.then_some(1)
    }

    /// The node's scheduler time.
    pub fn time(&self) -> &Arc<SchedulerTime> {
        &self.time
    }

    /// The instant at which the call was tried, in boot-clock milliseconds.
    pub fn tried(&self) -> u64 {
        self.tried
    }

    /// Runs an exchange up to its end, or to that of the call: its time is up, its jobs are gone,
    /// or others need its place. After such an end the executor has a moment to make its reply of
    /// what it knows. An executor that does not run its exchange here, or goes on after the end, is
    /// cut off: its call counts as failed, whatever has arrived.
    pub async fn run<T>(&mut self, exchange: impl Future<Output = T>) -> Result<T, Interruption> {
        let mut exchange = pin!(exchange);
        poll_fn(|context| match exchange.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.check.poll_interrupted(context).map(Err),
        })
        .await
    }

    /// Records the outcome of the call, which began at an instant of the boot clock. A call without
    /// one says nothing about its destination.
    pub fn finish(self, began: u64, outcome: CallOutcome) {
        self.check.finish(began, outcome);
    }
}
