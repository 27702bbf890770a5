//! The work that a JSON Schema asks for: how many of its parts the crate would apply to a payload.
//! `json_schema` asks here before it lets the crate begin, since the crate cannot be stopped, and
//! holds every error that it finds: a schema of 1 KB whose parts refer to each other twice would
//! take all memory.
//!
//! The count follows the schema as the crate does, and assumes that every part applies: it is never
//! less than what the crate does. Nothing is validated here.

use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::ordered::shortened;

/// The most work that a check may take, in parts of a schema that are applied.
const MOST: u64 = 100_000;
/// The most work of a check that tells all errors, since each part may have some.
const MOST_WITH_ERRORS: u64 = 20_000;
/// The deepest that parts may apply each other. A payload has 32 levels.
const DEEPEST: usize = 256;
/// The most parts that others refer to, times the levels of the deepest part: the crate follows
/// references by calls when it compiles a schema, and a stack has an end.
const MOST_LEVELS: usize = 1_000;
/// The bytes of a keyword's value that count as one part: errors hold a copy of such values.
const KEYWORD_BYTES: usize = 32;
/// The bytes of a text, or the members of a list or an object, that count as one part.
const VALUE_SIZE: usize = 256;

/// What a check of a payload may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// All errors can be told.
    Little,
    /// The first error can be told.
    Much,
    /// Nothing: it would take too long.
    TooMuch,
}

/// The parts of a schema, and which of them apply which.
#[derive(Debug, Default)]
pub(super) struct Parts(Vec<Part>);

/// A schema within the schema. The numbers are places in the list of parts.
#[derive(Debug, Default)]
struct Part {
    /// What it costs by itself.
    weight: u64,
    /// Applied to the same value, for its errors.
    all: Vec<usize>,
    /// Applied to the same value, for whether it is valid.
    tested: Vec<usize>,
    /// Applied to the same value for both.
    chosen: Vec<usize>,
    /// It looks again at what the parts beside it have seen.
    looks_again: bool,
    /// Applied to the members of these names.
    properties: HashMap<String, usize>,
    /// Applied to the members that no property names.
    others: Vec<usize>,
    /// Applied to all members.
    members: Vec<usize>,
    /// Applied to the names of members.
    names: Vec<usize>,
    /// Applied to the first elements, by their places.
    first: Vec<usize>,
    /// Applied to all elements.
    elements: Vec<usize>,
}

impl Parts {
    /// Reads the parts of a schema. Refuses references that do not lead to a part of it.
    pub(super) fn of(schema: &Value) -> Result<Self, String> {
        let mut reader = Reader::new(schema);
        reader.part(schema)?;
        // A chain of references may be long, so it is not followed by calls.
        while let Some((place, target)) = reader.references.pop() {
            let target = reader.part(target)?;
            reader.targets.insert(target);
            reader.parts[place].all.push(target);
        }
        if reader.targets.len() * reader.deepest > MOST_LEVELS {
            return Err(format!(
                "refers to {} of its parts, nested up to {} levels: at most {MOST_LEVELS} levels in \
                 all",
                reader.targets.len(),
                reader.deepest
            ));
        }
        Ok(Self(reader.parts))
    }

    /// The work of a check of a payload.
    pub(super) fn work(&self, payload: &Value) -> Work {
        let mut count = Count { parts: &self.0, done: 0 };
        match count.apply(0, payload, true, 0) {
            None => Work::TooMuch,
            Some(()) if count.done > MOST_WITH_ERRORS => Work::Much,
            Some(()) => Work::Little,
        }
    }
}

/// Counts the parts that are applied.
struct Count<'a> {
    parts: &'a [Part],
    done: u64,
}

impl Count<'_> {
    /// Applies a part, for its errors or for whether it is valid. `None` where it is too much.
    fn apply(&mut self, part: usize, value: &Value, errors: bool, depth: usize) -> Option<()> {
        let parts = self.parts;
        let part = &parts[part];
        self.done += part.weight + (size(value) / VALUE_SIZE) as u64;
        if self.done > MOST || depth > DEEPEST {
            return None;
        }
        let depth = depth + 1;
        for _ in 0..if part.looks_again { 3 } else { 1 } {
            for one in &part.all {
                self.apply(*one, value, errors, depth)?;
            }
            for one in part.tested.iter().chain(&part.chosen) {
                self.apply(*one, value, false, depth)?;
            }
            for one in part.chosen.iter().filter(|_| errors) {
                self.apply(*one, value, true, depth)?;
            }
        }
        match value {
            Value::Object(object) => self.members(part, object, errors, depth),
            Value::Array(list) => {
                for (place, element) in list.iter().enumerate() {
                    for one in part.first.get(place).into_iter().chain(&part.elements) {
                        self.apply(*one, element, errors, depth)?;
                    }
                }
                Some(())
            }
            _ => Some(()),
        }
    }

    fn members(
        &mut self,
        part: &Part,
        object: &Map<String, Value>,
        errors: bool,
        depth: usize,
    ) -> Option<()> {
        for (name, value) in object {
            let named = part.properties.get(name);
            let others = part.others.iter().filter(|_| named.is_none());
            for one in named.into_iter().chain(others).chain(&part.members) {
                self.apply(*one, value, errors, depth)?;
            }
            if !part.names.is_empty() {
                let name = Value::from(name.as_str());
                for one in &part.names {
                    self.apply(*one, &name, errors, depth)?;
                }
            }
        }
        Some(())
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.len(),
        Value::Object(object) => object.len(),
        _ => 0,
    }
}

