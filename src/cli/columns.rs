//! The columns of each noun in the tables of `list`, `create`, `explain` and `dev`, and the texts
//! in their cells. Each function takes a record of the API's answer.

use serde_json::Value;

use super::output::{Column, ComputedColumn, cell, show};

/// The field into which `list jobs` writes the result of a job's newest attempt; not a field of the
/// API.
pub(super) const LAST_RESULT: &str = "lastResult";

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
/// The columns of credentials.
pub(super) const CREDENTIALS: &[Column] = &[
    ("id", &["id"]),
    ("api key", &["apiKey"]),
    ("archived", &["archived"]),
    ("created", &["dateCreated"]),
    ("created by", &["createdBy"]),
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

/// The target of a job: a URL, or the number of its executor.
pub(super) fn target(job: &Value) -> String {
    let url = job["callbackUrl"].as_str().filter(|url| !url.is_empty());
    match (url, job["http"]["url"].as_str(), &job["executorId"]) {
        (Some(url), ..) => show(&url.into()),
        (None, Some(url), _) => {
            let method = job["http"]["method"].as_str().unwrap_or("POST");
            format!("{} {}", show(&method.into()), show(&url.into()))
        }
        (None, None, Value::Null) => "-".to_owned(),
        (None, None, id) => format!("executor {id}"),
    }
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

/// The status of the answer, such as `HTTP 204`; `no answer` where none came.
pub(super) fn answer(execution: &Value) -> String {
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
}
