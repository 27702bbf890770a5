//! The fields that a job's `message` and the settings have in common: what a message says and by
//! which route it goes. `validate` reads both; a stored `message` is read again when messages are
//! written. It has no secret.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::fields::{Field, Owner, body, expiration, name, priority, short};
use super::tables::headers;
use crate::delivery::executor::Invalid;
use crate::schedule::show_duration;

/// The name of the exchange, in errors.
pub(super) const EXCHANGE: Field = Field("amqp.exchange", "message.exchange");
/// The routing key.
pub(super) const ROUTING_KEY: Field = Field("amqp.routingKey", "message.routingKey");
/// The headers.
pub(super) const HEADERS: Field = Field("amqp.headers", "message.headers");
/// The body.
pub(super) const BODY: Field = Field("amqp.body", "message.body");
/// The correlation id.
pub(super) const CORRELATION_ID: Field = Field("amqp.correlationId", "message.correlationId");
const CONTENT_TYPE: Field = Field("amqp.contentType", "message.contentType");
const PRIORITY: Field = Field("amqp.priority", "message.priority");
const EXPIRATION: Field = Field("amqp.expiration", "message.expiration");

/// The names of the fields, as a list for errors.
pub(super) const FIELDS: &str =
    "exchange, routingKey, headers, body, contentType, priority, expiration, correlationId";

/// The fields, as far as they are given.
#[expect(clippy::struct_field_names, reason = "the fields have the names of their properties")]
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Content {
    /// The name of the exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exchange: Option<String>,
    /// The routing key, with placeholders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) routing_key: Option<String>,
    /// Headers; placeholders stand in texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) headers: Option<Map<String, Value>>,
    /// The body, with placeholders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    /// The MIME type of the body, with placeholders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    /// The priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<u8>,
    /// The time that the message may wait in a queue, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expiration: Option<u64>,
    /// The correlation id, with placeholders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlation_id: Option<String>,
}

