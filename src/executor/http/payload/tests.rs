//! Payloads against the documented example, and their properties.

use proptest::prelude::*;

use super::*;
use crate::model::attempt::{execution_id, parse_execution_id};
use crate::model::run::Occurrence;

fn definition(casing: Casing) -> JobDefinition {
    JobDefinition {
        project: 1,
        spec: "@every 1m".into(),
        period: Some(60_000),
        timezone: "America/New_York".into(),
        callback_url: "http://127.0.0.1:3000/callback".into(),
        execution_type: "http".into(),
        casing,
        ..JobDefinition::default()
    }
}

const CLUSTER: u128 = 0xdead_beef << 96;
const fn at(scheduled: Millis) -> Instant {
    Instant { cluster: CLUSTER, scheduled, run: 0 }
}

const SCHEDULED: Millis = 1_763_669_947_000; // 2025-11-20T20:19:07Z
const LAST: Millis = SCHEDULED - 60_000;
const CREATED: Millis = 1_763_669_882_034;

fn one(casing: Casing, start: Option<Millis>) -> Chunk {
    let text = DefinitionText::new(&JobDefinition { start, ..definition(casing) });
    let job = PayloadJob {
        id: 1,
        definition: &text,
        data: r#"{"jobId":0}"#,
        created: CREATED,
        last: LAST,
    };
    let built = build(at(SCHEDULED), [job], 2_000_000);
    assert_eq!((built.chunks.len(), built.oversized.len()), (1, 0));
    built.chunks[0].clone()
}

#[test]
fn a_job_is_written_as_documented() {
    let id = execution_id(CLUSTER, 1, SCHEDULED);
    let expected = format!(
        concat!(
            r#"[{{"id":1,"project_id":1,"spec":"@every 1m","#,
            r#""callback_url":"http://127.0.0.1:3000/callback","data":"{{\"jobId\":0}}","#,
            r#""execution_type":"http","last_execution_date":"2025-11-20T20:18:07Z","#,
            r#""timezone":"America/New_York","#,
            r#""execution_id":"{}","date_created":"2025-11-20T20:18:02.034Z"}}]"#
        ),
        id
    );
    let chunk = one(Casing::Snake, None);
    assert_eq!(chunk.body, expected.as_bytes());
    assert_eq!(chunk.webhook_id, id);
}

#[test]
fn the_other_dialect_has_the_same_fields_in_its_own_casing() {
    let chunk = one(Casing::Camel, Some(0));
    let list: serde_json::Value = serde_json::from_slice(&chunk.body).expect("JSON");
    let expected = serde_json::json!([{
        "id": 1, "projectId": 1, "spec": "@every 1m",
        "callbackUrl": "http://127.0.0.1:3000/callback", "data": "{\"jobId\":0}",
        "executionType": "http", "lastExecutionDate": "2025-11-20T20:18:07Z",
        "timezone": "America/New_York", "executionId": execution_id(CLUSTER, 1, SCHEDULED),
        "dateCreated": "2025-11-20T20:18:02.034Z", "startDate": "1970-01-01T00:00:00Z",
    }]);
    assert_eq!(list, expected);
}

#[test]
fn the_same_jobs_keep_their_webhook_id_and_others_have_another() {
    let id = |members: &[JobId], scheduled| webhook_id(at(scheduled), members);
    assert_eq!(id(&[1, 2, 3], SCHEDULED), id(&[1, 2, 3], SCHEDULED));
    assert_eq!(id(&[1, 2, 3], SCHEDULED).len(), 32);
    assert_ne!(id(&[1, 2, 3], SCHEDULED), id(&[1, 2], SCHEDULED));
    assert_ne!(id(&[1, 2, 3], SCHEDULED), id(&[1, 2, 3], SCHEDULED + 1));
    let elsewhere = Instant { cluster: 1 << 96, ..at(0) };
    assert_ne!(webhook_id(at(0), &[1, 2]), webhook_id(elsewhere, &[1, 2]));
    let manual = Instant { run: 9, ..at(0) };
    assert_ne!(webhook_id(at(0), &[1, 2]), webhook_id(manual, &[1, 2]));
    assert_eq!(id(&[7], SCHEDULED), execution_id(CLUSTER, 7, SCHEDULED));
}

