//! Chunks of messages, as they are published. `render` and `chunk` make them, `pool` sends them.
//! Data only.

use super::broker::{Broker, Exchange};
use crate::executor::broker::message::Message;

/// The chunk of one call: messages for one exchange of one broker, at most [`Publish::MOST`].
#[derive(Clone, Debug)]
pub(super) struct Publish {
    /// The broker.
    pub(super) broker: Broker,
    /// The exchange.
    pub(super) exchange: Exchange,
    /// Whether a message that reaches no queue is returned, and counts as failed.
    pub(super) mandatory: bool,
    /// The messages; jobs ascend.
    pub(super) messages: Vec<Message>,
}

impl Publish {
    /// The most messages of a chunk.
    pub(super) const MOST: usize = 1_024;
    /// The most bytes ([`Message::bytes`]) of a chunk of more than one message.
    pub(super) const MOST_BYTES: usize = 1 << 20;
}
