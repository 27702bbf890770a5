//! The jobs that a run orders, and the requests that create them. `run` fills in the order, `load`
//! sends the requests.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};

/// The body of a call for one occurrence. The receiver finds the id in it as in a batch.
const SINGLE: &str = r#"{"executionId":"{{executionId}}","data":{{data}}}"#;

/// The way in which jobs are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Creates {
    /// A thousand a request, four requests under way
    Batched,
    /// One a request, 256 requests under way
    Single,
}

impl Creates {
    /// Jobs in a request, and requests under way at once.
    pub(super) fn sizes(self) -> (usize, usize) {
        match self {
            Self::Batched => (1_000, 4),
            Self::Single => (1, 256),
        }
    }

    /// The number of jobs that a node can put into one transaction.
    pub(super) fn batch(self) -> usize {
        let (batch, under_way) = self.sizes();
        if batch > 1 { batch } else { under_way }
    }
}

/// The targets of the jobs.
pub(super) enum To {
    /// Calls.
    Calls {
        /// The URLs that the jobs call, by turns.
        urls: Vec<String>,
        /// One call for each occurrence, instead of one for all that are due together.
        single: bool,
    },
    /// Messages.
    Messages {
        /// The executor that publishes them.
        executor: u64,
    },
}

/// The jobs to load.
pub(super) struct Order {
    /// The number of jobs.
    pub(super) jobs: usize,
    /// The schedule of each job.
    pub(super) spec: String,
    /// Where they go.
    pub(super) to: To,
    /// The way in which they are created.
    pub(super) creates: Creates,
    /// The time over which the load is spread; zero for as fast as possible.
    pub(super) over: Duration,
}

/// The body of the request that creates these jobs of an order.
pub(super) fn body(project: u64, order: &Order, range: std::ops::Range<usize>) -> String {
    let jobs = range.map(|i| {
        let mut job = json!({
            "projectId": project, "spec": order.spec, "timezone": "UTC",
            "data": format!("{{\"n\":{i}}}"),
        });
        match &order.to {
            To::Calls { urls, single: true } => {
                job["http"] = json!({"url": urls[i % urls.len()], "body": SINGLE});
            }
            To::Calls { urls, single: false } => job["callbackUrl"] = json!(urls[i % urls.len()]),
            To::Messages { executor } => job["executorId"] = json!(executor),
        }
        job
    });
    Value::Array(jobs.collect()).to_string()
}
