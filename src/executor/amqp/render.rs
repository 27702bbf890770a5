//! Writes messages for the jobs of one target and cuts them into chunks. The worker pushes jobs.
//! Settings are read once for a target, and a `message` once for a definition.

use std::sync::Arc;

use super::chunk::Chunk;
use super::message::Publish;
use super::parts::Parts;
use super::plan::Plan;
use super::settings::Settings;
use crate::delivery::batch::{Batch, BatchJob, template_type};
use crate::delivery::executor::Renderer;
use crate::delivery::request::{Rendered, Request};
use crate::executor::broker::message::Message;
use crate::executor::template::Fill;
use crate::model::JobId;
use crate::model::call_target::CallTarget;

/// A plan, or the reason why there is none.
type Planned = Result<Arc<Plan>, String>;

/// The renderer.
pub(super) struct ChunkRenderer<'r> {
    parts: &'r Arc<Parts>,
    batch: Batch<'r>,
    settings: Result<Settings, String>,
    /// The plan of definitions without a message, once it was needed.
    plain: Option<Planned>,
    /// The plan of each definition, once it was needed.
    plans: Vec<Option<Planned>>,
    /// The chunks that are being filled, one for each exchange.
    open: Vec<OpenChunk>,
    /// The place there of each definition's chunk, once it was needed.
    places: Vec<Option<usize>>,
    /// The most messages of a chunk.
    most: usize,
    rendered: Rendered,
}

/// A chunk that is being filled.
struct OpenChunk {
    /// A plan of its messages: all have the same exchange.
    plan: Arc<Plan>,
    messages: Vec<Message>,
    /// The bytes of their bodies.
    bytes: usize,
}

impl<'r> ChunkRenderer<'r> {
    pub(super) fn new(parts: &'r Arc<Parts>, target: &CallTarget, batch: Batch<'r>) -> Self {
        Self {
            parts,
            batch,
            settings: Settings::of(target),
            plain: None,
            plans: vec![None; batch.definitions.len()],
            places: vec![None; batch.definitions.len()],
            open: Vec::new(),
            most: batch.max_jobs.map_or(Publish::MOST, |most| most.min(Publish::MOST)),
            rendered: Rendered::default(),
        }
    }

    /// The plan of a definition.
    fn plan(&mut self, definition: usize) -> Planned {
        let Some(known) = self.plans.get_mut(definition) else {
            // The worker pushes jobs of the definitions that it named.
            return Err("the definition of the job is missing".to_owned());
        };
        if let Some(known) = known {
            return known.clone();
        }
        let message = self.batch.definitions[definition].message.as_deref();
        let settings = self.settings.as_ref();
        let max = self.parts.max_body;
        let new = || {
            let plan = Plan::new(settings.map_err(Clone::clone)?, message, max);
            plan.map(Arc::new).map_err(|error| error.message)
        };
        let plan = match message {
            Some(_) => new(),
            None => self.plain.get_or_insert_with(new).clone(),
        };
        *known = Some(plan.clone());
        plan
    }

    fn render(&mut self, job: &BatchJob<'_>) -> Result<(Arc<Plan>, Message), String> {
        let plan = self.plan(job.definition)?;
        let execution_id = self.batch.instant.id(job.id);
        let fill = Fill {
            execution_id: &execution_id,
            job: job.id,
            scheduled: self.batch.instant.scheduled,
            attempt: self.batch.attempt,
            data: job.data,
            template: template_type(self.batch.definitions, job),
        };
        let message = plan.render(&fill).map_err(|error| error.to_string())?;
        Ok((plan, message))
    }

    fn add(&mut self, definition: usize, plan: Arc<Plan>, message: Message) {
        // The definition is one of the batch, for it has a plan.
        let place = *self.places[definition].get_or_insert_with(|| {
            let same = |open: &OpenChunk| open.plan.exchange == plan.exchange;
            self.open.iter().position(same).unwrap_or_else(|| {
                self.open.push(OpenChunk { plan, messages: Vec::new(), bytes: 0 });
                self.open.len() - 1
            })
        });
        let open = &mut self.open[place];
        let bytes = open.bytes + message.bytes();
        let is_full = open.messages.len() >= self.most
            || (!open.messages.is_empty() && bytes > Publish::MOST_BYTES);
        if is_full {
            self.close(place);
        }
        let open = &mut self.open[place];
        open.bytes += message.bytes();
        open.messages.push(message);
    }

    /// Makes a request of what is in a chunk.
    fn close(&mut self, place: usize) {
        let open = &mut self.open[place];
        open.bytes = 0;
        let messages = std::mem::take(&mut open.messages);
        // Without settings there is no message.
        let (Some(first), Ok(settings)) = (messages.first(), &self.settings) else { return };
        self.rendered.requests.push(Request {
            members: messages.iter().map(|message| message.job).collect(),
            id: first.execution.clone(),
            series: None,
            path: 0,
            prepared: Box::new(Chunk::new(
                Arc::clone(self.parts),
                Publish {
                    broker: settings.broker.clone(),
                    exchange: open.plan.exchange.clone(),
                    mandatory: settings.mandatory,
                    messages,
                },
            )),
        });
    }

    fn fail(&mut self, job: JobId, error: String) {
        match self.rendered.failed.iter_mut().find(|(_, known)| *known == error) {
            Some((jobs, _)) => jobs.push(job),
            None => self.rendered.failed.push((vec![job], error)),
        }
    }
}

impl Renderer for ChunkRenderer<'_> {
    fn push(&mut self, job: &BatchJob<'_>) {
        match self.render(job) {
            Ok((plan, message)) => self.add(job.definition, plan, message),
            Err(error) => self.fail(job.id, error),
        }
    }

    fn finish(mut self: Box<Self>) -> Rendered {
        (0..self.open.len()).for_each(|place| self.close(place));
        self.rendered
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