#[test]
fn a_job_above_the_limit_is_named_and_sinks_no_other() {
    let text = DefinitionText::new(&definition(Casing::Snake));
    let long = "x".repeat(2_000);
    let job = |id, data| PayloadJob { id, definition: &text, data, created: 0, last: 0 };
    let built = build(at(0), [job(1, "a"), job(2, &long), job(3, "b")], 1_000);
    assert_eq!(built.oversized, [2]);
    let members: Vec<_> = built.chunks.iter().flat_map(|c| c.members.clone()).collect();
    assert_eq!(members, [1, 3]);
}

proptest! {
    #[test]
    fn chunks_stay_below_the_limit_and_lose_nothing(
        data in prop::collection::vec("\\PC{0,40}|[\\x00-\\x1f\"\\\\]{0,9}", 0..60),
        first in 1_u64..u64::MAX - 1_000_000,
        step in 1_u64..10_000,
        scheduled in 0_i64..4_000_000_000_000,
        max in 600_usize..5_000,
    ) {
        let text = DefinitionText::new(&definition(Casing::Snake));
        let jobs: Vec<_> = data.iter().enumerate().map(|(i, data)| PayloadJob {
            id: first + i as u64 * step, definition: &text, data, created: i as i64, last: scheduled - i as i64,
        }).collect();
        let built = build(at(scheduled), jobs.iter().copied(), max);
        let mut seen = jobs.iter().filter(|j| !built.oversized.contains(&j.id));
        for chunk in &built.chunks {
            prop_assert!(chunk.body.len() <= max, "{} > {max}", chunk.body.len());
            let list: Vec<serde_json::Value> = serde_json::from_slice(&chunk.body).expect("JSON");
            prop_assert_eq!(list.len(), chunk.members.len());
            for (value, member) in list.iter().zip(&chunk.members) {
                let job = seen.next().expect("a job for each member");
                prop_assert_eq!(value["id"].as_u64(), Some(job.id));
                prop_assert_eq!(*member, job.id);
                prop_assert_eq!(value["data"].as_str(), Some(job.data));
                let id = value["execution_id"].as_str().expect("an id");
                prop_assert_eq!(parse_execution_id(id), Some(Occurrence { job: job.id, scheduled, run: 0 }));
                prop_assert_eq!(id, execution_id(CLUSTER, job.id, scheduled));
            }
        }
        prop_assert!(seen.next().is_none());
        for job in &jobs {
            let alone = build(at(scheduled), [*job], usize::MAX);
            prop_assert!(alone.chunks[0].body.len() <= text.single_len(job.data));
        }
    }
}

/// Jobs built a second; run with `--release -- --ignored --nocapture` to measure.
#[test]
#[ignore = "a measurement"]
fn jobs_built_a_second() {
    let text = DefinitionText::new(&definition(Casing::Snake));
    let jobs: Vec<_> = (0..1_000_000_u64)
        .map(|id| PayloadJob {
            id,
            definition: &text,
            data: r#"{"jobId":123456}"#,
            created: CREATED + id as i64 / 1_000,
            last: LAST,
        })
        .collect();
    let start = std::time::Instant::now();
    let mut bytes = 0;
    for batch in jobs.chunks(1_560) {
        let built = build(at(SCHEDULED), batch.iter().copied(), 2_000_000);
        bytes += built.chunks.iter().map(|c| c.body.len()).sum::<usize>();
    }
    let took = start.elapsed();
    println!("{:.2} M jobs/s, {} MB", 1.0 / took.as_secs_f64(), bytes / 1_000_000);
    assert!(bytes > 0);
}

#[test]
fn a_manual_run_has_an_id_of_its_own() {
    let text = DefinitionText::new(&definition(Casing::Snake));
    let job = PayloadJob { id: 77, definition: &text, data: "", created: CREATED, last: LAST };
    let built = build(Instant { run: 26, ..at(SCHEDULED) }, [job], 2_000_000);
    let list: serde_json::Value = serde_json::from_slice(&built.chunks[0].body).expect("JSON");
    let id = format!("{}-1a", execution_id(CLUSTER, 77, SCHEDULED));
    assert_eq!((list[0]["execution_id"].as_str(), &built.chunks[0].webhook_id), (Some(&*id), &id));
}
