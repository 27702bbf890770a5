//! Declarations of exchanges, as settings give them: `declare`, or the flat fields of older
//! programs (`exchange_type`, `durable`, `auto_delete`, `internal`, `no_wait`). `validate` reads
//! both, `show` shows the first.

use serde_json::{Map, Value, json};

use super::broker::Declare;
use super::fields::name;
use super::tables::table;
use crate::delivery::executor::Invalid;
use crate::executor::checks::flag;

const DECLARE: &str = "amqp.declare";
const TYPE: &str = "amqp.declare.type";
const FLAT_TYPE: &str = "amqp.exchangeType";

/// The types that every broker has.
const TYPES: [&str; 4] = ["direct", "topic", "fanout", "headers"];

/// The flat fields, as far as they are given.
#[derive(Default)]
pub(super) struct FlatFields {
    kind: Option<String>,
    durable: Option<bool>,
    auto_delete: Option<bool>,
    internal: Option<bool>,
}

impl FlatFields {
    /// Takes a field that is not null; `false` for one that is none of these.
    pub(super) fn take(&mut self, field: &str, value: &Value) -> Result<bool, Invalid> {
        match field {
            "exchangeType" => self.kind = Some(kind(FLAT_TYPE, value)?),
            "durable" => self.durable = Some(flag("amqp.durable", value)?),
            "autoDelete" => self.auto_delete = Some(flag("amqp.autoDelete", value)?),
            "internal" => self.internal = Some(flag("amqp.internal", value)?),
            // The answer of the broker is always waited for.
            "noWait" => {
                flag("amqp.noWait", value)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The declaration that they make beside `declare`, if there is one. Flags that are left out
    /// are off, as they were in those programs.
    pub(super) fn or(self, declare: Option<Declare>) -> Result<Option<Declare>, Invalid> {
        let first = [
            ("amqp.durable", self.durable.is_some()),
            ("amqp.autoDelete", self.auto_delete.is_some()),
            ("amqp.internal", self.internal.is_some()),
        ];
        let flag = first.into_iter().find(|(_, given)| *given).map(|(name, _)| name);
        let given = self.kind.as_ref().map(|_| FLAT_TYPE).or(flag);
        match (self.kind, given, declare) {
            (_, None, declare) => Ok(declare),
            (_, Some(field), Some(_)) => {
                let message = format!("{field} and {DECLARE} say the same: give {DECLARE} alone");
                Err(Invalid::unfit(field, message))
            }
            (None, Some(field), None) => {
                let message = format!("{field} needs {FLAT_TYPE}, or give {DECLARE} instead");
                Err(Invalid::unfit(field, message))
            }
            (Some(kind), Some(_), None) => Ok(Some(Declare {
                kind,
                durable: self.durable.unwrap_or_default(),
                auto_delete: self.auto_delete.unwrap_or_default(),
                internal: self.internal.unwrap_or_default(),
                arguments: Map::new(),
            })),
        }
    }
}

/// Reads `declare`.
pub(super) fn read(value: &Value) -> Result<Declare, Invalid> {
    const FIELDS: &str = "type, durable, autoDelete, internal, arguments";
    let Value::Object(object) = value else {
        let message = format!("{DECLARE} must be an object with {FIELDS}");
        return Err(Invalid::new(DECLARE, message));
    };
    let mut declare = Declare {
        kind: String::new(),
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Map::new(),
    };
    for (field, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        match field.as_str() {
            "type" => declare.kind = kind(TYPE, value)?,
            "durable" => declare.durable = flag("amqp.declare.durable", value)?,
            "autoDelete" => declare.auto_delete = flag("amqp.declare.autoDelete", value)?,
            "internal" => declare.internal = flag("amqp.declare.internal", value)?,
            "arguments" => declare.arguments = table("amqp.declare.arguments", value)?,
            _ => {
                let field: String = field.chars().take(40).collect();
                let message = format!("{DECLARE} has no field {field}: it has {FIELDS}");
                return Err(Invalid::new(DECLARE, message));
            }
        }
    }
    if declare.kind.is_empty() {
        let message = format!("{TYPE} is required: direct, topic, fanout, headers or x-...");
        return Err(Invalid::new(TYPE, message));
    }
    Ok(declare)
}

/// The declaration as clients see it.
pub(super) fn show(declare: &Declare) -> Value {
    let mut shown = json!({
        "type": declare.kind,
        "durable": declare.durable,
        "autoDelete": declare.auto_delete,
        "internal": declare.internal,
    });
    if !declare.arguments.is_empty() {
        shown["arguments"] = json!(declare.arguments);
    }
    shown
}

fn kind(field: &'static str, value: &Value) -> Result<String, Invalid> {
    let kind = name(field, value)?;
    let of_plugin = kind.strip_prefix("x-").is_some_and(|rest| !rest.is_empty());
    if !TYPES.contains(&&*kind) && !of_plugin {
        let message = format!("{field} must be direct, topic, fanout, headers or x-...");
        return Err(Invalid::new(field, message));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(given: &Value, declare: Option<Declare>) -> Result<Option<Declare>, Invalid> {
        let mut fields = FlatFields::default();
        for (field, value) in given.as_object().unwrap() {
            assert!(fields.take(field, value)?, "{field}");
        }
        fields.or(declare)
    }

    #[test]
    fn a_declaration_is_read_and_shown() {
        let given = json!({"type": "x-delayed-message", "durable": false, "autoDelete": true,
            "internal": true, "arguments": {"x-delayed-type": "topic"}});
        assert_eq!(show(&read(&given).unwrap()), given);
        let least = read(&json!({"type": "topic", "durable": null})).unwrap();
        let shown = json!({"type": "topic", "durable": true, "autoDelete": false,
            "internal": false});
        assert_eq!(show(&least), shown);
        for (given, field) in [
            (json!("topic"), "amqp.declare"),
            (json!({"kind": "topic"}), "amqp.declare"),
            (json!({}), "amqp.declare.type"),
            (json!({"type": "Topic"}), "amqp.declare.type"),
            (json!({"type": "x-"}), "amqp.declare.type"),
            (json!({"type": "topic", "durable": 1}), "amqp.declare.durable"),
            (json!({"type": "topic", "autoDelete": 1}), "amqp.declare.autoDelete"),
            (json!({"type": "topic", "internal": 1}), "amqp.declare.internal"),
            (json!({"type": "topic", "arguments": 1}), "amqp.declare.arguments"),
        ] {
            let error = read(&given).unwrap_err();
            assert_eq!(error.field, field, "{given}");
            assert!(error.message.starts_with(field), "{error}");
        }
    }

    #[test]
    fn the_flat_fields_of_older_programs_mean_the_same() {
        let given = json!({"exchangeType": "fanout", "durable": true, "noWait": true});
        let declare = flat(&given, None).unwrap().unwrap();
        let meant = json!({"type": "fanout", "durable": true, "autoDelete": false});
        assert_eq!(declare, read(&meant).unwrap());
        let least = flat(&json!({"exchangeType": "fanout"}), None).unwrap().unwrap();
        assert!(!least.durable && !least.auto_delete && !least.internal, "left out is off");
        assert_eq!(flat(&json!({"noWait": false}), None), Ok(None));
        assert_eq!(flat(&json!({}), Some(declare.clone())), Ok(Some(declare.clone())));
        for (given, declare, field) in [
            (json!({"durable": true}), None, "amqp.durable"),
            (json!({"autoDelete": true}), None, "amqp.autoDelete"),
            (json!({"internal": false}), None, "amqp.internal"),
            (json!({"exchangeType": "topic"}), Some(declare.clone()), "amqp.exchangeType"),
            (json!({"exchangeType": "odd"}), None, "amqp.exchangeType"),
            (json!({"noWait": "no"}), None, "amqp.noWait"),
            (json!({"internal": true}), Some(declare), "amqp.internal"),
        ] {
            let error = flat(&given, declare).unwrap_err();
            assert_eq!(error.field, field, "{given}");
            assert!(error.message.starts_with(field), "{error}");
        }
    }
}
