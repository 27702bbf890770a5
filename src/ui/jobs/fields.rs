//! The fields of the editor: a job as texts of inputs, and back as the JSON that the API takes. The
//! editor knows names only; what a value may be is decided by `app`.

use serde_json::{Map, Value, json};

use crate::app::Error;
use crate::app::jobs::JobRecord;
use crate::model::delivery::Overlap;
use crate::model::job::{JobDefinition, Timing};
use crate::model::time::rfc3339;
use crate::schedule::{DstRule, show_duration};
use crate::ui::form::Form;
use crate::ui::jobs::labels;

/// The input of the data of a job, which is also the field.
const DATA: &str = "data";
/// The hidden input with the rule for changes of the clock.
pub(crate) const DST: &str = "dst";

/// The names of inputs, each with the name of the field in the API.
const SIMPLE: [(&str, &str); 9] = [
    ("name", "externalId"),
    ("timezone", "timezone"),
    ("retry_delay", "retryDelay"),
    ("timeout", "timeout"),
    ("overlap", "overlap"),
    ("jitter", "jitter"),
    ("start", "startDate"),
    ("end", "endDate"),
    ("run_timeout", "runTimeout"),
];

/// The input at which an error of a field of the API is shown.
pub(crate) fn input_of(field: &str) -> &str {
    match field {
        "projectId" => "project",
        "callbackUrl" => "url",
        "http" | "http.url" => "call_url",
        "http.method" => "method",
        "executorId" => "executor",
        "retryMax" => "retries",
        "labels" => "labels",
        "data" => DATA,
        "spec" | "at" | "after" => field,
        other => SIMPLE.iter().find(|(_, api)| *api == other).map_or("", |(input, _)| input),
    }
}

/// The texts of the inputs for a job.
pub(crate) fn of_job(record: &JobRecord) -> Form {
    let (job, definition) = (&record.job, &*record.job.definition);
    let mut fields = Vec::new();
    let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
    add("project", definition.project.to_string());
    add("name", job.external_id.clone().unwrap_or_default());
    add("timezone", definition.timezone.clone());
    let when = match definition.timing {
        Timing::Spec => "spec",
        Timing::At => "at",
        Timing::After(_) => "after",
    };
    add("when", when.to_owned());
    match definition.timing {
        Timing::Spec => add("spec", definition.spec.clone()),
        Timing::At => add("at", rfc3339(job.anchor)),
        Timing::After(delay) => add("after", show_duration(delay)),
    }
    add("where", target_of(definition).to_owned());
    add("url", definition.callback_url.clone());
    if let Some(http) = &definition.http {
        add("method", http.method.clone());
        add("call_url", http.url.clone());
    }
    add("executor", definition.executor.map(|id| id.to_string()).unwrap_or_default());
    add("data", job.data.clone());
    add("retries", definition.retry_max.map(|n| n.to_string()).unwrap_or_default());
    let shown = |length: Option<i64>| length.map(show_duration).unwrap_or_default();
    add("retry_delay", shown(definition.delivery.retry_delay));
    add("timeout", shown(definition.delivery.timeout));
    let overlap = Some(definition.overlap).filter(|overlap| *overlap != Overlap::Allow);
    add("overlap", overlap.map(Overlap::name).unwrap_or_default().to_owned());
    add("jitter", shown(Some(definition.jitter).filter(|jitter| *jitter > 0)));
    add("start", definition.start.map(rfc3339).unwrap_or_default());
    add("end", definition.end.map(rfc3339).unwrap_or_default());
    add("run_timeout", shown(definition.run_timeout));
    add("labels", labels::shown(&definition.labels));
    if definition.dst != DstRule::default() {
        // The preview goes by it; nothing else reads it.
        add(DST, serde_json::to_string(&definition.dst).unwrap_or_default());
    }
    add("version", job.version.to_string());
    Form::of(fields)
}

/// The kind of target that the editor shows for a definition.
pub(crate) fn target_of(definition: &JobDefinition) -> &'static str {
    if definition.http.is_some() {
        "call"
    } else if definition.target.is_some() {
        "other"
    } else if definition.executor.is_some() {
        "executor"
    } else {
        "url"
    }
}