impl Content {
    /// Takes a field that is not null; `false` for one that is none of these.
    pub(super) fn take(&mut self, of: Owner, field: &str, value: &Value) -> Result<bool, Invalid> {
        match field {
            "exchange" => self.exchange = Some(name(of.name(EXCHANGE), value)?),
            "routingKey" => self.routing_key = Some(short(of.name(ROUTING_KEY), value)?),
            "headers" => self.headers = Some(headers(of.name(HEADERS), value)?),
            "body" => self.body = Some(body(of.name(BODY), value)?),
            "contentType" => self.content_type = Some(short(of.name(CONTENT_TYPE), value)?),
            "priority" => self.priority = Some(priority(of.name(PRIORITY), value)?),
            "expiration" => self.expiration = Some(expiration(of.name(EXPIRATION), value)?),
            "correlationId" => self.correlation_id = Some(short(of.name(CORRELATION_ID), value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads a `message`. Names are in camelCase.
    pub(super) fn message(given: &Value) -> Result<Self, Invalid> {
        const OWNER: Owner = Owner::Message;
        let wrong = |message| Invalid::new(OWNER.own_name(), message);
        let Value::Object(object) = given else {
            return Err(wrong(format!("message must be an object with {FIELDS}")));
        };
        let mut content = Self::default();
        for (field, value) in object {
            if !value.is_null() && !content.take(OWNER, field, value)? {
                return Err(wrong(unknown(OWNER, field, FIELDS)));
            }
        }
        Ok(content)
    }

    /// These fields, and where one is not given that of `base`.
    pub(super) fn over(&self, base: &Self) -> Self {
        let Self { exchange, routing_key, headers, body, .. } = self.clone();
        Self {
            exchange: exchange.or_else(|| base.exchange.clone()),
            routing_key: routing_key.or_else(|| base.routing_key.clone()),
            headers: headers.or_else(|| base.headers.clone()),
            body: body.or_else(|| base.body.clone()),
            content_type: self.content_type.clone().or_else(|| base.content_type.clone()),
            priority: self.priority.or(base.priority),
            expiration: self.expiration.or(base.expiration),
            correlation_id: self.correlation_id.clone().or_else(|| base.correlation_id.clone()),
        }
    }

    /// The fields as clients see them.
    pub(super) fn show(&self) -> Map<String, Value> {
        let expiration = self.expiration.map(shown_duration);
        let fields = [
            ("exchange", self.exchange.as_ref().map(|text| json!(text))),
            ("routingKey", self.routing_key.as_ref().map(|text| json!(text))),
            ("headers", self.headers.as_ref().map(|table| json!(table))),
            ("body", self.body.as_ref().map(|text| json!(text))),
            ("contentType", self.content_type.as_ref().map(|text| json!(text))),
            ("priority", self.priority.map(|number| json!(number))),
            ("expiration", expiration.map(Value::from)),
            ("correlationId", self.correlation_id.as_ref().map(|text| json!(text))),
        ];
        let set = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        set.collect()
    }
}

/// A duration as clients see it.
fn shown_duration(millis: u64) -> String {
    show_duration(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// The error of a field that nobody knows.
pub(super) fn unknown(of: Owner, field: &str, fields: &str) -> String {
    let field: String = field.chars().take(40).collect();
    format!("{} has no field {field}: it has {fields}", of.own_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_and_shown_as_it_was_given() {
        let given = json!({
            "exchange": "", "routingKey": "a.{{jobId}}", "headers": {"x-A_b": 1, "c": "{{data}}"},
            "body": "{{data}}", "contentType": "text/csv", "priority": 3, "expiration": "1m30s",
            "correlationId": "{{executionId}}",
        });
        let content = Content::message(&given).unwrap();
        assert_eq!(Value::Object(content.show()), given);
        assert_eq!(Content::message(&Value::Object(content.show())).unwrap(), content);
        let other = json!({"body": {"a": [1]}, "priority": null, "expiration": 1.5});
        let content = Content::message(&other).unwrap();
        let shown = json!({"body": "{\"a\":[1]}", "expiration": "1s500ms"});
        assert_eq!(Value::Object(content.show()), shown);
        assert_eq!(Content::message(&shown).unwrap(), content);
    }

    #[test]
    fn a_message_replaces_whole_fields() {
        let read = |given| Content::message(&given).unwrap();
        let base = json!({"exchange": "e", "routingKey": "r", "headers": {"a": 1}, "body": "b",
            "contentType": "t/t", "priority": 1, "expiration": "1s", "correlationId": "c"});
        assert_eq!(read(json!({})).over(&read(base.clone())), read(base.clone()));
        let own = json!({"exchange": "", "routingKey": "", "headers": {"b": 2}, "body": "",
            "contentType": "", "priority": 0, "expiration": 0, "correlationId": ""});
        assert_eq!(read(own.clone()).over(&read(base)), read(own));
    }

    #[test]
    fn errors_name_the_field_of_the_message() {
        for (given, field, part) in [
            (json!(5), "message", "must be an object with exchange"),
            (json!({"routing_key": "a"}), "message", "has no field routing_key"),
            (json!({"url": "amqp://u:hunter2@h"}), "message", "has no field url"),
            (json!({"exchange": 5}), "message.exchange", "must be text"),
            (json!({"exchange": "{{data}}"}), "message.exchange", "no placeholders"),
            (json!({"routingKey": "{{x}}"}), "message.routingKey", "nobody fills in"),
            (json!({"headers": 5}), "message.headers", "must be an object"),
            (json!({"body": "{{x}}"}), "message.body", "nobody fills in"),
            (json!({"contentType": []}), "message.contentType", "must be text"),
            (json!({"priority": 256}), "message.priority", "0 to 255"),
            (json!({"expiration": "soon"}), "message.expiration", "not understood"),
            (json!({"correlationId": true}), "message.correlationId", "must be text"),
        ] {
            let error = Content::message(&given).unwrap_err();
            assert_eq!(error.field, field, "{given}");
            assert!(error.message.starts_with(field) && error.message.contains(part), "{error}");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
    }
}
