//! Settings as clients see them: everything but the password. `WorkerExecutor::show` and `validate`
//! call it.

use serde_json::{Map, Value, json};

use super::settings::WorkerSettings;
use crate::executor::amqp::shown_url;
use crate::schedule::show_duration;
use crate::secret;

/// The settings. Read again by `validate`, they are the same.
pub(super) fn show(settings: &WorkerSettings) -> Map<String, Value> {
    let mut view = Map::new();
    let mut set = |name: &str, value: Value| view.insert(name.to_owned(), value);
    set("bus", json!(settings.bus));
    if let Some(length) = settings.heartbeat_timeout {
        set("heartbeatTimeout", show_duration(length).into());
    }
    if let Some(rabbitmq) = &settings.rabbitmq {
        let broker = &rabbitmq.broker;
        set("url", shown_url(broker).into());
        set("passwordSet", (secret::length(&broker.password) > 0).into());
        if !broker.ca.is_empty() {
            set("ca", json!(broker.ca));
        }
        set("actions", json!(rabbitmq.actions));
        set("includeData", rabbitmq.include_data.into());
    }
    view
}
