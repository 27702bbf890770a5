//! The types of answers against the schemas of the document, field by field, as the sources have
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::ApiFixture;

/// Each type that answers are made of: its file below `src`, its name, and its schema. Several
/// types may make one schema, since fields are flattened into it.
const TYPES: &[(&str, &str, &str)] = &[
    ("api/accounts/features.rs", "FeatureView", "Feature"),
    ("api/accounts/view.rs", "AccountView", "AccountDetails"),
    ("api/accounts/view.rs", "AccountFeatureView", "AccountFeature"),
    ("api/accounts/view.rs", "LimitsView", "AccountLimits"),
    ("api/accounts/view.rs", "UsageView", "AccountUsage"),
    ("api/accounts/view.rs", "ExecutionCountView", "ExecutionCount"),
    ("api/accounts/view.rs", "GrantedView", "GrantedExecutions"),
    ("api/admin/auth_config.rs", "AuthConfigView", "AuthConfig"),
    ("api/admin/auth_config.rs", "IssuerView", "AuthIssuer"),
    ("api/admin/backups.rs", "StoredBackupView", "StoredBackup"),
    ("api/admin/backups.rs", "ProgressView", "BackupProgress"),
    ("api/admin/credential_view.rs", "CredentialView", "Credential"),
    ("api/admin/health.rs", "Health", "Health"),
    ("api/admin/members.rs", "Node", "MemberStep"),
    ("api/admin/whoami.rs", "WhoamiView", "Whoami"),
    ("api/audit/list.rs", "AuditView", "AuditPage"),
    ("api/audit/view.rs", "AuditRowView", "AuditRow"),
    ("api/audit/view.rs", "AuditActorView", "AuditActor"),
    ("api/forecast.rs", "ForecastView", "Forecast"),
    ("api/forecast.rs", "UpcomingView", "Upcoming"),
    ("api/forecast.rs", "FiringView", "UpcomingFiring"),
    ("api/history/analytics.rs", "AnalyticsView", "Analytics"),
    ("api/history/analytics.rs", "PointView", "AnalyticsPoint"),
    ("api/history/async_tasks.rs", "TaskView", "Task"),
    ("api/history/cleanup.rs", "Done", "Message"),
    ("api/history/dead_letters.rs", "LetterView", "DeadLetter"),
    ("api/history/dead_letters.rs", "MemberView", "LetterMember"),
    ("api/history/execution.rs", "OccurrenceView", "OccurrenceDetails"),
    ("api/history/execution.rs", "NextView", "NextAttempt"),
    ("api/history/execution.rs", "RunningView", "RunningAttempt"),
    ("api/history/execution_view.rs", "ExecutionView", "Execution"),
    ("api/history/executions.rs", "TotalsView", "Totals"),
    ("api/history/explain.rs", "LedgerView", "Ledger"),
    ("api/history/explain.rs", "OccurrenceView", "LedgerEntry"),
    ("api/history/explain_view.rs", "ExplainView", "Explanation"),
    ("api/history/explain_view.rs", "ScheduleView", "ExplainedSchedule"),
    ("api/history/explain_view.rs", "PlanView", "ExplainedPlan"),
    ("api/history/explain_view.rs", "AccountView", "Account"),
    ("api/history/explain_view.rs", "AttemptView", "ExplainedAttempt"),
    ("api/history/explain_view.rs", "PendingView", "PendingAttempt"),
    ("api/history/explain_view.rs", "ExplainedRunView", "ExplainedRun"),
    ("api/history/explain_view.rs", "ShardView", "ExplainedShard"),
    ("api/history/rates.rs", "RatesView", "Rates"),
    ("api/history/rates.rs", "RatePointView", "RatePoint"),
    ("api/history/rates.rs", "ProjectRateView", "ProjectRate"),
    ("api/history/rates.rs", "RateCountsView", "ProjectRate"),
    ("api/history/rates.rs", "RateCountsView", "RateCounts"),
    ("api/history/reports.rs", "ReportView", "ReportedState"),
    ("api/history/worker_run_view.rs", "WorkerRunView", "WorkerRun"),
    ("api/jobs/actions.rs", "ManualRunView", "ManualRun"),
    ("api/jobs/bulk_edit_view.rs", "BulkEditView", "BulkEdit"),
    ("api/jobs/bulk_edit_view.rs", "ProblemView", "EditProblem"),
    ("api/jobs/bulk_edit_view.rs", "SampleView", "EditSample"),
    ("api/jobs/preview.rs", "PreviewView", "SchedulePreview"),
    ("api/jobs/preview.rs", "UpcomingView", "Occurrence"),
    ("schedule/preview.rs", "Preview", "Occurrence"),
    ("api/jobs/preview.rs", "NextRunsView", "NextRuns"),
    ("api/jobs/view.rs", "JobView", "Job"),
    ("api/jobs/view.rs", "Policies", "Job"),
    ("api/projects/settings.rs", "SettingsView", "Project"),
    ("api/projects/view.rs", "ProjectView", "Project"),
    ("api/root.rs", "Root", "Root"),
    ("api/root.rs", "Links", "RootLinks"),
    ("api/runs/list.rs", "RunsView", "RunPage"),
    ("api/runs/report.rs", "StateView", "RunAfterReport"),
    ("api/runs/report.rs", "AnswersView", "RunReportAnswers"),
    ("api/runs/report.rs", "AnswerView", "RunReportAnswer"),
    ("api/runs/report.rs", "ErrorView", "RunReportError"),
    ("api/runs/view.rs", "RunView", "Run"),
    ("api/targets/executor_view.rs", "ExecutorView", "Executor"),
    ("app/targets/http/view.rs", "TlsView", "Executor"),
    ("app/targets/http/view.rs", "TlsView", "HttpTarget"),
    ("app/targets/http/view.rs", "HttpView", "HttpTarget"),
    ("api/templates/instances.rs", "Validated", "ValidPayload"),
    ("api/templates/view.rs", "TemplateView", "Template"),
    ("api/templates/view.rs", "TargetView", "TemplateTarget"),
    ("api/templates/view.rs", "TermsView", "TemplateTerms"),
    ("api/jobs/view.rs", "Policies", "TemplateTerms"),
    ("api/templates/view.rs", "ImportView", "TemplateImport"),
    ("api/templates/view.rs", "ImportedView", "ImportedTemplate"),
    ("api/workers/view.rs", "ClaimView", "ClaimedRuns"),
    ("api/workers/view.rs", "ClaimedRunView", "ClaimedRun"),
    ("api/workers/view.rs", "HeartbeatView", "HeartbeatAnswer"),
    ("api/workers/view.rs", "WorkersView", "WorkerPage"),
    ("api/workers/view.rs", "WorkerView", "Worker"),
    ("api/workers/view.rs", "QueuesView", "QueuePage"),
    ("api/workers/view.rs", "QueueView", "Queue"),
    ("app/cluster_admin/members.rs", "Members", "Members"),
    ("app/cluster_admin/members.rs", "MemberStatus", "Member"),
    ("app/cluster_admin/status.rs", "Status", "ClusterStatus"),
    ("app/cluster_admin/status.rs", "JobNumbers", "JobNumbers"),
    ("app/cluster_admin/status.rs", "NodeStatus", "NodeStatus"),
    ("app/cluster_admin/status.rs", "Failing", "FailingDestination"),
    ("app/cluster_admin/status.rs", "Queue", "NodeQueue"),
    ("app/cluster_admin/status.rs", "Lag", "NodeLag"),
    ("app/cluster_admin/status.rs", "ShardStatus", "ShardStatus"),
    ("app/cluster_admin/status.rs", "Checksums", "Checksums"),
    ("app/cluster_admin/status.rs", "NodeChecksum", "NodeChecksum"),
    ("app/history/dead_letters.rs", "BulkLetterResult", "LettersResult"),
    ("app/jobs/bulk.rs", "BulkResult", "BulkResult"),
    ("app/jobs/misfire.rs", "MisfireView", "Misfire"),
    ("schedule/describe.rs", "Field", "ScheduleField"),
    ("schedule/explain.rs", "Check", "ScheduleCheck"),
    ("schedule/mod.rs", "DstRule", "DstRule"),
];

