//! The table of the routes: what of each may be out of reach, and the requests that try it. In
//! queries and bodies `<JOB>` stands for the id of the job of a side, and so on.

/// What a route has of other sides.
pub(super) enum Row {
    /// It is about no record, or about the caller alone.
    Nobody,
    /// It reads what all projects of the account share: executors, queues, workers.
    OfAccount,
    /// A key that is bound to projects may not do it: 403, whatever it names. With a body.
    Refused(&'static str),
    /// It names records: those of another side get the answer of ids that never were.
    Named(Vec<Case>),
    /// It finds records: with these queries the same as an operator finds in the project alone.
    /// And by filters that name records, as [`Row::Named`].
    Found(&'static [&'static str], Vec<Case>),
}

/// A request.
pub(super) struct Case {
    pub(super) query: &'static str,
    pub(super) body: &'static str,
    /// It is refused with 403, whatever it names: it gives more than the key has.
    pub(super) may_be_refused: bool,
}

fn case(query: &'static str, body: &'static str) -> Case {
    Case { query, body, may_be_refused: false }
}

/// A request without a body.
fn plain() -> Row {
    Row::Named(vec![case("", "")])
}

/// Requests with these bodies.
fn with(bodies: &[&'static str]) -> Row {
    Row::Named(bodies.iter().map(|body| case("", body)).collect())
}

/// Lists with these queries, and filters that name records.
fn found(queries: &'static [&'static str], filters: &[&'static str]) -> Row {
    Row::Found(queries, filters.iter().map(|query| case(query, "")).collect())
}

const PREVIEWED: &str = r#"{"dryRun":true,"filter":{"projectId":<PROJECT>}}"#;
const BY_PROJECT: &str = r#"{"filter":{"projectId":<PROJECT>}}"#;
const BY_IDS: &str = r#"{"filter":{"ids":[<JOB>]}}"#;
const BY_LABEL: &str = r#"{"filter":{"labels":{"side":"<NAME>"}}}"#;
const BY_NAME: &str = r#"{"filter":{"externalIds":["<NAME>"],"projectId":<PROJECT>}}"#;

/// The row of an operation; `None` where the table has none.
#[expect(clippy::match_same_arms, reason = "the rows are in the order of their nouns")]
pub(super) fn row(operation: &str) -> Option<Row> {
    Some(match operation {
        "GET /"
        | "GET /auth/config"
        | "GET /healthcheck"
        | "GET /livez"
        | "GET /metrics"
        | "GET /openapi.json"
        | "GET /readyz"
        | "GET /whoami"
        | "POST /prompt"
        | "POST /schedules/preview" => Row::Nobody,
        "POST /sessions/end" => with(&[r#"{"credentialId":<CREDENTIAL>}"#]),
        "GET /executors" | "GET /executors/{id}" | "GET /queues" | "GET /workers" => Row::OfAccount,
        "GET /accounts"
        | "GET /accounts/{id}"
        | "GET /accounts/{id}/execution-count"
        | "GET /features" => Row::OfAccount,
        "POST /accounts" | "PUT /accounts/{id}" => Row::Refused(r#"{"name":"n"}"#),
        "DELETE /accounts/{id}" => Row::Refused(""),
        "PUT /accounts/{id}/feature" | "DELETE /accounts/{id}/feature" => {
            Row::Refused(r#"{"featureId":1}"#)
        }
        "PUT /accounts/{id}/features/all" | "DELETE /accounts/{id}/features/all" => {
            Row::Refused("")
        }
        "PUT /accounts/{id}/execution-count" => Row::Refused(r#"{"count":1}"#),
        // Not offered.
        "POST /local-executors"
        | "POST /local-executors/{id}/{what}"
        | "POST /ai/{what}"
        | "POST /ai/{what}/{which}"
        | "POST /account/ai-settings"
        | "POST /accounts/{id}/ai/usage"
        | "POST /accounts/{id}/tokens"
        | "POST /accounts/{id}/tokens/add" => Row::Nobody,

        // Of the cluster.
        operation if operation.contains(" /cluster/") => Row::Refused("{}"),
        "POST /executions/cleanup-old-logs" => Row::Refused(r#"{"retentionMonths":1}"#),

        // Of all projects together.
        "POST /projects" => Row::Refused(r#"{"name":"n","description":"d"}"#),
        "POST /executors" => {
            Row::Refused(r#"{"name":"n","type":"webhook_url","webhookUrl":"https://example.com/"}"#)
        }
        "PUT /executors/{id}" | "PATCH /executors/{id}" => Row::Refused(r#"{"name":"n"}"#),
        "DELETE /executors/{id}" => Row::Refused(""),
        "POST /executors/{id}/rotate-secret" => Row::OfAccount,
        "POST /workers/claim" => Row::Refused(r#"{"workerId":"w","queues":["emails"]}"#),
        "POST /workers/{id}/heartbeat" => {
            Row::Refused(r#"{"runs":[{"id":"<RUN>","attempt":1}],"wait":"0s"}"#)
        }

        // Keys.
        "GET /credentials" => Row::OfAccount,
        "POST /credentials" => {
            let body = r#"{"projects":[<PROJECT>]}"#;
            Row::Named(vec![Case { may_be_refused: true, ..case("", body) }])
        }
        "GET /credentials/{id}" | "DELETE /credentials/{id}" => plain(),
        "PATCH /credentials/{id}" => with(&[r#"{"name":"n"}"#, r#"{"projects":null}"#]),
        "PUT /credentials/{id}" => with(&[r#"{"archived":true}"#]),
        "POST /credentials/{id}/archive" => with(&["{}"]),
        "POST /credentials/{id}/rotate" => with(&["{}"]),

        // Projects.
        "GET /projects" => Row::OfAccount,
        "GET /projects/{id}" => plain(),
        "DELETE /projects/{id}" => Row::Named(vec![case("", ""), case("?cascade=true", "")]),
        "PUT /projects/{id}" | "PATCH /projects/{id}" => with(&[r#"{"description":"x"}"#]),
        "POST /projects/{id}/pause" | "POST /projects/{id}/resume" => with(&["{}"]),
        "POST /projects/{id}/rotate-secret" => with(&["{}"]),
        "GET /projects/{id}/jobs/by-external-id/{external}"
        | "DELETE /projects/{id}/jobs/by-external-id/{external}" => plain(),
        "PUT /projects/{id}/jobs/by-external-id/{external}" => {
            with(&[r#"{"spec":"0 2 * * *","timezone":"UTC","callbackUrl":"http://localhost:3/"}"#])
        }

        // Jobs.
        "GET /jobs" => found(
            &[
                "?limit=5",
                "?limit=5&orderBy=dateModified",
                "?status=active&limit=3",
                "?label=side=bravo",
            ],
            &[
                "?projectId=<PROJECT>",
                "?externalId=<NAME>",
                "?label=side=<NAME>",
                "?projectId=<PROJECT>&status=inactive",
            ],
        ),
        "POST /jobs" => with(&[
            r#"{"projectId":<PROJECT>,"spec":"0 2 * * *","timezone":"UTC","callbackUrl":"http://localhost:3/"}"#,
            r#"[{"projectId":<PROJECT>,"spec":"0 2 * * *","timezone":"UTC","executorId":1,"externalId":"<NAME>"}]"#,
        ]),
        "GET /jobs/{id}" | "DELETE /jobs/{id}" | "GET /jobs/{id}/next" => plain(),
        "GET /jobs/{id}/explain" => {
            Row::Named(vec![case("", ""), case("?at=2026-11-20T00:00:00Z", "")])
        }
        "GET /jobs/{id}/occurrences" => plain(),
        "PATCH /jobs/{id}" => with(&[r#"{"retryMax":1}"#, r#"{"projectId":1}"#]),
        "PUT /jobs/{id}" => with(&[
            r#"{"projectId":1,"spec":"0 2 * * *","timezone":"UTC","callbackUrl":"http://localhost:3/"}"#,
        ]),
        "POST /jobs/{id}/pause"
        | "POST /jobs/{id}/resume"
        | "POST /jobs/{id}/run"
        | "POST /jobs/{id}/terminate" => with(&["{}"]),
        "POST /jobs/delete" | "POST /jobs/pause" | "POST /jobs/resume" => {
            with(&[PREVIEWED, BY_PROJECT, BY_IDS, BY_LABEL, BY_NAME])
        }
        "POST /jobs/edit" => with(&[
            r#"{"filter":{"projectId":<PROJECT>},"set":{"retryMax":1}}"#,
            r#"{"dryRun":true,"filter":{"projectId":<PROJECT>},"set":{"retryMax":1}}"#,
            r#"{"filter":{"ids":[<JOB>]},"set":{"retryMax":1}}"#,
        ]),
        "GET /forecast" => found(&["?buckets=4"], &["?projectId=<PROJECT>&buckets=4"]),
        "GET /upcoming" => found(&["?limit=5"], &["?projectId=<PROJECT>"]),
        "GET /async-tasks/{id}" => plain(),

        // Templates.
        "GET /templates" => {
            found(&["?limit=5", "?type=bravo_mail"], &["?projectId=<PROJECT>", "?type=<NAME>_mail"])
        }
        "POST /templates" => with(&[
            r#"{"projectId":<PROJECT>,"type":"x","startInSeconds":5,"payloadSchema":{},"target":{"callbackUrl":"https://example.com/"}}"#,
        ]),
        "POST /templates/import" => Row::Named(vec![case(
            "?projectId=<PROJECT>",
            r#"{"x":{"type":"x","payload_schema":{"a":{"type":"uint"}}}}"#,
        )]),
        "GET /templates/{id}" | "GET /templates/{id}/instances" => plain(),
        "GET /templates/{id}/versions" => plain(),
        "DELETE /templates/{id}" => Row::Named(vec![case("", ""), case("?terminate=true", "")]),
        "PATCH /templates/{id}" | "PUT /templates/{id}" => with(&[r#"{"label":"x"}"#]),
        "POST /templates/{id}/instances" | "POST /templates/{id}/validate" => {
            with(&[r#"{"payload":{"user_id":7}}"#])
        }

        // History.
        "GET /executions" => found(
            &["?limit=5", "?state=1", "?state=2&limit=3"],
            &["?projectId=<PROJECT>", "?jobId=<JOB>"],
        ),
        "GET /executions/analytics" => found(&[""], &["?projectId=<PROJECT>"]),
        "GET /executions/totals" => found(&[""], &["?projectId=<PROJECT>"]),
        "GET /rates" => found(&[], &["?projectId=<PROJECT>"]),
        "GET /executions/{id}" => plain(),
        "POST /executions/{id}/cancel"
        | "POST /executions/{id}/complete"
        | "POST /executions/{id}/heartbeat" => with(&["{}"]),
        "POST /executions/{id}/fail" => with(&[r#"{"error":"e","retry":false}"#]),
        "GET /dead-letters" => found(
            &["?limit=5"],
            &["?projectId=<PROJECT>", "?jobId=<JOB>", "?target=https://example.com/"],
        ),
        "GET /dead-letters/{id}" | "DELETE /dead-letters/{id}" => plain(),
        "POST /dead-letters/{id}/replay" => with(&["{}"]),
        "POST /dead-letters/purge" | "POST /dead-letters/replay" => with(&[
            r#"{"projectId":<PROJECT>}"#,
            r#"{"jobId":<JOB>}"#,
            r#"{"ids":[<LETTER>]}"#,
            r#"{"dryRun":true,"projectId":<PROJECT>}"#,
        ]),
        "GET /runs" => found(
            &["?limit=5", "?state=running"],
            &["?projectId=<PROJECT>", "?jobId=<JOB>", "?worker=<NAME>"],
        ),
        "GET /runs/{id}" => plain(),
        "POST /runs/{id}/cancel"
        | "POST /runs/{id}/cancelled"
        | "POST /runs/{id}/complete"
        | "POST /runs/{id}/release" => with(&[r#"{"attempt":1,"workerId":"<NAME>"}"#]),
        "POST /runs/{id}/fail" => {
            with(&[r#"{"attempt":1,"workerId":"<NAME>","error":"e","retry":false}"#])
        }
        "POST /workers/{id}/report" => {
            with(&[r#"{"reports":[{"attempt":1,"id":"<RUN>","state":"completed"}]}"#])
        }
        "GET /audit" => found(&["?limit=5"], &["?projectId=<PROJECT>"]),
        "GET /audit/export" => Row::Refused(""),
        "GET /events" => found(&[], &["?jobId=<JOB>", "?projectId=<PROJECT>&jobId=<JOB>"]),
        _ => return None,
    })
}
