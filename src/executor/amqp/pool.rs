//! The pool of connections to brokers: one for each broker and login, on which chunks are
//! published. The executor hands each chunk to [`Pool::publish`]. Dropping that future ends the
//! call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::broker::Broker;
use super::exchanges::{Declaring, Exchanges, Unusable, is_missing};
use super::message::Publish;
use super::outcome::{EndedCall, Phase, Stop, reply};
use crate::delivery::call_checks::SendCheck;
use crate::delivery::gate::Gate;
use crate::delivery::reply::Reply;
use crate::executor::broker::failure::{Failure, Unanswered, Unconnected};
use crate::executor::broker::held::HeldChannel;
use crate::executor::broker::kept::{KeptConnection, Live, NoConnection};
use crate::executor::broker::options::ConnectOptions;
use crate::executor::broker::publish::{Admission, Chunk, Outgoing, Progress};
use crate::executor::broker::role::Role;
use crate::executor::outbound::local_error::LocalErrors;
use crate::model::ProjectId;
use crate::secret::SecretText;

/// The most brokers that are known; above it those go that have no connection.
const KEPT: usize = 256;
/// The tries to get a channel over which nothing was sent: an idle connection may be closed
/// just when it is wanted.
const TRIES: u32 = 2;

/// The pool. Cloning gives another handle to the same connections.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    options: Arc<ConnectOptions>,
    brokers: Mutex<HashMap<Broker, Arc<KeptConnection<Exchanges>>>>,
    local_errors: LocalErrors,
}

impl Pool {
    /// A pool without connections.
    pub(super) fn new(options: ConnectOptions) -> Self {
        let options = Arc::new(options);
        Self(Arc::new(Inner {
            options,
            brokers: Mutex::default(),
            local_errors: LocalErrors::default(),
        }))
    }

    /// The number of errors of this node itself by kind, by name.
    pub(super) fn local_errors(&self) -> Vec<(&'static str, u64)> {
        self.0.local_errors.counts()
    }

    /// Publishes a chunk, with the password of its login in the clear.
    pub(super) async fn publish(
        &self,
        chunk: Publish,
        password: SecretText,
        mut gate: Gate,
    ) -> Reply {
        let check = Arc::clone(gate.check());
        let project = gate.project();
        let mut progress = Progress::new(chunk.messages.len(), gate.max_jobs());
        let mut phase = Phase::Connecting;
        let carried =
            self.carry_out((&chunk, &password, project), &check, (&mut progress, &mut phase));
        let end = gate.run(Box::pin(carried)).await;
        progress.attribute(chunk.messages.iter());
        if let Ok(Err(Stop::Unconnected(Unconnected::Local(error)))) = &end {
            self.0.local_errors.note(*error, gate.tried());
        }
        let call = EndedCall { chunk: &chunk, progress: &progress, phase, end };
        reply(call, gate, &self.0.options.metrics)
    }

    async fn carry_out(
        &self,
        (chunk, password, project): (&Publish, &SecretText, ProjectId),
        check: &Arc<SendCheck>,
        (progress, phase): (&mut Progress, &mut Phase),
    ) -> Result<(), Stop> {
        for left in (0..TRIES).rev() {
            *phase = Phase::Connecting;
            let kept = self.kept(&chunk.broker);
            let live = kept.get(password, project).await.map_err(|none| match none {
                NoConnection::Wait(until) => Stop::Wait(until),
                NoConnection::Failed(why) => Stop::Unconnected(why),
            })?;
            let options = &*self.0.options;
            let declaring = Declaring { options, broker: &chunk.broker, password, project };
            let prepared = live.connection.unless_blocked(prepare(&live, chunk, declaring, phase));
            let mut held = match prepared.await {
                None => return Err(Stop::Blocked),
                Some(Ok(held)) => held,
                Some(Err(Stop::Lost(_))) if left > 0 => continue,
                Some(Err(stop)) => return Err(stop),
            };
            *phase = Phase::Sending;
            progress.ended = None;
            let exchange = chunk.exchange.name.as_str();
            let messages = chunk.messages.iter().map(|message| Outgoing { exchange, message });
            let messages: Vec<_> = messages.collect();
            let to_publish = Chunk { messages: &messages, mandatory: chunk.mandatory };
            let admit = |_| if check.passes() { Admission::Goes } else { Admission::Ends };
            progress.publish(&mut held, &to_publish, admit).await;
            if progress.has_begun() || progress.ended.is_none() {
                let missing = progress.ended.as_ref().is_some_and(is_missing);
                if missing {
                    live.known.get(&chunk.exchange).forget().await;
                }
                return if progress.blocked { Err(Stop::Blocked) } else { Ok(()) };
            }
        }
        let lost = || Failure::of_connection("the connection to the broker was lost");
        Err(Stop::Lost(progress.ended.take().unwrap_or_else(lost)))
    }

    fn kept(&self, broker: &Broker) -> Arc<KeptConnection<Exchanges>> {
        let mut brokers = self.0.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = brokers.get(broker) {
            return Arc::clone(kept);
        }
        if brokers.len() >= KEPT {
            brokers.retain(|_, kept| Arc::strong_count(kept) > 1 || !kept.is_forgettable());
        }
        let options = Arc::clone(&self.0.options);
        let new = Arc::new(KeptConnection::new(broker.clone(), Role::Publisher, options));
        brokers.insert(broker.clone(), Arc::clone(&new));
        new
    }
}

/// Makes sure of the exchange, and takes a channel.
async fn prepare(
    live: &Live<Exchanges>,
    chunk: &Publish,
    declaring: Declaring<'_>,
    phase: &mut Phase,
) -> Result<HeldChannel, Stop> {
    let lost = || {
        let reason = live.connection.reason();
        Stop::Lost(Failure::of_connection(
            reason.unwrap_or("the connection to the broker was lost"),
        ))
    };
    let known = live.known.get(&chunk.exchange);
    *phase = Phase::Waiting;
    let at_exchange = known.place().await.ok_or_else(lost)?;
    let at_connection = live.connection.place().await.ok_or_else(lost)?;
    *phase = Phase::Preparing;
    let ensured = known.ensure(&live.connection, &chunk.exchange, declaring).await;
    ensured.map_err(|unusable| match unusable {
        Unusable::Refused(failure) => Stop::Exchange(failure),
        Unusable::Lost(failure) => Stop::Lost(failure),
        Unusable::Unconnected(why) => Stop::Unconnected(why),
    })?;
    let channel = live.connection.channel().await;
    let channel = channel.map_err(|error| match error {
        Unanswered::Full => Stop::Unconnected(Unconnected::Full),
        Unanswered::Failed(failure) => Stop::Lost(failure),
    })?;
    let metrics = declaring.options.metrics.clone();
    let places = vec![at_exchange, at_connection];
    Ok(HeldChannel::new(Arc::clone(&live.connection), channel, metrics, places))
}