/// Fields that no type has: the settings of a kind are under its name.
const OF_KINDS: &[(&str, &str)] =
    &[("Job", "amqp"), ("Executor", "amqp"), ("Executor", "worker"), ("TemplateTarget", "amqp")];

/// Files of `src/api` whose types are no `data` of an answer: events (docs/events.md), the target
/// for first steps, and the envelopes around data and errors.
const ELSEWHERE: &[&str] =
    &["api/events/view.rs", "api/echo.rs", "api/http/respond.rs", "api/http/error.rs"];

/// All Rust files below a folder of the repository.
pub(super) fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(super::root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(path.to_str().unwrap()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The types of a file that are serialised, with the names of their fields in JSON; flattened ones
/// are left out. Tests are not looked at.
fn types(path: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = BTreeMap::new();
    let (mut attributes, mut open) = (String::new(), None::<(String, bool)>);
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with("#[") {
            attributes.push_str(line);
            let mut last = line;
            while !last.ends_with(']') {
                last = lines.next().expect("an attribute ends");
                attributes.push_str(last);
            }
        } else if line == "}" {
            open = None;
        } else if let Some(name) = name_of_struct(line) {
            if attributes.contains("Serialize") && line.ends_with('{') {
                open = Some((name.to_owned(), attributes.contains("camelCase")));
                found.entry(name.to_owned()).or_insert_with(BTreeSet::new);
            }
            attributes.clear();
        } else if let (Some((of, is_camel)), Some(field)) = (&open, name_of_field(line)) {
            if !attributes.contains("flatten") && !attributes.contains("serde(skip)") {
                let given = attributes.split("rename = \"").nth(1);
                let name = match given.and_then(|rest| rest.split('"').next()) {
                    Some(given) => given.to_owned(),
                    None if *is_camel => camel(field),
                    None => field.to_owned(),
                };
                found.get_mut(of).expect("it is there").insert(name);
            }
            attributes.clear();
        } else if !line.starts_with("//") {
            attributes.clear();
        }
    }
    found
}

fn without_visibility(line: &str) -> &str {
    let rest = line.strip_prefix("pub").unwrap_or(line);
    let rest = match rest.strip_prefix('(') {
        Some(rest) if rest.len() < line.len() => rest.split_once(')').map_or("", |(_, rest)| rest),
        _ => rest,
    };
    rest.trim_start()
}

fn name_of_struct(line: &str) -> Option<&str> {
    let rest = without_visibility(line).strip_prefix("struct ")?;
    rest.split(|c: char| !c.is_alphanumeric()).next()
}

fn name_of_field(line: &str) -> Option<&str> {
    let (name, kind) = without_visibility(line).split_once(": ")?;
    let is_name = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    (is_name && kind.ends_with(',')).then_some(name)
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + &part[..1].to_uppercase() + &part[1..])
}

