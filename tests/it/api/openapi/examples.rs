//! Every example of the document is sent to a node as it stands. The answer has a status of the
//! document, and its body fits the schema of that status, with no field that is not described.

use scheduler0::model::attempt::Verdict;
use scheduler0::model::run::Occurrence;
use scheduler0::model::run_report::Said;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::schema::faults;
use crate::harness::{RunsFixture, attempt_record};

/// Operations on members and backups, which this node in process has neither of:
/// `tests/it/members.rs` and `tests/it/backup.rs` carry them out.
const ELSEWHERE: [&str; 11] = [
    "addMember",
    "removeMember",
    "promoteMember",
    "drainMember",
    "undrainMember",
    "moveLeadership",
    "listMembers",
    "compareChecksums",
    "storeBackup",
    "storeBackupAs",
    "restoreBackup",
];

/// Operations whose examples are refused: they are not offered, or this node may have no other
/// account. `tests/it/api/accounts.rs` makes and deletes accounts.
const REFUSED: [&str; 11] = [
    "prompt",
    "createAccount",
    "deleteAccount",
    "registerLocalExecutor",
    "useLocalExecutor",
    "askAi",
    "askAiFor",
    "accountAiSettings",
    "accountAiUsage",
    "accountTokens",
    "addAccountTokens",
];

/// What must be there before others refer to it, and what must go last.
const FIRST: [&str; 6] = [
    "createProject",
    "createJobs",
    "createExecutor",
    "createCredential",
    "createTemplate",
    "createInstance",
];
const LAST: [&str; 7] = [
    "deleteTemplate",
    "deleteJobByName",
    "deleteExecutor",
    "deleteCredential",
    "deleteJob",
    "dropDeadLetter",
    "deleteProject",
];

/// One operation of the document.
struct Operation<'d> {
    method: String,
    path: &'d str,
    id: &'d str,
    json: &'d Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, json) in methods.as_object().unwrap() {
            let id = json["operationId"].as_str().unwrap();
            all.push(Operation { method: method.to_uppercase(), path, id, json });
        }
    }
    let place = |one: &Operation| {
        let first = FIRST.iter().position(|id| *id == one.id);
        let last = LAST.iter().position(|id| *id == one.id);
        let reads = one.method != "GET";
        (first.unwrap_or(FIRST.len()), last.map_or(0, |at| at + 1), reads)
    };
    all.sort_by_key(place);
    all
}

