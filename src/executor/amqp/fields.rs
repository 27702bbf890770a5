//! Checks of single fields, of settings and of messages. Each names its field in the error.
//! `content` and `validate` call them. A null is a field that is left out, and does not come here.

use serde_json::Value;

use crate::delivery::executor::Invalid;
use crate::executor::checks::{duration, no_controls, text};
use crate::executor::template::{Fault as Unfilled, LITERAL, PLACEHOLDERS, Place, Template};

/// The longest AMQP short text, in bytes: names, routing keys and properties.
pub(super) const LONGEST_SHORT: usize = 255;
/// The longest text of a body as it is written in settings, in bytes.
const LONGEST_BODY: usize = 64 * 1_024;
/// The longest expiration, in milliseconds: the bound of RabbitMQ.
const LONGEST_EXPIRATION: i64 = 4_294_967_295;

/// The owner of a field: settings or a message. Errors name the field with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// `amqp`.
    Settings,
    /// `message`.
    Message,
}

/// The name of a field, as errors have it in settings and in messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field(pub(super) &'static str, pub(super) &'static str);

impl Owner {
    /// The name of a field of this owner.
    pub(super) fn name(self, field: Field) -> &'static str {
        match self {
            Self::Settings => field.0,
            Self::Message => field.1,
        }
    }

    /// The name of the owner itself.
    pub(super) fn own_name(self) -> &'static str {
        self.name(Field("amqp", "message"))
    }
}

/// A text without placeholders that AMQP carries as a short one.
pub(super) fn name(field: &'static str, value: &Value) -> Result<String, Invalid> {
    let text = text(field, value)?;
    if text.contains("{{") {
        return Err(Invalid::unfit(field, format!("{field} takes no placeholders")));
    }
    if text.len() > LONGEST_SHORT {
        let message = format!("{field} must have at most {LONGEST_SHORT} bytes");
        return Err(Invalid::new(field, message));
    }
    no_controls(field, text)?;
    Ok(text.to_owned())
}

/// A text with placeholders that AMQP carries as a short one.
pub(super) fn short(field: &'static str, value: &Value) -> Result<String, Invalid> {
    let text = text(field, value)?;
    no_controls(field, text)?;
    let length = placeholders(field, text, Place::Plain)?.length();
    if length.with(0) > LONGEST_SHORT {
        let filled = if length.with(0) == text.len() { "" } else { " with what is filled in" };
        let message = format!("{field} must have at most {LONGEST_SHORT} bytes{filled}");
        return Err(Invalid::new(field, message));
    }
    Ok(text.to_owned())
}

/// A body: a text as it is, any other value as its JSON.
pub(super) fn body(field: &'static str, value: &Value) -> Result<String, Invalid> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.len() > LONGEST_BODY {
        let message = format!("{field} must have at most {LONGEST_BODY} bytes");
        return Err(Invalid::new(field, message));
    }
    placeholders(field, &text, Place::Plain)?;
    Ok(text)
}

/// A priority.
pub(super) fn priority(field: &'static str, value: &Value) -> Result<u8, Invalid> {
    let number = value.as_u64().and_then(|number| u8::try_from(number).ok());
    number.ok_or_else(|| Invalid::new(field, format!("{field} must be a number from 0 to 255")))
}

/// A duration, in milliseconds.
pub(super) fn expiration(field: &'static str, value: &Value) -> Result<u64, Invalid> {
    // It is not negative.
    duration(field, value, LONGEST_EXPIRATION).map(i64::cast_unsigned)
}

/// Reads a text with placeholders; refuses one that nobody fills in.
pub(super) fn placeholders(
    field: &'static str,
    text: &str,
    place: Place,
) -> Result<Template, Invalid> {
    Template::new(text, place).map_err(|fault| {
        let name: String = match &fault {
            Unfilled::Unknown(name) => name.chars().take_while(|c| *c != '}').collect(),
            Unfilled::Full => String::new(),
        };
        let known = PLACEHOLDERS.map(|name| format!("{{{{{name}}}}}")).join(" ");
        let message = format!(
            "{field}: nobody fills in {{{{{name}}}}}, only {known}; write {LITERAL} where {{{{ \
             itself is meant"
        );
        Invalid::unfit(field, message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::executor::Fault;
    use crate::executor::checks::flag;

    const FIELD: &str = "amqp.x";

    #[test]
    fn texts_are_bounded_with_what_is_filled_in() {
        let x = |n: usize| json!("x".repeat(n));
        assert!(name(FIELD, &x(255)).is_ok() && short(FIELD, &x(255)).is_ok());
        for error in [
            name(FIELD, &x(256)).unwrap_err(),
            short(FIELD, &x(256)).unwrap_err(),
            short(FIELD, &json!("{{executionId}}".repeat(5))).unwrap_err(),
            short(FIELD, &json!("a\nb")).unwrap_err(),
            name(FIELD, &json!("a\u{0}")).unwrap_err(),
            name(FIELD, &json!(5)).unwrap_err(),
            body(FIELD, &x(64 * 1_024 + 1)).unwrap_err(),
        ] {
            assert_eq!((error.field, error.fault), (FIELD, Fault::Value), "{error}");
            assert!(error.message.starts_with("amqp.x "), "{error}");
        }
        assert_eq!(short(FIELD, &json!("{{executionId}}.{{data}}")).unwrap().len(), 24);
        assert_eq!(name(FIELD, &json!("a{{data}}")).unwrap_err().fault, Fault::Unfit);
    }

    #[test]
    fn an_unknown_placeholder_is_named_with_those_that_are_known() {
        let error = body(FIELD, &json!({"a": "{{Data}}"})).unwrap_err();
        assert_eq!(error.fault, Fault::Unfit);
        for part in ["amqp.x: nobody fills in {{Data}}", "{{data}}", "{{{{}}"] {
            assert!(error.message.contains(part), "{error}");
        }
        assert!(short(FIELD, &json!("{{data")).is_err());
        assert_eq!(body(FIELD, &json!({"b": [1]})).unwrap(), r#"{"b":[1]}"#);
        assert_eq!(body(FIELD, &json!("plain \n {{data}}")).unwrap(), "plain \n {{data}}");
    }

    #[test]
    fn numbers_and_durations_have_their_bounds() {
        assert_eq!((priority(FIELD, &json!(0)), priority(FIELD, &json!(255))), (Ok(0), Ok(255)));
        for wrong in [json!(256), json!(-1), json!(1.5), json!("1")] {
            assert!(priority(FIELD, &wrong).unwrap_err().message.contains("0 to 255"));
        }
        for (given, millis) in [
            (json!("30s"), 30_000),
            (json!("PT1M"), 60_000),
            (json!(0), 0),
            (json!(1.5), 1_500),
            (json!(4_294_967.295), 4_294_967_295),
        ] {
            assert_eq!(expiration(FIELD, &given), Ok(millis), "{given}");
        }
        for wrong in [json!("30"), json!(-1), json!("50d"), json!(1e30), json!(true), json!([])] {
            let error = expiration(FIELD, &wrong).unwrap_err();
            assert!(error.message.starts_with("amqp.x "), "{wrong}: {error}");
        }
        assert!(flag(FIELD, &json!("true")).unwrap_err().message.contains("true or false"));
    }
}
