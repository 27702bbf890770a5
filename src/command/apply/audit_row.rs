//! The row of the audit that an entry has: one for each entry that an operator, a key or a token
//! asked for and that was carried out, in the same transaction (*one row an entry*). It is made of
//! the command, its outcome and what the rules noted, so it is the same on every node. A refused
//! command has none, and neither has one that repeats the outcome of another.

use std::borrow::Cow;

use serde_json::Value;

use super::audit_diff::{FieldChange, json_text, shortened, sorted};
use super::audit_subject::{Objects, Subject, subject};
use super::entry::{Applied, Entry, Refusal};
use crate::command::commands::Command;
use crate::command::outcome::Outcome;
use crate::model::actor::{ActorRef, RequestOrigin};
use crate::model::audit::{AuditActor, AuditNote, AuditRow, MAX_DETAIL, MAX_OBJECTS};
use crate::model::execution_id::occurrence_id;
use crate::model::run::Occurrence;
use crate::model::{AccountId, Millis, ProjectId};
use crate::store::{audit, meta, projects};

/// The longest word that a note may name an action or a noun by, in bytes.
const MAX_WORD: usize = 64;
/// The longest name of an actor, in bytes.
const MAX_NAME: usize = 256;
/// The room for the number of fields that have none in a detail.
const MORE: usize = 24;

impl Entry<'_, '_> {
    /// Adds the row of the entry, if it has one.
    pub(super) fn write_audit(
        &mut self,
        command: &Command,
        outcome: &Outcome,
    ) -> Result<(), Refusal> {
        let Some(origin) = self.notes.origin() else { return Ok(()) };
        let Some(Subject { action, noun, objects }) = subject(command, outcome) else {
            return Ok(());
        };
        self.note_count(outcome);
        let project = match objects {
            Objects::Project(id) => Some(id),
            Objects::Text(_) | Objects::Runs(_) => self.notes.common_project(),
        };
        let object = match objects {
            Objects::Text(text) => text,
            Objects::Project(id) => Some(id.to_string()),
            Objects::Runs(runs) => {
                self.notes.fact("count", runs.len());
                Some(self.run_ids(&runs)?)
            }
        };
        let account = self.account_of_row(project)?;
        let (changes, facts) = self.notes.take();
        let row = AuditRow {
            id: 0,
            at: self.stamp,
            actor: self.audit_actor()?,
            address: address(origin),
            node: origin.node,
            action: bounded(action, MAX_WORD),
            noun: bounded(noun, MAX_WORD),
            object: object.map(|text| cut(&text, MAX_OBJECTS)),
            project,
            account,
            detail: detail(&changes, &facts),
        };
        audit::insert(self.tx, self.index, row)?;
        Ok(())
    }

    /// Takes what a note says. The note is nothing but its row.
    pub(super) fn note(&mut self, note: &AuditNote) {
        for (name, value) in &note.facts {
            self.notes.named_fact(cut(name, MAX_WORD), shortened(value));
        }
    }

    /// Drops old rows, a bounded part at a time.
    pub(super) fn retain_audit(&mut self, before: Millis, most_bytes: u64, limit: u32) -> Applied {
        Ok(Outcome::Dropped(audit::drop_old(self.tx, before, most_bytes, limit)?))
    }

