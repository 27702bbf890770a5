//! The pictures of README.md and docs/ui.md: three hours of a small shop on a clock of its own,
//! shown by `tests/ui/pictures.mjs`.
//!
//! `cargo test --test it -- browser::pictures --ignored` writes them into `docs/images`.

use std::time::Duration;

use scheduler0::clock::Clock as _;
use serde_json::{Value, json};

use super::{missing, play, settings};
use crate::harness::{Request, VirtualClockNode, respond};

const HOUR: i64 = 3_600_000;
const HALF_MINUTE: i64 = 30_000;
/// The time that passes at once around the instants at which jobs are due. They are jumped to, a
/// moment before, so that the lease is held by then.
const STEP: Duration = Duration::from_millis(40);
const MOMENT: i64 = 1_500;
/// The length of the history that the pictures show.
const SHOWN: i64 = 3 * HOUR;

/// The jobs by project: name, schedule, path of the target, further fields.
fn jobs(node: &VirtualClockNode, project: u64, names: &[(&str, &str, &str)]) -> Vec<Value> {
    let job = |(name, spec, path): &(&str, &str, &str)| {
        json!({
            "projectId": project, "externalId": name, "spec": spec, "timezone": "Europe/Berlin",
            "http": {"method": "POST", "url": node.receiver.at(path)},
            "labels": {"team": if project == 1 { "billing" } else { "stock" }},
            "data": format!("{{\"report\": \"{name}\"}}"), "retryMax": 2, "retryDelay": "20s",
        })
    };
    names.iter().map(job).collect()
}

/// The answer of the shop: its stock is away for some minutes, and one supplier is gone.
fn answer(request: &Request) -> axum::response::Response {
    let minute = request.at / 60_000 % 97;
    match request.path.as_str() {
        "/stock" if (30..32).contains(&minute) => respond(503),
        "/supplier" if (61..72).contains(&minute) => respond(502),
        _ => respond(204),
    }
}

async fn fill(node: &VirtualClockNode) {
    for (name, about) in [("billing", "Invoices and rates"), ("warehouse", "Stock and suppliers")] {
        let body = json!({"name": name, "description": about});
        let (status, body) = node.ask("POST", "/api/v1/projects", Some(body)).await;
        assert_eq!(status, 201, "{body}");
    }
    let billing = [
        ("nightly-backup", "30 2 * * *", "/backup"),
        ("send-invoices", "0 9 * * MON-FRI", "/invoices"),
        ("exchange-rates", "*/5 * * * *", "/rates"),
        ("overdue-reminders", "15 10 * * *", "/reminders"),
        ("ledger-check", "*/2 * * * *", "/ledger"),
        ("card-expiry", "0 6 1 * *", "/cards"),
    ];
    let warehouse = [
        ("sync-stock", "* * * * *", "/stock"),
        ("price-feed", "*/30 * * * * *", "/prices"),
        ("supplier-orders", "*/10 * * * *", "/supplier"),
        ("count-shelves", "0 4 * * SUN", "/count"),
        ("parcel-status", "* * * * *", "/parcels"),
        ("refill-forecast", "20 * * * *", "/refill"),
    ];
    for (project, names) in [(1, &billing), (2, &warehouse)] {
        let jobs = jobs(node, project, names);
        let (status, body) = node.ask("POST", "/api/v1/jobs", Some(jobs.into())).await;
        assert_eq!(status, 201, "{body}");
    }
    let (status, body) = node.ask("POST", "/api/v1/jobs/4/pause", Some(json!({}))).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes pictures"]
async fn the_pictures_of_the_pages_are_made() {
    let missing = missing();
    assert!(missing.is_empty(), "pictures need {}", missing.join(", "));
    let node = VirtualClockNode::build().await;
    node.receiver.script(|request| Some(answer(request)));
    fill(&node).await;
    let begin = node.clock.wall() / HALF_MINUTE * HALF_MINUTE;
    for due in (1..=SHOWN / HALF_MINUTE).map(|number| begin + number * HALF_MINUTE) {
        node.jump_to((due - MOMENT).max(node.clock.wall()));
        let passed = async |node: &VirtualClockNode| (node.clock.wall() > due + 300).then_some(());
        node.until_by(STEP, "the jobs are sent", passed).await;
    }
    let settings = settings(&[json!({"id": 1, "url": node.url("")})], "pictures");
    let passing = async {
        let mut ticker = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticker.tick().await;
            node.clock.advance(Duration::from_millis(20));
        }
    };
    tokio::select! {
        () = play("pictures.mjs", &settings, async |words: &str| panic!("it asks for {words}")) => {}
        () = passing => {}
    }
}
