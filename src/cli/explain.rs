//! `explain`: why a job ran, or did not run, at an instant. It asks a node and shows the fact
//! first, then the attempts, the schedule field by field, and the occurrences before and after.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use super::Failure;
use super::client::Client;
use super::columns::{answer, took};
use super::output::{Output, cell, hanging, line, show, table, wrapped};
use crate::clock::{Clock as _, SystemClock};
use crate::model::attempt::parse_execution_id;
use crate::model::time::{parse_rfc3339, rfc3339};

/// Time between two polls of an occurrence that has not ended.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The states that an occurrence leaves again.
const TRANSIENT_STATES: &[&str] = &["future", "pending", "running", "not_recorded"];

/// Flags of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The job's number, or an execution id
    #[arg(value_name = "JOB")]
    subject: String,
    /// RFC 3339, such as 2026-11-20T20:18:00Z; `now`; or an execution id [default: the newest
    /// occurrence or manual run, or the first one if nothing was due yet]
    #[arg(conflicts_with_all = ["last", "next"])]
    instant: Option<String>,
    /// The newest occurrence or manual run
    #[arg(long, conflicts_with = "next")]
    last: bool,
    /// The occurrence that is due next
    #[arg(long)]
    next: bool,
    /// Waits until it is delivered, dead or skipped; exit code 1 if that takes more than SECONDS
    /// [default: 60]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60")]
    wait: Option<u64>,
}

/// The occurrence that the arguments name.
struct Subject {
    job: u64,
    /// The instant, RFC 3339.
    at: String,
    /// The execution id, if one was given or found.
    execution: Option<String>,
}

/// Carries it out.
pub(super) async fn run(flags: &Explain, client: &Client, output: Output) -> anyhow::Result<()> {
    let subject = subject(flags, client).await?;
    let path = format!("/jobs/{}/explain", subject.job);
    let until = flags.wait.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (envelope, over) = loop {
        let envelope = client.get(&path, &[("at", subject.at.clone())]).await?;
        let over = !TRANSIENT_STATES
            .contains(&cell(record(&envelope["data"], &subject), &["state"]).as_str());
        if over || until.is_none_or(|until| Instant::now() >= until) {
            break (envelope, over);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    };
    if output.is_json() {
        output.json(&envelope)?;
    } else {
        line(&render(&envelope["data"], &subject, output.width()).join("\n"))?;
    }
    anyhow::ensure!(over || until.is_none(), "it has not come to its end in time");
    Ok(())
}

async fn subject(flags: &Explain, client: &Client) -> anyhow::Result<Subject> {
    let usage = |message: String| anyhow::Error::from(Failure::Usage(message));
    if is_execution(&flags.subject) {
        if flags.instant.is_some() || flags.last || flags.next {
            return Err(usage(
                "an execution id says which occurrence it is: leave out the rest".into(),
            ));
        }
        return execution(&flags.subject, client).await;
    }
    let wrong =
        || usage(format!("JOB: expected a number or an execution id, found {:?}", flags.subject));
    let job = flags.subject.parse().map_err(|_| wrong())?;
    match flags.instant.as_deref() {
        Some("now") => Ok(Subject { job, at: now(), execution: None }),
        Some(id) if is_execution(id) => execution(id, client).await,
        Some(at) if parse_rfc3339(at).is_some() => {
            Ok(Subject { job, at: at.to_owned(), execution: None })
        }
        Some(other) => Err(usage(format!(
            "INSTANT: expected RFC 3339, such as 2026-11-20T20:18:00Z, `now` or an execution id, \
             found {other:?}"
        ))),
        None => newest(job, flags, client).await,
    }
}

async fn execution(id: &str, client: &Client) -> anyhow::Result<Subject> {
    let found = client.get(&format!("/executions/{id}"), &[]).await?;
    let job = found["data"]["jobId"].as_u64().unwrap_or_default();
    let at = cell(&found["data"], &["scheduledAt"]);
    Ok(Subject { job, at, execution: Some(id.to_owned()) })
}

/// The newest occurrence of a job, planned or asked for by hand, or its next one.
async fn newest(job: u64, flags: &Explain, client: &Client) -> anyhow::Result<Subject> {
    let around = client.get(&format!("/jobs/{job}/explain"), &[("at", now())]).await?;
    let instant = |name: &str| around["data"][name].as_str().map(str::to_owned);
    let planned = |at| Subject { job, at, execution: None };
    let next = instant("next").map(planned);
    if flags.next {
        let none = || Failure::Usage(format!("job {job} is not due again"));
        return Ok(next.ok_or_else(none)?);
    }
    let query = [("jobId", job.to_string()), ("limit", "1".to_owned())];
    let listed = client.get("/executions", &query).await?;
    let run = &listed["data"]["executions"][0];
    let last = instant("previous");
    if let (Some(at), true) = (run["scheduledAt"].as_str(), run["run"].is_number())
        && last.as_deref().is_none_or(|last| parse_rfc3339(last) < parse_rfc3339(at))
    {
        let id = cell(run, &["executionId"]);
        return Ok(Subject { job, at: at.to_owned(), execution: Some(id) });
    }
    let last = last.map(planned);
    let found = if flags.last { last } else { last.or(next) };
    let none = || Failure::Usage(format!("job {job} was not due yet: see --next"));
    Ok(found.ok_or_else(none)?)
}

/// Returns whether a text has the form of an execution id, which contains the number of its job.
fn is_execution(text: &str) -> bool {
    // A date such as 2026-11-20 would be accepted by the parser.
    text.find('-') == Some(8) && parse_execution_id(text).is_some()
}

/// The time of this machine, to the second.
fn now() -> String {
    rfc3339(SystemClock.wall().div_euclid(1_000) * 1_000)
}

/// The record of the occurrence or manual run; the record of the instant where there is none.
fn record<'a>(data: &'a Value, subject: &Subject) -> &'a Value {
    let all = std::iter::once(&data["occurrence"]).chain(list(&data["manualRuns"]));
    match &subject.execution {
        Some(id) => all.into_iter().find(|one| one["executionId"] == id.as_str()),
        None => all.into_iter().find(|one| one.is_object()),
    }
    .unwrap_or(data)
}

