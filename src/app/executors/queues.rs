//! Executors that are queues of workers: nothing is called, so there is no rate of calls, and no
//! secret that signs them. `edit` and `rotate` call it. A queue at a broker stays there while runs
//! of it are out: their workers are told to stop, and heard, at the broker of their queue. `update`
//! and `delete` ask for that.

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::executors::input::ExecutorInput;
use crate::app::executors::read::missing_executor;
use crate::app::patch::Patch;
use crate::app::state::App;
use crate::app::write::Versioned;
use crate::delivery::registry::Registry;
use crate::model::call_target::CallTarget;
use crate::model::job::JobDefinition;
use crate::model::target::{Executor, is_queue};
use crate::store::{executors, runs};

/// An executor, with the number of runs of it that are out at the broker that it is to leave.
pub(super) struct WithRuns {
    pub(super) executor: Executor,
    /// 0 where it stays where it is.
    out: u64,
}

impl Versioned for WithRuns {
    fn version(&self) -> u64 {
        self.executor.version
    }
}

impl App {
    /// Reads an executor, and counts its runs at its broker, if it leaves that by becoming what
    /// `new` says: another executor, or nothing.
    pub(super) async fn load_with_runs(
        &self,
        actor: &Actor,
        id: u64,
        new: impl Fn(&Executor) -> Option<Executor>,
    ) -> Result<WithRuns, Error> {
        let found = self.read(actor, move |conn| executors::get(conn, id)).await?;
        let executor = found.ok_or_else(missing_executor)?;
        let mut out = 0;
        if broker_left(&executor, new(&executor).as_ref(), &self.executors).is_some() {
            out = self.read(actor, move |conn| runs::count_of_queue(conn, id)).await?;
        }
        Ok(WithRuns { executor, out })
    }
}

impl WithRuns {
    /// Refuses that the queue leaves its broker while runs are out there; `new` is what it becomes,
    /// if anything.
    pub(super) fn may_become(&self, new: Option<&Executor>, kinds: &Registry) -> Result<(), Error> {
        let Self { executor, out } = self;
        let left = broker_left(executor, new, kinds).filter(|_| *out > 0);
        let Some(at) = left else { return Ok(()) };
        let message = format!(
            "runs of this queue are out at {at}: {out}. Their workers are heard and told to stop \
             there: pause the jobs of the queue or move them to another queue, so that no more go \
             out, wait until these runs are over or cancel them (GET /runs?queue={}), and try \
             again",
            executor.name
        );
        let refused = Error::conflict(message);
        Err(match new {
            Some(new) => refused.field(field_that_moves(executor, new, kinds)),
            None => refused,
        })
    }
}

/// The broker that an executor leaves by becoming another one, or nothing.
fn broker_left(old: &Executor, new: Option<&Executor>, kinds: &Registry) -> Option<String> {
    let at = broker(kinds, old)?;
    let stays = new.and_then(|new| broker(kinds, new)).as_ref() == Some(&at);
    (!stays).then_some(at)
}

/// The field of a request by which a queue leaves its broker.
fn field_that_moves(old: &Executor, new: &Executor, kinds: &Registry) -> &'static str {
    if old.kind != new.kind {
        "type"
    } else if broker(kinds, new).is_none() {
        "worker.bus"
    } else {
        "worker.url"
    }
}

/// The broker that the runs of a queue go over; `None` for all other executors.
fn broker(kinds: &Registry, executor: &Executor) -> Option<String> {
    let of = (executor.id, Some(executor));
    let target = CallTarget::of(&JobDefinition::default(), Some(of)).ok()?;
    kinds.get(target.kind())?.queue(&target)?.broker
}

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
