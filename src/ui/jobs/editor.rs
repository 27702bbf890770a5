//! The form in which a job is made or changed. An error stands at its input, and nothing that was
//! entered is lost.

use maud::{Markup, html};

use crate::app::jobs::JobRecord;
use crate::model::target::Executor;
use crate::ui::context::Page;
use crate::ui::inputs::{Inputs, choice, project_choice};
use crate::ui::jobs::describe::{self, kind_words};
use crate::ui::jobs::fields::DST;
use crate::ui::jobs::merge::BASE;
use crate::ui::lists::{MOST_EXECUTORS, Projects};
use crate::ui::parts::banner;

/// The zones that the input of a zone proposes, beside the browser's own.
pub(crate) const ZONES: [&str; 22] = [
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Madrid",
    "Europe/Warsaw",
    "Europe/Kyiv",
    "Europe/Istanbul",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "America/Sao_Paulo",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Pacific/Auckland",
];

/// The schedules that the input of a schedule proposes.
pub(crate) const SPECS: [&str; 8] = [
    "@every 1m",
    "*/5 * * * *",
    "0 * * * *",
    "0 9 * * MON-FRI",
    "30 2 * * *",
    "@daily",
    "0 0 1 * *",
    "H H * * *",
];

const OVERLAPS: [(&str, &str); 5] = [
    ("", "Run all the same"),
    ("skip", "Skip this one"),
    ("queue_one", "Keep one waiting"),
    ("queue", "Wait in line"),
    ("cancel_previous", "Cancel the run before"),
];

/// The hidden input with the number of the job that a new one is a copy of.
pub(crate) const FROM: &str = "from";

/// Everything that the form shows.
pub(crate) struct Editor<'a> {
    pub(crate) page: &'a Page,
    pub(crate) inputs: Inputs<'a>,
    pub(crate) projects: &'a Projects,
    pub(crate) executors: &'a [Executor],
    /// The job that is changed; `None` for a new one.
    pub(crate) record: Option<&'a JobRecord>,
    /// The job that a new one is a copy of.
    pub(crate) source: Option<&'a JobRecord>,
    /// What the schedule means, as far as it was entered.
    pub(crate) preview: Markup,
}

