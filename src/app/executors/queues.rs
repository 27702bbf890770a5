//! Executors that are queues of workers: nothing is called, so there is no rate of calls, and no
//! secret that signs them. `edit` and `rotate` call it.

use crate::app::error::Error;
use crate::app::executors::input::ExecutorInput;
use crate::app::patch::Patch;
use crate::model::target::{Executor, is_queue};

/// Refuses what a queue has no use for. What only the old executor had goes with its type.
pub(super) fn check(
    input: &ExecutorInput,
    new: &mut Executor,
    old: &Executor,
) -> Result<(), Error> {
    if !is_queue(&new.kind) {
        return Ok(());
    }
    if matches!(input.rate_per_second, Patch::Set(_)) {
        let message = format!(
            "ratePerSecond is for calls, and type {} makes none: its workers take as many runs as \
             they can; maxConcurrency bounds those that they have",
            new.kind
        );
        return Err(Error::unprocessable(message).field("ratePerSecond"));
    }
    if matches!(input.webhook_secret, Patch::Set(_)) {
        return Err(unsigned(&new.kind));
    }
    if old.kind != new.kind {
        new.signing.clear();
        new.rate_per_second = None;
    }
    Ok(())
}

/// Refuses a secret for a queue.
pub(super) fn check_rotation(executor: &Executor) -> Result<(), Error> {
    if is_queue(&executor.kind) { Err(unsigned(&executor.kind)) } else { Ok(()) }
}

fn unsigned(kind: &str) -> Error {
    let message = format!("webhookSecret signs calls, and type {kind} makes none: leave it out");
    Error::unprocessable(message).field("webhookSecret")
}
