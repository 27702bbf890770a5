//! The form in which a template is made or changed, with the form that people will fill in beside
//! it. Errors stand at their inputs, and nothing that was entered is lost. `edit` shows it.

use maud::{Markup, html};

use crate::app::Error;
use crate::app::templates::TemplateForm;
use crate::model::target::Executor;
use crate::model::template::Template;
use crate::ui::context::Page;
use crate::ui::inputs::{Inputs, choice};
use crate::ui::jobs::describe::kind_words;
use crate::ui::json_text::pretty;
use crate::ui::lists::Projects;
use crate::ui::mask::masked;
use crate::ui::templates::controls::controls;
use crate::ui::templates::markup::{Shown, inputs};

const RULES: &str = "{\n  \"user_id\": {\"type\": \"uint\", \"label\": \"User\"},\n  \"kind\": {\"type\": \"options\", \"options\": [\"welcome\", \"invoice\"]}\n}";
const RULES_HINT: &str = "JSON, a rule for each field: uint, int, number, string, bool, options, datetime or json, with label, help, required and default.";

/// Everything that the form shows.
pub(super) struct Editor<'a> {
    pub(super) inputs: Inputs<'a>,
    pub(super) projects: &'a Projects,
    pub(super) executors: &'a [Executor],
    /// The template that is changed; `None` for a new one.
    pub(super) known: Option<&'a Template>,
}

impl Editor<'_> {
    /// The form.
    pub(super) fn markup(&self) -> Markup {
        let place = self.known.map(|known| format!("/ui/templates/{}", known.id));
        let action =
            place.as_ref().map_or("/ui/templates/new".to_owned(), |at| format!("{at}/edit"));
        html! {
            form method="post" action=(action) {
                (self.inputs.hidden())
                (self.about()) (self.life()) (self.payload()) (self.target())
                div.form-end {
                    button.button.primary name="action" value="save" {
                        @if self.known.is_some() { "Save the template" } @else { "Create the template" }
                    }
                    button.button name="action" value="check" { "Check" }
                    a.button href=(place.as_deref().unwrap_or("/ui/templates")) { "Cancel" }
                }
            }
        }
    }

    fn about(&self) -> Markup {
        let projects = self.projects.choices();
        html! {
            fieldset.card {
                legend { "Template" }
                div.pair {
                    (self.inputs.text("label", "Label", "Send a mail", Some("The name that people read.")))
                    (self.inputs.text("type", "Type", "send_mail", Some("The name that programs use, unique in its project.")))
                }
                @if self.known.is_none() { (self.inputs.select("project", "Project", &projects, None)) }
                (self.inputs.text("description", "Description", "Sends one mail to one person.", None))
            }
        }
    }

    fn life(&self) -> Markup {
        let by = self.inputs.form.text("by").unwrap_or("people");
        html! {
            fieldset.card {
                legend { "Its jobs" }
                div.choices {
                    (choice("by", "people", "Started by people", by))
                    (choice("by", "system", "System: keeps one by itself", by))
                }
                div.choices {
                    (self.tick("again", "Another one follows each that is over"))
                    (self.tick("active", "Active"))
                }
                div.pair {
                    (self.inputs.text("start", "Due after", "0", Some("In seconds, up to 366 days.")))
                    (self.inputs.text("kept", "Kept when over", "100", Some("Older ones go. Their history stays.")))
                }
            }
        }
    }

    fn payload(&self) -> Markup {
        let schema = self.inputs.form.text("schema").unwrap_or("fields");
        html! {
            fieldset.card {
                legend { "Payload" }
                div.choices {
                    (choice("schema", "fields", "Rules of fields", schema))
                    (choice("schema", "json", "JSON Schema", schema))
                }
                (self.inputs.area(("rules", "Rules"), 10, RULES, Some(RULES_HINT)))
                (self.inputs.area(("payload", "Values to begin with"), 4, "{\"kind\": \"welcome\"}", Some("JSON. Of a system template: what its jobs carry.")))
            }
        }
    }

    fn target(&self) -> Markup {
        let chosen = self.inputs.form.text("where").unwrap_or("url");
        let executors = self.executors.iter();
        let executors: Vec<_> = executors
            .map(|one| (one.id.to_string(), format!("{} ({})", one.name, kind_words(&one.kind))))
            .collect();
        html! {
            fieldset.card #f-where {
                legend { "Where" }
                div.choices {
                    (choice("where", "url", "URL, in batches", chosen))
                    @if !executors.is_empty() || chosen == "executor" { (choice("where", "executor", "Executor", chosen)) }
                    (choice("where", "json", "As JSON", chosen))
                }
                div.chosen data-value="url" {
                    (self.inputs.text("url", "Callback URL", "https://example.com/callback", Some("Without a target a template is inactive.")))
                }
                div.chosen data-value="executor" { (self.inputs.select("executor", "Executor", &executors, None)) }
                div.chosen data-value="json" {
                    (self.inputs.area(("target", "Target"), 6, "{\"http\": {\"method\": \"POST\", \"url\": \"https://example.com/run\"}}", Some("As in a job: callbackUrl, http, executorId, or the settings of another kind. Secrets that are set stay while they are not given.")))
                }
                (self.inputs.area(("job", "Terms"), 3, "{\"retryMax\": 3, \"timeout\": \"30s\", \"labels\": {\"team\": \"shop\"}}", Some("JSON, as in a job: retries, timeouts, runTimeout, labels. Empty: as for other jobs.")))
            }
        }
    }

    fn tick(&self, name: &str, label: &str) -> Markup {
        html! {
            label.choice {
                input.pick type="checkbox" name=(name) value="true" checked[self.inputs.form.text(name).is_some()];
                span { (label) }
            }
        }
    }
}

/// The form that people will fill in, by a template that is valid, beside the editor.
pub(super) fn preview(page: &Page, template: Option<&Template>) -> Result<Markup, Error> {
    let body = match template {
        None => html! { p.muted { "Press Check to see the form that people will fill in." } },
        Some(system) if !system.user_triggered => html! {
            p.muted { "Nobody fills in a form: each of its jobs carries this." }
            pre { (masked(&pretty(&system.data, 3))) }
        },
        Some(template) => {
            let form = TemplateForm::of(template, page.context.now)?;
            match controls(&form, page.context.zone_for(None)) {
                None => html! { p.muted { "The payload is entered as JSON." } },
                Some(all) if all.is_empty() => html! { p.muted { "Nothing to enter." } },
                Some(all) => inputs(&all, Shown::default()),
            }
        }
    };
    Ok(html! {
        section.card {
            header.card-head { h2 { "Its form" } }
            div.pad { (body) }
        }
    })
}
