//! Reading of settings as clients give them. `AmqpExecutor::validate` calls it. The password is
//! sealed here; no error holds it. Names are in camelCase, a null is a field that is left out, and
//! what `show` gives is valid: the password that was set is kept then.

use serde_json::Value;

use super::broker::{Broker, Declare};
use super::broker_fields::BrokerFields;
use super::content::{BODY, Content, EXCHANGE, FIELDS, ROUTING_KEY, unknown};
use super::declare::{self, FlatFields};
use super::fields::{Owner, placeholders, short};
use super::payload;
use super::settings::Settings;
use super::url::shown;
use crate::delivery::executor::Invalid;
use crate::executor::checks::{flag, text};
use crate::executor::guard::TargetGuard;
use crate::executor::template::Place;
use crate::secret::Keys;

/// The fields of settings alone, for errors.
const OWN_FIELDS: &str = "url, ca, bodyEncoding, contentEncoding, type, replyTo, persistent, \
                          mandatory, declare";
const URL: &str = "amqp.url";
const CONNECTION: &str = "amqp.connection";
const CA: &str = "amqp.ca";
const BODY_ENCODING: &str = "amqp.bodyEncoding";
const DECLARE: &str = "amqp.declare";

/// Reads settings. `old` are the stored ones so far.
pub(super) fn validate(
    given: &Value,
    old: Option<&Value>,
    guard: &TargetGuard,
    keys: &Keys,
) -> Result<Settings, Invalid> {
    let Value::Object(object) = given else {
        let message = format!("amqp must be an object with {OWN_FIELDS}, {FIELDS}");
        return Err(Invalid::new("amqp", message));
    };
    let mut fields = Fields::default();
    for (field, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        fields.take(field, value)?;
    }
    // Settings that cannot be read keep no secret.
    let old = old.and_then(|old| Settings::read(old).ok());
    fields.finish(old.as_ref().map(|old| &old.broker), guard, keys)
}

/// The fields, as far as they are given.
struct Fields<'v> {
    url: Option<&'v str>,
    connection: Option<&'v str>,
    ca: &'v str,
    content: Content,
    base64: bool,
    content_encoding: String,
    kind: String,
    reply_to: String,
    persistent: bool,
    mandatory: bool,
    declare: Option<Declare>,
    flat: FlatFields,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self {
            url: None,
            connection: None,
            ca: "",
            content: Content::default(),
            base64: false,
            content_encoding: String::new(),
            kind: String::new(),
            reply_to: String::new(),
            persistent: true,
            mandatory: true,
            declare: None,
            flat: FlatFields::default(),
        }
    }
}

impl<'v> Fields<'v> {
    fn take(&mut self, field: &str, value: &'v Value) -> Result<(), Invalid> {
        match field {
            "url" => self.url = Some(text(URL, value)?),
            "connection" => self.connection = Some(text(CONNECTION, value)?),
            "ca" => self.ca = text(CA, value)?,
            "bodyEncoding" => self.base64 = is_base64(value)?,
            "contentEncoding" => {
                self.content_encoding = short("amqp.contentEncoding", value)?;
            }
            "type" => self.kind = short("amqp.type", value)?,
            "replyTo" => self.reply_to = short("amqp.replyTo", value)?,
            "persistent" => self.persistent = flag("amqp.persistent", value)?,
            "mandatory" => self.mandatory = flag("amqp.mandatory", value)?,
            "declare" => self.declare = Some(declare::read(value)?),
            // An answer shows this, and clients send it back.
            "passwordSet" => {}
            _ => {
                let known = self.content.take(Owner::Settings, field, value)?
                    || self.flat.take(field, value)?;
                if !known {
                    let fields = format!("{OWN_FIELDS}, {FIELDS}");
                    return Err(Invalid::new("amqp", unknown(Owner::Settings, field, &fields)));
                }
            }
        }
        Ok(())
    }

    fn finish(
        self,
        old: Option<&Broker>,
        guard: &TargetGuard,
        keys: &Keys,
    ) -> Result<Settings, Invalid> {
        let broker = self.broker(old, guard, keys)?;
        let settings = Settings {
            broker,
            declare: self.flat.or(self.declare)?,
            content: self.content,
            base64: self.base64,
            content_encoding: self.content_encoding,
            kind: self.kind,
            reply_to: self.reply_to,
            persistent: self.persistent,
            mandatory: self.mandatory,
        };
        let Content { exchange, routing_key, body, .. } = &settings.content;
        let required = |field: &'static str, what: &str| {
            Err(Invalid::new(field, format!("{field} is required: {what}")))
        };
        let Some(exchange) = exchange else {
            return required(EXCHANGE.0, "a name, or \"\" for the default exchange");
        };
        if exchange.is_empty() && settings.declare.is_some() {
            let message = format!("{DECLARE}: the default exchange cannot be declared");
            return Err(Invalid::unfit(DECLARE, message));
        }
        let Some(routing_key) = routing_key else {
            return required(ROUTING_KEY.0, "for the default exchange it is the name of a queue");
        };
        let kind = settings.declare.as_ref().map(|declare| &*declare.kind);
        check_routing_key(ROUTING_KEY.0, exchange, kind, routing_key)?;
        if settings.base64
            && let Some(body) = body
        {
            let body = placeholders(BODY.0, body, Place::Plain)?;
            payload::check_base64(BODY.0, &body)?;
        }
        Ok(settings)
    }

    /// The broker of the URL, with the sealed password.
    fn broker(
        &self,
        old: Option<&Broker>,
        guard: &TargetGuard,
        keys: &Keys,
    ) -> Result<Broker, Invalid> {
        let (field, given) = match (self.url, self.connection) {
            // A patch is put over what is shown, which has the URL: the other name is the change.
            (Some(url), Some(connection)) if old.is_some_and(|old| shown(old) == url) => {
                (CONNECTION, connection)
            }
            (Some(_), Some(_)) => {
                let message = format!("{CONNECTION} is another name of {URL}: give one of them");
                return Err(Invalid::unfit(CONNECTION, message));
            }
            (None, Some(connection)) => (CONNECTION, connection),
            (given, None) => (URL, given.unwrap_or_default()),
        };
        let fields = BrokerFields { url_field: field, url: given, ca_field: CA, ca: self.ca };
        fields.broker(old, guard, keys)
    }
}

/// Refuses an empty routing key where it leads to no queue. `kind` is the exchange's type, if it is
/// declared.
pub(super) fn check_routing_key(
    field: &'static str,
    exchange: &str,
    kind: Option<&str>,
    routing_key: &str,
) -> Result<(), Invalid> {
    if !routing_key.is_empty() {
        return Ok(());
    }
    let why = match kind {
        _ if exchange.is_empty() => "for the default exchange it is the name of a queue",
        Some("direct" | "topic") => "only fanout and headers exchanges do without one",
        _ => return Ok(()),
    };
    Err(Invalid::unfit(field, format!("{field} must not be empty: {why}")))
}

fn is_base64(value: &Value) -> Result<bool, Invalid> {
    match text(BODY_ENCODING, value)? {
        "base64" => Ok(true),
        "none" | "" => Ok(false),
        _ => {
            let message = format!("{BODY_ENCODING} must be base64 or none");
            Err(Invalid::new(BODY_ENCODING, message))
        }
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
