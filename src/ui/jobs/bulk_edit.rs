//! The part of the page of many jobs that edits them: the form, what the edit would do, and the
//! form that does it. What was shown is what is done: the second form carries the fields of the
//! first one, and not what may be entered in it meanwhile.

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::api::job_json;
use crate::app::Error;
use crate::app::jobs::{
    BulkEdit, BulkEditInput, EditProblem, EditSample, Filter, JobRecord, Upcoming,
};
use crate::app::warnings::Warnings;
use crate::model::job::Casing;
use crate::schedule::show_duration;
use crate::ui::context::Page;
use crate::ui::error::sentence;
use crate::ui::form::{Form, number};
use crate::ui::icons::icon;
use crate::ui::inputs::Inputs;
use crate::ui::jobs::editor::{SPECS, ZONES};
use crate::ui::jobs::labels;
use crate::ui::jobs::selection::Selection;
use crate::ui::jobs::{LARGE, describe};
use crate::ui::parts::{banner, card, clipped, table};
use crate::ui::words::{count, counted};

/// The inputs.
const FIELDS: [&str; 6] = ["spec", "timezone", "jitter", "retries", "add_labels", "drop_labels"];

/// The input at which an error of a field of the API is shown.
pub(crate) fn input_of(field: &str) -> &str {
    match field {
        "spec" | "timezone" | "jitter" => field,
        "retryMax" => "retries",
        "labels" => "add_labels",
        "set" => "spec",
        _ => "",
    }
}

/// The merge patch that was entered; `None` where nothing was.
///
/// # Errors
///
/// `Invalid` for labels that cannot be read.
fn patch(form: &Form) -> Result<Option<Value>, Error> {
    let mut patch = Map::new();
    for name in ["spec", "timezone", "jitter"] {
        match form.text(name) {
            Some("0") if name == "jitter" => patch.insert(name.to_owned(), Value::Null),
            Some(text) => patch.insert(name.to_owned(), text.into()),
            None => None,
        };
    }
    if let Some(retries) = form.text("retries") {
        patch.insert("retryMax".to_owned(), number(retries));
    }
    let mut changed = Map::new();
    let dropped = form.text("drop_labels").unwrap_or_default();
    for name in dropped.split(['\n', '\r']).map(str::trim).filter(|name| !name.is_empty()) {
        // In a merge patch a label goes by being null.
        changed.insert(name.to_owned(), Value::Null);
    }
    changed.extend(labels::read(form.text("add_labels").unwrap_or_default())?);
    if !changed.is_empty() {
        patch.insert("labels".to_owned(), Value::Object(changed));
    }
    Ok((!patch.is_empty()).then_some(Value::Object(patch)))
}

/// Says whether something was entered.
pub(crate) fn is_entered(form: &Form) -> bool {
    !matches!(patch(form), Ok(None))
}

