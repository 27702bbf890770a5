//! The difference of a record before and after an entry, field by field, for its row of the audit.
//!
//! It never shows a secret, sealed or not (*no secret in the audit*): of a secret field it only
//! says that it was set, changed or removed. Of data, bodies, messages and header values it has the
//! length and the first 8 hex digits of their SHA-256. Of the settings of a kind of executor, which
//! only the kind can read, it shows the texts of a few known names, and digests of all others.
//!
//! Pure, and the same on every node and in every program of a level: a change of what is shown
//! takes a new level, as any changed result of a command.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// The longest text of an old or a new value, in bytes.
const MAX_VALUE: usize = 200;
/// The most steps from a record to a field that is shown by itself.
const MAX_DEPTH: usize = 6;

/// Fields that each write sets, or that follow from others.
const LEFT_OUT: [&str; 7] =
    ["id", "version", "created", "modified", "modifiedBy", "period", "dialect"];
/// Parts of names whose values are secret, in small letters without marks between words.
const SECRETS: [&str; 9] = [
    "password",
    "secret",
    "token",
    "sealed",
    "signing",
    "verifier",
    "clientkey",
    "privatekey",
    "cloudapikey",
];
/// Names whose values are shown by their digests.
const DIGESTS: [&str; 9] =
    ["data", "body", "message", "payload", "schema", "ca", "clientCert", "headers", "query"];
/// Names whose values are addresses, which may have a login or a key in them.
const ADDRESSES: [&str; 4] = ["url", "callbackUrl", "webhookUrl", "cloudResourceUrl"];
/// The names under which each kind of executor has settings of its own.
const SETTINGS: [&str; 1] = ["settings"];
/// Names in the settings of kinds whose texts are shown.
const SHOWN_SETTINGS: [&str; 9] =
    ["host", "vhost", "user", "exchange", "routingKey", "bus", "actions", "kind", "type"];
/// Names whose fields are named by clients.
const CLIENT_NAMES: [&str; 3] = ["labels", "headers", "query"];

/// A field that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldChange {
    /// Its name, with dots between those of what it is in.
    pub(super) field: Cow<'static, str>,
    /// The JSON of `{"old": ..., "new": ...}`, or of a word for a secret field.
    pub(super) change: String,
}

/// How the values below a name are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Plain,
    Address,
    Digest,
    Secret,
    /// The settings of a kind: texts by their digests, but for some names.
    Settings,
}

/// The fields in which two records differ, by name. A record that is not there has no fields.
pub(super) fn difference(old: Option<&Value>, new: Option<&Value>) -> Vec<FieldChange> {
    let mut found = Vec::new();
    let empty = Value::Object(Map::new());
    let (old, new) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    compare_fields(&mut Vec::new(), Shown::Plain, (Some(old), Some(new)), &mut found);
    found
}

/// A field that a new record has, shown as it is.
pub(super) fn new_field(field: &'static str, value: impl Into<Value>) -> FieldChange {
    new_value(field, &sorted(&plain(&value.into())))
}

/// A text that a new record has, shown as it is.
pub(super) fn new_text(field: &'static str, text: &str) -> FieldChange {
    new_value(field, &json_text(&shortened(text)))
}

/// The address that a new record has.
pub(super) fn new_address(field: &'static str, address: &str) -> FieldChange {
    new_value(field, &json_text(&without_login(address)))
}

/// A text of a new record that is shown by its digest.
pub(super) fn new_digest(field: &'static str, text: &str) -> FieldChange {
    let (bytes, digits) = (text.len(), first_digits(text));
    new_value(field, &format!("{{\"bytes\":{bytes},\"sha256\":\"{digits}\"}}"))
}

/// A field of which only is said what was done to it.
pub(super) fn word(field: &'static str, word: &'static str) -> FieldChange {
    FieldChange { field: field.into(), change: json_text(word) }
}

fn new_value(field: &'static str, json: &str) -> FieldChange {
    FieldChange { field: field.into(), change: format!("{{\"new\":{json}}}") }
}

/// The JSON of a text.
pub(super) fn json_text(text: &str) -> String {
    // A text is always JSON.
    serde_json::to_string(text).unwrap_or_default()
}

/// A text of at most [`MAX_VALUE`] bytes.
pub(super) fn shortened(text: &str) -> String {
    if text.len() <= MAX_VALUE {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_VALUE - '…'.len_utf8());
    format!("{}…", &text[..end])
}

type Pair<'a> = (Option<&'a Value>, Option<&'a Value>);

