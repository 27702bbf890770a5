//! The publishing of one chunk over one channel, which nobody else uses meanwhile. `pool` calls it.
//!
//! The client library numbers a message when its future is first polled, and queues it in the same
//! poll. So all futures are made and polled once, in order, by one task; then the writes are waited
//! for, and then the confirms. The library attaches a returned message to whichever confirm comes
//! next. So a return is attributed by the id of its message, when all confirms of the chunk are
//! there: a broker returns a message before it confirms it. Where a chunk ends before that, a
//! message that was confirmed counts as delivered unless its return is known.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{Channel, Confirmation, PublisherConfirm};

use super::failure::Failure;
use super::held::HeldChannel;
use super::message::{Message, Publish};
use super::values::{TooLong, properties, short};
use crate::delivery::call_checks::SendCheck;

/// The time after which a wait looks whether the channel is still open: the library forgets
/// messages that are queued while it closes.
const LOOK: Duration = Duration::from_secs(1);

/// What became of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was not handed over.
    #[default]
    Unsent,
    /// It cannot be written.
    Unwritable(TooLong),
    /// It was handed over, and nothing is known.
    Sent,
    /// The broker has it (ack).
    Taken,
    /// The broker does not take it (nack).
    Rejected,
    /// It reached no queue, and was returned: the reply code and text.
    Returned(u16, String),
}

/// A chunk under way.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The fate of each message.
    pub(super) fates: Vec<Fate>,
    /// The reason why the rest is not known, if the channel or the connection has ended.
    pub(super) ended: Option<Failure>,
    /// Whether the connection was blocked before all were handed over.
    pub(super) blocked: bool,
    /// The most messages that may be handed over.
    most: usize,
    /// The returned messages, by their ids.
    returned: HashMap<String, (u16, String)>,
}

type Publishing<'a> = Pin<Box<dyn Future<Output = lapin::Result<PublisherConfirm>> + Send + 'a>>;

impl Progress {
    /// A chunk of so many messages, none of which was handed over, and at most so many may be.
    pub(super) fn new(messages: usize, most: Option<usize>) -> Self {
        let most = most.unwrap_or(messages);
        Self { fates: vec![Fate::Unsent; messages], most, ..Self::default() }
    }

    /// Whether some message was handed over.
    pub(super) fn has_begun(&self) -> bool {
        self.fates.iter().any(|fate| !matches!(fate, Fate::Unsent | Fate::Unwritable(_)))
    }

    /// Publishes a chunk, and waits until each message that was handed over is decided about, or
    /// the channel has ended.
    pub(super) async fn publish(
        &mut self,
        held: &mut HeldChannel,
        chunk: &Publish,
        check: &Arc<SendCheck>,
    ) {
        let channel = held.channel().clone();
        let handed = self.hand_over(held, &channel, chunk, check);
        let mut confirms = Vec::with_capacity(handed.len());
        for (n, publishing) in handed {
            match settle(publishing, &channel).await {
                Some(Ok(confirm)) => confirms.push((n, confirm)),
                Some(Err(error)) => self.end(held, &channel, &error),
                None => self.end_unknown(held),
            }
        }
        for (n, confirm) in confirms {
            match settle(confirm, &channel).await {
                Some(Ok(confirmation)) => {
                    held.confirmed();
                    self.fates[n] = match &confirmation {
                        Confirmation::Nack(_) => Fate::Rejected,
                        Confirmation::Ack(_) | Confirmation::NotRequested => Fate::Taken,
                    };
                    self.returned.extend(confirmation.take_message().and_then(told));
                }
                Some(Err(error)) => self.end(held, &channel, &error),
                None => self.end_unknown(held),
            }
        }
        if self.ended.is_none() {
            held.give_back();
        }
    }

