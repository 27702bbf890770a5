//! Two kinds for the tests of `app`: one whose jobs may hold settings and messages, under the name
//! of the kind that messages are for, and one that is for executors only.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::delivery::batch::Batch;
use crate::delivery::destination::{Address, Destination};
use crate::delivery::executor::{ClientFields, DataCheck, Executor, Grouping, Invalid, Renderer};
use crate::delivery::registry::Registry;
use crate::model::call_target::CallTarget;
use crate::model::job::JobDefinition;
use crate::model::target::AMQP;

/// The longest data that the first kind takes.
pub(crate) const LONGEST_DATA: usize = 10;

/// Both kinds.
pub(crate) fn test_kinds() -> Registry {
    Registry::new([AMQP, "other"].map(|kind| Arc::new(TestKind(kind)) as _))
}

struct TestKind(&'static str);

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    routing_key: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    headers: Map<String, Value>,
    /// In the settings with a mark in front of it, which stands for the seal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(default, skip_serializing, rename = "passwordSet")]
    _shown: bool,
}

fn settings(value: &Value) -> Result<Settings, Invalid> {
    Settings::deserialize(value).map_err(|error| Invalid::new(AMQP, error.to_string()))
}

impl Executor for TestKind {
    fn kind(&self) -> &'static str {
        self.0
    }

    fn needs_settings(&self) -> bool {
        self.0 == AMQP
    }

    fn validate(&self, given: &Value, old: Option<&Value>) -> Result<Value, Invalid> {
        let mut given = settings(given)?;
        if self.needs_settings() && given.routing_key.as_deref().unwrap_or_default().is_empty() {
            return Err(Invalid::new("amqp.routingKey", "amqp.routingKey is required"));
        }
        given.password = match given.password {
            Some(clear) => Some(format!("sealed:{}", clear.len())),
            None => old.map(settings).transpose()?.and_then(|old| old.password),
        };
        Ok(json!(given))
    }

    fn show(&self, value: &Value) -> Value {
        let mut shown = value.clone();
        let secret = shown.as_object_mut().and_then(|shown| shown.remove("password"));
        shown["passwordSet"] = secret.is_some().into();
        shown
    }

    fn client_fields(&self) -> ClientFields {
        ClientFields { maps: &["headers"], values: &["body"] }
    }

    fn is_for_jobs(&self) -> bool {
        self.0 == AMQP
    }

    fn validate_message(&self, given: &Value) -> Result<Value, Invalid> {
        if self.0 != AMQP {
            return Err(Invalid::unfit("message", "message is not for this type"));
        }
        match given["routingKey"].as_str() {
            Some("") => Err(Invalid::new("message.routingKey", "message.routingKey is empty")),
            _ => Ok(given.clone()),
        }
    }

    fn data_check(&self, _: &CallTarget, _: &JobDefinition) -> Result<DataCheck, Invalid> {
        Ok(Box::new(|data| match data.len() {
            ..=LONGEST_DATA => Ok(()),
            _ => Err(Invalid::too_large("data", "job data is too large")),
        }))
    }

    fn address(&self, _: &CallTarget) -> Address {
        Address { destination: Destination::new("test:".to_owned()), path: 0, name: "test".into() }
    }

    fn grouping(&self, _: &CallTarget) -> Grouping {
        Grouping::Batch
    }

    fn renderer<'r>(&'r self, _: &'r CallTarget, _: Batch<'r>) -> Box<dyn Renderer + 'r> {
        unreachable!("the tests of app send nothing")
    }
}
