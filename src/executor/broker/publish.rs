//! The publishing of one chunk over one channel, which nobody else uses meanwhile. The pool of the
//! kind `amqp` calls it, and the bus.
//!
//! The client library numbers a message when its future is first polled, and queues it in the same
//! poll. So all futures are made and polled once, in order, by one task; then the writes are waited
//! for, and then the confirms, in whatever order they come. A broker returns a message before it
//! confirms it, and `returns` has it before the library reads the confirm. So a message whose
//! confirm is known has reached a queue unless its return is known, also where the chunk ends
//! before all are confirmed: [`UnderWay`] then looks once at what is there.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{Channel, Confirmation, PublisherConfirm};

use super::failure::Failure;
use super::held::HeldChannel;
use super::message::Message;
use super::values::{Unwritable, header_bytes, properties, short};

/// The time after which a wait looks whether the channel is still open: the library forgets
/// messages that are queued while it closes.
const LOOK: Duration = Duration::from_secs(1);

/// What became of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was not handed over.
    #[default]
    Unsent,
    /// It cannot be written.
    Unwritable(Unwritable),
    /// It was handed over, and nothing is known.
    Sent,
    /// The broker has it (ack).
    Taken,
    /// The broker does not take it (nack).
    Rejected,
    /// It reached no queue, and was returned: the reply code and text.
    Returned(u16, String),
}

/// A message with the exchange that it goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    /// The exchange.
    pub(crate) exchange: &'a str,
    /// The message.
    pub(crate) message: &'a Message,
}

/// The answer to whether the next message may go, asked right before it is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may.
    Goes,
    /// It may not, and others may.
    Stays,
    /// Neither it nor what follows may.
    Ends,
}

/// The messages of a chunk, each with another id.
pub(crate) struct Chunk<'a> {
    /// The messages, in their order.
    pub(crate) messages: &'a [Outgoing<'a>],
    /// Whether a message that reaches no queue is returned.
    pub(crate) mandatory: bool,
}

/// A chunk under way.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The fate of each message.
    pub(crate) fates: Vec<Fate>,
    /// The reason why the rest is not known, if the channel or the connection has ended.
    pub(crate) ended: Option<Failure>,
    /// Whether the connection was blocked before all were handed over.
    pub(crate) blocked: bool,
    /// The most messages that may be handed over.
    most: usize,
    /// The returned messages, by their ids.
    returned: HashMap<String, (u16, String)>,
}

type Publishing<'a> = Pin<Box<dyn Future<Output = lapin::Result<PublisherConfirm>> + Send + 'a>>;

/// The messages of a chunk that were handed over. Dropping it notes what has become of them so far.
struct UnderWay<'a, 'b> {
    progress: &'b mut Progress,
    held: &'b HeldChannel,
    channel: &'a Channel,
    /// The messages by their places in the chunk, and what is waited for.
    messages: Vec<(usize, Waiting<'a>)>,
    /// The confirms that are waited for. One may come long after those of later messages.
    confirms: FuturesUnordered<Confirming>,
}

enum Waiting<'a> {
    Write(Publishing<'a>),
    Confirm(PublisherConfirm),
    Nothing,
}

/// The confirm of a message, by its place in the chunk.
struct Confirming(usize, PublisherConfirm);

impl Future for Confirming {
    type Output = (usize, lapin::Result<Confirmation>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let n = self.0;
        Pin::new(&mut self.1).poll(cx).map(|confirmed| (n, confirmed))
    }
}

impl Progress {
    /// A chunk of so many messages, none of which was handed over, and at most so many may be.
    pub(crate) fn new(messages: usize, most: Option<usize>) -> Self {
        let most = most.unwrap_or(messages);
        Self { fates: vec![Fate::Unsent; messages], most, ..Self::default() }
    }

    /// Whether some message was handed over.
    pub(crate) fn has_begun(&self) -> bool {
        self.fates.iter().any(|fate| !matches!(fate, Fate::Unsent | Fate::Unwritable(_)))
    }

