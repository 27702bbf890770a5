//! The body of a request for 1,560 jobs. Beside it a copy of the same bytes, and the same JSON by
//! serde from a struct a job.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use scheduler0::executor::payload::{self, DefinitionText, Instant, PayloadJob};
use scheduler0::model::job::{Casing, JobDefinition};
use serde::Serialize;

use crate::attempt::{JOBS, ids};

const AT: i64 = 1_763_700_000_000;
const MAX_BYTES: usize = 2 << 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plain {
    id: u64,
    project_id: u64,
    spec: &'static str,
    callback_url: &'static str,
    data: String,
    execution_type: &'static str,
    last_execution_date: &'static str,
    timezone: &'static str,
    execution_id: String,
    date_created: &'static str,
}

/// The definition of 100,000 jobs with one schedule.
pub(crate) fn definition() -> JobDefinition {
    JobDefinition {
        project: 1,
        spec: "@every 1m".into(),
        period: Some(60_000),
        timezone: "UTC".into(),
        callback_url: "http://127.0.0.1:3000/callback".into(),
        execution_type: "http".into(),
        casing: Casing::Camel,
        ..JobDefinition::default()
    }
}

pub(crate) fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("payload/1,560 jobs");
    group.throughput(Throughput::Elements(JOBS));
    let text = DefinitionText::new(&definition());
    let data: Vec<(u64, String)> = ids(3).map(|id| (id, format!("{{\"n\":{id}}}"))).collect();
    let instant = Instant { cluster: 77 << 96, scheduled: AT, run: 0 };
    let ours = || {
        let jobs = data.iter().map(|(id, data)| PayloadJob {
            id: *id,
            definition: &text,
            data,
            created: AT - 9_000,
            last: AT - 60_000,
        });
        payload::build(black_box(instant), jobs, MAX_BYTES)
    };
    let body = ours().chunks.swap_remove(0).body;

    group.bench_function("ours", |b| b.iter(ours));
    group.bench_function("serde, a struct a job", |b| {
        b.iter(|| {
            let jobs = black_box(&data).iter().map(|(id, data)| Plain {
                id: *id,
                project_id: 1,
                spec: "@every 1m",
                callback_url: "http://127.0.0.1:3000/callback",
                data: data.clone(),
                execution_type: "http",
                last_execution_date: "2025-11-21T04:39:00Z",
                timezone: "UTC",
                execution_id: instant.id(*id),
                date_created: "2025-11-21T04:39:51Z",
            });
            serde_json::to_vec(&jobs.collect::<Vec<_>>()).unwrap()
        });
    });
    group.bench_function("a copy", |b| b.iter(|| black_box(&body).to_vec()));
    group.finish();
}
