//! Values as AMQP types them: the properties of a message, and the tables of headers and arguments
//! (AMQP 0-9-1, 4.2.5, as RabbitMQ reads it). `publish` and `exchanges` ask. Pure.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};
use serde_json::{Map, Value};

use super::message::Message;

/// The name that messages say they come from.
const APP: &str = "scheduler0";
/// The delivery mode of a message that queues write to disk.
const PERSISTENT: u8 = 2;

/// A text of more than 255 bytes where AMQP allows no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has more than 255 bytes")]
pub(super) struct TooLong(pub(super) &'static str);

/// A short text.
pub(super) fn short(field: &'static str, text: &str) -> Result<ShortString, TooLong> {
    ShortString::try_new(text).map_err(|_| TooLong(field))
}

/// A table. An integer travels as a 32-bit one if it fits, else as a 64-bit one, and one that is
/// beyond that as a double.
pub(super) fn table(values: &Map<String, Value>) -> Result<FieldTable, TooLong> {
    let mut table = FieldTable::default();
    for (name, value) in values {
        table.insert(short("the name of a header", name)?, typed(value)?);
    }
    Ok(table)
}

fn typed(value: &Value) -> Result<AMQPValue, TooLong> {
    Ok(match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(value) => AMQPValue::Boolean(*value),
        Value::String(text) => AMQPValue::LongString(LongString::from(text.as_str())),
        Value::Array(values) => {
            let values = values.iter().map(typed).collect::<Result<Vec<_>, _>>()?;
            AMQPValue::FieldArray(FieldArray::from(values))
        }
        Value::Object(values) => AMQPValue::FieldTable(table(values)?),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => {
                i32::try_from(whole).map_or(AMQPValue::LongLongInt(whole), AMQPValue::LongInt)
            }
            (None, Some(fraction)) => AMQPValue::Double(fraction),
            // Numbers are kept as integers or doubles, so this does not happen.
            (None, None) => AMQPValue::Void,
        },
    })
}

/// The properties of a message; empty texts are left out.
pub(super) fn properties(message: &Message) -> Result<BasicProperties, TooLong> {
    let from = &message.properties;
    let mut to = BasicProperties::default()
        .with_message_id(short("the execution id", &message.execution)?)
        .with_app_id(short("the name", APP)?)
        .with_timestamp(from.timestamp);
    if from.persistent {
        to = to.with_delivery_mode(PERSISTENT);
    }
    if !from.headers.is_empty() {
        to = to.with_headers(table(&from.headers)?);
    }
    if let Some(priority) = from.priority {
        to = to.with_priority(priority);
    }
    if let Some(expiration) = from.expiration {
        to = to.with_expiration(short("expiration", &expiration.to_string())?);
    }
    type Set = fn(BasicProperties, ShortString) -> BasicProperties;
    let texts: [(&'static str, &str, Set); 5] = [
        ("contentType", &from.content_type, BasicProperties::with_content_type),
        ("contentEncoding", &from.content_encoding, BasicProperties::with_content_encoding),
        ("correlationId", &from.correlation_id, BasicProperties::with_correlation_id),
        ("replyTo", &from.reply_to, BasicProperties::with_reply_to),
        ("type", &from.kind, BasicProperties::with_type),
    ];
    for (field, text, set) in texts {
        if !text.is_empty() {
            to = set(to, short(field, text)?);
        }
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::super::message::Properties;
    use super::*;

    fn typed_json(value: Value) -> AMQPValue {
        typed(&value).unwrap()
    }

    #[test]
    fn each_json_type_has_an_amqp_type() {
        assert_eq!(typed_json(json!(7)), AMQPValue::LongInt(7));
        assert_eq!(typed_json(json!(i32::MIN)), AMQPValue::LongInt(i32::MIN));
        assert_eq!(typed_json(json!(1_i64 << 31)), AMQPValue::LongLongInt(1 << 31));
        assert_eq!(typed_json(json!(u64::MAX)), AMQPValue::Double(u64::MAX as f64));
        assert_eq!(typed_json(json!(1.5)), AMQPValue::Double(1.5));
        assert_eq!(typed_json(json!(true)), AMQPValue::Boolean(true));
        assert_eq!(typed_json(Value::Null), AMQPValue::Void);
        let list = FieldArray::from(vec![AMQPValue::LongInt(1), AMQPValue::Void]);
        assert_eq!(typed_json(json!([1, null])), AMQPValue::FieldArray(list));
        let mut inner = FieldTable::default();
        inner.insert("a".into(), AMQPValue::LongString("ü".into()));
        assert_eq!(typed_json(json!({"a": "ü"})), AMQPValue::FieldTable(inner));
        let long = "n".repeat(256);
        assert!(typed(&json!({ long: 1 })).is_err());
    }

    #[test]
    fn empty_texts_are_not_sent_and_long_ones_are_named() {
        let mut message = Message {
            job: 1,
            execution: "e".to_owned(),
            routing_key: String::new(),
            properties: Properties { timestamp: 5, expiration: Some(60), ..Properties::default() },
            body: Bytes::new(),
        };
        let sent = properties(&message).unwrap();
        assert_eq!(sent.message_id().as_ref().map(ShortString::as_str), Some("e"));
        assert_eq!(sent.expiration().as_ref().map(ShortString::as_str), Some("60"));
        assert_eq!(
            (sent.content_type(), sent.headers(), sent.delivery_mode()),
            (&None, &None, &None)
        );
        message.properties.correlation_id = "c".repeat(256);
        assert_eq!(properties(&message), Err(TooLong("correlationId")));
    }
}