impl Editor<'_> {
    /// The form.
    pub(crate) fn markup(&self) -> Markup {
        let (action, preview) = match self.record {
            Some(record) => {
                let job = format!("/ui/jobs/{}", record.job.id);
                (format!("{job}/edit"), format!("{job}/preview"))
            }
            None => ("/ui/jobs/new".to_owned(), "/ui/jobs/preview".to_owned()),
        };
        let form = html! {
            form.editor method="post" action=(action) data-preview=(preview) {
                (self.inputs.hidden())
                @for name in [BASE, FROM, DST] {
                    @if let Some(value) = self.inputs.form.raw(name) { input type="hidden" name=(name) value=(value); }
                }
                div.split {
                    div.wide-column {
                        (self.what()) (self.when()) (self.target()) (self.terms())
                        div.form-end {
                            button.button.primary { @if self.record.is_some() { "Save the job" } @else { "Create the job" } }
                            a.button href=[self.record.map(|record| format!("/ui/jobs/{}", record.job.id)).or(Some("/ui/jobs".to_owned()))] { "Cancel" }
                        }
                    }
                    div.side-column {
                        section.card.sticky {
                            header.card-head { h2 { "Preview" } }
                            div #preview aria-live="polite" { (self.preview) }
                        }
                    }
                }
            }
        };
        html! {
            // An error may be about an input that this form does not have.
            (self.inputs.unplaced_problem())
            @if let Some(source) = self.source {
                (banner("info", html! {
                    "A copy of " a href={ "/ui/jobs/" (source.job.id) } { (describe::name(source)) }
                    ": what this form does not show is copied, too, such as headers, secrets and policies."
                }))
            }
            (form)
        }
    }

    fn what(&self) -> Markup {
        let chosen = self.inputs.form.text("project").unwrap_or_default();
        html! {
            fieldset.card {
                legend { "Job" }
                div.pair {
                    @if self.projects.0.is_empty() {
                        (self.inputs.text("project_name", "Project", "first steps", Some("There is no project yet: this one is made with the job.")))
                    } @else {
                        (self.inputs.labelled("project", "Project", project_choice(self.projects, chosen, None), None))
                    }
                    (self.inputs.text("name", "Name", "nightly-backup", Some("Your own id for it, unique in the project. Optional.")))
                }
                (self.inputs.labelled("data", "Data", html! {
                    textarea #f-data name="data" rows="4" spellcheck="false" placeholder="{\"report\": \"daily\"}" aria-describedby="e-data" {
                        "\n" (self.inputs.form.raw("data").unwrap_or_default())
                    }
                }, Some("Sent with each call: JSON, or any other text.")))
            }
        }
    }

    fn when(&self) -> Markup {
        let chosen = self.inputs.form.text("when").unwrap_or("spec");
        html! {
            fieldset.card {
                legend { "When" }
                div.choices {
                    (choice("when", "spec", "Again and again", chosen))
                    (choice("when", "at", "Once, at a time", chosen))
                    (choice("when", "after", "Once, after a delay", chosen))
                }
                div.chosen data-value="spec" {
                    (self.listed("spec", "Schedule", "*/5 * * * *", &SPECS, "Cron with 5 fields, @daily and the like, or @every 30s."))
                }
                div.chosen data-value="at" {
                    (self.inputs.text("at", "At", "2026-12-24T18:00", Some("A local time is one of the zone below.")))
                }
                div.chosen data-value="after" {
                    (self.inputs.text("after", "After", "2h30m", Some("Counted from when it is created.")))
                }
                (self.listed("timezone", "Time zone", "UTC", &ZONES, "A name of the IANA database, such as Europe/Berlin."))
            }
        }
    }

    fn target(&self) -> Markup {
        let chosen = self.inputs.form.text("where").unwrap_or("url");
        let has_executors = !self.executors.is_empty() || chosen == "executor";
        if chosen == "other" {
            let of = self.record.or(self.source);
            let kind = of.map(|record| describe::target(record).0).unwrap_or_default();
            return html! {
                fieldset.card {
                    legend { "Where" }
                    input type="hidden" name="where" value="other";
                    p.muted { "A target of its own (" (kind) "), which stays as it is. It is changed through the API." }
                }
            };
        }
        html! {
            fieldset.card {
                legend { "Where" }
                div.choices {
                    (choice("where", "url", "URL, in batches", chosen))
                    (choice("where", "call", "A call each", chosen))
                    @if has_executors { (choice("where", "executor", "Executor", chosen)) }
                }
                div.chosen data-value="url" {
                    (self.inputs.text("url", "Callback URL", "https://example.com/callback", Some("Jobs that are due together are posted in one request.")))
                }
                div.chosen data-value="call" {
                    div.pair.narrow-first {
                        (self.inputs.labelled("method", "Method", html! {
                            select #f-method name="method" {
                                @for method in ["POST", "GET", "PUT", "PATCH", "DELETE", "HEAD"] {
                                    option selected[self.inputs.form.text("method").unwrap_or("POST") == method] { (method) }
                                }
                            }
                        }, None))
                        (self.inputs.text("call_url", "URL", "https://example.com/run", None))
                    }
                }
                @if has_executors {
                    div.chosen data-value="executor" {
                        (self.inputs.labelled("executor", "Executor", self.executor_choice(), None))
                    }
                }
            }
        }
    }

    /// The control that names an executor. One that is not among those that were read stays; where
    /// there are more of them, the number is entered.
    fn executor_choice(&self) -> Markup {
        let chosen = self.inputs.form.text("executor").unwrap_or_default();
        let is_chosen = |one: &Executor| one.id.to_string() == chosen;
        let is_there = chosen.is_empty() || self.executors.iter().any(is_chosen);
        html! {
            @if self.executors.len() as u64 >= MOST_EXECUTORS {
                input #f-executor name="executor" value=(chosen) list="l-executor" inputmode="numeric"
                    placeholder="number" autocomplete="off" aria-describedby="e-executor";
                datalist #l-executor {
                    @for one in self.executors { option value=(one.id) { (one.name) } }
                }
            } @else {
                select #f-executor name="executor" aria-describedby="e-executor" {
                    @for one in self.executors {
                        option value=(one.id) selected[is_chosen(one)] { (one.name) " (" (kind_words(&one.kind)) ")" }
                    }
                    @if !is_there { option value=(chosen) selected { "executor " (chosen) } }
                }
            }
        }
    }

    fn terms(&self) -> Markup {
        let fields = [
            "retries",
            "retry_delay",
            "timeout",
            "overlap",
            "jitter",
            "start",
            "end",
            "labels",
            "run_timeout",
        ];
        let is_open = fields.iter().any(|name| self.inputs.form.text(name).is_some());
        let overlap = self.inputs.form.text("overlap").unwrap_or_default();
        html! {
            details.card.folded open[is_open] {
                summary { "Terms" span.muted { "retries, timeout, overlap, dates, labels" } }
                div.folded-body {
                    div.pair {
                        (self.inputs.text("retries", "Retries", "3", Some("After the first attempt. Empty: the project’s.")))
                        (self.inputs.text("retry_delay", "First retry after", "5s", Some("Each further wait is longer.")))
                        (self.inputs.text("timeout", "Timeout of an attempt", "30s", None))
                        (self.inputs.labelled("overlap", "If the run before is still under way", html! {
                            select #f-overlap name="overlap" aria-describedby="e-overlap" {
                                @for (value, name) in OVERLAPS {
                                    option value=(value) selected[value == overlap] { (name) }
                                }
                                @if !OVERLAPS.iter().any(|(known, _)| *known == overlap) {
                                    option value=(overlap) selected { (overlap) }
                                }
                            }
                        }, None))
                        (self.inputs.text("jitter", "Jitter", "30s", Some("Each run is delayed by up to this much.")))
                        (self.inputs.text("run_timeout", "Longest run", "1h", Some("Of a run that the receiver accepts and reports on.")))
                        (self.inputs.text("start", "Not before", "2026-12-01", None))
                        (self.inputs.text("end", "Not after", "2027-01-31", None))
                    }
                    (self.inputs.labelled("labels", "Labels", html! {
                        textarea #f-labels name="labels" rows="2" spellcheck="false" placeholder="team=shop" aria-describedby="e-labels" {
                            "\n" (self.inputs.form.raw("labels").unwrap_or_default())
                        }
                    }, Some("One on a line, as name=value.")))
                }
            }
        }
    }

    fn listed(&self, name: &str, label: &str, example: &str, list: &[&str], hint: &str) -> Markup {
        let own = self.page.context.own_zone.filter(|_| name == "timezone");
        let own = own.map(chrono_tz::Tz::name);
        self.inputs.listed((name, label), example, (own, list), hint)
    }
}
