//! Messages as they are written. Their makers are the kind `amqp` and the bus, `publish` sends
//! them. Data only.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::model::JobId;

/// A message, of one occurrence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// The job.
    pub(crate) job: JobId,
    /// The id of the occurrence: `message_id`, and the header `scheduler-execution-id`, by which a
    /// return is attributed.
    pub(crate) execution: String,
    /// The routing key, at most 255 bytes.
    pub(crate) routing_key: String,
    /// The properties.
    pub(crate) properties: Properties,
    /// The body.
    pub(crate) body: Bytes,
}

impl Message {
    /// The bytes of the body, the texts and the headers, more or less: what it takes to hold it.
    pub(crate) fn bytes(&self) -> usize {
        let Properties { content_type, content_encoding, correlation_id, reply_to, kind, .. } =
            &self.properties;
        let texts = [&self.routing_key, content_type, content_encoding, correlation_id, reply_to];
        let texts = texts.into_iter().chain([kind, &self.execution]).map(String::len);
        let headers = self.properties.headers.iter();
        let headers = headers.map(|(name, value)| name.len() + value_bytes(value));
        self.body.len() + texts.sum::<usize>() + headers.sum::<usize>()
    }
}

/// The bytes of a header's value, at the most as it is written.
fn value_bytes(value: &Value) -> usize {
    const NUMBER: usize = 9;
    NUMBER
        + match value {
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(value_bytes).sum(),
            Value::Object(values) => {
                values.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

/// The properties of a message (AMQP 0-9-1, class `basic`); empty texts are not sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Properties {
    /// The MIME type of the body.
    pub(crate) content_type: String,
    /// The MIME encoding of the body.
    pub(crate) content_encoding: String,
    /// The headers. An integer travels as a 32-bit one if it fits, else as a 64-bit one, a fraction
    /// as a double, lists and objects as arrays and tables, `true`, `false` and `null` as such.
    pub(crate) headers: Map<String, Value>,
    /// Whether queues write the message to disk (delivery mode 2).
    pub(crate) persistent: bool,
    /// The priority.
    pub(crate) priority: Option<u8>,
    /// The correlation id.
    pub(crate) correlation_id: String,
    /// The queue for replies.
    pub(crate) reply_to: String,
    /// The time that the message may wait in a queue, in milliseconds.
    pub(crate) expiration: Option<u64>,
    /// The instant at which it was made, in seconds since 1970.
    pub(crate) timestamp: u64,
    /// The name of the message's type.
    pub(crate) kind: String,
}