/// The parts of an explanation, one below the other, for so many columns.
fn render(data: &Value, subject: &Subject, width: Option<u16>) -> Vec<String> {
    let one = record(data, subject);
    // Older nodes send a summary for the instant only.
    let fact = if one["summary"].is_string() { &one["summary"] } else { &data["summary"] };
    let mut parts = vec![hanging(&show(fact), 0, width)];
    let note = |note: &Value| hanging(&format!("note: {}", show(note)), 6, width);
    parts.extend(list(&data["notes"]).iter().map(note));
    let others = std::iter::once(&data["occurrence"]).chain(list(&data["manualRuns"]));
    for one in others.filter(|one| one.is_object()) {
        let by = if one["manual"] == true { "manual run" } else { "execution" };
        parts.push(format!("\n{by} {}: {}", cell(one, &["executionId"]), outcome(one)));
        let attempts = list(&one["attempts"]);
        if !attempts.is_empty() {
            parts.extend(attempt_lines(attempts, width));
        }
    }
    if let Some(schedule) = data["schedule"].as_object() {
        let of = |name: &str| show(schedule.get(name).unwrap_or(&Value::Null));
        let zone = (of("local"), of("timezone"));
        let text = format!("{}: {} in {}", of("description"), zone.0, zone.1);
        parts.push(format!("\n{}", hanging(&text, 2, width)));
        let checks = list(&data["schedule"]["fields"]);
        if !checks.is_empty() {
            parts.push(field_table(checks, width));
        }
    }
    let mut rest = Vec::new();
    if let Some(plan) = data["plan"].as_object() {
        let of = |name: &str| plan.get(name).filter(|value| !value.is_null()).map(show);
        let until = of("until").map_or_else(String::new, |until| format!(" until {until}"));
        let (standing, from) = (of("standing").unwrap_or_default(), of("from").unwrap_or_default());
        rest.push(format!("the job was {standing} from {from}{until}"));
    }
    for (name, title) in [("previous", "due before that"), ("next", "due after that")] {
        if let Some(at) = data[name].as_str() {
            rest.push(format!("{title}: {at}"));
        }
    }
    if !rest.is_empty() {
        parts.push(format!("\n{}", rest.join("\n")));
    }
    parts
}

fn outcome(one: &Value) -> String {
    let reason = one["reason"].as_str().map_or_else(String::new, |why| format!(" ({why})"));
    let state = match one["state"].as_str() {
        Some("not_recorded") => "under way or not recorded yet",
        Some("future") => "not due yet",
        Some("pending") => "waiting for its next attempt",
        Some(state) => state,
        None => "-",
    };
    format!("{}{reason}", show(&state.into()))
}

fn field_table(checks: &[Value], width: Option<u16>) -> String {
    let row = |check: &Value| {
        let fits = if check["met"] == true { "yes" } else { "no" };
        let mut row: Vec<_> =
            ["name", "value", "wants", "meaning"].map(|name| cell(check, &[name])).into();
        row.push(fits.to_owned());
        row
    };
    let titles = ["field", "is", "wants", "in words", "fits"];
    wrapped(titles.into_iter(), checks.iter().map(row), width)
}

