//! A row of the audit: who did what to what, when, and from where. `command::apply` makes it,
//! `store::audit` keeps it, the API shows it, and the command line checks exports of it.
//!
//! A row has a *line*: its JSON in one fixed form. The chain of hashes goes over lines, so whoever
//! has an export can check it with any tool that knows SHA-256 (*audit chain*). The form of the
//! line is frozen: rows that were written are exported for as long as they are kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Millis, NodeId, ProjectId};

/// The longest detail of a row, in bytes.
pub const MAX_DETAIL: usize = 2_048;
/// The longest list of objects of a row, in bytes.
pub const MAX_OBJECTS: usize = 1_000;
/// A hash of the chain.
pub type ChainHash = [u8; 32];

/// The party that did it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditActor {
    /// `operator`, `key` or `token`.
    pub kind: Cow<'static, str>,
    /// The credential of a key; issuer and subject of a token, with a space between them; `None`
    /// for an operator.
    pub id: Option<String>,
    /// Its name for people at that moment, where it had one.
    pub name: Option<String>,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number. It grows, with gaps: it is made of the index of its entry in the log.
    pub id: u64,
    /// The stamp of its entry.
    pub at: Millis,
    /// Who did it.
    pub actor: AuditActor,
    /// The address that the request came from; `None` where it came by no connection.
    pub address: Option<String>,
    /// The node that took the request.
    pub node: NodeId,
    /// What was done: `create`, `update`, `pause`, ...
    pub action: Cow<'static, str>,
    /// The kind of record that it was done to: `job`, `project`, ...
    pub noun: Cow<'static, str>,
    /// The ids of the records, see [`objects`].
    pub object: Option<String>,
    /// The project of the records, where all have the same.
    pub project: Option<ProjectId>,
    /// The account.
    pub account: u64,
    /// What changed, as the JSON of an object of at most [`MAX_DETAIL`] bytes.
    pub detail: String,
}

/// The line of a row but for its detail.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    id: u64,
    at: Millis,
    actor_kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    node: NodeId,
    action: &'a str,
    noun: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectId>,
    account: u64,
}

impl AuditRow {
    /// The line of the row, without the hash: what the hash goes over.
    pub fn line(&self) -> String {
        let head = Line {
            id: self.id,
            at: self.at,
            actor_kind: &self.actor.kind,
            actor_id: self.actor.id.as_deref(),
            actor_name: self.actor.name.as_deref(),
            address: self.address.as_deref(),
            node: self.node,
            action: &self.action,
            noun: &self.noun,
            object: self.object.as_deref(),
            project: self.project,
            account: self.account,
        };
        // Texts and numbers are always JSON.
        let mut line = serde_json::to_string(&head).unwrap_or_default();
        line.pop();
        line.push_str(",\"detail\":");
        line.push_str(&self.detail);
        line.push('}');
        line
    }

    /// Says whether the row is, or may be, about a record: by its id.
    pub fn concerns(&self, object: &str) -> bool {
        let is_named = |text: &str| text.split(',').any(|one| one == object);
        self.object.as_deref().is_some_and(|text| is_named(text) || names(text, object))
    }

    /// Says whether the row is an actor's: by its kind (`key`), by kind and id (`key:7`), by its
    /// id, by the subject of its token, or by its name.
    pub fn is_by(&self, actor: &str) -> bool {
        let AuditActor { kind, id, name } = &self.actor;
        let id = id.as_deref();
        let with_kind = actor.strip_prefix(&**kind).and_then(|rest| rest.strip_prefix(':'));
        let of = |wanted: &str| {
            id == Some(wanted)
                || id.and_then(|id| id.split_once(' ')).is_some_and(|id| id.1 == wanted)
        };
        actor == kind || of(actor) || with_kind.is_some_and(of) || name.as_deref() == Some(actor)
    }
}

/// An action that changes nothing of the replicated state, and is worth a row: somebody made a
/// backup, exported the audit, or changed the members of the cluster. It travels as JSON, so it may
/// grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditNote {
    /// What was done.
    pub action: String,
    /// The kind of record that it was done to.
    pub noun: String,
    /// The record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What else there is to say, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

impl AuditNote {
    /// A note of an action on a record.
    pub fn about(action: &str, noun: &str, object: u64) -> Self {
        let object = Some(object.to_string());
        Self { action: action.to_owned(), noun: noun.to_owned(), object, ..Self::default() }
    }

    /// The note with something else to say.
    #[must_use]
    pub fn with(mut self, fact: &str, value: &str) -> Self {
        self.facts.insert(fact.to_owned(), value.to_owned());
        self
    }
}

