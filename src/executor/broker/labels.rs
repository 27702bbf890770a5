//! The labels of messages: what each message states about itself in its headers. The kind `amqp`
//! and the bus add them right before a message goes.

use serde_json::{Map, Value};

use super::message::Message;
use crate::delivery::batch::Labels;
use crate::executor::trace_context::push_traceparent;

/// Adds the labels of a message: with the text of the scheduled instant, and with the execution id
/// where the message has another one. Its own `traceparent` stays.
pub(crate) fn label(
    message: &mut Message,
    labels: &Labels<'_>,
    (scheduled, execution): (&str, Option<&str>),
) {
    message.properties.timestamp = labels.now.max(0).cast_unsigned() / 1_000;
    let headers = &mut message.properties.headers;
    set(headers, "scheduler-execution-id", execution.unwrap_or(&message.execution));
    set(headers, "scheduler-job-id", message.job);
    set(headers, "scheduler-scheduled-at", scheduled);
    set(headers, "scheduler-attempt", labels.attempt);
    set(headers, "scheduler-shard", labels.shard);
    set(headers, "scheduler-fence", labels.epoch);
    headers.entry("traceparent").or_insert_with(|| {
        let mut trace = String::with_capacity(55);
        push_traceparent(&mut trace);
        trace.into()
    });
}

/// Sets a header.
pub(crate) fn set(headers: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    headers.insert(name.to_owned(), value.into());
}
