//! The jobs of a test and what the oracle has to know of them.

use std::collections::{BTreeMap, BTreeSet};

use scheduler0::model::time::parse_rfc3339;
use scheduler0::schedule::{DstRule, Schedule, anchor, parse_zone};
use serde_json::{Value, json};

use super::cluster::PATIENCE;
use super::oracle::Planned;
use super::receiver::Receiver;

/// The milliseconds by which the clocks of sender and receiver may differ. Both run on one machine,
/// but scheduler time follows another clock than the wall clock.
pub(crate) const TOLERANCE: i64 = 50;

/// The plans of jobs, from the answer that created them.
pub(crate) fn planned(created: &[Value]) -> Vec<Planned> {
    created
        .iter()
        .map(|job| {
            let id = job["id"].as_u64().unwrap();
            let zone = parse_zone(job["timezone"].as_str().unwrap()).unwrap();
            let spec = job["spec"].as_str().unwrap();
            let schedule = Schedule::parse(spec, zone, DstRule::default(), id).unwrap();
            let from = parse_rfc3339(job["dateCreated"].as_str().unwrap()).unwrap();
            Planned { job: id, anchor: anchor(from, &schedule), schedule, from }
        })
        .collect()
}

/// The instants of a plan after its beginning and up to `until`.
pub(crate) fn instants(plan: &Planned, until: i64) -> impl Iterator<Item = i64> {
    let next = move |after: i64| plan.schedule.next(plan.anchor, after).filter(|at| *at <= until);
    std::iter::successors(next(plan.from), move |at| next(*at))
}

/// Bodies of `count` jobs with one schedule and one target.
pub(crate) fn every(spec: &str, project: u64, url: &str, count: usize) -> Value {
    let jobs = (0..count).map(|i| {
        json!({
            "projectId": project, "spec": spec, "timezone": "America/New_York",
            "callbackUrl": url, "data": format!("{{\"n\":{i}}}"),
        })
    });
    jobs.collect()
}

/// Waits until each job was accepted for an instant after `since`.
///
/// Returns the instant up to which everything must have arrived: the last one of the job that has
/// come least far, because a later instant may still be on its way for that job.
pub(crate) async fn every_job_again(receiver: &Receiver, jobs: &[Planned], since: i64) -> i64 {
    receiver
        .wait_until("every job fires again", PATIENCE, |arrivals| {
            let fired: BTreeSet<u64> = arrivals
                .iter()
                .filter(|a| a.accepted && a.scheduled > since)
                .map(|a| a.job)
                .collect();
            jobs.iter().all(|j| fired.contains(&j.job))
        })
        .await;
    let mut last: BTreeMap<u64, i64> = BTreeMap::new();
    for a in receiver.arrivals().iter().filter(|a| a.accepted) {
        let seen = last.entry(a.job).or_default();
        *seen = (*seen).max(a.scheduled);
    }
    last.values().copied().min().unwrap()
}
