//! A chunk of messages on its way to a queue: asked for leave message by message, and confirmed
//! message by message.

use std::sync::Arc;

use super::queues::{Fate, Message, Queues};
use crate::delivery::attempt::{Attempt, Class, Judged};
use crate::delivery::batch::Labels;
use crate::delivery::call_outcome::CallOutcome;
use crate::delivery::gate::Gate;
use crate::delivery::reply::{JobsAttempt, Reply};
use crate::delivery::request::{PreparedRequest, Sending};
use crate::model::JobId;
use crate::model::call_target::CallTarget;
use crate::model::result_code::ResultCode;
use crate::model::target::{Sealed, SigningSecret};
use crate::secret::purpose;

/// A chunk.
pub(super) struct Chunk {
    pub(super) queues: Arc<Queues>,
    pub(super) queue: String,
    pub(super) sealed: Option<Sealed>,
    pub(super) secret: String,
    pub(super) attempt: u32,
    pub(super) messages: Vec<(JobId, String)>,
}

impl PreparedRequest for Chunk {
    fn admit(&self) -> Result<(), String> {
        Ok(())
    }

    fn complete(
        &mut self,
        _: &CallTarget,
        labels: &Labels<'_>,
        _: &[SigningSecret],
    ) -> Result<(), String> {
        self.attempt = labels.attempt;
        if let Some(sealed) = &self.sealed {
            let opened = self.queues.secrets.open(sealed, purpose::TOKEN);
            self.secret = opened.map_err(|error| error.to_string())?.to_string();
        }
        Ok(())
    }

    fn send(self: Box<Self>, gate: Gate) -> Sending {
        Box::pin(async move { self.publish(gate) })
    }
}

impl Chunk {
    fn publish(self, gate: Gate) -> Reply {
        let began = gate.tried();
        *self.queues.chunks.lock().unwrap() += 1;
        let mut parts: Vec<JobsAttempt> = Vec::new();
        for (job, data) in self.messages {
            let (queue, secret) = (self.queue.clone(), self.secret.clone());
            let message = Message { queue, secret, job, data, attempt: self.attempt };
            let fate = self.queues.fate(&message);
            if fate == Fate::Unsent || !gate.check().passes() {
                break;
            }
            let (class, code, error) = match fate {
                Fate::Confirmed | Fate::Unsent => (Class::Success, ResultCode::Amqp(0), None),
                Fate::Returned => {
                    (Class::Retry { after: None }, ResultCode::Amqp(312), Some("no queue is bound"))
                }
                Fate::Refused => {
                    (Class::Refused, ResultCode::Amqp(406), Some("not a message of this queue"))
                }
                Fate::ChunkRefused => {
                    (Class::Refused, ResultCode::Amqp(541), Some("the channel was closed"))
                }
                Fate::Down => {
                    (Class::Retry { after: None }, ResultCode::None, Some("there is no such queue"))
                }
            };
            let attempt = Attempt {
                class,
                code,
                answered: fate != Fate::Down,
                judged: match fate {
                    Fate::Returned | Fate::Refused => Judged::OneByOne,
                    _ => Judged::AsOne,
                },
                started_boot: began,
                sent: fate != Fate::Down,
                error: error.map(str::to_owned),
                ..Attempt::default()
            };
            if matches!(fate, Fate::ChunkRefused | Fate::Down) {
                let down = fate == Fate::Down;
                let failed = CallOutcome::Failed { down: true, unreachable: true, after: 0 };
                gate.finish(began, if down { failed } else { CallOutcome::Fine });
                return Reply::Done(attempt);
            }
            if fate == Fate::Confirmed {
                self.queues.confirmed.lock().unwrap().push(message);
            }
            match parts.iter_mut().find(|part| part.attempt == attempt) {
                Some(part) => part.jobs.push(job),
                None => parts.push(JobsAttempt { jobs: vec![job], attempt }),
            }
        }
        gate.finish(began, CallOutcome::Fine);
        if parts.is_empty() { Reply::Withheld } else { Reply::PerJob(parts) }
    }
}