/// A table of attempts; what went wrong, and what the receiver said, below each.
fn attempt_lines(attempts: &[Value], width: Option<u16>) -> Vec<String> {
    let below = |title: &str, text: &str| {
        let indent = 9 + title.len();
        hanging(&format!("         {title}{}", show(&text.into())), indent, width)
    };
    let row = |one: &Value| {
        vec![
            cell(one, &["attempt"]),
            cell(one, &["status"]),
            cell(one, &["startedAt"]),
            took(one),
            answer(one),
            cell(one, &["nodeId"]),
        ]
    };
    let titles = ["attempt", "result", "started", "took", "answer", "node"].into_iter();
    let text = table(titles, attempts.iter().map(row));
    let mut lines = text.lines();
    let mut parts: Vec<_> = lines.next().map(str::to_owned).into_iter().collect();
    for (line, attempt) in lines.zip(attempts) {
        parts.push(line.to_owned());
        let how =
            attempt["how"].as_str().filter(|how| *how != "answer").map(|how| how.replace('_', " "));
        parts.extend(how.map(|how| format!("         it {}", ended(&how))));
        let text = |name: &str| attempt[name].as_str().filter(|text| !text.is_empty());
        parts.extend(text("waited").map(|text| below("it ", text)));
        let (error, answer) = (text("error"), text("response"));
        parts.extend(error.map(|text| below("error: ", text)));
        // The error quotes the answer already.
        let answer = answer.filter(|answer| !error.is_some_and(|error| error.contains(answer)));
        parts.extend(answer.map(|text| below("it answered: ", text)));
    }
    parts
}

fn ended(how: &str) -> String {
    match how {
        "reported" => "was reported by its receiver".to_owned(),
        "lost" => "was lost: its receiver fell silent".to_owned(),
        other => other.to_owned(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(execution: Option<&str>) -> Subject {
        Subject { job: 1, at: String::new(), execution: execution.map(str::to_owned) }
    }

    #[test]
    fn an_explanation_is_told_from_the_fact_down() {
        let data = json!({
            "summary": "not due: minute is 30, wants 0", "notes": ["two of them"],
            "schedule": {
                "description": "At minute 0, every hour", "local": "2026-01-01T00:30:00Z",
                "timezone": "UTC",
                "fields": [{"name": "minute", "value": "30", "wants": "0", "meaning": "at minute 0",
                    "met": false}],
            },
            "plan": {"standing": "active", "from": "2025-12-31T00:00:00Z"},
            "manualRuns": [{
                "executionId": "a-1-2-1", "state": "delivered", "manual": true,
                "summary": "run by hand, delivered", "attempts": [
                    {"attempt": 1, "status": "failed", "httpCode": 0, "error": "x\u{1b}[2J",
                        "durationMs": 0, "startedAt": "2026-01-01T00:30:00Z", "nodeId": 2},
                    {"attempt": 2, "status": "delivered", "httpCode": 200, "durationMs": 3}]}],
            "previous": "2026-01-01T00:00:00Z",
        });
        let text = render(&data, &of(None), None).join("\n");
        for part in [
            "run by hand, delivered\nnote: two of them\n",
            "\nmanual run a-1-2-1: delivered\nATTEMPT",
            "failed     2026-01-01T00:30:00Z  0 ms  no answer",
            "\n         error: x\\u{1b}[2J\n2 ",
            "HTTP 200",
            "At minute 0, every hour: 2026-01-01T00:30:00Z in UTC\nFIELD",
            "minute  30  0      at minute 0  no\n",
            "\n\nthe job was active from 2025-12-31T00:00:00Z\ndue before that: 2026-01-01T00:00:00Z",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(
            text.starts_with("run by hand")
                && !text.contains("true")
                && !text.contains("due after")
        );
        assert_eq!(render(&json!({"summary": "gone"}), &of(None), None), ["gone"]);
    }

    #[test]
    fn an_explanation_fits_into_80_columns() {
        let minutes = (0..30).map(|n| (2 * n).to_string()).collect::<Vec<_>>();
        let (list, words) = (minutes.join(","), minutes.join(", "));
        let data = json!({
            "summary": "not due: ".to_owned() + &"day of month is 1, wants 15 ".repeat(5),
            "schedule": {
                "description": format!("At minutes {words}"), "local": "2026-01-01T00:31:00Z",
                "timezone": "America/Argentina/ComodRivadavia",
                "fields": [
                    {"name": "minute", "value": "31", "wants": list,
                        "meaning": format!("at minutes {words}"), "met": false},
                    {"name": "day of month", "value": "1", "wants": "15W",
                        "meaning": "on the working day nearest to the 15th", "met": false},
                ],
            },
            "manualRuns": [{
                "executionId": "0000000123456789abcdef0123456789-1-1767227400000-1",
                "state": "dead", "attempts": [{"attempt": 1, "status": "failed", "httpCode": 500,
                    "error": "the receiver answered 500: ".to_owned() + &"out of order ".repeat(9),
                    "durationMs": 12_345, "startedAt": "2026-01-01T00:30:00Z", "nodeId": 2}]}],
        });
        let text = render(&data, &of(None), Some(80)).join("\n");
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:#?} in\n{text}");
        assert_eq!(text.matches("order").count(), 9, "nothing is cut:\n{text}");
    }

    #[test]
    fn an_execution_id_chooses_among_those_of_an_instant() {
        let data = json!({
            "occurrence": {"executionId": "a-1-2", "state": "delivered"},
            "manualRuns": [{"executionId": "a-1-2-1", "state": "pending"}],
        });
        assert_eq!(record(&data, &of(None))["state"], "delivered");
        assert_eq!(record(&data, &of(Some("a-1-2-1")))["state"], "pending");
    }
}