    /// Publishes a chunk, and waits until each message that was handed over is decided about, or
    /// the channel has ended.
    pub(crate) async fn publish(
        &mut self,
        held: &mut HeldChannel,
        chunk: &Chunk<'_>,
        admit: impl FnMut(usize) -> Admission + Send,
    ) {
        self.publish_each(held, chunk, admit, |_, _| ()).await;
    }

    /// As [`Progress::publish`], and tells the fate of each message as soon as it is known: of one
    /// that the broker has decided about, that cannot be written, or that does not leave because
    /// the connection is blocked. The others are known at the end.
    pub(crate) async fn publish_each(
        &mut self,
        held: &mut HeldChannel,
        chunk: &Chunk<'_>,
        mut admit: impl FnMut(usize) -> Admission + Send,
        mut decided: impl FnMut(usize, &Fate) + Send,
    ) {
        let channel = held.channel().clone();
        held.connection().returns().begin(channel.id());
        let messages = self.hand_over(held, &channel, chunk, &mut admit);
        for (n, fate) in self.fates.iter().enumerate() {
            match fate {
                Fate::Unsent if self.blocked => decided(n, fate),
                Fate::Unwritable(_) => decided(n, fate),
                _ => {}
            }
        }
        let confirms = FuturesUnordered::new();
        let under_way = UnderWay { progress: self, held, channel: &channel, messages, confirms };
        under_way.wait(chunk, &mut decided).await;
        if self.ended.is_none() {
            held.give_back();
        }
    }

