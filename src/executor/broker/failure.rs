//! The reasons why messages are not taken, in words for people, with the reply code of the broker
//! (AMQP 0-9-1, 1.2) where it gave one. The files that talk to a broker make them, `outcome` judges
//! them. No text holds a password: the broker is not told one in any place that it quotes.

use lapin::ErrorKind;

use crate::executor::outbound::error_text::chain;
use crate::executor::outbound::local_error::LocalError;
use crate::model::result_code::ResultCode;

/// The reply codes that `outcome` judges.
pub(crate) const NO_ROUTE: u16 = 312;
pub(crate) const NOT_FOUND: u16 = 404;

/// The reason why nothing is published where `EgressProxy` is set.
pub(crate) const BY_PROXY: &str =
    "EgressProxy is set on this node, and messages to brokers do not leave by a proxy";

/// A refusal by the broker, or the end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The reply code; `None` where the broker gave none.
    pub(crate) code: ResultCode,
    /// The reason.
    pub(crate) text: String,
    /// Whether it concerns one channel alone.
    pub(crate) of_channel: bool,
}

/// The reason why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The connection has no room for a channel.
    Full,
    /// The broker refuses, or the connection has failed.
    Failed(Failure),
}

/// The reason why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unconnected {
    /// This node lacks something.
    Local(LocalError),
    /// This node, or the project, has as many connections as it may have.
    Full,
    /// This node may call by `EgressProxy` only.
    ByProxy,
    /// The broker was not reached; `anybody` if nobody else can reach it either.
    Unreached {
        /// The reason.
        text: String,
        /// Whether no project can connect.
        anybody: bool,
    },
    /// The broker was reached, and refused the login or the virtual host.
    Refused(Failure),
}

impl Failure {
    /// A failure without a reply code.
    pub(crate) fn of_connection(text: impl Into<String>) -> Self {
        Self { code: ResultCode::None, text: text.into(), of_channel: false }
    }

    /// The failure behind an error of the library.
    pub(crate) fn of(error: &lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(reply) => {
                let (code, said) = (reply.get_id(), reply.get_message().as_str());
                let text = if said.is_empty() {
                    format!("the broker closed it with {code}")
                } else {
                    format!("{code} {said}")
                };
                let of_channel = error.is_amqp_soft_error();
                Self { code: ResultCode::Amqp(code), text, of_channel }
            }
            ErrorKind::IOError(why) => Self::of_connection(format!(
                "the connection to the broker was lost: {}",
                chain(&**why)
            )),
            ErrorKind::MissingHeartbeatError => {
                Self::of_connection("the connection to the broker was lost: it has become silent")
            }
            ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidChannel(_) => {
                Self::of_connection("the channel to the broker was closed")
            }
            ErrorKind::InvalidConnectionState(_) => {
                Self::of_connection("the connection to the broker was closed")
            }
            _ => Self::of_connection(format!("the broker is not understood: {}", chain(error))),
        }
    }

    /// The reply code as a number; 0 where the broker gave none.
    pub(crate) fn number(&self) -> u16 {
        if let ResultCode::Amqp(code) = self.code { code } else { 0 }
    }
}

impl Unconnected {
    /// The reason in words.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Local(local) => local.text(),
            Self::Full => "as many connections to brokers as there may be are open",
            Self::ByProxy => BY_PROXY,
            Self::Unreached { text, .. } | Self::Refused(Failure { text, .. }) => text,
        }
    }
}
