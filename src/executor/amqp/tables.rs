//! Tables of names and values: headers and arguments. Their bounds, and the number of bytes that
//! they take in a frame (AMQP 0-9-1, 4.2.5, as RabbitMQ reads it). `content` and `validate` check
//! what is written, `headers` what was filled in.

use serde_json::{Map, Value};

use super::fields::{LONGEST_SHORT, placeholders};
use crate::delivery::executor::Invalid;
use crate::executor::headers::{as_read, identifies_request};
use crate::executor::template::Place;

/// The most names of a table.
const MOST_NAMES: usize = 64;
/// The most bytes of a table in a frame: headers travel in one frame, of which brokers allow 4 KB
/// at the least and 128 KB as a rule.
pub(super) const MOST_BYTES: usize = 8 * 1_024;
/// The deepest nesting of lists and objects.
const DEEPEST: usize = 8;
/// The first number that is no signed 64-bit integer: 2^63.
const INTEGERS_END: f64 = 9_223_372_036_854_775_808.0;

/// Reads the headers of messages: texts may have placeholders, and some names are ours.
pub(super) fn headers(field: &'static str, value: &Value) -> Result<Map<String, Value>, Invalid> {
    let table = table(field, value)?;
    for (name, value) in &table {
        let lower = name.to_ascii_lowercase();
        if identifies_request(&as_read(&lower)) {
            let message = format!("{field} must not set {}: the sender does", shown(name));
            return Err(Invalid::unfit(field, message));
        }
        each_text(value, &mut |text| placeholders(field, text, Place::Plain).map(drop))?;
    }
    Ok(table)
}

/// Reads a table of values that are sent as they are.
pub(super) fn table(field: &'static str, value: &Value) -> Result<Map<String, Value>, Invalid> {
    let wrong = |message: String| Invalid::new(field, message);
    let Value::Object(table) = value else {
        return Err(wrong(format!("{field} must be an object of names and values")));
    };
    if table.len() > MOST_NAMES {
        return Err(wrong(format!("{field} may hold {MOST_NAMES} names")));
    }
    check_names(field, table, 1)?;
    if size(table) > MOST_BYTES {
        return Err(wrong(format!("{field} may hold {MOST_BYTES} bytes in all")));
    }
    Ok(table.clone())
}

fn check_names(
    field: &'static str,
    table: &Map<String, Value>,
    depth: usize,
) -> Result<(), Invalid> {
    for (name, value) in table {
        let is_wrong = name.is_empty() || name.len() > LONGEST_SHORT;
        if is_wrong || name.contains("{{") || name.chars().any(char::is_control) {
            let message = format!(
                "{field}: a name must have 1 to {LONGEST_SHORT} bytes, and no placeholders or \
                 control characters"
            );
            return Err(Invalid::new(field, message));
        }
        check_value(field, name, value, depth)?;
    }
    Ok(())
}

fn check_value(
    field: &'static str,
    name: &str,
    value: &Value,
    depth: usize,
) -> Result<(), Invalid> {
    match value {
        Value::Array(_) | Value::Object(_) if depth >= DEEPEST => {
            let name = shown(name);
            let message = format!("{field}: {name} is nested deeper than {DEEPEST} levels");
            Err(Invalid::new(field, message))
        }
        Value::Array(list) => {
            list.iter().try_for_each(|value| check_value(field, name, value, depth + 1))
        }
        Value::Object(table) => check_names(field, table, depth + 1),
        // Beyond 64 bits the reader of JSON makes integers doubles, which have fewer digits.
        Value::Number(number)
            if number.as_i64().is_none()
                && number.as_f64().is_none_or(|number| number.abs() >= INTEGERS_END) =>
        {
            let name = shown(name);
            let message = format!(
                "{field}: {name} has a number that is beyond a signed 64-bit integer: write it as \
                 text"
            );
            Err(Invalid::new(field, message))
        }
        _ => Ok(()),
    }
}

/// The beginning of a name, for errors.
fn shown(name: &str) -> String {
    name.chars().take(40).collect()
}

/// Calls `check` for each text in a value.
fn each_text(
    value: &Value,
    check: &mut dyn FnMut(&str) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    match value {
        Value::String(text) => check(text),
        Value::Array(list) => list.iter().try_for_each(|value| each_text(value, check)),
        Value::Object(table) => table.values().try_for_each(|value| each_text(value, check)),
        _ => Ok(()),
    }
}

/// The number of bytes of a table in a frame, without its own length.
pub(super) fn size(table: &Map<String, Value>) -> usize {
    table.iter().map(|(name, value)| 1 + name.len() + value_size(value)).sum()
}

