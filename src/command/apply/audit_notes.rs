//! What the rules of an entry note for its row of the audit: the records that they change, as they
//! were and as they are. They note only what they have in hand, so that the audit needs no read.
//! `audit_row` makes the row. In an entry without a row nothing is noted, and nothing is computed.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::audit_diff::{FieldChange, difference};
use crate::model::ProjectId;
use crate::model::actor::{ActorRef, RequestOrigin};

/// The project of the records of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Projects {
    #[default]
    None,
    One(ProjectId),
    Several,
}

/// The notes of an entry.
#[derive(Debug, Default)]
pub(super) struct AuditNotes {
    origin: Option<RequestOrigin>,
    projects: Projects,
    /// The fields that changed; `None` until a rule has noted some.
    changes: Option<Vec<FieldChange>>,
    facts: Vec<(Cow<'static, str>, Value)>,
}

impl AuditNotes {
    /// The notes of an entry that an actor asked for. Only a request of an operator, a key or a
    /// token has a row: a node's own commands have none.
    pub(super) fn new(actor: Option<&ActorRef>, origin: Option<&RequestOrigin>) -> Self {
        let has_row = match actor {
            Some(ActorRef::Operator | ActorRef::Client { .. } | ActorRef::Token { .. }) => true,
            Some(ActorRef::Node { .. }) | None => false,
        };
        Self { origin: origin.copied().filter(|_| has_row), ..Self::default() }
    }

    /// Notes that the command was carried out before, under the same number or key: no row.
    pub(super) fn repeated(&mut self) {
        self.origin = None;
    }

    /// The way by which the request came in; `None` where the entry has no row.
    pub(super) fn origin(&self) -> Option<RequestOrigin> {
        self.origin
    }

    /// Notes the project of a record.
    pub(super) fn project(&mut self, id: ProjectId) {
        self.projects = match self.projects {
            Projects::None => Projects::One(id),
            Projects::One(one) if one == id => Projects::One(one),
            Projects::One(_) | Projects::Several => Projects::Several,
        };
    }

    /// The project of all records that were noted.
    pub(super) fn common_project(&self) -> Option<ProjectId> {
        match self.projects {
            Projects::One(id) => Some(id),
            Projects::None | Projects::Several => None,
        }
    }

    /// Notes a record as it was and as it is; `None` where it was not there, or is no more. Of many
    /// records the first one is noted.
    pub(super) fn changed<T: Serialize>(&mut self, old: Option<&T>, new: Option<&T>) {
        // What cannot be JSON has no fields to show; all records can.
        let value = |record: Option<&T>| record.and_then(|one| serde_json::to_value(one).ok());
        self.changed_with(|| difference(value(old).as_ref(), value(new).as_ref()));
    }

    /// Notes the fields that changed, which are computed only for an entry with a row.
    pub(super) fn changed_with(&mut self, changes: impl FnOnce() -> Vec<FieldChange>) {
        if self.origin.is_some() && self.changes.is_none() {
            self.changes = Some(changes());
        }
    }

    /// Notes something else, by name.
    pub(super) fn fact(&mut self, name: &'static str, value: impl Into<Value>) {
        if self.origin.is_some() {
            self.facts.push((name.into(), value.into()));
        }
    }

    /// Notes a fact whose name the client or a use case gives.
    pub(super) fn named_fact(&mut self, name: String, value: String) {
        if self.origin.is_some() {
            self.facts.push((name.into(), value.into()));
        }
    }

    /// The fields that changed, and the facts.
    pub(super) fn take(&mut self) -> (Vec<FieldChange>, Vec<(Cow<'static, str>, Value)>) {
        (self.changes.take().unwrap_or_default(), std::mem::take(&mut self.facts))
    }
}