/// The JSON of a new job.
///
/// # Errors
///
/// `Invalid` for labels that cannot be read.
pub(crate) fn new_job(form: &Form, project: u64) -> Result<Value, Error> {
    let mut job = Map::new();
    job.insert("projectId".to_owned(), project.into());
    for (input, field) in SIMPLE {
        if let Some(value) = form.text(input) {
            job.insert(field.to_owned(), value.into());
        }
    }
    if let Some(data) = form.raw(DATA).filter(|data| !data.trim().is_empty()) {
        job.insert(DATA.to_owned(), entered(data, "").into());
    }
    job.extend(schedule(form));
    job.extend(target(form));
    if let Some(retries) = form.text("retries") {
        job.insert("retryMax".to_owned(), number(retries));
    }
    if let Some(labels) = form.text("labels") {
        job.insert("labels".to_owned(), labels::read(labels)?.into());
    }
    Ok(Value::Object(job))
}

/// The patch that makes a copy of a job (`old`) the one that was entered. The schedule is always
/// named: a copy of a one-off fires at an instant of its own.
///
/// # Errors
///
/// As [`patch`].
pub(crate) fn copy(form: &Form, old: &Form) -> Result<Value, Error> {
    let mut patch = patch(form, old)?;
    if let Value::Object(patch) = &mut patch {
        patch.extend(schedule(form));
    }
    Ok(patch)
}

/// The merge patch that makes a job as it was (`old`) the one that was entered: what was not
/// changed is not named, so that a one-off in the past keeps its instant.
///
/// # Errors
///
/// `Invalid` for labels that cannot be read.
pub(crate) fn patch(form: &Form, old: &Form) -> Result<Value, Error> {
    let mut patch = Map::new();
    let changed = |input: &str| {
        form.raw(input).is_some_and(|new| {
            new.replace("\r\n", "\n").trim() != old.raw(input).unwrap_or_default().trim()
        })
    };
    for (input, field) in SIMPLE {
        if changed(input) {
            patch.insert(field.to_owned(), form.text(input).map_or(Value::Null, Value::from));
        }
    }
    let was = old.raw(DATA).unwrap_or_default();
    if let Some(data) = form.raw(DATA).filter(|data| plain_lines(data) != plain_lines(was)) {
        patch.insert(DATA.to_owned(), entered(data, was).into());
    }
    if changed("project")
        && let Some(project) = form.text("project")
    {
        patch.insert("projectId".to_owned(), number(project));
    }
    if ["when", "spec", "at", "after"].iter().any(|input| changed_choice(form, old, "when", input))
    {
        patch.extend(schedule(form));
    }
    let inputs = ["where", "url", "method", "call_url", "executor"];
    if inputs.iter().any(|input| changed_choice(form, old, "where", input)) {
        patch.extend(target(form));
    }
    if changed("retries") {
        patch.insert("retryMax".to_owned(), form.text("retries").map_or(Value::Null, number));
    }
    if changed("labels") {
        let mut labels = labels::read(form.text("labels").unwrap_or_default())?;
        // In a merge patch a label goes by being null.
        for (key, _) in labels::read(old.text("labels").unwrap_or_default())? {
            labels.entry(key).or_insert(Value::Null);
        }
        patch.insert("labels".to_owned(), Value::Object(labels));
    }
    Ok(Value::Object(patch))
}

/// A text with one kind of line end: a browser sends a pair for each, whatever the text had.
fn plain_lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Data as it was entered, with the line ends of the data before (`was`): pairs only where it had
/// nothing else.
fn entered(data: &str, was: &str) -> String {
    let data = plain_lines(data);
    let has_pairs = was.contains("\r\n") && !was.replace("\r\n", "").contains(['\r', '\n']);
    if has_pairs { data.replace('\n', "\r\n") } else { data }
}

/// Says whether an input that belongs to a choice was changed: one that is not chosen was not.
fn changed_choice(form: &Form, old: &Form, choice: &str, input: &str) -> bool {
    let chosen = form.text(choice).unwrap_or_default();
    let belongs = match (chosen, input) {
        (_, input) if input == choice => true,
        ("url", "url") | ("call", "method" | "call_url") => true,
        (chosen, input) => chosen == input,
    };
    // A form without the input says nothing about it.
    belongs && form.raw(input).is_some() && form.text(input) != old.text(input)
}

fn schedule(form: &Form) -> Map<String, Value> {
    let chosen = match form.text("when") {
        Some("at") => "at",
        Some("after") => "after",
        _ => "spec",
    };
    let value = form.text(chosen).unwrap_or_default();
    Map::from_iter([(chosen.to_owned(), value.into())])
}

