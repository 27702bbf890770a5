//! Reports of workers on their runs, and cancellations: what counts, in which order, and what each
//! is answered.

use scheduler0::command::Command;
use scheduler0::model::attempt::JournalEntry;
use scheduler0::model::execution_id::occurrence_id;
use scheduler0::model::job::Pending;
use scheduler0::model::offer::Offer;
use scheduler0::model::run::Occurrence;
use scheduler0::model::run_report::{RunReport, Said};
use scheduler0::store::{meta, pending};
use serde_json::{Value, json};

use crate::harness::runs::{offer, taken};
use crate::harness::{Answer, ApiFixture, LIMIT, RunsFixture, poll_interval};

async fn cluster_id(api: &ApiFixture) -> u128 {
    api.cluster().read(meta::cluster_id).await.unwrap().unwrap()
}

pub(super) async fn id(runs: &RunsFixture, of: Occurrence) -> String {
    occurrence_id(cluster_id(&runs.api).await, of)
}

/// Says something of a run by its route; the status and the state of the answer, or of the error.
pub(super) async fn tell(
    runs: &RunsFixture,
    of: Occurrence,
    what: &str,
    body: &str,
) -> (u16, String) {
    let id = id(runs, of).await;
    let told = runs.api.send("POST", &format!("/api/v1/runs/{id}/{what}"), &[], body).await;
    (told.status.as_u16(), state_of(&told))
}

pub(super) fn state_of(told: &Answer) -> String {
    let state = told.json["data"]["state"].as_str().or(told.json["error"]["state"].as_str());
    state.unwrap_or("").to_owned()
}

#[tokio::test]
async fn what_a_worker_says_of_its_run_is_answered_with_the_state() {
    let mut runs = RunsFixture::new().await;
    for minute in 0..6 {
        let of = runs.of(1, minute);
        runs.take(of, "w").await;
    }
    let of: Vec<_> = (0..6).map(|minute| runs.of(1, minute)).collect();
    let long = json!({"result": "é".repeat(700), "attempt": 1, "workerId": "w"}).to_string();
    for (of, what, body, status, state) in [
        (of[0], "complete", long.as_str(), 200, "completed"),
        (of[0], "complete", "", 200, "completed"),
        (of[0], "fail", "{}", 409, "completed"),
        (of[0], "cancel", "", 409, "completed"),
        (of[0], "release", "", 409, "completed"),
        (of[1], "fail", "{\"error\":\"no disk\"}", 200, "pending"),
        (of[1], "fail", "{\"attempt\":1}", 409, "pending"),
        (of[1], "complete", "{\"attempt\":1}", 200, "completed"),
        (of[2], "fail", "{\"error\":{\"code\":5},\"retry\":false}", 200, "failed"),
        (of[2], "fail", "{\"retry\":false}", 200, "failed"),
        (of[2], "complete", "{}", 200, "completed"),
        (of[3], "release", "{\"workerId\":\"other\"}", 409, "running"),
        (of[3], "release", "{\"workerId\":\"w\",\"attempt\":1}", 200, "pending"),
        (of[4], "cancel", "{\"cancelledBy\":\"me\"}", 202, "cancelling"),
        (of[4], "cancel", "", 202, "cancelling"),
        (of[4], "cancelled", "{\"attempt\":1}", 200, "cancelled"),
        (of[4], "cancel", "", 200, "cancelled"),
        (of[4], "cancelled", "", 200, "cancelled"),
        (of[4], "complete", "", 409, "cancelled"),
        (of[5], "cancelled", "", 200, "cancelled"),
    ] {
        let told = tell(&runs, of, what, body).await;
        assert_eq!(told, (status, state.to_owned()), "{of:?} {what} {body}");
    }
    let shown = runs.api.get(&format!("/api/v1/runs/{}", id(&runs, of[0]).await)).await;
    assert_eq!(shown.json["data"]["result"].as_str().unwrap().len(), 1_024, "cut at a letter");
    // An offer, and a run by its run id.
    let offered = runs.of(2, 0);
    runs.offer(offered).await;
    assert_eq!(tell(&runs, offered, "cancel", "").await, (200, "cancelled".into()));
    let of = runs.of(3, 0);
    runs.take(of, "w").await;
    let shown = runs.api.get(&format!("/api/v1/runs/{}", id(&runs, of).await)).await;
    let run_id = shown.json["data"]["runId"].as_str().unwrap().to_owned();
    let told = runs.api.post(&format!("/runs/{run_id}/complete"), json!({})).await;
    assert_eq!(told.json["data"]["run_id"], json!(run_id), "{}", told.json);
    let report = json!({"reports": [{"id": run_id, "state": "completed", "workerId": "v"}]});
    let refused = runs.api.post("/workers/w/report", report).await;
    assert_eq!(refused.json["data"]["reports"][0]["error"]["field"], "worker_id");
    let again = runs.api.post(&format!("/runs/{run_id}/cancel"), json!({})).await;
    assert_eq!(again.json["data"], "Run already finished");
    let message = again.json["error"]["message"].as_str().unwrap();
    assert!(message.contains("it was delivered"), "{message}");
}

