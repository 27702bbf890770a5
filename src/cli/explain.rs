//! `explain`: why a job ran, or did not, at an instant, asked of a node and told for people: the
//! sentence first, then the schedule field by field, the attempts, what lies before and after.

use clap::Args;
use serde_json::Value;

use super::Failure;
use super::client::Client;
use super::output::{Column, Format, Output, cell, line, say, show, table};
use crate::model::time::parse_rfc3339;

const FIELDS: &[Column] = &[
    ("field", &["name"]),
    ("then", &["value"]),
    ("wants", &["wants"]),
    ("in words", &["meaning"]),
    ("met", &["met"]),
];
const ATTEMPTS: &[Column] = &[
    ("attempt", &["attempt"]),
    ("result", &["reason", "status"]),
    ("started", &["startedAt"]),
    ("ms", &["durationMs"]),
    ("http", &["httpCode"]),
    ("how", &["how"]),
    ("node", &["nodeId"]),
    ("epoch", &["epoch"]),
    ("stale", &["stale"]),
    ("error", &["error"]),
    ("answer", &["response"]),
];

/// Flags of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The job's number
    job: u64,
    /// The instant, to the second or finer: RFC 3339, such as 2026-11-20T20:18:00Z
    instant: String,
}

/// Carries it out.
pub(super) async fn run(flags: &Explain, client: &Client, output: Output) -> anyhow::Result<()> {
    if parse_rfc3339(&flags.instant).is_none() {
        let message = format!(
            "INSTANT: expected RFC 3339, such as 2026-11-20T20:18:00Z, found {:?}",
            flags.instant
        );
        return Err(Failure::Usage(message).into());
    }
    let path = format!("/jobs/{}/explain", flags.job);
    let envelope = client.get(&path, &[("at", flags.instant.clone())]).await?;
    if output.format == Format::Json {
        return output.json(&envelope);
    }
    for part in told(&envelope["data"]) {
        line(&part)?;
    }
    for note in list(&envelope["data"]["notes"]) {
        say(&format!("note: {}", show(note)));
    }
    Ok(())
}

/// The parts of an explanation, one below the other.
fn told(data: &Value) -> Vec<String> {
    let mut parts = vec![show(&data["summary"])];
    if let Some(schedule) = data["schedule"].as_object() {
        let of = |name: &str| show(schedule.get(name).unwrap_or(&Value::Null));
        let zone = (of("local"), of("timezone"));
        parts.push(format!("\n{}: {} in {}", of("description"), zone.0, zone.1));
        parts.push(rows(&data["schedule"]["fields"], FIELDS));
    }
    if let Some(plan) = data["plan"].as_object() {
        let of = |name: &str| plan.get(name).filter(|value| !value.is_null()).map(show);
        let until = of("until").map_or_else(String::new, |until| format!(" until {until}"));
        let (standing, from) = (of("standing").unwrap_or_default(), of("from").unwrap_or_default());
        parts.push(format!("\nplan: {standing}, from {from}{until}"));
    }
    let manual = list(&data["manualRuns"]);
    for one in std::iter::once(&data["occurrence"]).chain(manual).filter(|one| one.is_object()) {
        parts.push(format!("\n{}: {}", cell(one, &["executionId"]), cell(one, &["state"])));
        if !list(&one["attempts"]).is_empty() {
            parts.push(rows(&one["attempts"], ATTEMPTS));
        }
    }
    let (previous, next) = (cell(data, &["previous"]), cell(data, &["next"]));
    parts.push(format!("\nbefore: {previous}   after: {next}"));
    parts
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn rows(records: &Value, columns: &[Column]) -> String {
    let row = |record: &Value| columns.iter().map(|(_, names)| cell(record, names)).collect();
    table(columns.iter().map(|(title, _)| *title), list(records).iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_explanation_is_told_from_the_sentence_down() {
        let parts = told(&json!({
            "summary": "not due: minute is 30, wants 0",
            "schedule": {
                "description": "At minute 0, every hour", "local": "2026-01-01T00:30:00Z",
                "timezone": "UTC",
                "fields": [{"name": "minute", "value": "30", "wants": "0", "meaning": "at minute 0",
                    "met": false}],
            },
            "plan": {"standing": "active", "from": "2025-12-31T00:00:00Z"},
            "occurrence": {"executionId": "a-1-2", "state": "delivered", "attempts": [
                {"attempt": 1, "status": "delivered", "httpCode": 200, "error": "x\u{1b}[2J"}]},
            "previous": "2026-01-01T00:00:00Z",
        }));
        let text = parts.join("\n");
        for part in [
            "not due: minute is 30, wants 0\n",
            "At minute 0, every hour: 2026-01-01T00:30:00Z in UTC\nFIELD",
            "minute  30    0      at minute 0  false",
            "plan: active, from 2025-12-31T00:00:00Z\n",
            "a-1-2: delivered\nATTEMPT",
            "x\\u{1b}[2J",
            "before: 2026-01-01T00:00:00Z   after: -",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(told(&json!({"summary": "gone"})).len() == 2);
    }
}
