//! What differs between two versions of a template, field by field. The page of a template and that
//! of a job that an older version made show it.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::model::template::Template;
use crate::ui::context::Page;
use crate::ui::mask::{HIDDEN, is_secret, masked};
use crate::ui::templates::json::{fields_of, members};
use crate::ui::words::cut;

/// The fields that every version has of its own.
const OF_EACH: [&str; 6] =
    ["id", "version", "dateCreated", "dateModified", "createdBy", "modifiedBy"];
/// The fields whose members are compared one by one.
const OBJECTS: [&str; 5] = ["payloadSchema", "jsonSchema", "payload", "target", "job"];
/// The longest value that is shown, in characters.
const LONGEST: usize = 120;
/// The most differences that are shown.
const MOST: usize = 30;

/// A difference: the field, and its value before and after, as JSON; `None` where it has none.
type Difference = (String, Option<String>, Option<String>);

/// The differences between two versions.
pub(crate) fn difference(page: &Page, before: &Template, after: &Template) -> Markup {
    let (old, new) = (fields_of(page, before), fields_of(page, after));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let names = names.into_iter().filter(|name| !OF_EACH.contains(&name.as_str()));
    let all = names.flat_map(|name| differences(name, old.get(name), new.get(name)));
    let all: Vec<_> = all.collect();
    html! {
        @if all.is_empty() { p.muted { "Nothing that shows." } }
        ul.differences {
            @for (field, was, now) in all.iter().take(MOST) {
                li {
                    code.break { (field) } " "
                    @if let Some(was) = was { del.break { (was) } " " }
                    @match now { Some(now) => ins.break { (now) }, None => span.muted { "left out" } }
                }
            }
            @if all.len() > MOST { li.muted { "and " (all.len() - MOST) " more" } }
        }
    }
}

/// The differences of a field; of an object those of its members.
fn differences(name: &str, before: Option<&String>, after: Option<&String>) -> Vec<Difference> {
    if before == after {
        return Vec::new();
    }
    if OBJECTS.contains(&name) {
        let of = |json: Option<&String>| json.map(|json| members(json)).unwrap_or_default();
        let (old, new) = (of(before), of(after));
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let changed = names.into_iter().filter(|one| old.get(*one) != new.get(*one));
        let one = |one: &String| {
            let shown = |json: Option<&String>| json.map(|json| shown(one, json));
            (format!("{name}.{one}"), shown(old.get(one)), shown(new.get(one)))
        };
        let members: Vec<_> = changed.map(one).collect();
        if !members.is_empty() {
            return members;
        }
    }
    let shown = |json: Option<&String>| json.map(|json| shown(name, json));
    vec![(name.to_owned(), shown(before), shown(after))]
}

/// A value as it is shown: not where its name says that it is a secret.
fn shown(name: &str, json: &str) -> String {
    if is_secret(name) && !matches!(json, "true" | "false") {
        return HIDDEN.to_owned();
    }
    let text: Option<String> = serde_json::from_str(json).ok();
    cut(&text.unwrap_or_else(|| masked(json)), LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, before: &str, after: &str) -> Vec<Difference> {
        differences(name, Some(&before.to_owned()), Some(&after.to_owned()))
    }

    #[test]
    fn two_versions_differ_in_the_members_that_changed() {
        assert_eq!(told("label", "\"a\"", "\"a\""), []);
        let label = ("label".to_owned(), Some("a".to_owned()), Some("b".to_owned()));
        assert_eq!(told("label", "\"a\"", "\"b\""), [label]);
        let rules = told("payloadSchema", "{\"a\":1.0,\"b\":{}}", "{\"b\":{},\"a\":1,\"c\":null}");
        let number = ("payloadSchema.a".to_owned(), Some("1.0".to_owned()), Some("1".to_owned()));
        let added = ("payloadSchema.c".to_owned(), None, Some("null".to_owned()));
        assert_eq!(rules, [number, added]);
        // Only the order of the members has changed.
        assert_eq!(told("payload", "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}").len(), 1);
    }

    #[test]
    fn no_secret_is_in_a_difference() {
        let of =
            told("payload", "{\"password\":\"hunter2\"}", "{\"password\":{\"x\":\"hunter3\"}}");
        assert_eq!(of[0].1.as_deref(), Some(HIDDEN));
        let inner = told("payload", "{\"in\":1}", "{\"in\":{\"apiToken\":\"hunter2\"}}");
        assert!(!format!("{of:?}{inner:?}").contains("hunter"), "{of:?} {inner:?}");
    }
}
