//! Settings as clients see them: everything but the password. `AmqpExecutor::show` calls it.

use serde_json::{Map, Value, json};

use super::declare;
use super::settings::Settings;
use super::url::shown;
use crate::secret;

/// The settings. Read again by `validate`, they are the same.
pub(super) fn show(settings: &Settings) -> Value {
    let broker = &settings.broker;
    let mut view = Map::new();
    let mut set = |name: &str, value: Value| view.insert(name.to_owned(), value);
    set("url", shown(broker).into());
    set("passwordSet", (secret::length(&broker.password) > 0).into());
    for (name, text) in [
        ("ca", &broker.ca),
        ("contentEncoding", &settings.content_encoding),
        ("type", &settings.kind),
        ("replyTo", &settings.reply_to),
    ] {
        if !text.is_empty() {
            set(name, json!(text));
        }
    }
    if settings.base64 {
        set("bodyEncoding", "base64".into());
    }
    set("persistent", settings.persistent.into());
    set("mandatory", settings.mandatory.into());
    if let Some(declared) = &settings.declare {
        set("declare", declare::show(declared));
    }
    view.extend(settings.content.show());
    view.into()
}
