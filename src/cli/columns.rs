//! The columns of each noun in the tables of `list`, `create`, `runs`, `explain` and `dev`, and the
//! texts in their cells. Each function takes a record of the API's answer.

use serde_json::Value;

use super::output::{Column, ComputedColumn, cell, show};

/// The field into which `list jobs` writes the result of a job's newest attempt; not a field of the
/// API.
pub(super) const LAST_RESULT: &str = "lastResult";

/// Who makes the instances of a template.
fn made_by(template: &Value) -> String {
    if template["userTriggered"] == true { "users" } else { "itself" }.to_owned()
}

/// The columns of projects.
pub(super) const PROJECTS: &[Column] = &[
    ("id", &["id"]),
    ("name", &["name"]),
    ("description", &["description"]),
    ("created", &["dateCreated"]),
];
/// The columns of jobs.
pub(super) const JOBS: &[ComputedColumn] = &[
    ComputedColumn { title: "id", cell: |job| cell(job, &["id"]), wide: false },
    ComputedColumn { title: "project", cell: |job| cell(job, &["projectId"]), wide: true },
    ComputedColumn { title: "external id", cell: |job| cell(job, &["externalId"]), wide: false },
    ComputedColumn { title: "when", cell: when, wide: false },
    ComputedColumn { title: "timezone", cell: |job| cell(job, &["timezone"]), wide: true },
    ComputedColumn { title: "status", cell: |job| cell(job, &["status"]), wide: false },
    ComputedColumn { title: "last", cell: |job| cell(job, &[LAST_RESULT]), wide: false },
    ComputedColumn { title: "next", cell: |job| cell(job, &["nextExecutionDate"]), wide: false },
    ComputedColumn { title: "target", cell: target, wide: false },
    ComputedColumn { title: "labels", cell: labels, wide: true },
];
/// The columns of templates.
pub(super) const TEMPLATES: &[ComputedColumn] = &[
    ComputedColumn { title: "id", cell: |t| cell(t, &["id"]), wide: false },
    ComputedColumn { title: "project", cell: |t| cell(t, &["projectId"]), wide: false },
    ComputedColumn { title: "type", cell: |t| cell(t, &["type"]), wide: false },
    ComputedColumn { title: "label", cell: |t| cell(t, &["label"]), wide: true },
    ComputedColumn { title: "made by", cell: made_by, wide: false },
    ComputedColumn {
        title: "again",
        cell: |t| cell(t, &["rescheduleAfterTermination"]),
        wide: false,
    },
    ComputedColumn { title: "after", cell: |t| cell(t, &["startInSeconds"]), wide: true },
    ComputedColumn { title: "active", cell: |t| cell(t, &["active"]), wide: false },
    ComputedColumn { title: "version", cell: |t| cell(t, &["version"]), wide: true },
    ComputedColumn { title: "target", cell: |t| target(&t["target"]), wide: false },
];
/// The columns of executors.
pub(super) const EXECUTORS: &[ComputedColumn] = &[
    ComputedColumn { title: "id", cell: |e| cell(e, &["id"]), wide: false },
    ComputedColumn { title: "name", cell: |e| cell(e, &["name"]), wide: false },
    ComputedColumn { title: "type", cell: |e| cell(e, &["type"]), wide: false },
    ComputedColumn { title: "destination", cell: destination, wide: false },
    ComputedColumn { title: "at once", cell: |e| cell(e, &["maxConcurrency"]), wide: true },
    ComputedColumn { title: "per second", cell: |e| cell(e, &["ratePerSecond"]), wide: true },
    ComputedColumn { title: "created", cell: |e| cell(e, &["dateCreated"]), wide: true },
];
/// The columns of credentials.
pub(super) const CREDENTIALS: &[ComputedColumn] = &[
    ComputedColumn { title: "id", cell: |c| cell(c, &["id"]), wide: false },
    ComputedColumn { title: "name", cell: |c| cell(c, &["name"]), wide: false },
    ComputedColumn { title: "api key", cell: |c| cell(c, &["apiKey"]), wide: false },
    ComputedColumn { title: "archived", cell: |c| cell(c, &["archived"]), wide: false },
    ComputedColumn { title: "scopes", cell: scopes, wide: false },
    ComputedColumn { title: "expires", cell: |c| cell(c, &["expiresAt"]), wide: false },
    ComputedColumn { title: "projects", cell: |c| list(&c["projects"]), wide: false },
    ComputedColumn { title: "allowed ips", cell: |c| list(&c["allowedIps"]), wide: true },
    ComputedColumn { title: "per second", cell: |c| cell(c, &["ratePerSecond"]), wide: true },
    ComputedColumn { title: "last used", cell: |c| cell(c, &["lastUsedAt"]), wide: false },
    ComputedColumn { title: "used from", cell: |c| cell(c, &["lastUsedFrom"]), wide: true },
    ComputedColumn { title: "created", cell: |c| cell(c, &["dateCreated"]), wide: false },
    ComputedColumn { title: "created by", cell: |c| cell(c, &["createdBy"]), wide: false },
];
/// The columns of executions.
pub(super) const EXECUTIONS: &[ComputedColumn] = &[
    ComputedColumn {
        title: "scheduled",
        cell: |e| cell(e, &["scheduledAt", "lastExecutionDatetime"]),
        wide: false,
    },
    ComputedColumn { title: "job", cell: |e| cell(e, &["jobId"]), wide: false },
    ComputedColumn { title: "result", cell: result, wide: false },
    ComputedColumn { title: "attempt", cell: attempt, wide: false },
    ComputedColumn { title: "answer", cell: answer, wide: false },
    ComputedColumn { title: "took", cell: took, wide: false },
    ComputedColumn { title: "node", cell: |e| cell(e, &["nodeId"]), wide: true },
    ComputedColumn {
        title: "id",
        cell: |e| cell(e, &["executionId", "uniqueId", "id"]),
        wide: true,
    },
    ComputedColumn { title: "error", cell: error, wide: false },
];