/// Edits jobs as a form says, or says what that would do. `carried` are the parameters of the
/// selection.
pub(crate) async fn edit(
    page: &Page,
    form: &Form,
    filter: Filter,
    dry_run: bool,
    carried: &[(&'static str, String)],
) -> Result<(BulkEdit, Warnings), Error> {
    let nothing = || Error::unprocessable("enter what is to be changed").field("set");
    let body = patch(form)?.ok_or_else(nothing)?.to_string();
    let app = &page.ui.app;
    let kinds = app.kinds_for_jobs();
    let read = job_json::one(body.as_bytes(), &kinds).map_err(crate::api::Error::into_app)?;
    let (set, mut warnings) = (read.0.into_owned(), read.1);
    let key = page.key(form, "ui bulk edit", &format!("{body} {carried:?}"));
    let input = BulkEditInput { filter, dry_run, by: page.by(), set, casing: Casing::Camel };
    let done = Box::pin(app.edit_jobs(&page.actor, key, input, &mut warnings)).await?;
    Ok((done, warnings))
}

/// The error of what was entered, where no job can take it and the reason is about one input.
pub(crate) fn wrong_input(edit: &BulkEdit) -> Option<Error> {
    let [problem] = &edit.result.problems[..] else { return None };
    let field = problem.field.as_deref().filter(|_| problem.jobs == edit.result.matched)?;
    let known = ["spec", "timezone", "jitter", "retryMax", "labels"];
    let field = known.into_iter().find(|known| *known == field)?;
    Some(Error::unprocessable(problem.message.clone()).field(field))
}

/// The form in which an edit is entered.
pub(crate) fn entry(page: &Page, inputs: &Inputs<'_>, selection: &Selection) -> Markup {
    let own = page.context.own_zone.map(chrono_tz::Tz::name);
    html! {
        form.card.pad.stack method="get" action="/ui/jobs/bulk" {
            input type="hidden" name="action" value="edit";
            @for (name, value) in selection.parameters() { input type="hidden" name=(name) value=(value); }
            @if !selection.terms.is_empty() {
                p.terms { @for term in &selection.terms { span.term { (term) } } }
            }
            p { "What is left empty stays as it is. Nothing is changed before you have seen what it would do." }
            div.pair {
                (inputs.listed(("spec", "Schedule"), "H 9 * * *", (None, &SPECS), "H in place of a number is another one for each job: their runs are spread."))
                (inputs.listed(("timezone", "Time zone"), "Europe/Berlin", (own, &ZONES), "A name of the IANA database, such as Europe/Berlin."))
                (inputs.text("jitter", "Jitter", "30s", Some("Each run is delayed by up to this much. 0 for none.")))
                (inputs.text("retries", "Retries", "3", Some("After the first attempt.")))
                (inputs.area(("add_labels", "Labels to add"), 2, "team=shop", Some("One on a line, as name=value. One that is there gets the new value.")))
                (inputs.area(("drop_labels", "Labels to remove"), 2, "team", Some("Their names, one on a line.")))
            }
            div.actions { button.button { "Show what it would do" } }
        }
    }
}

/// What an edit would do, and the form that does it. `number` is the number of jobs that are meant.
pub(crate) fn preview(
    page: &Page,
    inputs: &Inputs<'_>,
    (selection, number): (&Selection, u64),
    (edit, warnings): &(BulkEdit, Warnings),
) -> Markup {
    let result = &edit.result;
    let may_go_on = result.refused == 0 && result.changed > 0;
    html! {
        @for problem in &result.problems { (banner("bad", problem_words(problem))) }
        @for line in warnings.lines() { (banner("info", sentence(&line))) }
        @if may_go_on { (go_on(inputs, (selection, number), result.changed)) }
        (card("What it would do", html! { span.grow {} span.muted { (summary(edit)) } }, samples(page, &edit.samples)))
    }
}

fn problem_words(problem: &EditProblem) -> Markup {
    html! {
        strong { (counted(problem.jobs, "job")) } " cannot be edited like this, "
        a href={ "/ui/jobs/" (problem.first) } { "job " (problem.first) } " first: "
        (sentence(&problem.message)) " Leave them out by the search, or enter something else."
    }
}

/// The numbers of an edit in words.
fn summary(edit: &BulkEdit) -> String {
    let result = &edit.result;
    let mut parts = vec![format!("{} would change", counted(result.changed, "job"))];
    if result.unchanged > 0 {
        parts.push(format!("{} are so already", count(result.unchanged)));
    }
    if result.refused > 0 {
        parts.push(format!("{} cannot", count(result.refused)));
    }
    parts.push(counted(result.definitions, "different definition"));
    let shown = edit.samples.len() as u64;
    if shown < result.changed {
        parts.push(format!("{shown} are shown"));
    }
    parts.join(" · ")
}

/// The form that makes the edit that is shown.
fn go_on(inputs: &Inputs<'_>, (selection, number): (&Selection, u64), changed: u64) -> Markup {
    html! {
        form.card.pad.stack method="post" action="/ui/jobs/bulk" {
            (inputs.hidden())
            input type="hidden" name="action" value="edit";
            input type="hidden" name="count" value=(number);
            @for (name, value) in selection.parameters() { input type="hidden" name=(name) value=(value); }
            @for name in FIELDS {
                @if let Some(value) = inputs.form.text(name) { input type="hidden" name=(name) value=(value); }
            }
            @if number > LARGE {
                (inputs.text("typed", &format!("Type {number} to edit them"), "", Some("So that nobody edits many jobs by a slip.")))
            }
            div.actions { button.button.primary { "Edit " (counted(changed, "job")) " as shown" } }
        }
    }
}

fn samples(page: &Page, samples: &[EditSample]) -> Markup {
    if samples.is_empty() {
        return html! { p.muted.pad { "No job would change." } };
    }
    table(
        "Jobs before and after the edit",
        &["Job", "Changes", "Next, as it is", "Next, after it"],
        html! {
            @for sample in samples {
                @let (id, before, after) = (sample.before.job.id, &sample.before, &sample.after);
                tr {
                    td.lead data-label="Job" { a href={ "/ui/jobs/" (id) } { (clipped(&describe::name(before), 30)) } " " span.muted.num { "#" (id) } }
                    td data-label="Changes" {
                        @for (name, old, new) in changes(before, after) {
                            div { span.muted { (name) " " } (clipped(&old, 48)) " " (icon("right")) " " strong { (clipped(&new, 48)) } }
                        }
                    }
                    td data-label="As it is" { (next(page, before, &sample.next_before)) }
                    td data-label="After it" { (next(page, after, &sample.next_after)) }
                }
            }
        },
    )
}

/// What is shown of a job, in words.
type Shown<'a> = dyn Fn(&JobRecord) -> String + 'a;

/// What differs, in words: name, before, after.
fn changes(before: &JobRecord, after: &JobRecord) -> Vec<(&'static str, String, String)> {
    let jitter = |record: &JobRecord| match record.job.definition.jitter {
        0 => "none".to_owned(),
        jitter => show_duration(jitter),
    };
    let labels = |record: &JobRecord| {
        let all = record.job.definition.labels.iter().map(|(key, value)| format!("{key}={value}"));
        match all.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "none".to_owned(),
            some => some,
        }
    };
    let zone = |record: &JobRecord| record.job.definition.timezone.clone();
    let retries = |record: &JobRecord| record.retry_max.to_string();
    let schedule = |record: &JobRecord| describe::schedule(record);
    let all: [(_, &Shown<'_>); 5] = [
        ("Schedule", &schedule),
        ("Zone", &zone),
        ("Jitter", &jitter),
        ("Retries", &retries),
        ("Labels", &labels),
    ];
    let both = all.into_iter().map(|(name, shown)| (name, shown(before), shown(after)));
    both.filter(|(_, old, new)| old != new).collect()
}

fn next(page: &Page, record: &JobRecord, ahead: &[Upcoming]) -> Markup {
    let zone = Some(record.job.definition.timezone.as_str());
    html! {
        @if ahead.is_empty() { span.muted { "–" } }
        @for one in ahead { div { (page.context.brief(one.due_at.unwrap_or(one.preview.utc), zone)) } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_entered_is_a_patch_and_what_was_not_is_not_named() {
        let form = |fields: &[(&str, &str)]| {
            Form::of(fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
        };
        assert_eq!(patch(&form(&[("spec", " "), ("jitter", ""), ("q", "x")])).unwrap(), None);
        let given = form(&[
            ("spec", "H 9 * * *"),
            ("jitter", "0"),
            ("retries", "3"),
            ("add_labels", "team=shop\ntier=1"),
            ("drop_labels", "old\ntier"),
        ]);
        let wanted = json!({
            "spec": "H 9 * * *", "jitter": null, "retryMax": 3,
            "labels": {"team": "shop", "tier": "1", "old": null},
        });
        assert_eq!(patch(&given).unwrap(), Some(wanted));
        assert!(patch(&form(&[("add_labels", "team")])).is_err());
        let many = patch(&form(&[("retries", "many")])).unwrap();
        assert_eq!(many, Some(json!({"retryMax": "many"})));
    }
}