/// Reads the parts of a schema, each once.
struct Reader<'a> {
    root: &'a Value,
    /// The places of the parts that are read, by their addresses in the schema.
    known: HashMap<*const Value, usize>,
    parts: Vec<Part>,
    /// The parts that refer to others, each with one that is to be read.
    references: Vec<(usize, &'a Value)>,
    /// The parts that others refer to.
    targets: HashSet<usize>,
    /// How deep the part that is being read is nested, and how deep any was.
    depth: usize,
    deepest: usize,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Value) -> Self {
        Self {
            root,
            known: HashMap::new(),
            parts: Vec::new(),
            references: Vec::new(),
            targets: HashSet::new(),
            depth: 0,
            deepest: 0,
        }
    }

    /// The place of a part.
    fn part(&mut self, schema: &'a Value) -> Result<usize, String> {
        if let Some(place) = self.known.get(&std::ptr::from_ref(schema)) {
            return Ok(*place);
        }
        let place = self.parts.len();
        self.known.insert(std::ptr::from_ref(schema), place);
        self.parts.push(Part { weight: 1, ..Part::default() });
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            self.keyword(place, keyword, value)?;
        }
        self.depth -= 1;
        Ok(place)
    }

    fn keyword(&mut self, of: usize, keyword: &str, value: &'a Value) -> Result<(), String> {
        match keyword {
            "$id" if of > 0 => {
                return Err("has $id within: refer to its parts as #/$defs/name".to_owned());
            }
            "$ref" | "$dynamicRef" => {
                let to = value.as_str().unwrap_or_default();
                let Some(target) = self.target(to) else {
                    let to = shortened(to);
                    return Err(format!(
                        "refers to {to}, which is no part of it: refer as #/$defs/name"
                    ));
                };
                self.references.push((of, target));
            }
            "allOf" | "then" | "else" => {
                let parts = self.one_or_more(value)?;
                self.parts[of].all.extend(parts);
            }
            "dependentSchemas" | "dependencies" => {
                let parts = self.by_name(value)?;
                self.parts[of].all.extend(parts.into_iter().map(|(_, part)| part));
            }
            "if" | "not" => {
                let parts = self.one_or_more(value)?;
                self.parts[of].tested.extend(parts);
                // An error of `not` holds a copy of it.
                self.parts[of].weight += weight(value);
            }
            "anyOf" | "oneOf" => {
                let parts = self.one_or_more(value)?;
                self.parts[of].chosen.extend(parts);
            }
            "$defs" | "definitions" => {}
            _ => self.of_members(of, keyword, value)?,
        }
        Ok(())
    }

    /// Reads a keyword that applies parts to members or elements, or none.
    fn of_members(&mut self, of: usize, keyword: &str, value: &'a Value) -> Result<(), String> {
        match keyword {
            "properties" => {
                let parts = self.by_name(value)?;
                self.parts[of].properties.extend(parts);
            }
            "patternProperties" => {
                let parts = self.by_name(value)?;
                self.parts[of].members.extend(parts.into_iter().map(|(_, part)| part));
            }
            "additionalProperties" => {
                let parts = self.one_or_more(value)?;
                self.parts[of].others.extend(parts);
            }
            "unevaluatedProperties" => {
                let parts = self.one_or_more(value)?;
                self.parts[of].looks_again = true;
                self.parts[of].members.extend(parts);
            }
            "propertyNames" => {
                let parts = self.one_or_more(value)?;
                self.parts[of].names.extend(parts);
            }
            "prefixItems" => {
                let parts = self.one_or_more(value)?;
                self.parts[of].first.extend(parts);
            }
            "items" | "additionalItems" | "contains" | "unevaluatedItems" => {
                let parts = self.one_or_more(value)?;
                self.parts[of].looks_again |= keyword == "unevaluatedItems";
                self.parts[of].elements.extend(parts);
            }
            _ => self.parts[of].weight += weight(value),
        }
        Ok(())
    }

    /// The part that a keyword has, or a list of them.
    fn one_or_more(&mut self, value: &'a Value) -> Result<Vec<usize>, String> {
        match value {
            Value::Array(list) => list.iter().map(|one| self.part(one)).collect(),
            Value::Object(_) | Value::Bool(_) => Ok(vec![self.part(value)?]),
            _ => Ok(Vec::new()),
        }
    }

    /// The parts that a keyword has by names.
    fn by_name(&mut self, value: &'a Value) -> Result<Vec<(String, usize)>, String> {
        let named = value.as_object().into_iter().flatten();
        named.map(|(name, part)| Ok((name.clone(), self.part(part)?))).collect()
    }

    /// The part that a reference leads to.
    fn target(&self, to: &str) -> Option<&'a Value> {
        let fragment = to.strip_prefix('#')?;
        let fragment = percent_decode_str(fragment).decode_utf8().ok()?;
        if fragment.is_empty() || fragment.starts_with('/') {
            return self.root.pointer(&fragment);
        }
        anchored(self.root, &fragment)
    }
}

/// What a keyword's value costs.
fn weight(value: &Value) -> u64 {
    (value.to_string().len() / KEYWORD_BYTES) as u64
}

/// The part with an anchor.
fn anchored<'a>(schema: &'a Value, anchor: &str) -> Option<&'a Value> {
    match schema {
        Value::Object(object) => {
            let is_it = |name: &str| object.get(name).and_then(Value::as_str) == Some(anchor);
            if is_it("$anchor") || is_it("$dynamicAnchor") {
                return Some(schema);
            }
            object.values().find_map(|value| anchored(value, anchor))
        }
        Value::Array(list) => list.iter().find_map(|value| anchored(value, anchor)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "json_work_tests.rs"]
mod tests;
