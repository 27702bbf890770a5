//! The bus of a queue: an executor whose occurrences workers come for. `own_replica` asks for
//! claims, `app` for views.

use crate::delivery::registry::Registry;
use crate::model::call_target::CallTarget;
use crate::model::run_terms::BusKind;
use crate::model::target::{Configured, Executor};

/// The bus of an executor; `None` for one that is no queue, or one of a newer program.
pub fn bus_of(executors: &Registry, executor: &Executor) -> Option<BusKind> {
    let settings = executor.settings.as_deref()?.clone();
    let kind = executors.get(&executor.kind)?;
    let target = Configured { kind: executor.kind.clone(), settings };
    kind.queue(&CallTarget::Settings(Box::new(target))).map(|queue| queue.bus)
}
