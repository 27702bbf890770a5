//! A chunk of messages on its way to a queue: asked for leave message by message, and confirmed
//! message by message.

use std::sync::Arc;

use super::queues::{Defect, Fate, Message, Queues};
use crate::delivery::attempt::{Attempt, Class, Judged};
use crate::delivery::batch::Labels;
use crate::delivery::call_outcome::CallOutcome;
use crate::delivery::gate::Gate;
use crate::delivery::reply::{JobsAttempt, Reply, Rest};
use crate::delivery::request::{PreparedRequest, Sending};
use crate::model::JobId;
use crate::model::call_target::CallTarget;
use crate::model::postponement::Obstacle;
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
        Box::pin(self.publish(gate))
    }
}

impl Chunk {
    async fn publish(self: Box<Self>, mut gate: Gate) -> Reply {
        self.queues.check(Defect::Send);
        let began = gate.tried();
        let mut parts: Vec<JobsAttempt> = Vec::new();
        let mut rest = Rest::None;
        let mut outcome = CallOutcome::Fine;
        let of = self.messages.len();
        let mut sent = Vec::with_capacity(of);
        let (mut closed, mut whole, mut hangs) = (None, None, false);
        for (place, (job, data)) in self.messages.into_iter().enumerate() {
            if gate.max_jobs().is_some_and(|most| sent.len() >= most) {
                rest = Rest::Again;
                break;
            }
            let (queue, secret) = (self.queue.clone(), self.secret.clone());
            let message = Message { queue, secret, job, data, attempt: self.attempt, place, of };
            let fate = closed.unwrap_or_else(|| self.queues.fate(&message));
            if fate == Fate::Blocked {
                let until = gate.time().now();
                rest = Rest::Refused { until, obstacle: Obstacle::Asked };
                break;
            }
            if !gate.check().passes() {
                rest = Rest::Withheld;
                break;
            }
            sent.push(job);
            let attempt = attempt(fate, began);
            match fate {
                Fate::Confirmed => self.queues.confirmed.lock().unwrap().push(message),
                Fate::Closed => closed = Some(fate),
                Fate::Hanging => hangs = true,
                Fate::ChunkRefused => whole = Some(attempt.clone()),
                Fate::Down => {
                    outcome = CallOutcome::Failed { down: true, unreachable: true, after: 0 };
                    whole = Some(attempt.clone());
                }
                _ => {}
            }
            if fate == Fate::Forgotten {
                continue;
            }
            match parts.iter_mut().find(|part| part.attempt == attempt) {
                Some(part) => part.jobs.push(job),
                None => parts.push(JobsAttempt { jobs: vec![job], attempt }),
            }
            if whole.is_some() && gate.max_jobs().is_none() {
                break;
            }
        }
        self.queues.chunks.lock().unwrap().push(sent);
        let mut released = self.queues.released.subscribe();
        let released = async { drop(released.wait_for(|released| *released).await) };
        if hangs && gate.run(released).await.is_err() {
            unreachable!("no test lets a message hang for so long");
        }
        gate.finish(began, outcome);
        match whole {
            Some(attempt) if rest == Rest::None => Reply::Done(attempt),
            _ => Reply::PerJob { parts, rest },
        }
    }
}

/// What became of a message.
fn attempt(fate: Fate, started_boot: u64) -> Attempt {
    let retry = Class::Retry { after: None };
    let (class, code, error) = match fate {
        Fate::Confirmed | Fate::Blocked | Fate::Forgotten | Fate::Hanging => {
            (Class::Success, ResultCode::Amqp(0), None)
        }
        Fate::Returned => (retry, ResultCode::Amqp(312), Some("no queue is bound")),
        Fate::Refused => {
            (Class::Refused, ResultCode::Amqp(406), Some("not a message of this queue"))
        }
        Fate::Closed | Fate::ChunkRefused => {
            (Class::Refused, ResultCode::Amqp(541), Some("the channel was closed"))
        }
        Fate::Unconfirmed => (retry, ResultCode::None, Some("no confirm came")),
        Fate::Down => (retry, ResultCode::None, Some("there is no such queue")),
    };
    Attempt {
        class,
        code,
        answered: !matches!(fate, Fate::Down | Fate::Unconfirmed),
        judged: match fate {
            Fate::Returned | Fate::Refused => Judged::OneByOne,
            _ => Judged::AsOne,
        },
        started_boot,
        sent: fate != Fate::Down,
        error: error.map(str::to_owned),
        ..Attempt::default()
    }
}
