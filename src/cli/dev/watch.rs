//! Shows the user of `dev` the executions as they happen, a line each. It polls a node's list and
//! changes nothing.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use serde_json::Value;

use crate::cli::Failure;
use crate::cli::client::Client;
use crate::cli::columns::{answer, error, result, took};
use crate::cli::output::cell;
use crate::cli::visible;
use crate::model::time::parse_rfc3339;
use crate::telemetry::{BOUND, Stream};

/// Time between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// The number of executions that a poll reads.
const WINDOW: usize = 100;
/// The delay from which on a first attempt is shown as late, in milliseconds.
const LATE_MS: i64 = 1_000;

/// Prints each execution once, oldest first, without those from before. A terminal that is not read
/// loses lines and never delays the node. A closed terminal ends the watch.
pub(super) async fn watch(client: &Client, json: bool) -> anyhow::Result<()> {
    let colours = !json && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let shown_to = Stream::start(&io::stdout(), "shown", BOUND, |shown_to, lines| {
        shown_to.push(format!("({lines} executions are not shown)\n").as_bytes());
    })?;
    let query = [
        ("limit", WINDOW.to_string()),
        ("offset", "0".to_owned()),
        ("orderBy", "dateCreated".to_owned()),
        ("orderByDirection", "desc".to_owned()),
    ];
    let mut seen = Seen::default();
    let mut first = true;
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let envelope = match client.get("/executions", &query).await {
            Ok(envelope) => envelope,
            // The node is busy or stopping; if it stops, this future is dropped.
            Err(e) if Failure::code(&e) != 3 => continue,
            Err(e) => return Err(e),
        };
        let list = envelope["data"]["executions"].as_array().map_or(&[][..], Vec::as_slice);
        for execution in list.iter().rev() {
            if seen.is_new(execution) && !first {
                let told =
                    if json { visible::json(execution, false) } else { shown(execution, colours) };
                shown_to.push(format!("{told}\n").as_bytes());
            }
        }
        first = false;
        if shown_to.is_closed() {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
    }
}

/// The executions of the last looks, so that each is printed once.
#[derive(Default)]
struct Seen {
    known: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    fn is_new(&mut self, execution: &Value) -> bool {
        // A retry has the id of its occurrence; only the attempt differs.
        let id = cell(execution, &["uniqueId", "id"]);
        let mark = format!("{id} {}", cell(execution, &["attempt", "state"]));
        if !self.known.insert(mark.clone()) {
            return false;
        }
        self.order.push_back(mark);
        if self.order.len() > 4 * WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// An execution as a line: `2026-11-21T05:00:05Z  job 1  delivered  attempt 1  HTTP 200  3 ms`.
fn shown(execution: &Value, colours: bool) -> String {
    let outcome = result(execution);
    let colour = match outcome.split(':').next() {
        Some("delivered") => "32",
        Some("failed") => "33",
        Some("dead") => "31",
        _ => "36",
    };
    // Padding comes before colouring, because escape codes have no width.
    let padded = format!("{outcome:9}");
    let outcome = if colours { format!("\x1b[{colour}m{padded}\x1b[0m") } else { padded };
    let mut parts = vec![
        cell(execution, &["scheduledAt"]),
        format!("job {}", cell(execution, &["jobId"])),
        outcome,
    ];
    if execution["status"] != "skipped" {
        parts.push(format!("attempt {}", cell(execution, &["attempt"])));
        parts.push(answer(execution));
        parts.push(took(execution));
    }
    parts.extend(late(execution));
    parts.push(error(execution));
    parts.retain(|part| part != "-");
    parts.join("  ").trim_end().to_owned()
}

/// The delay of a first attempt, if it is [`LATE_MS`] or more.
fn late(execution: &Value) -> Option<String> {
    let instant = |name: &str| execution[name].as_str().and_then(parse_rfc3339);
    let late = instant("startedAt")? - instant("dueAt").or_else(|| instant("scheduledAt"))?;
    let is_first = execution["attempt"] == 1;
    (is_first && late >= LATE_MS).then(|| format!("{:.1} s late", late as f64 / 1_000.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_execution_is_shown_once_and_each_attempt_of_it() {
        let mut seen = Seen::default();
        let execution =
            |id: usize, attempt: u32| json!({"uniqueId": id.to_string(), "attempt": attempt});
        assert!(seen.is_new(&execution(1, 1)));
        assert!(!seen.is_new(&execution(1, 1)));
        assert!(seen.is_new(&execution(1, 2)));
        for id in 2..10 * WINDOW {
            assert!(seen.is_new(&execution(id, 1)));
        }
        assert!(seen.known.len() <= 4 * WINDOW);
    }

    #[test]
    fn a_line_says_what_happened_and_how_late() {
        let mut execution = json!({
            "id": 1, "jobId": 7, "scheduledAt": "2026-11-21T05:00:05Z", "status": "failed",
            "attempt": 2, "httpCode": 500, "durationMs": 3, "nodeId": 1, "error": "status 500",
            "startedAt": "2026-11-21T05:00:17.250Z",
        });
        let line = "2026-11-21T05:00:05Z  job 7  failed     attempt 2  HTTP 500  3 ms  status 500";
        assert_eq!(shown(&execution, false), line);
        assert!(shown(&execution, true).contains("\x1b[33mfailed   \x1b[0m"));
        execution["attempt"] = 1.into();
        execution["httpCode"] = 0.into();
        assert!(
            shown(&execution, false).contains("attempt 1  no answer  3 ms  12.2 s late  status")
        );
        let skipped = json!({
            "jobId": 7, "scheduledAt": "2026-11-21T05:00:05Z", "status": "skipped",
            "reason": "paused", "attempt": 0, "httpCode": 0, "durationMs": 0,
        });
        assert_eq!(shown(&skipped, false), "2026-11-21T05:00:05Z  job 7  skipped: paused");
    }
}