#[tokio::test]
async fn a_list_of_reports_is_answered_one_by_one() {
    let mut runs = RunsFixture::new().await;
    for job in [1, 2] {
        let of = runs.of(job, 0);
        runs.take(of, "w").await;
    }
    let (one, two) = (id(&runs, runs.of(1, 0)).await, id(&runs, runs.of(2, 0)).await);
    let reports = json!([
        {"id": one, "state": "running", "attempt": 1},
        {"id": "nobody", "state": "completed"},
        {"id": two, "state": "released", "attempt": 2},
        {"id": one, "state": "completed", "attempt": 1, "result": {"mails": 3}},
        {"id": two, "state": "done"},
        {"id": two, "state": "failed", "attempt": 1, "error": "x", "colour": 1},
        {"state": "completed"},
        7,
        {"id": one, "state": "cancelled"},
        {"id": two, "state": "completed", "workerId": "v"},
        {"id": one, "state": "running", "attempt": -1},
    ]);
    let told = runs.api.post("/api/v1/workers/w/report", json!({"reports": reports})).await;
    assert_eq!(told.status, 200, "{}", told.json);
    assert_eq!(told.header("x-scheduler0-warning"), "unknown fields were ignored: colour");
    let answers = told.json["data"]["reports"].as_array().unwrap();
    let short = |one: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        (one["status"].as_u64().unwrap(), text(&one["state"]), text(&one["error"]["field"]))
    };
    let expected = [
        (200, "running", ""),
        (404, "", ""),
        (409, "running", ""),
        (200, "completed", ""),
        (400, "", "state"),
        (200, "pending", ""),
        (400, "", "id"),
        (400, "", "reports"),
        (409, "completed", ""),
        (400, "", "workerId"),
        (400, "", "attempt"),
    ];
    assert_eq!(answers.len(), expected.len());
    for (answer, (status, state, field)) in answers.iter().zip(expected) {
        assert_eq!(short(answer), (status, state.to_owned(), field.to_owned()), "{answer}");
    }
    assert_eq!((&answers[0]["id"], &answers[1]["id"]), (&json!(one), &json!("nobody")));
    // The owner heard of what was proposed.
    let owner = runs.api.workers.clone();
    let of = runs.of(1, 0);
    let heard = async {
        while !owner.reports().iter().any(|told| told.occurrence == of && told.ends) {
            poll_interval().await;
        }
    };
    tokio::time::timeout(LIMIT, heard).await.unwrap();
    assert!(owner.reports().iter().all(|told| told.worker == "w" && told.attempt < 3));
    assert_eq!(answers[0]["runId"].as_str().unwrap().len(), 24);
    let shown = runs.api.get(&format!("/api/v1/runs/{one}")).await;
    assert_eq!(shown.json["data"]["result"], "{\"mails\":3}");
}

/// The reports of the table of states: four, in every order, each of the attempt that was lost or
/// of the one that is under way. A claim of the second attempt is in the state.
#[tokio::test]
async fn reports_in_every_order_over_two_attempts_end_as_the_table_says() {
    let mut runs = RunsFixture::new().await;
    let sequences = sequences();
    assert_eq!(sequences.len(), 24 * 16);
    let of: Vec<_> =
        (0..sequences.len() as i64).map(|n| runs.of(1 + (n % 4).cast_unsigned(), n / 4)).collect();
    let first = of.iter().map(|of| JournalEntry::Taken(taken(offer(*of), "w1"))).collect();
    runs.journal(first).await;
    let lost = |of: &Occurrence| RunReport {
        occurrence: *of,
        attempt: 1,
        worker: String::new(),
        said: Said::Lost { node: 1, epoch: 1 },
    };
    let command = Command::ReportRuns { reports: of.iter().map(lost).collect() };
    runs.api.cluster().propose(command).await.unwrap();
    let rows = runs.api.cluster().read(|conn| pending::for_shard(conn, 0)).await.unwrap();
    let row = |of: &Occurrence| {
        let is = |row: &&Pending| row.scheduled == of.scheduled && row.members.contains(of.job);
        rows.iter().find(is).map(|row| row.id)
    };
    let second = of.iter().map(|of| {
        let offer = Offer { attempt: 2, pending: row(of), ..offer(*of) };
        JournalEntry::Taken(taken(offer, "w2"))
    });
    runs.journal(second.collect()).await;
    let cluster = cluster_id(&runs.api).await;
    let mut expected = vec!["running"; of.len()];
    for step in 0..4 {
        for attempt in [1, 2] {
            let told: Vec<_> = (0..of.len()).filter(|n| sequences[*n][step].1 == attempt).collect();
            let report = |n: &usize| {
                let state = sequences[*n][step].0;
                json!({"id": occurrence_id(cluster, of[*n]), "state": state,
                       "attempt": attempt, "retry": false})
            };
            let body = json!({"reports": told.iter().map(report).collect::<Vec<_>>()});
            let path = format!("/api/v1/workers/w{attempt}/report");
            let answer = runs.api.post(&path, body).await;
            let answers = answer.json["data"]["reports"].as_array().unwrap();
            assert_eq!(answers.len(), told.len());
            for (n, answer) in told.into_iter().zip(answers) {
                let said = sequences[n][step];
                let (status, after) = table(expected[n], said);
                let shown = (answer["status"].as_u64().unwrap(), answer["state"].as_str().unwrap());
                let sequence = &sequences[n][..=step];
                assert_eq!(shown, (status, after), "{sequence:?} of {}", expected[n]);
                expected[n] = after;
            }
        }
    }
    for (n, of) in of.iter().enumerate().step_by(7) {
        let shown = runs.api.get(&format!("/api/v1/runs/{}", occurrence_id(cluster, *of))).await;
        assert_eq!(shown.json["data"]["state"], expected[n], "{:?}", sequences[n]);
    }
}