/// The number of bytes of a value, with the octet of its type.
fn value_size(value: &Value) -> usize {
    1 + match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(number) => match number.as_i64() {
            Some(whole) if i32::try_from(whole).is_ok() => 4,
            _ => 8,
        },
        Value::String(text) => 4 + text.len(),
        Value::Array(list) => 4 + list.iter().map(value_size).sum::<usize>(),
        Value::Object(table) => 4 + size(table),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::executor::Fault;

    const FIELD: &str = "amqp.headers";

    #[test]
    fn headers_are_read_with_their_types() {
        let given = json!({
            "x-delay": 5_000, "big": i64::MAX, "part": 0.5, "yes": true, "none": null,
            "list": [1, "{{data}}", {"deep": []}], "UPPER_case": "{{jobId}} {{{{}}",
        });
        assert_eq!(Value::Object(headers(FIELD, &given).unwrap()), given);
    }

    /// A value as the reader of JSON makes it.
    fn from_text(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_stay_what_they_are_when_they_are_stored_and_read_again() {
        let mut bits = 0x3ff0_0000_0000_0001_u64;
        for _ in 0..10_000 {
            // Steps through all exponents below 2^63, with mantissas of all kinds.
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = f64::from_bits(bits % INTEGERS_END.to_bits());
            let given = json!({"a": number});
            let again = from_text(&given.to_string());
            assert_eq!(again["a"].as_f64().map(f64::to_bits), Some(number.to_bits()), "{number}");
            assert_eq!(Value::Object(headers(FIELD, &again).unwrap()), given);
        }
        for whole in [i64::MIN, i64::MAX] {
            let read = headers(FIELD, &from_text(&format!("{{\"a\":{whole}}}"))).unwrap();
            assert_eq!(read["a"].as_i64(), Some(whole));
        }
    }

    #[test]
    fn what_is_no_table_is_refused_by_name() {
        let many: Map<_, _> = (0..65).map(|n| (n.to_string(), json!(n))).collect();
        let mut deep = json!(1);
        for _ in 0..8 {
            deep = json!([deep]);
        }
        for (given, part) in [
            (json!([]), "must be an object"),
            (json!("a: b"), "must be an object"),
            (Value::Object(many), "64 names"),
            (json!({"a": "x".repeat(MOST_BYTES)}), "8192 bytes"),
            (json!({"": 1}), "a name must have 1 to 255 bytes"),
            (json!({"n".repeat(256): 1}), "a name must have 1 to 255 bytes"),
            (json!({"a{{data}}": 1}), "no placeholders"),
            (json!({"a": {"b\n": 1}}), "control characters"),
            (json!({"a": deep}), "a is nested deeper than 8 levels"),
            (json!({"a": u64::MAX}), "a has a number that is beyond"),
            (json!({"a": [{"b": u64::MAX}]}), "b has a number that is beyond"),
            (from_text(r#"{"a":18446744073709551616}"#), "a has a number that is beyond"),
            (from_text(r#"{"a":-9223372036854775809}"#), "a has a number that is beyond"),
        ] {
            let error = headers(FIELD, &given).unwrap_err();
            assert_eq!((error.field, error.fault), (FIELD, Fault::Value));
            assert!(error.message.starts_with(FIELD) && error.message.contains(part), "{error}");
        }
        for (given, part) in [
            (json!({"scheduler-fence": 1}), "must not set scheduler-fence"),
            (json!({"Webhook_Id": "a"}), "must not set Webhook_Id"),
            (json!({"a": [{"b": "{{nobody}}"}]}), "nobody fills in {{nobody}}"),
        ] {
            let error = headers(FIELD, &given).unwrap_err();
            assert_eq!((error.field, error.fault), (FIELD, Fault::Unfit));
            assert!(error.message.contains(part), "{error}");
        }
        let arguments = json!({"scheduler-x": "{{as it is}}"});
        assert!(table("amqp.declare.arguments", &arguments).is_ok(), "no headers");
    }

    #[test]
    fn the_size_of_a_table_is_that_of_its_frame() {
        let sized = |value: Value| value.as_object().map(size).unwrap();
        assert_eq!(sized(json!({})), 0);
        assert_eq!(sized(json!({"ab": 1})), 1 + 2 + 1 + 4);
        assert_eq!(sized(json!({"a": 1_u64 << 40, "b": 0.5})), 2 * (1 + 1 + 1 + 8));
        assert_eq!(sized(json!({"a": "é", "b": null, "c": true})), 2 + 7 + 2 + 1 + 2 + 2);
        assert_eq!(sized(json!({"a": [1, {"b": "c"}]})), 2 + 5 + 5 + 5 + 2 + 6);
    }
}
