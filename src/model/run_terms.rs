//! The terms of a run that a worker performs: by which bus it is handed out, how long it may take,
//! and what becomes of it when it fails.
//!
//! The supervisor (`worker`) makes them of a job and its queue when it offers or hands out an
//! occurrence. The journal and reports carry them, and a run in the store has those under which it
//! was taken: an edit of the job changes nothing of it. They travel as JSON, so that they may grow.
//! Pure.

use serde::{Deserialize, Serialize};

use super::Millis;
use super::delivery::Retry;

/// The time in which a worker has to confirm a cancel where nobody says another, in milliseconds.
pub const CANCEL_TIMEOUT: Millis = 60_000;

/// The way in which runs come to workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BusKind {
    /// Workers claim runs by the API of a node.
    #[default]
    Embedded,
    /// Runs are published to a RabbitMQ broker; workers report by it, too.
    Rabbitmq,
    /// The receiver of an HTTP request answered that it will report.
    Http,
}

/// The failures after which a run is tried again, as long as its policy has retries left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryOn {
    /// The worker was silent for too long.
    pub lost: bool,
    /// The worker reported a failure.
    pub failed: bool,
    /// The run took longer than its run timeout.
    pub timeout: bool,
}

impl RetryOn {
    /// The failures that count on a bus where the job says nothing.
    pub fn of(bus: BusKind) -> Self {
        match bus {
            BusKind::Embedded | BusKind::Http => Self { lost: true, failed: true, timeout: true },
            BusKind::Rabbitmq => Self { lost: true, failed: false, timeout: false },
        }
    }
}

/// The terms of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunTerms {
    /// The bus.
    pub bus: BusKind,
    /// The number of the queue, which is an executor of type `worker`; 0 for an HTTP run.
    pub executor: u64,
    /// The name of the queue when the terms were made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub queue: String,
    /// The name of the job on a broker; empty on other buses.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The longest wait for a worker, in milliseconds; `None` for no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<Millis>,
    /// The longest duration of the run, in milliseconds; `None` for no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_timeout: Option<Millis>,
    /// The longest silence of its worker, in milliseconds; `None` where no heartbeat is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout: Option<Millis>,
    /// The longest wait for the confirmation of a cancel, in milliseconds.
    #[serde(default = "cancel_timeout")]
    pub cancel_timeout: Millis,
    /// The retry policy.
    pub retry: Retry,
    /// The failures that it holds for.
    #[serde(default)]
    pub retry_on: RetryOn,
}

impl RunTerms {
    /// Makes terms without timeouts, but for the one of a cancel.
    pub fn new(bus: BusKind, executor: u64, retry: Retry) -> Self {
        Self {
            bus,
            executor,
            queue: String::new(),
            name: String::new(),
            start_timeout: None,
            run_timeout: None,
            heartbeat_timeout: None,
            cancel_timeout: CANCEL_TIMEOUT,
            retry,
            retry_on: RetryOn::of(bus),
        }
    }
}

fn cancel_timeout() -> Millis {
    CANCEL_TIMEOUT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_read_back_and_a_later_field_does_no_harm() {
        let retry = Retry { max: 3, delay: 5_000, factor: 2_000, max_delay: 60_000 };
        let terms = RunTerms {
            queue: "emails".into(),
            name: "nightly".into(),
            start_timeout: Some(1),
            heartbeat_timeout: Some(2),
            ..RunTerms::new(BusKind::Rabbitmq, 7, retry)
        };
        let text = serde_json::to_string(&terms).unwrap();
        assert_eq!(serde_json::from_str::<RunTerms>(&text).unwrap(), terms);
        let later = text.replacen('{', r#"{"colour":"red","#, 1);
        assert_eq!(serde_json::from_str::<RunTerms>(&later).unwrap(), terms);
        let few = r#"{"bus":"embedded","executor":1,
            "retry":{"max":0,"delay":0,"factor":1000,"max_delay":0}}"#;
        let few = serde_json::from_str::<RunTerms>(few).unwrap();
        assert_eq!((few.cancel_timeout, few.retry_on), (CANCEL_TIMEOUT, RetryOn::default()));
    }

    #[test]
    fn a_broker_retries_what_was_lost_only() {
        assert_eq!(RetryOn::of(BusKind::Rabbitmq), RetryOn { lost: true, ..RetryOn::default() });
        let every = RetryOn { lost: true, failed: true, timeout: true };
        assert_eq!([BusKind::Embedded, BusKind::Http].map(RetryOn::of), [every; 2]);
    }
}