/// Compares the fields of two values, each of which is an object or not there.
fn compare_fields<'a>(
    path: &mut Vec<String>,
    shown: Shown,
    (old, new): Pair<'a>,
    found: &mut Vec<FieldChange>,
) {
    let fields = |value: Option<&'a Value>| value.and_then(Value::as_object);
    let (old, new) = (fields(old), fields(new));
    let names = |of: Option<&'a Map<String, Value>>| of.into_iter().flat_map(Map::keys);
    // Sorted: the order of a map depends on how the program was built.
    let all: BTreeSet<&String> = names(old).chain(names(new)).collect();
    for name in all {
        let of = |of: Option<&'a Map<String, Value>>| {
            of.and_then(|fields| fields.get(name)).filter(|value| !value.is_null())
        };
        let (old, new) = (of(old), of(new));
        if old == new {
            continue;
        }
        let by_client = path.last().is_some_and(|parent| CLIENT_NAMES.contains(&&**parent));
        let shown_name = if by_client { name.clone() } else { camel_case(name) };
        if path.is_empty() && LEFT_OUT.contains(&&*shown_name) {
            continue;
        }
        let how = below(shown, &shown_name, by_client);
        path.push(shown_name);
        compare(path, how, (old, new), found);
        path.pop();
    }
}

fn compare(
    path: &mut Vec<String>,
    shown: Shown,
    (old, new): Pair<'_>,
    found: &mut Vec<FieldChange>,
) {
    let is_object = |value: Option<&Value>| value.is_none_or(Value::is_object);
    let opens = !matches!(shown, Shown::Secret) && path.len() < MAX_DEPTH;
    // A digest of fields by name is one of each: header lines, for example.
    if opens && is_object(old) && is_object(new) {
        compare_fields(path, shown, (old, new), found);
        return;
    }
    let change = if shown == Shown::Secret {
        Value::from(match (old, new) {
            (None, _) => "set",
            (_, None) => "removed",
            _ => "changed",
        })
    } else {
        let mut values = Map::new();
        for (name, value) in [("old", old), ("new", new)] {
            if let Some(value) = value {
                values.insert(name.to_owned(), show(shown, value));
            }
        }
        Value::Object(values)
    };
    found.push(FieldChange { field: path.join(".").into(), change: sorted(&change) });
}

/// How a field is shown, by its name and by how what it is in is shown.
fn below(parent: Shown, name: &str, by_client: bool) -> Shown {
    let plain: String =
        name.chars().filter(|c| !matches!(c, '-' | '_' | '.')).collect::<String>().to_lowercase();
    match parent {
        Shown::Secret => Shown::Secret,
        _ if SECRETS.iter().any(|secret| plain.contains(secret)) && !by_client => Shown::Secret,
        Shown::Digest => Shown::Digest,
        Shown::Settings if SHOWN_SETTINGS.contains(&name) => Shown::Plain,
        Shown::Settings => Shown::Settings,
        _ if by_client => parent,
        _ if SETTINGS.contains(&name) => Shown::Settings,
        _ if DIGESTS.contains(&name) => Shown::Digest,
        _ if ADDRESSES.contains(&name) => Shown::Address,
        _ => parent,
    }
}

fn show(shown: Shown, value: &Value) -> Value {
    match (shown, value) {
        (Shown::Address, Value::String(text)) => without_login(text).into(),
        (Shown::Settings, Value::Bool(_) | Value::Number(_)) | (Shown::Plain, _) => plain(value),
        (_, Value::String(text)) => digest(text),
        _ => digest(&sorted(value)),
    }
}

/// A value as it is, cut where it is long.
fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) => shortened(text).into(),
        Value::Array(_) | Value::Object(_) => shortened(&sorted(value)).into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The length of a text and the first digits of its SHA-256.
fn digest(text: &str) -> Value {
    json!({ "bytes": text.len(), "sha256": first_digits(text) })
}

/// The first 8 hex digits of the SHA-256 of a text.
fn first_digits(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let first = hash.iter().take(4).fold(0_u32, |all, byte| (all << 8) | u32::from(*byte));
    format!("{first:08x}")
}

/// An address without its login, and with the digest of its query in place of the query.
fn without_login(address: &str) -> String {
    let (rest, query) = match address.find(['?', '#']) {
        Some(at) => address.split_at(at),
        None => (address, ""),
    };
    let shown = match rest.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let login = if host.len() == authority.len() { "" } else { "***@" };
            format!("{scheme}://{login}{host}{path}")
        }
        None => rest.to_owned(),
    };
    let mut shown = shortened(&shown);
    if !query.is_empty() {
        // Writing to a text does not fail.
        let _ = write!(shown, "?({} bytes, {})", query.len(), first_digits(query));
    }
    shown
}

/// The JSON of a value, with the names of objects in order: how a program was built must not show.
pub(super) fn sorted(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let list: Vec<_> = list.iter().map(sorted).collect();
            format!("[{}]", list.join(","))
        }
        Value::Object(fields) => {
            let names: BTreeSet<&String> = fields.keys().collect();
            let fields: Vec<_> = names
                .into_iter()
                .map(|name| format!("{}:{}", json_text(name), sorted(&fields[name])))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

/// A name as the API shows it.
fn camel_case(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    let mut words = name.split('_');
    shown.push_str(words.next().unwrap_or_default());
    for word in words {
        let mut letters = word.chars();
        shown.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        shown.push_str(letters.as_str());
    }
    shown
}

#[cfg(test)]
#[path = "audit_diff_tests.rs"]
mod tests;