/// The columns of runs.
pub(super) const RUNS: &[ComputedColumn] = &[
    ComputedColumn { title: "id", cell: |run| cell(run, &["id"]), wide: false },
    ComputedColumn { title: "run id", cell: |run| cell(run, &["runId"]), wide: true },
    ComputedColumn { title: "job", cell: |run| cell(run, &["jobName", "jobId"]), wide: false },
    ComputedColumn { title: "queue", cell: |run| cell(run, &["queue"]), wide: false },
    ComputedColumn { title: "state", cell: result, wide: false },
    ComputedColumn { title: "attempt", cell: |run| cell(run, &["attempt"]), wide: true },
    ComputedColumn { title: "worker", cell: |run| cell(run, &["worker"]), wide: false },
    ComputedColumn { title: "done", cell: progress, wide: false },
    ComputedColumn { title: "due", cell: |run| cell(run, &["createdAt"]), wide: true },
    ComputedColumn { title: "started", cell: |run| cell(run, &["startedAt"]), wide: true },
    ComputedColumn { title: "heard", cell: |run| cell(run, &["heartbeatAt"]), wide: true },
    ComputedColumn { title: "error", cell: error, wide: true },
];

/// The columns of the audit.
pub(super) const AUDIT: &[ComputedColumn] = &[
    ComputedColumn { title: "row", cell: |row| cell(row, &["id"]), wide: true },
    ComputedColumn { title: "at", cell: |row| cell(row, &["at"]), wide: false },
    ComputedColumn { title: "who", cell: actor, wide: false },
    ComputedColumn { title: "from", cell: |row| cell(row, &["address"]), wide: false },
    ComputedColumn { title: "node", cell: |row| cell(row, &["nodeId"]), wide: true },
    ComputedColumn { title: "did", cell: |row| cell(row, &["action"]), wide: false },
    ComputedColumn { title: "what", cell: |row| cell(row, &["noun"]), wide: false },
    ComputedColumn { title: "id", cell: |row| cell(row, &["object"]), wide: false },
    ComputedColumn { title: "project", cell: |row| cell(row, &["projectId"]), wide: true },
    ComputedColumn { title: "changes", cell: changes, wide: false },
];

/// The actor of a row of the audit.
fn actor(row: &Value) -> String {
    let (kind, id) = (cell(row, &["actor.kind"]), cell(row, &["actor.id"]));
    let name = cell(row, &["actor.name"]);
    let who = if id == "-" { kind } else { format!("{kind}:{id}") };
    if name == "-" { who } else { format!("{name} ({who})") }
}

/// The fields that a row of the audit names; without any, its facts.
fn changes(row: &Value) -> String {
    let detail = &row["detail"];
    let fields = detail["changes"].as_object().or(detail.as_object());
    let fields: Vec<_> = fields.into_iter().flat_map(|all| all.iter()).collect();
    let change = |(name, value): &(&String, &Value)| match (value.get("old"), value.get("new")) {
        (Some(old), Some(new)) => format!("{name}: {} -> {}", show(old), show(new)),
        (None, Some(new)) => format!("{name}: {}", show(new)),
        (Some(old), None) => format!("{name}: {} -> -", show(old)),
        (None, None) => format!("{name}: {}", show(value)),
    };
    if fields.is_empty() {
        return "-".to_owned();
    }
    fields.iter().map(change).collect::<Vec<_>>().join(", ")
}

