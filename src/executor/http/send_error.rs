//! The reasons why a request has no answer. `client` and `egress` give them; `run` turns them into
//! a reply.

use crate::executor::outbound::local_error::LocalError;

/// The reason why a request has no answer. Texts are for people, without the URL.
pub(super) enum SendError {
    /// A call must not go there, for this reason. That says nothing about the receiver.
    NotAllowed(String),
    /// The call itself is at fault: it was not tried.
    NotSent(String),
    /// This node lacks something: the call was not tried.
    Local(LocalError),
    /// There is no connection: nothing listens there, or the receiver is not the expected one.
    Unreachable(String),
    /// The connection or the receiver failed, or no connection was made in time.
    Receiver(String),
}