/// A request of the example of an operation.
struct Request {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn request(operation: &Operation, id: Option<&str>) -> Request {
    let mut path = operation.path.to_owned();
    let mut query = form_urlencoded::Serializer::new(String::new());
    let mut headers = Vec::new();
    for parameter in operation.json["parameters"].as_array().unwrap() {
        let (name, example) = (parameter["name"].as_str().unwrap(), &parameter["example"]);
        match parameter["in"].as_str().unwrap() {
            "path" => {
                let given =
                    id.filter(|_| name == "id").map_or_else(|| text(example), str::to_owned);
                path = path.replace(&format!("{{{name}}}"), &given);
            }
            "query" => {
                let several = example.as_array().cloned().unwrap_or_else(|| vec![example.clone()]);
                for one in several.iter().filter(|one| !one.is_null()) {
                    query.append_pair(name, &text(one));
                }
            }
            _ if example.is_null() => {}
            _ => headers.push((name.to_owned(), text(example))),
        }
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    let body = &operation.json["requestBody"]["content"]["application/json"]["example"];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let server = operation.json["servers"][0]["url"].as_str().map_or("/api/v1", |_| "");
    let uri = format!("{server}{path}{mark}{query}");
    Request { method: operation.method.clone(), uri, headers, body }
}

/// The state that examples refer to: what the first project has, an attempt, two letters.
async fn prepared() -> (RunsFixture, Vec<String>) {
    let runs = RunsFixture::new().await;
    let minute = 60_000;
    let at = runs.at - 10 * minute;
    let letter = |n: i64| attempt_record(&[1], at + n * minute, 1, Verdict::Dead);
    let records = vec![attempt_record(&[1], at, 1, Verdict::Delivered), letter(1), letter(2)];
    runs.api.record(0, records).await;
    let listed = runs.api.get("/api/v1/executions?jobId=1&limit=1").await;
    let execution = &listed.json["data"]["executions"][0]["executionId"];
    (runs, vec![text(execution)])
}

/// A run that a worker has, for an operation about one; in the state that the operation wants.
async fn run_for(runs: &mut RunsFixture, operation: &Operation<'_>, minute: i64) -> String {
    let of: Occurrence = runs.of(2, minute);
    runs.take(of, "worker-1").await;
    if operation.id == "confirmCancel" {
        runs.say(of, Said::Cancel { by: None }).await;
    }
    let listed = runs.api.get("/api/v1/runs?jobId=2&state=running,cancelling&limit=1").await;
    text(&listed.json["data"]["runs"][0]["id"])
}

#[tokio::test]
async fn the_examples_of_the_document_run_and_fit_its_schemas() {
    let (mut runs, executions) = prepared().await;
    let api = runs.api.clone();
    let document = api.send_bare("GET", "/openapi.json", &[], "").await.json;
    let mut wrong = Vec::new();
    let (mut task, mut instance) = (None, None);
    for (number, operation) in operations(&document).iter().enumerate() {
        if ELSEWHERE.contains(&operation.id) || operation.json["x-stream"] == true {
            continue;
        }
        let is_of_run = operation.path.starts_with("/runs/{id}")
            || operation.path.starts_with("/executions/{id}/");
        let id = match operation.id {
            _ if is_of_run => Some(run_for(&mut runs, operation, number as i64).await),
            "getExecution" => Some(executions[0].clone()),
            "getTask" => task.clone(),
            "terminateJob" => instance.clone(),
            // The executors of the queues are in use.
            "deleteExecutor" | "patchExecutor" | "replaceExecutor" | "rotateExecutorSecret" => {
                Some("3".to_owned())
            }
            _ => None,
        };
        let request = request(operation, id.as_deref());
        let headers: Vec<_> =
            request.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = api.send(&request.method, &request.uri, &headers, &request.body).await;
        let status = answer.status.as_u16();
        let told = format!("{} {} ({})", request.method, request.uri, operation.id);
        if operation.id == "createInstance" {
            instance = Some(text(&answer.json["data"]["id"]));
        }
        if operation.id == "createJobs" {
            // The receipt is what comes without the preference.
            let again =
                json!({"projectId": 1, "after": "1h", "callbackUrl": "https://example.com/"});
            let receipt = api.post("/api/v1/jobs", again).await;
            task = receipt.json["data"].as_str().map(str::to_owned);
        }
        let response = &operation.json["responses"][status.to_string()];
        let is_error = response["$ref"].is_string();
        let expected_error = REFUSED.contains(&operation.id);
        if response.is_null() || is_error != expected_error {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            wrong.push(format!("{told}: {status} {}", body.chars().take(300).collect::<String>()));
            continue;
        }
        let resolved = response["$ref"]
            .as_str()
            .map_or(response, |name| document.pointer(name.trim_start_matches('#')).unwrap());
        let schema = &resolved["content"]["application/json"]["schema"];
        let is_json = resolved["content"]["application/json"].is_object();
        if is_json && operation.id != "getOpenApi" {
            let found = faults(&document, schema, &answer.json);
            wrong.extend(found.into_iter().map(|fault| format!("{told}: {fault}")));
        } else if status == 204 {
            assert!(answer.body.is_empty(), "{told}");
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_body_that_is_an_example_fits_its_schema() {
    let runs = RunsFixture::new().await;
    let document = runs.api.send_bare("GET", "/openapi.json", &[], "").await.json;
    let mut wrong = Vec::new();
    for operation in operations(&document) {
        let media = &operation.json["requestBody"]["content"]["application/json"];
        if !media["example"].is_null() {
            let found = faults(&document, &media["schema"], &media["example"]);
            wrong.extend(found.into_iter().map(|fault| format!("{}: {fault}", operation.id)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