/// The scopes of a credential; `*` for one that has none of its own.
fn scopes(credential: &Value) -> String {
    if credential["scopes"].is_array() { list(&credential["scopes"]) } else { "*".to_owned() }
}

/// The texts of a list; `-` for none.
fn list(texts: &Value) -> String {
    let Some(texts) = texts.as_array().filter(|texts| !texts.is_empty()) else {
        return "-".to_owned();
    };
    texts.iter().map(show).collect::<Vec<_>>().join(",")
}

/// The progress of a run.
fn progress(run: &Value) -> String {
    run["progress"].as_u64().map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"))
}

/// The schedule of a job: its cron line, its instant or its delay.
pub(super) fn when(job: &Value) -> String {
    let spec = job["spec"].as_str().filter(|spec| !spec.is_empty());
    match (spec, job["after"].as_str(), job["at"].as_str()) {
        (Some(spec), ..) => show(&spec.into()),
        (None, Some(delay), _) => format!("once, after {}", show(&delay.into())),
        (None, None, Some(at)) => format!("once, at {}", show(&at.into())),
        (None, None, None) => "-".to_owned(),
    }
}

/// The target of a job: a URL, an exchange, or the number of its executor.
pub(super) fn target(job: &Value) -> String {
    let url = job["callbackUrl"].as_str().filter(|url| !url.is_empty());
    match (url.map(|url| show(&url.into())).or_else(|| own_target(job)), &job["executorId"]) {
        (Some(target), _) => target,
        (None, Value::Null) => "-".to_owned(),
        (None, id) => format!("executor {id}"),
    }
}

/// The destination of an executor: a URL, an exchange of a broker, or the bus of a queue.
pub(super) fn destination(executor: &Value) -> String {
    let url = executor["webhookUrl"].as_str().filter(|url| !url.is_empty());
    let url = || url.map(|url| show(&url.into()));
    own_target(executor).or_else(url).unwrap_or_else(|| "-".to_owned())
}

/// The target that a job or an executor holds in an object of its kind. What tells two of them
/// apart comes first, since a table may cut the end.
fn own_target(record: &Value) -> Option<String> {
    let amqp = &record["amqp"];
    if let Some(exchange) = amqp["exchange"].as_str() {
        let exchange = if exchange.is_empty() { "(default)" } else { exchange };
        let (exchange, key) = (show(&exchange.into()), show(&amqp["routingKey"]));
        return Some(format!("{exchange}/{key} at {}", show(&amqp["url"])));
    }
    let worker = &record["worker"];
    if worker["bus"].is_string() {
        let bus = format!("workers, {}", show(&worker["bus"]));
        let at = |url: &Value| format!("{bus} at {}", show(url));
        return Some(worker.get("url").map_or_else(|| bus.clone(), at));
    }
    let url = record["http"]["url"].as_str()?;
    let method = record["http"]["method"].as_str().unwrap_or("POST");
    Some(format!("{} {}", show(&method.into()), show(&url.into())))
}

fn labels(job: &Value) -> String {
    let Some(labels) = job["labels"].as_object().filter(|labels| !labels.is_empty()) else {
        return "-".to_owned();
    };
    let pairs = labels.iter().map(|(key, value)| format!("{key}={}", show(value)));
    show(&pairs.collect::<Vec<_>>().join(",").into())
}

/// The result of an attempt, with the reason where nothing was sent.
pub(super) fn result(execution: &Value) -> String {
    let result = cell(execution, &["status", "state"]);
    match execution["reason"].as_str() {
        Some(reason) => format!("{result}: {}", show(&reason.into())),
        None => result,
    }
}

/// The beginnings of an error that says that there was no connection: today's, and the one of
/// earlier versions.
const NOT_CONNECTED: [&str; 2] = ["no connection: ", "error sending request"];
/// Separates the error of a request from the error of its repetition.
const REPEATED: &str = "; then again: ";

