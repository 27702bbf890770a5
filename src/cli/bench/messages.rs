//! The messages of `bench --amqp`: the queue that the nodes publish to, the executor that says so,
//! and the figures beside those of the bare client library. `run` begins and ends it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bare_publisher::{self, BODY_BYTES};
use super::baseline::median;
use super::broker::Broker;
use super::inbox::{Inbox, Judged};
use super::judge::Judge;
use super::load::Api;
use super::oracle::Oracle;
use super::order::To;

/// Messages of a round of the bare client, at most: the rate stays the same after that.
const BARE: usize = 100_000;

/// The queue of a run, with the broker.
pub(super) struct Messages {
    broker: Broker,
    judged: Judged,
    /// Messages of a round of the bare client.
    bare: usize,
    /// Messages a second of the bare client before the run.
    before: Vec<f64>,
    executor: Option<u64>,
}

impl Messages {
    /// Measures the bare client, and begins to consume a queue for a run of so many jobs.
    pub(super) async fn begin(
        broker: Broker,
        jobs: usize,
        judge: &Arc<Judge>,
    ) -> anyhow::Result<Self> {
        let bare = jobs.min(BARE);
        let before = bare_publisher::measure(&broker, bare).await?;
        let judged = Inbox::open(&broker).await?.judged_by(Arc::clone(judge));
        Ok(Self { broker, judged, bare, before, executor: None })
    }

    /// Creates the executor that publishes to the queue.
    pub(super) async fn executor(&mut self, api: &Api) -> anyhow::Result<To> {
        let amqp = json!({
            "url": &*self.broker.url(), "exchange": "", "routingKey": self.judged.queue(),
            "body": bare_publisher::body(),
        });
        let executor = api.executor(&amqp).await?;
        self.executor = Some(executor);
        Ok(To::Messages { executor })
    }

    /// Waits until no more messages can come; the reason. To be called once.
    pub(super) async fn lost(&mut self) -> anyhow::Error {
        self.judged.lost().await
    }

    /// Deletes the executor, if it was created. Its jobs must be gone.
    pub(super) async fn delete_executor(&self, api: &Api) -> anyhow::Result<()> {
        match self.executor {
            Some(executor) => api.delete_executor(executor).await,
            None => Ok(()),
        }
    }

    /// Measures the bare client again, when no node publishes any more; the figures. `instants` are
    /// the times from [`last_arrivals`].
    pub(super) async fn end(self, instants: Vec<f64>, jobs: usize) -> anyhow::Result<Published> {
        let Self { broker, judged, bare, before, .. } = self;
        drop(judged);
        let after = bare_publisher::measure(&broker, bare).await?;
        Ok(Published { jobs, instants, bare, before, after })
    }
}

/// The milliseconds from each instant that all jobs have in common to the last arrival.
pub(super) fn last_arrivals(oracle: &Oracle) -> Vec<f64> {
    let instants = oracle.common_instants().iter().enumerate();
    instants
        .filter_map(|(place, due)| Some((oracle.complete(place)? - due).max(1) as f64))
        .collect()
}

/// The figures of a run.
#[derive(Debug)]
pub(super) struct Published {
    /// Messages of an instant of the nodes.
    pub(super) jobs: usize,
    /// Milliseconds from each common instant to the last arrival; empty where there is none.
    pub(super) instants: Vec<f64>,
    /// Messages of a round of the bare client.
    pub(super) bare: usize,
    /// Messages a second of the bare client before the run, and after it.
    pub(super) before: Vec<f64>,
    pub(super) after: Vec<f64>,
}

impl Published {
    /// The names of the figures that the table for people shows.
    const SHOWN: [&str; 6] =
        ["instants", "last_message_ms", "per_s", "bare_before_per_s", "bare_after_per_s", "ratio"];

    /// The figures for programs; null where the jobs have no instants in common.
    pub(super) fn json(&self) -> Value {
        let all = [&self.before[..], &self.after[..]].concat();
        let rounds = all.len();
        let (before, after) = (median(self.before.clone()), median(self.after.clone()));
        let bare_per_s = median(all);
        let ours_ms = (!self.instants.is_empty()).then(|| median(self.instants.clone()));
        let per_s = ours_ms.map(|ms| self.jobs as f64 * 1_000.0 / ms);
        json!({
            "body_bytes": BODY_BYTES, "instants": self.instants.len(), "last_message_ms": ours_ms,
            "per_s": per_s.map(f64::round), "bare_messages": self.bare, "bare_rounds": rounds,
            "bare_before_per_s": before.round(), "bare_after_per_s": after.round(),
            "bare_per_s": bare_per_s.round(),
            "ratio": per_s.map(|per_s| (bare_per_s / per_s * 100.0).round() / 100.0),
        })
    }

    /// Titles and values of the table for people.
    pub(super) fn row(&self) -> (Vec<String>, Vec<String>) {
        let all = self.json();
        let title = |name: &str| match name {
            "per_s" => "messages/s".to_owned(),
            name => name.replace("_per_s", "/s").replace('_', " "),
        };
        let value = |name: &str| match &all[name] {
            Value::Null => "-".to_owned(),
            value => value.to_string(),
        };
        (Self::SHOWN.map(title).into(), Self::SHOWN.map(value).into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::oracle::Created;
    use super::*;

    #[test]
    fn the_ratio_compares_the_time_of_a_message_with_that_of_the_bare_client() {
        let published = Published {
            jobs: 1_000,
            instants: vec![200.0, 100.0, 90.0],
            bare: 500,
            before: vec![10_000.0, 30_000.0, 20_000.0],
            after: vec![25_000.0, 26_000.0, 5_000.0],
        };
        let expected = json!({
            "body_bytes": 256, "instants": 3, "last_message_ms": 100.0, "per_s": 10_000.0,
            "bare_messages": 500, "bare_rounds": 6, "bare_before_per_s": 20_000.0,
            "bare_after_per_s": 25_000.0, "bare_per_s": 25_000.0, "ratio": 2.5,
        });
        assert_eq!(published.json(), expected);
        let spread = Published { instants: Vec::new(), ..published };
        let shown = spread.json();
        assert_eq!((&shown["ratio"], &shown["per_s"]), (&Value::Null, &Value::Null));
        assert_eq!(spread.row().1, ["0", "-", "-", "20000.0", "25000.0", "-"]);
    }

    #[test]
    fn only_instants_of_which_all_has_come_count() {
        let created: Vec<_> = (1..=2).map(|id| Created { id, at: 0 }).collect();
        let oracle = Oracle::new("*/10 * * * * *", &created, (0, 20_000)).unwrap();
        oracle.arrived([(1, 10_000), (2, 10_000)].into_iter(), 10_030);
        oracle.arrived([(1, 20_000)].into_iter(), 20_005);
        assert_eq!(last_arrivals(&oracle), [30.0]);
    }
}