    /// Hands the messages over, in order, as long as the lease and the call allow it.
    fn hand_over<'a>(
        &mut self,
        held: &HeldChannel,
        channel: &'a Channel,
        chunk: &'a Publish,
        check: &SendCheck,
    ) -> Vec<(usize, Publishing<'a>)> {
        let mut handed = Vec::with_capacity(chunk.messages.len());
        let options = BasicPublishOptions { mandatory: chunk.mandatory, immediate: false };
        let mut cx = Context::from_waker(Waker::noop());
        for (n, message) in chunk.messages.iter().enumerate() {
            let (key, exchange, properties) = match written(message, chunk) {
                Ok(parts) => parts,
                Err(error) => {
                    self.fates[n] = Fate::Unwritable(error);
                    continue;
                }
            };
            if handed.len() >= self.most {
                break;
            }
            if held.connection().is_blocked() {
                self.blocked = true;
                break;
            }
            if !check.passes() {
                break;
            }
            let publishing =
                channel.basic_publish(exchange, key, options, &message.body, properties);
            let mut publishing: Publishing<'a> = Box::pin(publishing);
            match publishing.as_mut().poll(&mut cx) {
                // It was refused at once: the channel is closed.
                Poll::Ready(Err(error)) => {
                    self.end(held, channel, &error);
                    break;
                }
                Poll::Ready(Ok(confirm)) => {
                    held.handed();
                    self.fates[n] = Fate::Sent;
                    handed.push((n, Box::pin(std::future::ready(Ok(confirm))) as Publishing<'a>));
                }
                Poll::Pending => {
                    held.handed();
                    self.fates[n] = Fate::Sent;
                    handed.push((n, publishing));
                }
            }
        }
        handed
    }

    /// Notes why the channel has ended. The reply of the broker says most.
    fn end(&mut self, held: &HeldChannel, channel: &Channel, error: &lapin::Error) {
        let failure = Failure::of(error);
        let says_more = self.ended.as_ref().is_none_or(|known| known.number() == 0);
        if says_more && (self.ended.is_none() || failure.number() != 0) {
            self.ended = Some(failure);
        }
        if !channel.status().connected()
            && let (Some(reason), Some(ended)) = (held.connection().reason(), &mut self.ended)
        {
            reason.clone_into(&mut ended.text);
        }
    }

    fn end_unknown(&mut self, held: &HeldChannel) {
        if self.ended.is_none() {
            let reason = held.connection().reason();
            let text = reason.unwrap_or("the channel to the broker was closed");
            self.ended = Some(Failure::of_connection(text));
        }
    }

    /// Attributes the returned messages. To be called when the chunk is over.
    pub(super) fn attribute(&mut self, chunk: &Publish) {
        if self.returned.is_empty() {
            return;
        }
        for (fate, message) in self.fates.iter_mut().zip(&chunk.messages) {
            if let Some((code, text)) = self.returned.remove(&message.execution) {
                *fate = Fate::Returned(code, text);
            }
        }
    }
}

/// The routing key, the exchange and the properties of a message.
fn written(
    message: &Message,
    chunk: &Publish,
) -> Result<(ShortString, ShortString, lapin::BasicProperties), TooLong> {
    let key = short("routingKey", &message.routing_key)?;
    Ok((key, short("exchange", &chunk.exchange.name)?, properties(message)?))
}

/// The id of a returned message, and why it was returned.
fn told(message: BasicReturnMessage) -> Option<(String, (u16, String))> {
    let id = message.delivery.properties.message_id().as_ref()?.as_str().to_owned();
    Some((id, (message.reply_code, message.reply_text.as_str().to_owned())))
}

/// Waits for the library; `None` if the channel has closed, and it does not say so.
async fn settle<T>(
    mut asked: impl Future<Output = lapin::Result<T>> + Unpin,
    channel: &Channel,
) -> Option<lapin::Result<T>> {
    loop {
        match tokio::time::timeout(LOOK, &mut asked).await {
            Ok(answer) => return Some(answer),
            Err(_) if channel.status().connected() => {}
            Err(_) => return None,
        }
    }
}
