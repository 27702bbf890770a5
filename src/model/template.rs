//! A job template: what a kind of one-off job needs as payload, where it goes, and whether another
//! one follows when it is over.
//!
//! `app::templates` makes templates of requests, `store::templates` keeps them, and
//! `command::apply` makes jobs of them, which are called *instances*. Payloads are checked in
//! `app`, before anything is proposed: here a schema is text.

use serde::{Deserialize, Serialize};

use super::job::{JobDefinition, Timing};
use super::template_ref::TemplateRef;
use super::{Millis, ProjectId};

/// The longest type, in bytes.
pub const LONGEST_TYPE: usize = 128;
/// The longest time before an instance is due, in seconds: 366 days.
pub const LONGEST_START: u64 = 366 * 86_400;
/// The most completed instances that a template keeps.
pub const MOST_KEPT: u32 = 10_000;
/// The number of completed instances that a template keeps unless it says otherwise.
pub const KEPT: u32 = 100;
/// The number of versions of a template that are kept, besides those that its jobs name.
pub const KEPT_VERSIONS: u64 = 20;
/// The words in which an edit is refused that [`breaks_instance`] finds.
pub const STAYS_INSTANCE: &str =
    "an instance of a template stays a one-off in its project: change the template instead";
/// The shortest time before the next instance of a chain is due, in milliseconds.
const SHORTEST_RENEWAL: Millis = 1_000;

/// A template. It travels and is stored as JSON, so it may grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its number, from 1, never reused.
    pub id: u64,
    /// Its project, which never changes.
    pub project: ProjectId,
    /// Its type, unique in its project.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name that people read; may be empty.
    pub label: String,
    /// What it is for.
    pub description: String,
    /// The time before an instance is due, in seconds; at most [`LONGEST_START`].
    pub start_in_seconds: u32,
    /// Callers make its instances. Else it is a system template, which keeps one by itself.
    pub user_triggered: bool,
    /// Another instance follows each one that is over.
    pub reschedule: bool,
    /// What a payload must be.
    pub schema: PayloadSchema,
    /// The values that fill a form, or an absent field, as the JSON of an object; may be empty.
    pub payload: String,
    /// What the instances of a system template carry; made of `payload` when it was checked.
    pub data: String,
    /// The definition that its instances share, without instant and mark.
    pub definition: JobDefinition,
    /// The number of completed instances that stay; at most [`MOST_KEPT`].
    pub keep_completed: u32,
    /// Instances may be made.
    pub active: bool,
    /// Counts its changes, from 1.
    pub version: u64,
    /// The stamp of its creation.
    pub created: Millis,
    /// The stamp of its last change.
    pub modified: Option<Millis>,
    /// The creator, as the client named itself.
    pub created_by: Option<String>,
    /// The client that changed it last.
    pub modified_by: Option<String>,
}

/// What a payload must be, as the JSON that the client gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayloadSchema {
    /// A rule for each field, by name.
    Fields(String),
    /// A JSON Schema (2020-12).
    Json(String),
}

impl PayloadSchema {
    /// The JSON.
    pub fn text(&self) -> &str {
        match self {
            Self::Fields(text) | Self::Json(text) => text,
        }
    }
}

impl Default for PayloadSchema {
    fn default() -> Self {
        Self::Fields("{}".to_owned())
    }
}

impl Template {
    /// The mark of its instances, as it is now.
    pub fn reference(&self) -> TemplateRef {
        TemplateRef { id: self.id, version: self.version }
    }

    /// The definition of an instance that is due after so many milliseconds.
    pub fn instance(&self, after: Millis) -> JobDefinition {
        JobDefinition {
            timing: Timing::After(after),
            template: Some(self.reference()),
            template_type: self.kind.clone(),
            ..self.definition.clone()
        }
    }

    /// The time before a new instance is due, in milliseconds.
    pub fn start(&self) -> Millis {
        Millis::from(self.start_in_seconds) * 1_000
    }

    /// The time before an instance is due that follows another one, in milliseconds.
    pub fn renewal(&self) -> Millis {
        self.start().max(SHORTEST_RENEWAL)
    }

    /// Says whether its instances have somewhere to go.
    pub fn has_target(&self) -> bool {
        let JobDefinition { callback_url, http, target, executor, .. } = &self.definition;
        !callback_url.is_empty() || http.is_some() || target.is_some() || executor.is_some()
    }

    /// The template without what each write sets: two that are equal here need no new version.
    #[must_use]
    pub fn content(&self) -> Self {
        Self { version: 0, modified: None, modified_by: None, ..self.clone() }
    }
}

/// Says whether an edit of a job from one definition to the other breaks what holds for instances:
/// they stay one-offs in their project.
pub fn breaks_instance(old: &JobDefinition, new: &JobDefinition) -> bool {
    old.template.is_some() && (old.project != new.project || !new.is_one_off())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_a_one_off_that_names_its_template() {
        let kind = "send_mail".to_owned();
        let template =
            Template { id: 3, version: 7, start_in_seconds: 5, kind, ..Template::default() };
        let instance = template.instance(template.start());
        assert_eq!(instance.template_type, "send_mail");
        assert_eq!(instance.timing, Timing::After(5_000));
        assert_eq!(instance.template, Some(TemplateRef { id: 3, version: 7 }));
        assert!(instance.is_one_off() && !template.has_target());
        let at_once = Template { start_in_seconds: 0, ..template };
        assert_eq!((at_once.start(), at_once.renewal()), (0, 1_000), "a chain never spins");
    }
}
