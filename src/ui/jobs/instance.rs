//! What pages say of a job that a template made, and the form that ends a one-off before its time.
//! The page of a job and that of a template show it.

use maud::{Markup, html};

use crate::app::jobs::JobRecord;
use crate::app::{Action, Error, ErrorKind};
use crate::model::template::Template;
use crate::ui::context::{Page, own_path};
use crate::ui::jobs::describe;
use crate::ui::parts::{card, menu};
use crate::ui::templates::difference::difference;

/// The template of a job, as it is now.
pub(crate) struct Origin {
    /// `None` where the job is of no template, the template is gone, or the actor may not see it.
    template: Option<Template>,
    /// The version that made the job, where it is another one and still kept.
    made_by: Option<Template>,
}

impl Origin {
    /// Reads the template of a job.
    ///
    /// # Errors
    ///
    /// As [`crate::app::App::get_template`], but for a template that is gone.
    pub(crate) async fn of(page: &Page, record: &JobRecord) -> Result<Self, Error> {
        let (mut template, mut made_by) = (None, None);
        if let Some(link) = record.template.as_ref().filter(|_| page.may(Action::TemplatesRead)) {
            let app = &page.ui.app;
            template = found(app.get_template(&page.actor, link.of.id).await)?;
            if template.as_ref().is_some_and(|now| now.version != link.of.version) {
                let kept = app.template_version(&page.actor, link.of.id, link.of.version).await;
                made_by = found(kept)?;
            }
        }
        Ok(Self { template, made_by })
    }

    /// Says whether another job follows this one unless it is said otherwise.
    pub(crate) fn is_followed(&self) -> bool {
        self.template.as_ref().is_some_and(|template| template.active && template.reschedule)
    }

    /// The card that names the template, and what changed in it since it made the job.
    pub(crate) fn card(&self, page: &Page, record: &JobRecord) -> Markup {
        let Some(link) = &record.template else { return html! {} };
        let version = link.of.version;
        let body = match &self.template {
            None => html! {
                p.pad.muted {
                    "Made by version " (version) " of template " (link.of.id)
                    @if link.kind.is_none() { ", which is deleted" } "."
                }
            },
            Some(now) => html! {
                div.pad {
                    p { a href={ "/ui/templates/" (now.id) } { @if now.label.is_empty() { (now.kind) } @else { (now.label) } } }
                    p.muted { "made by version " (version) @if now.version != version { ", now " (now.version) } }
                    @if let Some(before) = &self.made_by {
                        details { summary { "What changed since" } (difference(page, before, now)) }
                    }
                }
            },
        };
        card("Template", html! {}, body)
    }
}

/// What was read; `None` where it is gone.
fn found<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The menu that ends a one-off and leads back to a page of this UI. `is_followed` says that
/// another job follows unless it is said otherwise.
pub(crate) fn terminate_menu(
    class: &str,
    record: &JobRecord,
    is_followed: bool,
    back: &str,
) -> Markup {
    let name = describe::name(record);
    menu(
        class,
        html! { "Terminate" span.hidden { " " (name) } },
        html! {
            form.stack method="post" action={ "/ui/jobs/" (record.job.id) "/terminate" } {
                p.menu-title { "End " (name) " now?" }
                input type="hidden" name="back" value=(own_path(back));
                p.hint { "Its wait or its run ends. A receiver that works on it hears of it at its next report." }
                label { span { "Reason (optional)" } input name="reason" maxlength="200" autocomplete="off"; }
                @if is_followed {
                    label.choice { input.pick type="checkbox" name="last" value="yes"; span { "No other one follows" } }
                }
                button.button.danger { "Terminate the job" }
            }
        },
    )
}
