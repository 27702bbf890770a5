//! The executor as its unit tests have it: with a record of chunks in place of connections.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::chunk::Chunk;
use super::message::Publish;
use super::parts::{Parts, Publisher};
use crate::delivery::batch::{Batch, BatchJob, Instant};
use crate::delivery::call_outcome::CallOutcome;
use crate::delivery::executor::Executor as _;
use crate::delivery::gate::Gate;
use crate::delivery::reply::{Reply, Rest};
use crate::delivery::request::{Rendered, Request, Sending};
use crate::delivery::secret_cache::SecretCache;
use crate::executor::amqp::AmqpExecutor;
use crate::executor::guard::TargetGuard;
use crate::model::JobId;
use crate::model::call_target::CallTarget;
use crate::model::job::JobDefinition;
use crate::model::target::{AMQP, Configured};
use crate::secret::{Keys, SecretText};

/// The most bytes of a body.
pub(super) const MAX_BODY: usize = 600_000;

/// The instant of all batches.
pub(super) const INSTANT: Instant = Instant { cluster: 0xc1, scheduled: 1_763_700_000_000, run: 0 };

/// The chunks that were published, with their passwords.
pub(super) type Published = Arc<Mutex<Vec<(Publish, SecretText)>>>;

struct Recorder(Published);

impl Publisher for Recorder {
    fn publish(&self, chunk: Publish, password: SecretText, gate: Gate) -> Sending {
        let published = Arc::clone(&self.0);
        Box::pin(async move {
            published.lock().unwrap().push((chunk, password));
            let began = gate.tried();
            gate.finish(began, CallOutcome::Fine);
            Reply::PerJob { parts: Vec::new(), rest: Rest::None }
        })
    }

    fn local_errors(&self) -> Vec<(&'static str, u64)> {
        vec![("files", 3)]
    }
}

/// The keys of the executor.
pub(super) fn keys() -> Arc<Keys> {
    Arc::new(Keys::new(&"ab".repeat(32), "node", "pass").unwrap())
}

/// An executor, and what it publishes.
pub(super) fn executor_with(guard: TargetGuard) -> (AmqpExecutor, Published) {
    let published = Published::default();
    let parts = Parts {
        publisher: Box::new(Recorder(Arc::clone(&published))),
        secrets: SecretCache::new(keys()),
        by_proxy: false,
        guard,
        max_body: MAX_BODY,
    };
    (AmqpExecutor::of(parts), published)
}

/// An executor.
pub(super) fn executor() -> AmqpExecutor {
    executor_with(TargetGuard::default()).0
}

/// A target with some fields of the least settings changed.
#[expect(clippy::needless_pass_by_value, reason = "callers write JSON")]
pub(super) fn target(changes: Value) -> CallTarget {
    let mut given =
        json!({"url": "amqp://u:hunter2@h/v", "exchange": "events", "routingKey": "a.b"});
    given.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let settings = executor().validate(&given, None).unwrap();
    CallTarget::Settings(Box::new(Configured { kind: AMQP.to_owned(), settings }))
}

/// A definition with a message.
pub(super) fn definition(message: Option<Value>) -> Arc<JobDefinition> {
    Arc::new(JobDefinition { message: message.map(Box::new), ..JobDefinition::default() })
}

/// Renders jobs: id, place of the definition, data.
pub(super) fn render(
    executor: &AmqpExecutor,
    target: &CallTarget,
    definitions: &[Arc<JobDefinition>],
    jobs: impl IntoIterator<Item = (JobId, usize, String)>,
) -> Rendered {
    render_at_most(None, (executor, target), definitions, jobs)
}

/// As [`render`], with the most jobs of a request.
pub(super) fn render_at_most(
    max_jobs: Option<usize>,
    (executor, target): (&AmqpExecutor, &CallTarget),
    definitions: &[Arc<JobDefinition>],
    jobs: impl IntoIterator<Item = (JobId, usize, String)>,
) -> Rendered {
    let batch = Batch { instant: INSTANT, attempt: 1, definitions, max_jobs };
    let mut renderer = executor.renderer(target, batch);
    for (id, definition, data) in jobs {
        renderer.push(&BatchJob { id, definition, data: &data, created: 0, last: 0 });
    }
    renderer.finish()
}

/// The chunk of a request.
pub(super) fn chunk(request: &Request) -> &Publish {
    let content: &dyn std::any::Any = &*request.prepared;
    &content.downcast_ref::<Chunk>().unwrap().publish
}
