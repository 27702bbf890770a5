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
/// The bytes of a header frame without properties: the head of the frame and its end, the class,
/// the weight, the size of the body, the flags.
const HEADER_FRAME: usize = 7 + 1 + 2 + 2 + 8 + 2;

/// A text of more than 255 bytes where AMQP allows no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has more than 255 bytes")]
pub(crate) struct TooLong(pub(crate) &'static str);

/// The reason why a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unwritable {
    /// A text is too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The header frame is too large: AMQP has no way to split it.
    #[error("its properties and headers have {bytes} bytes: the broker takes at most {most}")]
    TooMuch {
        /// The bytes of the frame.
        bytes: usize,
        /// The most that the broker takes.
        most: usize,
    },
}

/// A short text.
pub(crate) fn short(field: &'static str, text: &str) -> Result<ShortString, TooLong> {
    ShortString::try_new(text).map_err(|_| TooLong(field))
}

/// A table. An integer travels as a 32-bit one if it fits, else as a 64-bit one. (`tables` refuses
/// one that is beyond that.)
pub(crate) fn table(values: &Map<String, Value>) -> Result<FieldTable, TooLong> {
    let mut table = FieldTable::default();
    for (name, value) in values {
        table.insert(short("the name of a header", name)?, typed(value)?);
    }
    Ok(table)
}

/// The bytes of a table, with its length.
pub(crate) fn table_bytes(table: &FieldTable) -> usize {
    let entries = table.inner().iter();
    4 + entries.map(|(name, value)| 1 + name.as_str().len() + typed_bytes(value)).sum::<usize>()
}

/// The bytes of a value, with its type. [`typed`] makes no other types than these.
fn typed_bytes(value: &AMQPValue) -> usize {
    1 + match value {
        AMQPValue::Boolean(_) => 1,
        AMQPValue::LongInt(_) => 4,
        AMQPValue::LongLongInt(_) | AMQPValue::Double(_) => 8,
        AMQPValue::LongString(text) => 4 + text.as_bytes().len(),
        AMQPValue::FieldArray(values) => {
            4 + values.as_slice().iter().map(typed_bytes).sum::<usize>()
        }
        AMQPValue::FieldTable(table) => table_bytes(table),
        _ => 0,
    }
}

/// The bytes of the header frame of a message with these properties, as [`properties`] makes them.
pub(crate) fn header_bytes(properties: &BasicProperties) -> usize {
    let texts = [
        properties.content_type(),
        properties.content_encoding(),
        properties.correlation_id(),
        properties.reply_to(),
        properties.expiration(),
        properties.message_id(),
        properties.kind(),
        properties.app_id(),
    ];
    let texts = texts.into_iter().flatten().map(|text| 1 + text.as_str().len());
    let headers = properties.headers().as_ref().map_or(0, table_bytes);
    let octets = [properties.delivery_mode(), properties.priority()];
    let octets = octets.into_iter().flatten().count();
    let timestamp = properties.timestamp().map_or(0, |_| 8);
    HEADER_FRAME + texts.sum::<usize>() + headers + octets + timestamp
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

/// A setter of a property.
type Set = fn(BasicProperties, ShortString) -> BasicProperties;

/// The properties of a message; empty texts are left out.
pub(crate) fn properties(message: &Message) -> Result<BasicProperties, TooLong> {
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
    use lapin::protocol::basic::gen_properties;
    use serde_json::json;

    use super::super::message::Properties;
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "callers write JSON")]
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
    fn the_size_of_a_header_frame_is_what_the_library_writes() {
        let headers = json!({
            "flag": true, "none": null, "small": 1, "large": 1_i64 << 40, "half": 0.5,
            "list": [1, "two", [3]], "map": {"text": "ü", "map": {}},
        });
        let Value::Object(headers) = headers else { unreachable!() };
        let full = Properties {
            content_type: "application/json".to_owned(),
            content_encoding: "gzip".to_owned(),
            headers,
            persistent: true,
            priority: Some(3),
            correlation_id: "c".to_owned(),
            reply_to: "r".to_owned(),
            expiration: Some(60_000),
            timestamp: 5,
            kind: "k".to_owned(),
        };
        for properties_of in [full, Properties::default()] {
            let message = Message {
                job: 1,
                execution: "execution".to_owned(),
                routing_key: String::new(),
                properties: properties_of,
                body: Bytes::new(),
            };
            let properties = properties(&message).unwrap();
            let bytes = header_bytes(&properties);
            let written = gen_properties(&properties)(Vec::new().into()).unwrap().into_inner().0;
            // Beside the flags, which are among the properties there.
            assert_eq!(bytes, HEADER_FRAME - 2 + written.len());
        }
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
