//! The names that a rule of a field may have: by type, in either casing. `rule` reads their values.

use super::ordered::{Ordered, closest, shortened};
use crate::app::fields::canonical;

/// The names that every rule may have.
const COMMON: &[&str] = &["type", "label", "help", "required", "default"];

/// The types, each with its names beside the common ones.
pub(super) const TYPES: &[(&str, &[&str])] = &[
    ("uint", &["minValue", "maxValue", "range"]),
    ("int", &["minValue", "maxValue", "range"]),
    ("number", &["minValue", "maxValue", "range"]),
    ("string", &["minLength", "maxLength", "pattern", "format"]),
    ("bool", &[]),
    ("options", &["options", "multiple"]),
    ("datetime", &["timezone", "notBefore", "notAfter"]),
    ("json", &[]),
];

/// The parts of a rule by their names as in [`TYPES`], without those that are null.
pub(super) struct Parts<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Parts<'a> {
    /// Sorts the fields of a rule by their names. `known` are the names of its type.
    pub(super) fn of(
        given: &Ordered<'a>,
        known: &'static [&'static str],
        wrong: &mut Vec<String>,
    ) -> Self {
        let all = || COMMON.iter().chain(known).copied();
        let mut parts: Vec<(&'static str, &'a str)> = Vec::new();
        for (name, value) in &given.0 {
            let Some(found) = all().find(|known| is_same(known, name)) else {
                let near = closest(name, all());
                let hint = near.map_or_else(String::new, |near| format!(": did you mean {near}?"));
                wrong.push(format!("has no {}{hint}", shortened(name)));
                continue;
            };
            if parts.iter().any(|(known, _)| *known == found) {
                wrong.push(format!("has {found} twice: give it once"));
            }
            parts.push((found, value));
        }
        parts.retain(|(_, value)| *value != "null");
        Self(parts)
    }

    /// The JSON of a part.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Says whether a name is a known one, in either casing.
pub(super) fn is_same(known: &str, given: &str) -> bool {
    let (mut one, mut other) = ([0; 24], [0; 24]);
    let given = canonical(given, &mut one);
    given.is_some() && given == canonical(known, &mut other)
}

/// Says whether a rule has a pattern.
pub(super) fn has_pattern(rule: &str) -> bool {
    let given = Ordered::read(rule).unwrap_or_default();
    given.0.iter().any(|(name, _)| is_same("pattern", name))
}