    /// Notes how many records an outcome counts.
    fn note_count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Changed(n) | Outcome::Dropped(n) => self.notes.fact("count", *n),
            Outcome::Jobs { jobs, .. } => {
                self.notes.fact("count", jobs.iter().map(|range| range.1).sum::<u64>());
            }
            Outcome::Reshaped(done) => {
                self.notes.fact("count", done.changed);
                self.notes.fact("refused", done.refused);
            }
            Outcome::Run(of) => self.notes.fact("run", of.run),
            Outcome::Done
            | Outcome::Rejected(_)
            | Outcome::Created(_)
            | Outcome::Assigned(_)
            | Outcome::Begun(_)
            | Outcome::Concluded(_)
            | Outcome::Reports(_) => {}
        }
    }

    /// The account whose rows hold this one: that of whoever asked, or, where an operator asked for
    /// none in particular, that of the project.
    fn account_of_row(&self, project: Option<ProjectId>) -> Result<AccountId, Refusal> {
        let of_project = match (self.reach.account(), project) {
            (None, Some(id)) => projects::account(self.tx, id)?,
            _ => None,
        };
        Ok(of_project.unwrap_or_else(|| self.reach.account_of_new()))
    }

    fn audit_actor(&self) -> Result<AuditActor, Refusal> {
        Ok(match self.actor {
            Some(ActorRef::Client { credential }) => AuditActor {
                kind: "key".into(),
                id: Some(credential.to_string()),
                name: self.tx.key_name(*credential)?.map(|name| cut(&name, MAX_NAME)),
            },
            Some(ActorRef::Token { issuer, subject, name }) => AuditActor {
                kind: "token".into(),
                id: Some(cut(&format!("{issuer} {subject}"), MAX_OBJECTS)),
                name: Some(cut(name, MAX_NAME)),
            },
            // Only an operator is left: see `AuditNotes::new`.
            Some(ActorRef::Operator | ActorRef::Node { .. }) | None => {
                AuditActor { kind: "operator".into(), id: None, name: None }
            }
        })
    }

    /// The execution ids of runs, as far as they have room.
    fn run_ids(&self, runs: &[Occurrence]) -> Result<String, Refusal> {
        let cluster = meta::cluster_id(self.tx)?.unwrap_or_default();
        let mut text = String::new();
        for run in runs {
            let id = occurrence_id(cluster, *run);
            if text.len() + id.len() + 1 > MAX_OBJECTS {
                break;
            }
            text.push_str(if text.is_empty() { "" } else { "," });
            text.push_str(&id);
        }
        Ok(text)
    }
}

fn address(origin: RequestOrigin) -> Option<String> {
    origin.address.map(|address| address.to_string())
}

/// A text of at most so many bytes, cut at a letter.
fn cut(text: &str, longest: usize) -> String {
    text[..text.floor_char_boundary(longest)].to_owned()
}

fn bounded(word: Cow<'static, str>, longest: usize) -> Cow<'static, str> {
    if word.len() <= longest { word } else { cut(&word, longest).into() }
}

/// The JSON of facts and changed fields. What does not fit into [`MAX_DETAIL`] is counted.
fn detail(changes: &[FieldChange], facts: &[(Cow<'static, str>, Value)]) -> String {
    let mut text = String::from("{");
    let mut more = 0_u64;
    for (name, value) in facts {
        add(&mut text, name, &sorted(value), 2, &mut more);
    }
    if !changes.is_empty() {
        text.push_str(if text.len() > 1 { ",\"changes\":{" } else { "\"changes\":{" });
        for FieldChange { field, change } in changes {
            add(&mut text, field, change, 2, &mut more);
        }
        text.push('}');
    }
    if more > 0 {
        text.push_str(if text.len() > 1 { ",\"more\":" } else { "\"more\":" });
        text.push_str(&more.to_string());
    }
    text.push('}');
    text
}

/// Adds a field to a JSON object that is not closed yet, where it and `closing` brackets fit.
fn add(text: &mut String, name: &str, value: &str, closing: usize, more: &mut u64) {
    let name = json_text(name);
    if text.len() + name.len() + value.len() + 2 + closing + MORE > MAX_DETAIL {
        *more += 1;
        return;
    }
    if !text.ends_with('{') {
        text.push(',');
    }
    text.push_str(&name);
    text.push(':');
    text.push_str(value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::command::apply::audit_diff::{new_field, word};

    #[test]
    fn a_detail_is_json_of_a_bounded_size_and_counts_what_it_leaves_out() {
        assert_eq!(detail(&[], &[]), "{}");
        let facts = [("count".into(), json!(3))];
        assert_eq!(detail(&[], &facts), r#"{"count":3}"#);
        let changes = [new_field("a", "x"), new_field("b", 1)];
        let expected = r#"{"count":3,"changes":{"a":{"new":"x"},"b":{"new":1}}}"#;
        assert_eq!(detail(&changes, &facts), expected);
        let expected = r#"{"changes":{"a":{"new":"x"},"b":{"new":1}}}"#;
        assert_eq!(detail(&changes, &[]), expected);
        let many: Vec<_> = (0..200)
            .map(|n| FieldChange { field: format!("field{n}").into(), ..word("", "set") })
            .collect();
        let text = detail(&many, &facts);
        assert!(text.len() <= MAX_DETAIL);
        let read: Value = serde_json::from_str(&text).unwrap();
        let kept = read["changes"].as_object().unwrap().len() as u64;
        assert_eq!(read["more"], 200 - kept);
        let long = [new_field("a", "\u{1}".repeat(200)), new_field("b", "\u{1}".repeat(200))];
        assert!(detail(&long, &facts).len() <= MAX_DETAIL);
    }
}