/// The ids of records as a text: `7`, `1-1000`, `3,9-12`. Ranges are (first id, count), ascending.
/// What does not fit into [`MAX_OBJECTS`] bytes becomes one range around all that is left, marked
/// by `~`: some of its ids are meant. `None` where there are no ids.
pub fn objects(ranges: &[(u64, u64)]) -> Option<String> {
    let mut text = String::new();
    let ranges = joined(ranges);
    for (at, (first, last)) in ranges.iter().enumerate() {
        let comma = if text.is_empty() { "" } else { "," };
        // The last one has room for the mark and two numbers of 20 digits.
        if text.len() + 84 > MAX_OBJECTS && at + 1 < ranges.len() {
            let end = ranges.last().map_or(*last, |range| range.1);
            // Writing to a text does not fail.
            let _ = write!(text, "{comma}~{first}-{end}");
            break;
        }
        let _ = if first == last {
            write!(text, "{comma}{first}")
        } else {
            write!(text, "{comma}{first}-{last}")
        };
    }
    (!text.is_empty()).then_some(text)
}

/// Ranges as (first id, last id), with neighbours joined. Empty ones are left out.
fn joined(ranges: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = Vec::new();
    for (first, count) in ranges.iter().filter(|range| range.1 > 0) {
        let last = first.saturating_add(count - 1);
        match all.last_mut() {
            Some(before) if before.1.saturating_add(1) == *first => before.1 = last,
            _ => all.push((*first, last)),
        }
    }
    all
}

/// Says whether the ids of a text may have one of them.
fn names(text: &str, id: &str) -> bool {
    let Ok(id) = id.parse::<u64>() else { return false };
    text.split(',').any(|range| {
        let range = range.strip_prefix('~').unwrap_or(range);
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&id),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ranges_and_what_does_not_fit_is_one_range_around_the_rest() {
        assert_eq!(objects(&[]), None);
        assert_eq!(objects(&[(7, 1)]).as_deref(), Some("7"));
        assert_eq!(objects(&[(1, 1_000), (1_001, 1), (2_000, 0)]).as_deref(), Some("1-1001"));
        assert_eq!(objects(&[(3, 1), (9, 4)]).as_deref(), Some("3,9-12"));
        let many: Vec<_> = (0..1_000).map(|n| (u64::MAX / 2 + 2 * n, 1)).collect();
        let text = objects(&many).unwrap();
        assert!(text.len() <= MAX_OBJECTS, "{}", text.len());
        let row = AuditRow { object: Some(text.clone()), ..AuditRow::default() };
        for (id, _) in many {
            assert!(row.concerns(&id.to_string()), "{id}");
        }
        assert!(text.contains(",~") && !row.concerns("7"));
    }

    #[test]
    fn a_row_is_found_by_its_object_and_by_its_actor() {
        let row =
            |object: &str| AuditRow { object: Some(object.to_owned()), ..AuditRow::default() };
        let found = [("1-10,15", "10"), ("15", "15"), ("ab-1f-7,ab-2-8", "ab-2-8"), ("~3-9", "5")];
        assert!(found.iter().all(|(text, id)| row(text).concerns(id)));
        let not = [("1-10,15", "11"), ("15", "1"), ("15", "x"), ("ab-1f-7", "1")];
        assert!(!not.iter().any(|(text, id)| row(text).concerns(id)));
        let by = |kind: &'static str, id: Option<&str>, name: Option<&str>| {
            let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
            let actor = AuditActor { kind: kind.into(), id, name };
            AuditRow { actor, ..AuditRow::default() }
        };
        let key = by("key", Some("7"), Some("ci"));
        assert!(["key", "key:7", "7", "ci"].iter().all(|actor| key.is_by(actor)));
        assert!(!["operator", "key:8", "8", "token:7", ""].iter().any(|actor| key.is_by(actor)));
        let token = by("token", Some("https://id f:1"), Some("ann"));
        let ways = ["token", "token:f:1", "f:1", "https://id f:1", "ann"];
        assert!(ways.iter().all(|actor| token.is_by(actor)));
        assert!(by("operator", None, None).is_by("operator"));
    }

    #[test]
    fn the_line_of_a_row_does_not_change() {
        let actor =
            AuditActor { kind: "key".into(), id: Some("7".into()), name: Some("c\"i".into()) };
        let row = AuditRow {
            id: 512,
            at: -3,
            actor,
            address: Some("10.0.0.1".into()),
            node: 2,
            action: "create".into(),
            noun: "job".into(),
            object: Some("1-10".into()),
            project: Some(4),
            account: 1,
            detail: r#"{"count":10}"#.into(),
        };
        let line = r#"{"id":512,"at":-3,"actorKind":"key","actorId":"7","actorName":"c\"i","address":"10.0.0.1","node":2,"action":"create","noun":"job","object":"1-10","project":4,"account":1,"detail":{"count":10}}"#;
        assert_eq!(row.line(), line);
        let short = AuditRow { account: 1, detail: "{}".into(), ..AuditRow::default() };
        let line = r#"{"id":0,"at":0,"actorKind":"","node":0,"action":"","noun":"","account":1,"detail":{}}"#;
        assert_eq!(short.line(), line);
    }
}
