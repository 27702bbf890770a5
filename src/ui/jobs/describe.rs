//! A job in words: its name, its schedule, its target.

use maud::{Markup, html};

use crate::app::jobs::JobRecord;
use crate::model::job::{JobDefinition, Timing};
use crate::schedule::{describe, describe_after, describe_at, parse_zone};
use crate::ui::context::Context;
use crate::ui::parts::clipped;
use crate::ui::time::city;

/// The name by which people know a job; `None` where it has only its number.
pub(crate) fn own_name(record: &JobRecord) -> Option<&str> {
    record.job.external_id.as_deref().or(record.job.definition.worker_name.as_deref())
}

/// The name of a job, for a title.
pub(crate) fn name(record: &JobRecord) -> String {
    own_name(record).map_or_else(|| format!("Job {}", record.job.id), str::to_owned)
}

/// The schedule of a job in words.
pub(crate) fn schedule(record: &JobRecord) -> String {
    let definition = &record.job.definition;
    match definition.timing {
        Timing::Spec => recurring(&definition.spec, &definition.timezone),
        Timing::At => {
            describe_at(record.job.anchor, parse_zone(&definition.timezone).unwrap_or_default())
        }
        Timing::After(delay) => describe_after(delay),
    }
}

/// A recurring schedule in words: with the zone where it has one that matters.
pub(crate) fn recurring(spec: &str, timezone: &str) -> String {
    let words = describe(spec);
    // The length of an interval is the same in all zones.
    let words = words.trim_end_matches(", counted from when the schedule was set").to_owned();
    if spec.starts_with("@every") || spec.contains('=') {
        return words;
    }
    format!("{words}, {}", city(timezone))
}

/// The schedule of a job in a table.
pub(crate) fn schedule_cell(context: &Context, record: &JobRecord) -> Markup {
    let definition = &record.job.definition;
    let timing = definition.timing;
    html! {
        @match timing {
            Timing::Spec => span title=(definition.spec) { (clipped(&schedule(record), 48)) },
            Timing::At => span { "once, " (context.brief(record.job.anchor, Some(&definition.timezone))) },
            Timing::After(_) => {
                span title=(schedule(record)) {
                    "once, " (context.brief(record.job.anchor, Some(&definition.timezone)))
                }
            },
        }
    }
}

/// The kind of a target, and where it is.
pub(crate) fn target(record: &JobRecord) -> (String, String) {
    let definition: &JobDefinition = &record.job.definition;
    if let Some(http) = &definition.http {
        return (http.method.clone(), http.url.clone());
    }
    if !definition.callback_url.is_empty() {
        return ("POST in batches".to_owned(), definition.callback_url.clone());
    }
    let kind = record.kind.as_deref().unwrap_or("webhook");
    match definition.executor {
        Some(id) => (format!("{} executor", kind_words(kind)), format!("executor {id}")),
        None => (kind_words(kind).to_owned(), String::new()),
    }
}

/// A kind of target in words.
pub(crate) fn kind_words(kind: &str) -> &str {
    match kind {
        "webhook_url" => "webhook",
        "amqp" => "AMQP",
        "worker" => "worker queue",
        other => other,
    }
}