/// The error of an attempt, short enough for a table of 80 columns. For a request that was sent
/// twice only the second error is shown, and for a connection error only the innermost cause. The
/// JSON and `explain` have the whole text.
pub(super) fn error(execution: &Value) -> String {
    let whole = cell(execution, &["error", "waited"]);
    let last = whole.rsplit(REPEATED).next().unwrap_or(&whole);
    let cause = if NOT_CONNECTED.iter().any(|begin| last.starts_with(begin)) {
        let cause = last.rsplit(": ").next().unwrap_or(last);
        cause.split(" (os error").next().unwrap_or(cause)
    } else {
        last.strip_prefix("the receiver ").unwrap_or(last)
    };
    cause.to_owned()
}

fn is_sent(execution: &Value) -> bool {
    execution["status"] != "skipped"
}

fn attempt(execution: &Value) -> String {
    if is_sent(execution) { cell(execution, &["attempt"]) } else { "-".to_owned() }
}

/// The answer, such as `HTTP 204` or `AMQP 312`; `no answer` where none came.
pub(super) fn answer(execution: &Value) -> String {
    if let Some(words) = execution["answer"].as_str() {
        return show(&words.into());
    }
    match execution["httpCode"].as_u64() {
        Some(0) if is_sent(execution) => "no answer".to_owned(),
        Some(0) | None => "-".to_owned(),
        Some(code) => format!("HTTP {code}"),
    }
}

/// The duration of an attempt.
pub(super) fn took(execution: &Value) -> String {
    match execution["durationMs"].as_u64().filter(|_| is_sent(execution)) {
        None => "-".to_owned(),
        Some(ms) if ms < 10_000 => format!("{ms} ms"),
        Some(ms) => format!("{:.1} s", ms as f64 / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_target_is_shown_by_what_tells_it_apart() {
        let amqp = json!({"url": "amqp://me:***@mq/", "exchange": "orders", "routingKey": "new"});
        let to_queue = json!({"url": "amqp://mq/", "exchange": "", "routingKey": "letters"});
        for (record, wanted) in [
            (json!({"amqp": amqp}), "orders/new at amqp://me:***@mq/"),
            (json!({"amqp": to_queue}), "(default)/letters at amqp://mq/"),
            (json!({"worker": {"bus": "embedded"}}), "workers, embedded"),
            (
                json!({"worker": {"bus": "rabbitmq", "url": "amqp://me:***@mq/"}}),
                "workers, rabbitmq at amqp://me:***@mq/",
            ),
            (json!({"http": {"method": "PUT", "url": "http://a/"}}), "PUT http://a/"),
        ] {
            assert_eq!(target(&record), wanted);
            assert_eq!(destination(&record), wanted);
        }
        assert_eq!(target(&json!({"callbackUrl": "http://a/"})), "http://a/");
        assert_eq!(target(&json!({"callbackUrl": "", "executorId": 3})), "executor 3");
        assert_eq!(target(&json!({"callbackUrl": ""})), "-");
        assert_eq!(destination(&json!({"webhookUrl": "http://a/"})), "http://a/");
        assert_eq!(destination(&json!({"webhookUrl": ""})), "-");
    }

    #[test]
    fn an_error_is_as_short_as_it_can_be() {
        for (whole, short) in [
            (
                "no connection: tcp connect error: Connection refused (os error 111)",
                "Connection refused",
            ),
            (
                "error sending request: client error (Connect): tcp connect error: Connection \
                 refused (os error 111)",
                "Connection refused",
            ),
            ("no connection: invalid peer certificate: UnknownIssuer", "UnknownIssuer"),
            (
                "the receiver closed the connection without an answer",
                "closed the connection without an answer",
            ),
            (
                "the receiver closed the connection without an answer; then again: no connection: \
                 tcp connect error: Connection refused (os error 111)",
                "Connection refused",
            ),
            ("timeout: no complete answer within 2s", "timeout: no complete answer within 2s"),
            ("HTTP 500: the receiver is out: of order", "HTTP 500: the receiver is out: of order"),
        ] {
            assert_eq!(error(&json!({"error": whole})), short);
            assert_eq!(error(&json!({"waited": whole})), short);
        }
        assert_eq!(error(&json!({})), "-");
    }

    #[test]
    fn an_answer_is_a_status_or_words() {
        let sent = |code: u16| json!({"status": "delivered", "httpCode": code});
        assert_eq!(answer(&sent(204)), "HTTP 204");
        assert_eq!(answer(&sent(0)), "no answer");
        assert_eq!(answer(&json!({"status": "skipped", "httpCode": 0})), "-");
        let amqp = json!({"status": "delivered", "httpCode": 0, "answer": "AMQP 0"});
        assert_eq!(answer(&amqp), "AMQP 0");
    }
}
