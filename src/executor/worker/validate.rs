//! Reading of settings as clients give them. `WorkerExecutor::validate` calls it. Names are in
//! camelCase, a null is a field that is left out, and what `show` gives is valid: the password that
//! was set is kept then.

use serde_json::{Map, Value};

use super::settings::{Actions, RabbitmqSettings, WorkerSettings};
use super::show::show;
use crate::delivery::executor::Invalid;
use crate::executor::amqp::{Broker, BrokerFields};
use crate::executor::checks::{duration, flag, text};
use crate::executor::guard::TargetGuard;
use crate::model::Millis;
use crate::model::run_terms::BusKind;
use crate::secret::Keys;

/// The fields, for errors.
const FIELDS: &str = "bus, heartbeatTimeout, url, ca, actions, includeData";
const BUS: &str = "worker.bus";
const HEARTBEAT_TIMEOUT: &str = "worker.heartbeatTimeout";
const URL: &str = "worker.url";
const CA: &str = "worker.ca";
const ACTIONS: &str = "worker.actions";
const INCLUDE_DATA: &str = "worker.includeData";
/// The longest heartbeat timeout, as a job may have it: a year, in milliseconds.
const LONGEST_SILENCE: Millis = 366 * 86_400_000;
/// The most characters of a client's name that an error quotes.
const MOST_QUOTED: usize = 40;

/// Reads settings. `old` are the stored ones so far.
pub(super) fn validate(
    given: &Value,
    old: Option<&Value>,
    guard: &TargetGuard,
    keys: &Keys,
) -> Result<WorkerSettings, Invalid> {
    let Value::Object(object) = given else {
        return Err(Invalid::new("worker", format!("worker must be an object with {FIELDS}")));
    };
    let mut fields = Fields::default();
    for (field, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        fields.take(field, value)?;
    }
    // Settings that cannot be read keep no secret.
    let old = old.and_then(|old| WorkerSettings::read(old).ok());
    let rabbitmq = match fields.bus {
        BusKind::Rabbitmq => {
            let old = old.and_then(|old| old.rabbitmq);
            Some(fields.rabbitmq(old.as_ref().map(|old| &old.broker), guard, keys)?)
        }
        BusKind::Embedded | BusKind::Http => {
            refuse_fields_of_brokers(object, old.as_ref())?;
            None
        }
    };
    let Fields { bus, heartbeat_timeout, .. } = fields;
    Ok(WorkerSettings { bus, heartbeat_timeout, rabbitmq })
}

/// The fields, as far as they are given.
#[derive(Default)]
struct Fields<'v> {
    bus: BusKind,
    heartbeat_timeout: Option<Millis>,
    url: &'v str,
    ca: &'v str,
    actions: Actions,
    include_data: bool,
}

impl<'v> Fields<'v> {
    fn take(&mut self, field: &str, value: &'v Value) -> Result<(), Invalid> {
        match field {
            "bus" => self.bus = bus(value)?,
            "heartbeatTimeout" => {
                let length = duration(HEARTBEAT_TIMEOUT, value, LONGEST_SILENCE)?;
                self.heartbeat_timeout = Some(length);
            }
            "url" => self.url = text(URL, value)?,
            "ca" => self.ca = text(CA, value)?,
            "actions" => self.actions = actions(value)?,
            "includeData" => self.include_data = flag(INCLUDE_DATA, value)?,
            // An answer shows this, and clients send it back.
            "passwordSet" => {}
            _ => {
                let field: String = field.chars().take(MOST_QUOTED).collect();
                let message = format!("worker has no field {field}: it has {FIELDS}");
                return Err(Invalid::new("worker", message));
            }
        }
        Ok(())
    }

    fn rabbitmq(
        &self,
        old: Option<&Broker>,
        guard: &TargetGuard,
        keys: &Keys,
    ) -> Result<RabbitmqSettings, Invalid> {
        let Self { url, ca, actions, include_data, .. } = *self;
        let fields = BrokerFields { url_field: URL, url, ca_field: CA, ca };
        Ok(RabbitmqSettings { broker: fields.broker(old, guard, keys)?, actions, include_data })
    }
}

/// Refuses what only a broker has. A patch is put over what is shown: what it only repeats goes
/// with the bus that it takes away.
fn refuse_fields_of_brokers(
    given: &Map<String, Value>,
    old: Option<&WorkerSettings>,
) -> Result<(), Invalid> {
    let shown = old.map(show).unwrap_or_default();
    for (name, field) in
        [("url", URL), ("ca", CA), ("actions", ACTIONS), ("includeData", INCLUDE_DATA)]
    {
        let Some(value) = given.get(name).filter(|value| !value.is_null()) else { continue };
        if shown.get(name) != Some(value) {
            let message =
                format!("{field} is for bus rabbitmq: leave it out, or set {BUS} to rabbitmq");
            return Err(Invalid::unfit(field, message));
        }
    }
    Ok(())
}

fn bus(value: &Value) -> Result<BusKind, Invalid> {
    match value.as_str() {
        Some("embedded") => Ok(BusKind::Embedded),
        Some("rabbitmq") => Ok(BusKind::Rabbitmq),
        _ => Err(Invalid::new(BUS, format!("{BUS} must be embedded or rabbitmq"))),
    }
}

fn actions(value: &Value) -> Result<Actions, Invalid> {
    match value.as_str() {
        Some("queue") => Ok(Actions::Queue),
        Some("exchange") => Ok(Actions::Exchange),
        _ => Err(Invalid::new(ACTIONS, format!("{ACTIONS} must be queue or exchange"))),
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