#[tokio::test]
async fn every_field_of_an_answer_is_in_its_schema() {
    let api = ApiFixture::build().await;
    let document = api.send_bare("GET", "/openapi.json", &[], "").await.json;
    let schemas = &document["components"]["schemas"];
    let mut made: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (file, name, schema) in TYPES {
        let types = types(&super::root().join("src").join(file));
        let fields = types.get(*name).unwrap_or_else(|| panic!("{file} has no {name}: {types:?}"));
        let Some(known) = schemas[schema]["properties"].as_object() else {
            panic!("there is no schema {schema}")
        };
        for field in fields.iter().filter(|field| !known.contains_key(*field)) {
            wrong.push(format!("{schema} lacks {field} of {name}"));
        }
        made.entry(schema).or_default().extend(fields.iter().cloned());
    }
    for (schema, field) in OF_KINDS {
        made.entry(schema).or_default().insert((*field).to_owned());
    }
    for (schema, fields) in &made {
        let known = schemas[schema]["properties"].as_object().unwrap().keys();
        wrong.extend(
            known
                .filter(|name| !fields.contains(*name))
                .map(|name| format!("{schema} has {name}, which no type has")),
        );
    }
    assert!(wrong.is_empty(), "src/api/openapi/*.yaml: {wrong:#?}");
}

#[test]
fn every_type_of_an_answer_has_a_schema() {
    let mut missing = Vec::new();
    for path in sources("src/api") {
        let file = path.strip_prefix(super::root().join("src")).unwrap().to_str().unwrap();
        for name in types(&path).into_keys() {
            let known = TYPES.iter().any(|(of, known, _)| *of == file && *known == name);
            if !known && !ELSEWHERE.contains(&file) {
                missing.push(format!("{file}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "name the schemas of {missing:#?} in {}", file!());
}
