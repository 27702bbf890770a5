//! The fields that requests are read for, as the sources have them, against the schemas of bodies.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::harness::ApiFixture;

/// The readers of bodies, below `src/api`, each with the schemas that have its fields.
const READERS: &[(&str, &[&str])] = &[
    ("accounts/input.rs", &["NewAccount", "AccountEdit", "AccountLimits", "FeatureInput"]),
    ("accounts/routes.rs", &["GrantInput"]),
    ("admin/backups.rs", &["BackupPathInput", "RestoreInput"]),
    ("admin/credential_terms.rs", &["NewCredential", "CredentialPatch"]),
    (
        "admin/credentials.rs",
        &["NewCredential", "CredentialEdit", "CredentialPatch", "ArchiveInput", "RotateKeyInput"],
    ),
    ("admin/sessions.rs", &["SessionsEnd"]),
    ("admin/members.rs", &["NewMember", "LeaderInput"]),
    ("history/cleanup.rs", &["RetentionInput"]),
    ("history/dead_letters.rs", &["LettersInput"]),
    ("history/reports.rs", &["FailInput"]),
    ("http/fields.rs", &["LettersInput", "PreviewInput"]),
    ("jobs/actions.rs", &["PauseInput", "ByInput", "RunInput", "TerminateInput"]),
    ("jobs/bulk.rs", &["BulkInput", "JobsFilter"]),
    ("jobs/bulk_edit.rs", &["BulkEditInput"]),
    ("jobs/preview.rs", &["PreviewInput"]),
    ("projects/input.rs", &["NewProject", "ProjectEdit"]),
    ("projects/pause.rs", &["PauseInput"]),
    ("projects/pause_input.rs", &["NewProject", "ProjectEdit"]),
    ("projects/settings.rs", &["NewProject", "ProjectEdit"]),
    ("runs/input.rs", &["RunReportInput", "RunReport", "CancelInput"]),
    ("runs/report.rs", &["RunReportsInput"]),
    ("targets/executor_input.rs", &["NewExecutor", "ExecutorEdit"]),
    ("targets/signing.rs", &["RotationInput", "NewProject", "NewExecutor"]),
    ("templates/input.rs", &["NewTemplate", "TemplateEdit"]),
    ("templates/instances.rs", &["NewInstance", "PayloadInput"]),
    ("workers/input.rs", &["ClaimInput", "HeartbeatInput", "RunAlive"]),
];

/// The names that a source takes out of the fields of a body.
fn names(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for reader in ["text(", "number(", "flag(", "take(", "duration(", "patch(", "text(fields, "] {
        for (at, _) in text.match_indices(reader) {
            let rest = text[at + reader.len()..].trim_start();
            let literal = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
            let is_name = |name: &&str| name.chars().all(char::is_alphanumeric) && !name.is_empty();
            found.extend(literal.filter(is_name).map(str::to_owned));
        }
    }
    found
}

fn properties<'d>(document: &'d Value, schemas: &[&str]) -> BTreeSet<&'d str> {
    let all = schemas.iter().map(|name| &document["components"]["schemas"][*name]["properties"]);
    all.filter_map(Value::as_object).flat_map(|known| known.keys().map(String::as_str)).collect()
}

#[tokio::test]
async fn every_field_of_a_request_is_in_its_schema() {
    let api = ApiFixture::build().await;
    let document = api.send_bare("GET", "/openapi.json", &[], "").await.json;
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in super::fields::sources("src/api") {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(super::root().join("src/api")).unwrap().to_str().unwrap();
        // What is read of a query has the form of what is read of a body.
        let reads = text.contains("http::fields::Fields") || file == "http/fields.rs";
        let Some((_, schemas)) = READERS.iter().find(|(reader, _)| *reader == file) else {
            if reads && !names(&text).is_empty() {
                wrong.push(format!("{file} reads {:?}: name its schemas here", names(&text)));
            }
            continue;
        };
        let known = properties(&document, schemas);
        let queries = properties_of_queries(&document);
        for name in names(&text) {
            seen += 1;
            if !known.contains(name.as_str()) && !queries.contains(name.as_str()) {
                wrong.push(format!("{file} reads {name}, which is not in {schemas:?}"));
            }
        }
    }
    assert!(seen > 60, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn properties_of_queries(document: &Value) -> BTreeSet<&str> {
    let operations = document["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|path| path.as_object().unwrap().values());
    let parameters = operations.flat_map(|one| one["parameters"].as_array().unwrap());
    parameters.filter_map(|one| one["name"].as_str()).collect()
}

/// The parser of jobs has a table of names of its own.
#[tokio::test]
async fn every_field_of_a_job_may_be_given() {
    let api = ApiFixture::build().await;
    let document = api.send_bare("GET", "/openapi.json", &[], "").await.json;
    let known = properties(&document, &["NewJob"]);
    let known: BTreeSet<String> = known.into_iter().map(str::to_lowercase).collect();
    let text = fs::read_to_string(super::root().join("src/api/jobs/input/names.rs")).unwrap();
    let table = text.split("canonical(given").nth(1).unwrap();
    let settable = table.split("=> Name::Ignored").next().unwrap();
    // The names that are ignored stand before the end, joined by bars.
    let rows = settable.lines().filter(|line| line.contains("=> Name::"));
    let names: Vec<_> = rows.filter_map(|line| line.split('"').nth(1)).collect();
    assert!(names.len() > 30, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !known.contains(**name)).collect();
    assert!(missing.is_empty(), "NewJob lacks {missing:?}");
}