    /// Hands the messages over, in order, as long as the lease and the call allow it.
    fn hand_over<'a>(
        &mut self,
        held: &HeldChannel,
        channel: &'a Channel,
        chunk: &Chunk<'a>,
        admit: &mut (dyn FnMut(usize) -> Admission + Send),
    ) -> Vec<(usize, Waiting<'a>)> {
        let mut handed = Vec::with_capacity(chunk.messages.len());
        let options = BasicPublishOptions { mandatory: chunk.mandatory, immediate: false };
        let mut cx = Context::from_waker(Waker::noop());
        let frame_max = held.connection().frame_max();
        for (n, outgoing) in chunk.messages.iter().enumerate() {
            let (key, exchange, properties) = match written(outgoing, frame_max) {
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
            match admit(n) {
                Admission::Goes => {}
                Admission::Stays => continue,
                Admission::Ends => break,
            }
            let body = &outgoing.message.body;
            let publishing = channel.basic_publish(exchange, key, options, body, properties);
            let mut publishing: Publishing<'a> = Box::pin(publishing);
            match publishing.as_mut().poll(&mut cx) {
                // It was refused at once: the channel is closed.
                Poll::Ready(Err(error)) => {
                    self.end(held, channel, &error);
                    break;
                }
                polled => {
                    held.handed();
                    self.fates[n] = Fate::Sent;
                    handed.push((
                        n,
                        match polled {
                            Poll::Ready(Ok(confirm)) => Waiting::Confirm(confirm),
                            _ => Waiting::Write(publishing),
                        },
                    ));
                }
            }
        }
        handed
    }

    /// Notes what the broker has decided about a message.
    fn decided(&mut self, held: &HeldChannel, n: usize, confirmation: &Confirmation) {
        held.confirmed();
        self.fates[n] = match confirmation {
            Confirmation::Nack(_) => Fate::Rejected,
            Confirmation::Ack(_) | Confirmation::NotRequested => Fate::Taken,
        };
    }

    /// Notes why the channel has ended. The reply of the broker says most.
    fn end(&mut self, held: &HeldChannel, channel: &Channel, error: &lapin::Error) {
        let failure = held.connection().failure(error);
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

    /// Attributes the returned messages, by the ids of all of them in their order. To be called
    /// when the chunk is over.
    pub(crate) fn attribute<'m>(&mut self, messages: impl Iterator<Item = &'m Message>) {
        if self.returned.is_empty() {
            return;
        }
        for (fate, message) in self.fates.iter_mut().zip(messages) {
            if let Some((code, text)) = self.returned.remove(&message.execution) {
                *fate = Fate::Returned(code, text);
            }
        }
    }
}

impl UnderWay<'_, '_> {
    /// Waits until all messages are decided about, or the channel has ended.
    async fn wait(mut self, chunk: &Chunk<'_>, decided: &mut (dyn FnMut(usize, &Fate) + Send)) {
        let Self { progress, held, channel, messages, confirms } = &mut self;
        for (_, waiting) in messages.iter_mut() {
            let Waiting::Write(publishing) = waiting else { continue };
            let settled = settle(publishing, channel).await;
            *waiting = match settled {
                Some(Ok(confirm)) => Waiting::Confirm(confirm),
                Some(Err(error)) => {
                    progress.end(held, channel, &error);
                    Waiting::Nothing
                }
                None => {
                    progress.end_unknown(held);
                    Waiting::Nothing
                }
            };
        }
        for (n, waiting) in messages.iter_mut() {
            match std::mem::replace(waiting, Waiting::Nothing) {
                Waiting::Confirm(confirm) => confirms.push(Confirming(*n, confirm)),
                other => *waiting = other,
            }
        }
        while !confirms.is_empty() {
            match tokio::time::timeout(LOOK, confirms.next()).await {
                Ok(Some((n, Ok(confirmation)))) => {
                    progress.decided(held, n, &confirmation);
                    let id = &chunk.messages[n].message.execution;
                    if let Some(back) = held.connection().returns().of(channel.id(), id) {
                        progress.fates[n] = Fate::Returned(back.code, back.text);
                    }
                    decided(n, &progress.fates[n]);
                }
                Ok(Some((_, Err(error)))) => progress.end(held, channel, &error),
                Err(_) if !channel.status().connected() => return progress.end_unknown(held),
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// Notes what is known of a message, without waiting.
    fn look(progress: &mut Progress, held: &HeldChannel, n: usize, mut waiting: Waiting<'_>) {
        let mut cx = Context::from_waker(Waker::noop());
        if let Waiting::Write(publishing) = &mut waiting {
            let Poll::Ready(Ok(confirm)) = publishing.as_mut().poll(&mut cx) else { return };
            waiting = Waiting::Confirm(confirm);
        }
        if let Waiting::Confirm(confirm) = &mut waiting
            && let Poll::Ready(Ok(confirmation)) = Pin::new(confirm).poll(&mut cx)
        {
            progress.decided(held, n, &confirmation);
        }
    }
}

impl Drop for UnderWay<'_, '_> {
    fn drop(&mut self) {
        for (n, waiting) in std::mem::take(&mut self.messages) {
            Self::look(self.progress, self.held, n, waiting);
        }
        for Confirming(n, confirm) in std::mem::take(&mut self.confirms) {
            Self::look(self.progress, self.held, n, Waiting::Confirm(confirm));
        }
        // After the confirms: the returns of those that are known are there.
        let returned = self.held.connection().returns().end(self.channel.id()).into_iter();
        let returned = returned.map(|returned| (returned.id, (returned.code, returned.text)));
        self.progress.returned.extend(returned);
    }
}

/// The routing key, the exchange and the properties of a message.
fn written(
    Outgoing { exchange, message }: &Outgoing<'_>,
    frame_max: usize,
) -> Result<(ShortString, ShortString, lapin::BasicProperties), Unwritable> {
    let key = short("routingKey", &message.routing_key)?;
    let exchange = short("exchange", exchange)?;
    let properties = properties(message)?;
    match header_bytes(&properties) {
        bytes if bytes > frame_max => Err(Unwritable::TooMuch { bytes, most: frame_max }),
        _ => Ok((key, exchange, properties)),
    }
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