fn target(form: &Form) -> Map<String, Value> {
    match form.text("where") {
        Some("call") => {
            let method = form.text("method").unwrap_or("POST");
            let url = form.text("call_url").unwrap_or_default();
            Map::from_iter([("http".to_owned(), json!({ "method": method, "url": url }))])
        }
        Some("executor") => {
            let id = number(form.text("executor").unwrap_or_default());
            Map::from_iter([("executorId".to_owned(), id)])
        }
        // A target that the editor does not know stays as it is.
        Some("other") => Map::new(),
        _ => {
            let url = form.text("url").unwrap_or_default();
            Map::from_iter([("callbackUrl".to_owned(), url.into())])
        }
    }
}

/// A text as a number where it is one; else as it is, for the error of `app`.
fn number(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| text.into(), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Form {
        Form::of(fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn a_form_is_the_json_of_a_job() {
        let given = form(&[
            ("name", " nightly "),
            ("when", "spec"),
            ("spec", "30 2 * * *"),
            ("at", "ignored"),
            ("timezone", "Europe/Berlin"),
            ("where", "call"),
            ("method", "PUT"),
            ("call_url", "http://a/"),
            ("url", "http://ignored/"),
            ("retries", "4"),
            ("labels", "team=shop, and more\r\n x = y\nz="),
            ("data", " {} "),
            ("timeout", ""),
        ]);
        assert_eq!(
            new_job(&given, 3).unwrap(),
            json!({
                "projectId": 3, "externalId": "nightly", "spec": "30 2 * * *",
                "timezone": "Europe/Berlin", "http": {"method": "PUT", "url": "http://a/"},
                "retryMax": 4, "labels": {"team": "shop, and more", "x": "y", "z": ""}, "data": " {} ",
            })
        );
        assert_eq!(new_job(&form(&[("retries", "many")]), 1).unwrap()["retryMax"], "many");
    }

    #[test]
    fn a_patch_names_what_was_changed_and_nothing_else() {
        let old = form(&[
            ("name", "a"),
            ("when", "at"),
            ("at", "2026-01-01T00:00:00Z"),
            ("where", "url"),
            ("url", "http://a/"),
            ("timeout", "5s"),
            ("labels", "a=1\nb=2"),
            ("data", "x\ny"),
        ]);
        let same = form(&[
            ("name", "a"),
            ("when", "at"),
            ("at", "2026-01-01T00:00:00Z"),
            ("where", "url"),
            ("url", "http://a/"),
            ("spec", "left over"),
            ("timeout", "5s"),
            ("labels", "a=1\r\nb=2"),
            ("data", "x\r\ny"),
            ("executor", ""),
        ]);
        assert_eq!(patch(&same, &old).unwrap(), json!({}));
        let new = form(&[
            ("name", ""),
            ("when", "spec"),
            ("spec", "@every 1m"),
            ("where", "executor"),
            ("executor", "7"),
            ("url", "http://a/"),
            ("timeout", ""),
            ("labels", "b=3"),
        ]);
        assert_eq!(
            patch(&new, &old).unwrap(),
            json!({
                "externalId": null, "spec": "@every 1m", "executorId": 7, "timeout": null,
                "labels": {"a": null, "b": "3"},
            })
        );
    }

    #[test]
    fn data_keeps_its_line_ends_and_is_not_named_where_only_they_differ() {
        let patched = |new: &str, old: &str| {
            let (new, old) = (form(&[("data", new)]), form(&[("data", old)]));
            patch(&new, &old).unwrap().get("data").cloned()
        };
        // A browser sends pairs.
        assert_eq!(patched("a\r\nc", "a\nb"), Some("a\nc".into()));
        assert_eq!(patched("a\r\nc", "a\r\nb"), Some("a\r\nc".into()));
        for same in ["a\nb", "a\r\nb", "a\rb"] {
            assert_eq!(patched("a\r\nb", same), None, "{same:?}");
        }
        assert_eq!(patched("a\r\n", "a"), Some("a\n".into()), "an end of a line is data");
        let new = new_job(&form(&[("data", "a\r\nb")]), 1).unwrap();
        assert_eq!(new["data"], "a\nb");
    }

    #[test]
    fn a_copy_names_its_schedule_and_what_was_changed() {
        let old = form(&[("when", "at"), ("at", "2026-01-01T00:00:00Z"), ("timeout", "5s")]);
        let new = old.with("timeout", "6s").with("name", "b");
        let expected = json!({"at": "2026-01-01T00:00:00Z", "timeout": "6s", "externalId": "b"});
        assert_eq!(copy(&new, &old).unwrap(), expected);
    }
}