/// The status and the state after a report, by the table of states: an attempt that was lost can
/// only be completed, an end only be repeated, and of failed only completed becomes something else.
fn table<'s>(state: &'s str, (said, attempt): (&'s str, u64)) -> (u64, &'s str) {
    match (state, said) {
        ("running" | "failed", "completed") => (200, "completed"),
        ("running", said) if attempt == 2 => (200, said),
        (end, said) if end == said && end != "running" => (200, end),
        (state, _) => (409, state),
    }
}

/// Every order of the four states that a worker says, with each choice of two attempts.
fn sequences() -> Vec<Vec<(&'static str, u64)>> {
    let words = ["running", "completed", "failed", "cancelled"];
    let mut orders: Vec<Vec<&str>> = vec![vec![]];
    for _ in words {
        let longer = orders.iter().flat_map(|order| {
            let left = words.iter().filter(|word| !order.contains(word));
            left.map(|word| [&order[..], &[*word]].concat()).collect::<Vec<_>>()
        });
        orders = longer.collect();
    }
    let with_attempts = orders.into_iter().flat_map(|order| {
        (0..16_u64).map(move |bits| {
            let attempt = |place: usize| 1 + (bits >> place & 1);
            order.iter().enumerate().map(|(place, word)| (*word, attempt(place))).collect()
        })
    });
    with_attempts.collect()
}

#[tokio::test]
async fn bad_reports_are_refused_and_name_the_field() {
    let mut runs = RunsFixture::new().await;
    let of = runs.of(1, 0);
    runs.take(of, "w").await;
    let run = format!("/runs/{}", id(&runs, of).await);
    let long = "x".repeat(256);
    let many = vec![json!({"id": "x", "state": "completed"}); 1_001];
    for (path, body, status, field) in [
        (format!("{run}/complete"), json!({"attempt": 0}), 400, "attempt"),
        (format!("{run}/complete"), json!({"attempt": "1"}), 400, "attempt"),
        (format!("{run}/complete"), json!({"attempt": 5_000_000_000_u64}), 400, "attempt"),
        (format!("{run}/complete"), json!({"workerId": 1}), 400, "workerId"),
        (format!("{run}/complete"), json!({"workerId": long}), 400, "workerId"),
        (format!("{run}/fail"), json!({"retry": "no"}), 400, "retry"),
        (format!("{run}/cancel"), json!({"cancelledBy": long}), 400, "cancelledBy"),
        (format!("{run}/release"), json!([]), 422, ""),
        ("/runs/nobody/complete".to_owned(), json!({}), 404, ""),
        (format!("/workers/{long}/report"), json!({"reports": []}), 400, "workerId"),
        ("/workers/w/report".to_owned(), json!({}), 400, "reports"),
        ("/workers/w/report".to_owned(), json!({"reports": {}}), 400, "reports"),
        ("/workers/w/report".to_owned(), json!({"reports": many}), 400, "reports"),
    ] {
        let refused = runs.api.post(&format!("/api/v1{path}"), body.clone()).await;
        let told = (refused.status.as_u16(), refused.json["error"]["field"].as_str());
        assert_eq!(told.0, status, "{path} {body}: {}", refused.json);
        assert_eq!(told.1.unwrap_or(""), field, "{path} {body}");
    }
    let empty = runs.api.post("/api/v1/workers/w/report", json!({"reports": []})).await;
    assert_eq!(empty.json["data"]["reports"], json!([]));
}
