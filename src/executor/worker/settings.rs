//! The settings of a queue as they are stored: JSON, in camelCase, with the password of a broker
//! sealed. `validate` makes them; the executor and the bus read them. Fields are only added, each
//! with a default.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::executor::amqp::Broker;
use crate::model::Millis;
use crate::model::call_target::CallTarget;
use crate::model::run_terms::BusKind;
use crate::model::target::WORKER;

/// The settings of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerSettings {
    /// The way in which runs come to workers.
    pub bus: BusKind,
    /// The longest silence of a worker for jobs that name none, in milliseconds; 0 where no
    /// heartbeat is expected, `None` for the default of the bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout: Option<Millis>,
    /// The broker; given for [`BusKind::Rabbitmq`] alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rabbitmq: Option<RabbitmqSettings>,
}

/// How runs go over a broker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RabbitmqSettings {
    /// The broker, with the login.
    pub broker: Broker,
    /// Where actions go.
    #[serde(default)]
    pub actions: Actions,
    /// Whether the data of the job are in the message.
    #[serde(default)]
    pub include_data: bool,
}

/// Where the actions of a job go, for its workers to find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Actions {
    /// To a queue of the job.
    #[default]
    Queue,
    /// To an exchange of the job, to which workers bind queues of their own.
    Exchange,
}

impl WorkerSettings {
    /// Reads stored settings. The error is for people and quotes nothing.
    pub fn read(stored: &Value) -> Result<Self, String> {
        Self::deserialize(stored).map_err(|_| {
            "the worker settings cannot be read: a newer program has written them, or they are \
             damaged; set them anew"
                .to_owned()
        })
    }

    /// Reads the settings of a target.
    pub fn of(target: &CallTarget) -> Result<Self, String> {
        match target {
            CallTarget::Settings(own) if own.kind == WORKER => Self::read(&own.settings),
            _ => Err("it is no target of this type".to_owned()),
        }
    }
}
