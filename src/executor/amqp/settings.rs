//! The settings of an executor or of a job as they are stored: JSON, in camelCase, with the
//! password sealed. `validate` makes them, everything else reads them. Fields are only added, each
//! with a default; what a newer program has added is left alone by an older one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::broker::{Broker, Declare, Exchange};
use super::content::Content;
use crate::model::call_target::CallTarget;
use crate::model::target::AMQP;

/// The settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    /// The broker, with the login.
    pub(super) broker: Broker,
    /// How the exchange is declared; `None` if it must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) declare: Option<Declare>,
    /// The fields that a job's message may replace; exchange and routing key are given.
    pub(super) content: Content,
    /// Whether body or data is base64, which is decoded before it is sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) base64: bool,
    /// The MIME encoding of the body, with placeholders.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) content_encoding: String,
    /// The name of the message's type, with placeholders.
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    /// The queue for replies, with placeholders.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) reply_to: String,
    /// Whether queues write messages to disk.
    pub(super) persistent: bool,
    /// Whether a message that reaches no queue counts as failed.
    pub(super) mandatory: bool,
}

impl Settings {
    /// Reads stored settings. The error is for people and quotes nothing.
    pub(super) fn read(stored: &Value) -> Result<Self, String> {
        Self::deserialize(stored).map_err(|_| {
            "the amqp settings cannot be read: a newer program has written them, or they are \
             damaged; set them anew"
                .to_owned()
        })
    }

    /// Reads the settings of a target.
    pub(super) fn of(target: &CallTarget) -> Result<Self, String> {
        match target {
            CallTarget::Settings(own) if own.kind == AMQP => Self::read(&own.settings),
            _ => Err("it is no target of this type".to_owned()),
        }
    }

    /// The exchange of a name. The declaration is that of the settings' own exchange: another one
    /// must be there.
    pub(super) fn exchange(&self, name: &str) -> Exchange {
        let own = self.content.exchange.as_deref() == Some(name);
        Exchange { name: name.to_owned(), declare: self.declare.clone().filter(|_| own) }
    }
}
